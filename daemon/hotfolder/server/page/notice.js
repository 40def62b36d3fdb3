// One place where the page says what came of an action, quietly, and for a while only.

import { Refused } from "./api.js";
import { byId, say } from "./dom.js";

const SECONDS = 8;
let timer = 0;

export function tell(text, bad = false) {
  const notice = byId("notice");
  notice.hidden = false;
  notice.classList.toggle("bad", bad);
  say(notice, text);
  clearTimeout(timer);
  timer = setTimeout(() => { notice.hidden = true; say(notice, ""); }, (bad ? 2 : 1) * SECONDS * 1000);
}

/** Run what a button asks for; it rests meanwhile, and a refusal is told. */
export async function trying(button, action) {
  button.disabled = true;
  try {
    await action();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    tell(`That did not work: ${error.message}.`, true);
  } finally {
    button.disabled = false;
  }
}
