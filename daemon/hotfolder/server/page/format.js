// Numbers, sizes and times as people read them; the reader's own language decides about separators.

const NUMBER = new Intl.NumberFormat();
const UNITS = ["B", "kB", "MB", "GB", "TB"];
const STEPS = [["day", 86400], ["hour", 3600], ["minute", 60]];
const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export const count = n => NUMBER.format(n);

export const plural = (n, one, many = one + "s") => `${count(n)} ${n === 1 ? one : many}`;

/** Bytes in powers of 1000, with three digits at most. */
export function size(bytes) {
  let step = 0;
  while (bytes >= 999.5 && step < UNITS.length - 1) { bytes /= 1000; step += 1; }
  return `${bytes.toFixed(step === 0 || bytes >= 99.5 ? 0 : bytes >= 9.95 ? 1 : 2)} ${UNITS[step]}`;
}

export function seconds(value) {
  if (value < 0.9995) return `${Math.round(value * 1000)} ms`;
  if (value < 99.5) return `${value.toFixed(value < 9.95 ? 2 : 1)} s`;
  const minutes = Math.round(value / 60);
  return minutes < 100 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

export const percent = share => `${(share * 100).toFixed(Math.abs(share) < 0.0995 ? 1 : 0)} %`;

export const rate = perSecond => perSecond.toFixed(perSecond < 99.5 && perSecond > 0 ? 1 : 0);

export function ago(time) {
  const past = (Date.now() - new Date(time)) / 1000;
  for (const [unit, length] of STEPS) if (past >= length) return RELATIVE.format(-Math.floor(past / length), unit);
  return "just now";
}

export const date = time => DATE.format(new Date(time));

/** The last part of a path, and the folder that it lies in. */
export function parts(path) {
  const cut = path.lastIndexOf("/");
  return [path.slice(cut + 1), path.slice(0, Math.max(cut, 0))];
}
