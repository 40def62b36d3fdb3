// Orders and rescans that run: how far each is, and how to stop it.

import { get, remove } from "./api.js";
import { byId, keep, make, say } from "./dom.js";
import { count, percent, size } from "./format.js";
import { tell, trying } from "./notice.js";

const MOST = 20;
const KINDS = {
  thumbnails: "Thumbnails", "generate": "Thumbnails", "generate-preset": "Thumbnails", optimize: "Optimize", analyze: "Analyze", rescan: "Rescan",
};
const OPEN = ["queued", "running"];

export async function refresh() {
  show((await get("api/jobs")).filter(job => OPEN.includes(job.state)));
}

export function start(changed) {
  byId("jobs-list").addEventListener("click", event => {
    const button = event.target.closest("button");
    if (!button) return;
    const job = button.closest("li").job;
    trying(button, async () => { await remove(`api/jobs/${encodeURIComponent(job.id)}`); tell("Cancelled."); changed(); });
  });
}

export function show(jobs) {
  byId("jobs").hidden = jobs.length === 0;
  keep(byId("jobs-list"), jobs.slice(0, MOST), job => job.id, create, update);
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
  if (job.saved_bytes) words.push(`${size(job.saved_bytes)} saved`);
  say(text, words.join(" · "));
}
