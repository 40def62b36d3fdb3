// The row of live figures: how fast, how long, how much waits, who works, how much memory.

import { byId, make, say } from "./dom.js";
import { count, plural, rate, seconds, size } from "./format.js";
import { held } from "./pause.js";

const WINDOW = 10_000; // milliseconds over which images per second are counted
const SHOWN = 120_000; // milliseconds that the curve shows
const SVG = "http://www.w3.org/2000/svg";

const samples = []; // {at, made, rate}, the newest last

/** Show one answer of /api/status. */
export function show(status) {
  const { thread_pool: pool, resources: memory, queue } = status;
  const speed = perSecond(status);
  cell("rate", "Images per second", rate(speed), "", curve);
  cell("drop", "Drop to ready", status.drop_to_ready_seconds === null ? "–" : seconds(status.drop_to_ready_seconds),
    status.drop_to_ready_seconds === null ? "no drops yet" : "median of recent drops");
  cell("waiting", "Waiting", count(status.jobs.pending), held(status) || waits(status));
  cell("workers", "Workers", `${pool.active_threads}`, "", meter(pool.active_threads, pool.max_workers), `of ${pool.max_workers} busy`);
  cell("memory", "Memory", size(memory.memory_usage_mb * 1e6), "",
    meter(memory.memory_usage_mb, memory.memory_limit_mb, 0.9), `of ${size(memory.memory_limit_mb * 1e6)}`);
  const sources = status.watches.reduce((sum, watch) => sum + watch.sources, 0);
  cell("sources", "Images known", count(sources), failed(status));
  say(byId("version"), `hotfolder ${status.version}`);
}

function failed(status) {
  const n = status.watches.reduce((sum, watch) => sum + watch.failed, 0);
  return n ? make("a", { href: "#failures" }, plural(n, "failure")) : "no failures";
}

function perSecond(status) {
  const now = performance.now(), made = status.made + status.reused;
  if (samples.length && made < samples.at(-1).made) samples.length = 0; // the daemon was started again
  const first = samples.findLast(sample => now - sample.at >= WINDOW) ?? samples[0];
  const speed = first && now > first.at ? ((made - first.made) * 1000) / (now - first.at) : 0;
  samples.push({ at: now, made, rate: speed });
  while (now - samples[0].at > SHOWN) samples.shift();
  return speed;
}

function cell(key, title, value, more, extra = null, unit = "") {
  let box = byId(`figure-${key}`);
  if (!box) {
    box = make("div", { id: `figure-${key}` }, make("dt", {}, title), make("dd", { className: "value" }),
      make("dd", { className: "more" }));
    byId("figures").append(box);
  }
  const [, main, under] = box.children;
  if (main.dataset.said !== value + unit) {
    main.dataset.said = value + unit;
    main.replaceChildren(value, unit ? make("small", {}, ` ${unit}`) : "");
  }
  if (extra) extra(under, title);
  else if (typeof more === "string") say(under, more);
  else if (under.textContent !== more.textContent) under.replaceChildren(more);
}

const meter = (value, most, high = 2) => (under, title) => {
  let bar = under.querySelector("progress");
  if (!bar) under.replaceChildren((bar = make("progress", { ariaLabel: title })));
  bar.max = Math.max(most, 1e-9);
  bar.value = Math.min(value, most);
  bar.classList.toggle("high", value > most * high);
};

/** The last two minutes as a line; decoration, since the figure beside it says what matters. */
function curve(under) {
  let line = under.querySelector("polyline");
  if (!line) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 120 20");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    line = document.createElementNS(SVG, "polyline");
    svg.append(line);
    under.replaceChildren(svg);
  }
  const now = performance.now(), top = Math.max(1, ...samples.map(sample => sample.rate));
  const across = at => (120 - ((now - at) / SHOWN) * 120).toFixed(1);
  const points = samples.map(({ at, rate: speed }) => `${across(at)},${(19 - (speed / top) * 18).toFixed(1)}`);
  line.setAttribute("points", ["0,19", `${across(samples[0].at)},19`, ...points].join(" "));
}

// Where something is put off, when the next try is: that is what one waits for.
function waits({ queue, put_off: late }) {
  if (late && late.count) return `${count(late.count)} tried again from ${new Date(late.next_try).toLocaleTimeString()}`;
  return `${count(queue.fresh)} fresh · ${count(queue.backlog)} backlog`;
}
