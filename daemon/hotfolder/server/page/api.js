// Asking the daemon. Addresses are relative to the page, so that any path prefix in front of it works.

/** What the daemon refused: `status`, and its own words. `status` 0: it did not answer at all. */
export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export const get = (path, query = {}, signal = undefined) => ask("GET", path + encode(query), undefined, signal);
export const post = (path, body = {}) => ask("POST", path, body);
export const remove = path => ask("DELETE", path);

/** A query string of what is given; empty values are left out. */
export function encode(query) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return given.length ? "?" + new URLSearchParams(given) : "";
}

async function ask(method, path, body, signal) {
  let answer, text;
  try {
    answer = await fetch(path, {
      method, signal, cache: "no-store",
      ...(body && { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
    text = await answer.text(); // the daemon may end between the head and the body
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "the daemon does not answer");
  }
  if (answer.status === 401 && path !== "api/session") location.reload(); // the session ended: `/` asks for the token
  if (!answer.ok) throw problemOf(answer.status, text);
  return answer.status === 204 ? null : JSON.parse(text);
}

/** What the daemon says of a refusal, in the shape of RFC 9457. */
export function problemOf(status, text) {
  try {
    const problem = JSON.parse(text);
    return new Refused(status, String(problem.errors?.[0]?.message ?? problem.detail));
  } catch {
    return new Refused(status, `it answered ${status}`);
  }
}
