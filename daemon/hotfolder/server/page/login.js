// The login page: gives the token for a cookie that scripts cannot read, then shows the page itself.

import { Refused, post } from "./api.js";
import { byId, say } from "./dom.js";
import { SIGNED_IN } from "./session.js";

byId("login").addEventListener("submit", async event => {
  event.preventDefault();
  const token = byId("token");
  try {
    await post("api/session", { token: token.value });
    localStorage.setItem(SIGNED_IN, "1"); // the cookie itself is hidden from scripts
    location.reload();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    say(byId("problem"), error.status === 401 ? "That is not the token." : `That did not work: ${error.message}.`);
    token.select();
    token.focus();
  }
});
