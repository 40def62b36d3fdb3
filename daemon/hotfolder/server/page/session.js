// Signing out, where someone has signed in.

import { remove } from "./api.js";
import { byId } from "./dom.js";
import { trying } from "./notice.js";

export const SIGNED_IN = "hotfolder.signed-in";

export function start() {
  byId("logout").hidden = localStorage.getItem(SIGNED_IN) === null;
  byId("logout").addEventListener("click", event => trying(event.currentTarget, async () => {
    await remove("api/session");
    localStorage.removeItem(SIGNED_IN);
    location.reload();
  }));
}
