// The WebSocket: what happens, as it happens. It comes back by itself, later and later while the daemon is away.

const FIRST_PAUSE = 500, LONGEST_PAUSE = 15_000; // milliseconds
const SILENCE = 10_000; // the state comes each second: without a word for so long, the line is dead

/**
 * `on.event(event)` for each event; `on.state("live" | "reconnecting")` as the line comes and goes; `on.missed()` when
 * it is back, and nobody knows what happened meanwhile.
 */
export function listen(on) {
  let line = null, pause = FIRST_PAUSE, retry = 0, watchdog = 0, hadOne = false;

  function open() {
    retry = 0;
    const mine = line = new WebSocket(address());
    mine.onopen = () => {
      pause = FIRST_PAUSE;
      on.state("live");
      if (hadOne) on.missed();
      hadOne = true;
      heard(mine);
    };
    mine.onmessage = message => { heard(mine); on.event(JSON.parse(message.data)); };
    mine.onclose = () => gone(mine);
  }

  function heard(mine) {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => gone(mine), SILENCE);
  }

  function gone(mine) {
    if (mine !== line) return; // given up already
    clearTimeout(watchdog);
    line = null;
    mine.onmessage = null;
    mine.close();
    on.state("reconnecting");
    // A little by chance, so that many open pages do not come back in one moment.
    retry = setTimeout(open, pause * (0.75 + Math.random() / 2));
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }

  /** Whoever looks again, or is on a network again, wants to know now. */
  function hurry() {
    if (!retry || document.hidden) return;
    clearTimeout(retry);
    open();
  }

  document.addEventListener("visibilitychange", hurry);
  addEventListener("online", hurry);
  open();
}

function address() {
  const url = new URL("api/events", document.baseURI);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url;
}
