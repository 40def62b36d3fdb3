// When to ask again: at once, but never more often than the daemon should be asked, and never while nobody looks.

/**
 * `stale()` asks for `work` to be run: now, or when `pause` milliseconds have passed since it last began. One run at a
 * time; what becomes stale during a run, or in a hidden tab, is seen to afterwards.
 */
export function refresher(work, pause) {
  let due = false, timer = 0, running = false, began = -Infinity;

  function stale() {
    due = true;
    if (running || timer || document.hidden) return;
    timer = setTimeout(run, Math.max(0, began + pause - performance.now()));
  }

  async function run() {
    timer = 0;
    due = false;
    running = true;
    began = performance.now();
    try {
      await work();
    } finally {
      running = false;
      if (due) stale();
    }
  }

  document.addEventListener("visibilitychange", () => due && stale());
  return stale;
}
