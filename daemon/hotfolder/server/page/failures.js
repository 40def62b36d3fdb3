// What failed, why, and trying it again.

import { get, post } from "./api.js";
import { byId, keep, make, say } from "./dom.js";
import { ago, count, parts, plural } from "./format.js";
import { tell, trying } from "./notice.js";

const STEP = 8, MOST = 200;

/** Reasons in words; one that is not here shows as the daemon calls it. */
export const REASONS = {
  empty: "The file is empty", not_an_image: "Not an image", truncated: "The file is cut short", damaged: "Damaged",
  unsupported: "A kind that is not supported", too_many_pixels: "Too many pixels", too_many_bytes: "Too large a file",
  too_much_memory: "Needs too much memory", name_taken: "Another image has its rendition's name",
  bad_name: "Its name cannot be held by the output",
  no_permission: "Not allowed to read it", not_found: "Not there", busy: "Still being written", io_error: "Could not be read",
  crashed: "The decoder crashed", timeout: "Took too long", internal: "An error in hotfolder",
};

let shown = STEP;

export async function refresh() {
  show(await get("api/failures", { limit: Math.min(shown + 1, MOST) }));
}

export function start(changed) {
  byId("failures-more").addEventListener("click", () => { shown = Math.min(shown + 5 * STEP, MOST); changed(); });
  byId("retry-all").addEventListener("click", event => retry(event.target, [], changed));
  byId("failures-list").addEventListener("click", event => {
    const button = event.target.closest("button");
    if (button) retry(button, [button.closest("li").failure.path], changed);
  });
}

/** How many there are in all, which /api/status knows; gives whether that has changed. */
export function total(n) {
  const changed = byId("failures-count").textContent !== count(n);
  byId("failures-count").hidden = byId("retry-all").hidden = n === 0;
  byId("failures-none").hidden = n > 0;
  say(byId("failures-count"), count(n));
  return changed;
}

function show(failures) {
  byId("failures-more").hidden = failures.length <= shown || shown >= MOST;
  keep(byId("failures-list"), failures.slice(0, shown), failure => `${failure.watch}:${failure.path}`, create, update);
}

function create() {
  return make("li", {},
    make("div", { className: "line" }, make("span", { className: "strong wrap" }),
      make("button", { type: "button", className: "quiet" }, "Try again")),
    make("p", {}, make("span", { className: "reason" }), make("span", { className: "muted" })),
    make("p", { className: "muted wrap" }));
}

function update(item, failure) {
  const [line, why, message] = item.children;
  const [name] = parts(failure.path);
  item.failure = failure;
  item.title = failure.path;
  say(line.children[0], name);
  line.children[1].ariaLabel = `Try ${name} again`;
  say(why.children[0], REASONS[failure.reason] ?? failure.reason);
  say(why.children[1], ` · ${ago(failure.last_at)}${failure.tries > 1 ? ` · tried ${failure.tries} times` : ""}`);
  say(message, failure.message);
}

async function retry(button, paths, changed) {
  await trying(button, async () => {
    const { retried } = await post("api/failures/retry", { paths });
    tell(`${plural(retried, "image")} will be tried again.`);
    changed();
  });
}
