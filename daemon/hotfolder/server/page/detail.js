// One image in a dialog: the picture, its renditions with sizes and savings, what its camera wrote, how sharp it is.

import { Refused, get } from "./api.js";
import { byId, make, say } from "./dom.js";
import { REASONS } from "./failures.js";
import { count, date, parts, percent, size } from "./format.js";
import { address, largePreset, picture } from "./pictures.js";

let ids = [], at = 0, asked = 0;

export function start() {
  const dialog = byId("detail");
  byId("detail-close").addEventListener("click", () => dialog.close());
  byId("detail-previous").addEventListener("click", () => go(at - 1));
  byId("detail-next").addEventListener("click", () => go(at + 1));
  dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); }); // beside it
  dialog.addEventListener("keydown", event => {
    if (event.target.closest("input, select")) return;
    if (event.key === "ArrowLeft") go(at - 1);
    if (event.key === "ArrowRight") go(at + 1);
  });
}

/** Show the image at place `n` of these; the arrows lead to the others. */
export function open(list, n) {
  ids = list;
  byId("detail").showModal();
  byId("detail-close").focus();
  go(n);
}

/** Something happened to this source: where it is the one that is shown, show it anew. */
export function changed(id) {
  if (byId("detail").open && ids[at] === id) go(at);
}

async function go(n) {
  if (n < 0 || n >= ids.length) return;
  at = n;
  byId("detail-previous").disabled = n === 0;
  byId("detail-next").disabled = n === ids.length - 1;
  const question = (asked += 1);
  try {
    const source = await get(`api/sources/${encodeURIComponent(ids[n])}`);
    if (question === asked) show(source);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (question === asked) gone(error);
  }
}

function gone(error) {
  say(byId("detail-name"), error.status === 404 ? "This image is gone" : "No answer");
  byId("detail-stage").replaceChildren(error.message);
  byId("detail-stage").dataset.url = "";
  byId("detail-about").replaceChildren();
}

function show(source) {
  const [name, folder] = parts(source.path);
  say(byId("detail-name"), name);
  picture(byId("detail-stage"), source, largePreset(source), "eager");
  const image = byId("detail-stage").querySelector("img");
  if (image) image.alt = name;
  byId("detail-about").replaceChildren(...[
    source.failure && part("Failed", problem(source.failure)),
    part("File", pairs([
      ["Folder", folder], ["Watch", source.watch], ["State", source.state === "done" ? "ready" : source.state],
      ["Size", size(source.bytes)], ["Pixels", source.width ? `${source.width} × ${source.height}` : null],
      ["Format", source.format], ["Made", source.done_at && date(source.done_at)],
    ])),
    source.renditions.length ? part("Renditions", renditions(source), saving(source)) : null,
    source.analysis && part("Camera", pairs(camera(source.analysis))),
    source.analysis && part("Picture", pairs(measures(source.analysis))),
  ].filter(Boolean));
  byId("detail-about").scrollTop = 0;
}

function part(title, content, more = null) {
  return content && make("section", {}, make("h3", {}, title), content, more);
}

function pairs(rows) {
  const given = rows.filter(([, value]) => value);
  return given.length ? make("dl", { className: "pairs" }, ...given.flatMap(([key, value]) => [make("dt", {}, key), make("dd", {}, value)])) : null;
}

function problem(failure) {
  return make("div", {}, make("p", { className: "reason" }, REASONS[failure.reason] ?? failure.reason),
    make("p", { className: "muted wrap" }, failure.message));
}

function renditions(source) {
  return make("table", { className: "facts" },
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Preset"), make("th", { scope: "col", className: "number" }, "Pixels"),
      make("th", { scope: "col", className: "number" }, "Size"))),
    make("tbody", {}, ...[...source.renditions].sort(bySize).map(made => make("tr", {},
      make("th", { scope: "row" }, made.note === "kept" ? made.preset
        : make("a", { href: address(source, made.preset), target: "_blank", rel: "noopener" }, made.preset)),
      make("td", { className: "number" }, `${made.width} × ${made.height}`),
      make("td", { className: "number" }, size(made.bytes))))));
}

const bySize = (a, b) => a.width * a.height - b.width * b.height;

/** What became of the optimized copy, in words. */
function saving(source) {
  const copy = source.renditions.find(made => made.preset === "optimized");
  if (!copy) return null;
  const saved = source.bytes - copy.bytes;
  const text = copy.note === "kept" ? "No optimized copy: this format can only be read."
    : saved > 0 ? `The optimized copy saves ${size(saved)} (${percent(saved / source.bytes)}).` : "The optimized copy saves nothing.";
  return make("p", { className: "muted after" }, text);
}

function camera(record) {
  const time = record.exposure_time;
  return [
    ["Model", record.camera], ["Lens", record.lens], ["Taken", record.taken_at && record.taken_at.replace("T", " ")],
    ["Exposure", [time && `${time < 0.4 ? `1/${Math.round(1 / time)}` : time} s`, record.f_number && `f/${record.f_number}`,
      record.iso && `ISO ${count(record.iso)}`].filter(Boolean).join(" · ")],
    ["Focal length", record.focal_length && `${record.focal_length} mm${record.focal_length_35mm ? ` (${record.focal_length_35mm} mm on 35 mm film)` : ""}`],
    ["Rating", record.rating > 0 && "★".repeat(Math.min(record.rating, 5))],
    ["Position", typeof record.latitude === "number" ? `${record.latitude.toFixed(5)}, ${record.longitude.toFixed(5)}` : null],
  ];
}

function measures(record) {
  const share = value => (typeof value === "number" ? percent(value) : null);
  return [
    ["Sharpness", typeof record.sharpness === "number" ? record.sharpness.toFixed(2) : null],
    ["Exposure", share(record.exposure)], ["Contrast", share(record.contrast)],
    ["Too dark", share(record.clipped_low)], ["Burnt out", share(record.clipped_high)],
    ["Colour profile", record.profile], ["Colours", record.colours?.length ? palette(record.colours) : null],
  ];
}

/** The main colours, each as wide as its share. */
function palette(colours) {
  return make("span", { className: "palette" }, ...colours.map(([colour, share]) => {
    const swatch = make("span", { title: `${colour} ${percent(share)}` });
    swatch.style.backgroundColor = colour;
    swatch.style.flexGrow = share;
    return swatch;
  }));
}
