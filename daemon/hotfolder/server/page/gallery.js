// The newest images, a page at a time: however many there are, only what is seen is asked for and stands in the document.

import { get } from "./api.js";
import { byId, keep, make, say } from "./dom.js";
import { open } from "./detail.js";
import { REASONS } from "./failures.js";
import { count, parts, plural, size } from "./format.js";
import { picture, tilePreset } from "./pictures.js";

const NARROW = matchMedia("(max-width: 44rem)");
const PAGE = NARROW.matches ? 24 : 60;
const TYPING = 250; // milliseconds of quiet before a search begins

const filter = { text: "", watch: "", state: "" };
let cursors = [""]; // where each page up to the one that is shown begins
let asking = null; // the request under way: a newer question makes it moot
let sources = [];

/** `ask` shows the page that is chosen, at once. */
export function start(ask) {
  let timer = 0;
  const choose = (key, value) => { if (filter[key] !== value) { filter[key] = value; cursors = [""]; ask(); } };
  byId("text").addEventListener("input", event => {
    clearTimeout(timer);
    timer = setTimeout(() => choose("text", event.target.value.trim()), TYPING);
  });
  byId("search").addEventListener("submit", event => { event.preventDefault(); choose("text", byId("text").value.trim()); });
  byId("by-watch").addEventListener("change", event => choose("watch", event.target.value));
  byId("by-state").addEventListener("change", event => choose("state", event.target.value));
  byId("older").addEventListener("click", () => turn(() => cursors.push(byId("older").dataset.cursor)));
  byId("newer").addEventListener("click", () => turn(() => cursors.pop()));
  byId("grid").addEventListener("click", event => {
    const tile = event.target.closest("button");
    if (tile) open(sources.map(source => source.id), sources.findIndex(source => source.id === tile.source.id));
  });

  async function turn(step) {
    step();
    await ask();
    byId("images").focus();
    byId("images").scrollIntoView();
  }
}

/** Whether what happened may change what is shown: the first page alone changes by itself, a search by its names. */
export function concerns(event) {
  return cursors.length === 1 && event.path.toLowerCase().includes(filter.text.toLowerCase());
}

export async function refresh() {
  asking?.abort();
  asking = new AbortController();
  try {
    show(await get("api/sources", { ...filter, cursor: cursors.at(-1), limit: PAGE }, asking.signal));
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  }
}

/** The watches to choose from, and where to put images while there are none. */
export function know(watches) {
  byId("by-watch-label").hidden = watches.length < 2;
  keep(byId("by-watch"), [{ name: "" }, ...watches], watch => watch.name, () => make("option"), (option, watch) => {
    option.value = watch.name;
    say(option, watch.name || "all");
  });
  inboxes = watches.map(watch => watch.path);
}
let inboxes = [];

function show(found) {
  sources = found.sources;
  keep(byId("grid"), sources, source => source.id, create, update);
  const filtered = Object.values(filter).some(Boolean), nothing = sources.length === 0;
  byId("grid").hidden = nothing;
  byId("empty").hidden = !nothing;
  if (nothing) byId("empty").replaceChildren(...(filtered ? noMatch() : noImages()));
  const first = (cursors.length - 1) * PAGE + 1, last = first + sources.length - 1;
  byId("pager").hidden = cursors.length === 1 && !found.next;
  byId("newer").disabled = cursors.length === 1;
  byId("older").disabled = !found.next;
  byId("older").dataset.cursor = found.next ?? "";
  say(byId("pager-text"), `${count(first)}–${count(last)}${found.total ? ` of ${count(found.total)}` : ""}`);
  say(byId("images-count"), filtered && !nothing ? matches(found) : "");
}

/** Of a search the daemon knows only the page that is shown, and whether there are more. */
function matches({ next, total }) {
  const known = total ?? (next || cursors.length > 1 ? null : sources.length);
  return known === null ? "more than a page" : plural(known, "match", "matches");
}

const noMatch = () => [make("strong", {}, "Nothing matches"), make("p", { className: "muted" }, "No image has this in its name.")];

const noImages = () => [
  make("strong", {}, "No images yet"),
  make("p", { className: "muted" }, "Drop some onto this page, or copy them into ",
    ...inboxes.flatMap((path, n) => [n ? " or " : "", make("code", {}, path)]), ". They appear here by themselves."),
];

function create() {
  return make("li", {}, make("button", { type: "button", className: "tile" }, make("span", { className: "frame" }),
    make("span", { className: "name" }), make("span", { className: "under" })));
}

function update(item, source) {
  const tile = item.firstElementChild, [frame, name, under] = tile.children;
  const [file] = parts(source.path);
  tile.source = source;
  tile.title = source.path;
  picture(frame, source, tilePreset(source), "lazy");
  say(name, file);
  under.classList.toggle("failed", source.state === "failed");
  say(under, below(source));
}

function below(source) {
  if (source.state === "failed") return REASONS[source.reason] ?? "Failed";
  if (source.state === "pending") return "Waiting";
  if (source.state === "skipped") return "Skipped";
  return NARROW.matches ? size(source.bytes) : `${size(source.bytes)} · ${source.width} × ${source.height}`;
}
