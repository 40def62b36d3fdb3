// The watches, how each is, and what troubles it.

import { byId, keep, make, say } from "./dom.js";
import { count } from "./format.js";
import { isHeld } from "./pause.js";

/** What each state of a watch means to its owner. */
const STATES = { ok: "watching", polling: "polling", degraded: "in trouble", offline: "offline" };

/** Show the watches of one answer of /api/status. */
export function show(watches) {
  keep(byId("watches"), watches, watch => watch.name, create, update);
}

function create() {
  return make("li", {},
    make("p", { className: "line" }, make("span", { className: "dot", ariaHidden: "true" }), make("span", { className: "strong" }),
      make("span", { className: "muted" })),
    make("p", { className: "muted wrap" }),
    make("p", { className: "line muted" }, make("span"), make("button", { type: "button", className: "quiet" })),
    make("ul", { className: "plain trouble" }));
}

function update(item, watch) {
  const [line, path, numbers, troubles] = item.children;
  const [dot, name, state] = line.children, [counts, button] = numbers.children;
  dot.dataset.state = watch.state;
  say(name, watch.name);
  say(state, isHeld(watch.name) ? "paused" : STATES[watch.state] ?? watch.state);
  say(path, watch.path);
  const parts = [`${count(watch.sources)} images`];
  if (watch.pending) parts.push(`${count(watch.pending)} waiting`);
  if (watch.failed) parts.push(`${count(watch.failed)} failed`);
  if (watch.skipped) parts.push(`${count(watch.skipped)} skipped`);
  say(counts, parts.join(" · "));
  button.value = watch.name;
  say(button, isHeld(watch.name) ? "Resume" : "Pause");
  button.ariaLabel = `${button.textContent} ${watch.name}`;
  keep(troubles, watch.troubles, trouble => trouble, () => make("li"), (entry, trouble) => say(entry, trouble));
}
