// Holding work and letting it go on: of all, or of one watch. Watching never stops, and nothing is lost meanwhile.

import { post } from "./api.js";
import { byId, say } from "./dom.js";
import { tell, trying } from "./notice.js";

let paused = []; // [{lane, watch}], where a watch of null is all of them

export const know = status => { paused = status.paused ?? []; show(); };

/** Whether work of this watch (null: of all) is held altogether. */
export const isHeld = watch => ["fresh", "backlog"].every(lane => holds(lane, watch));
const holds = (lane, watch) => paused.some(hold => hold.lane === lane && hold.watch === watch);

/** In words, what is held; empty where nothing is. */
export function held({ backlog = { open: true } }) {
  if (isHeld(null)) return "paused";
  if (holds("backlog", null)) return "backlog paused";
  return backlog.open ? "" : `backlog waits for ${backlog.window}`;
}

export function start(changed) {
  byId("pause").addEventListener("click", event => turn(event.currentTarget, null, changed));
  byId("watches").addEventListener("click", event => {
    const button = event.target.closest("button");
    if (button) turn(button, button.value, changed);
  });
}

async function turn(button, watch, changed) {
  const goes = isHeld(watch);
  await trying(button, async () => {
    await post(goes ? "api/resume" : "api/pause", { lane: "all", watch });
    tell(`${watch ?? "All work"} ${goes ? "goes on." : "is paused; what is in work ends, and watching goes on."}`);
    changed();
  });
}

function show() {
  byId("pause").hidden = false;
  say(byId("pause"), isHeld(null) ? "Resume" : "Pause");
  byId("pause").title = isHeld(null) ? "Let work go on" : "Hold all work; watching goes on";
}
