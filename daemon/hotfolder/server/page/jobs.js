// Orders and rescans that run: how far each is, and how to stop it.

import { get, remove } from "./api.js";
import { byId, keep, make, say } from "./dom.js";
import { count, percent, seconds, size } from "./format.js";
import { tell, trying } from "./notice.js";

const MOST = 20;
const KINDS = {
  generate: "Thumbnails", "generate-preset": "Thumbnails", optimize: "Optimized copies", analyze: "Analysis", rescan: "Rescan",
};

let running = new Map(); // by id, the newest first

export async function refresh() {
  const found = (await get("api/jobs")).filter(isOpen);
  running = new Map(found.map(job => [job.id, further(job, running.get(job.id))]));
  show();
}

/** One job went on; the event holds all of it. */
export function happened(job) {
  if (!isOpen(job)) running.delete(job.id);
  else if (running.has(job.id)) running.set(job.id, job);
  else running = new Map([[job.id, job], ...running]);
  show();
}

/** An event may have overtaken the answer. */
const further = (job, known) => (known && known.progress > job.progress ? known : job);
const isOpen = job => ["queued", "running"].includes(job.state);

export function start() {
  byId("jobs-list").addEventListener("click", event => {
    const button = event.target.closest("button");
    if (!button) return;
    const job = button.closest("li").job;
    trying(button, async () => { happened(await remove(`api/jobs/${encodeURIComponent(job.id)}`)); tell("Cancelled."); });
  });
}

function show() {
  byId("jobs").hidden = running.size === 0;
  keep(byId("jobs-list"), [...running.values()].slice(0, MOST), job => job.id, create, update);
}

function create() {
  return make("li", {},
    make("div", { className: "line" }, make("span", { className: "strong" }),
      make("button", { type: "button", className: "quiet" }, "Cancel")),
    make("progress", { max: 1 }), make("p", { className: "muted" }));
}

function update(item, job) {
  const [line, bar, text] = item.children;
  const kind = KINDS[job.kind] ?? job.kind;
  item.job = job;
  say(line.children[0], kind);
  line.children[1].hidden = job.kind === "rescan";
  line.children[1].ariaLabel = `Cancel ${kind}`;
  bar.value = job.progress;
  bar.ariaLabel = `${kind}: ${percent(job.progress)}`;
  const words = [job.state === "queued" ? "queued" : `${count(job.done)} of ${count(job.total)}`];
  if (job.failed) words.push(`${count(job.failed)} failed`);
  if (job.saved_bytes > 0) words.push(`${size(job.saved_bytes)} saved`);
  if (job.time_left) words.push(`${seconds(job.time_left)} left`);
  say(text, words.join(" · "));
}
