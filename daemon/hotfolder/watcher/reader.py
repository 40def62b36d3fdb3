"""The kernel reader: watchdog's thread that reads events, outliving what their handling raises."""

from __future__ import annotations

from collections.abc import Callable

from watchdog.observers.inotify_c import InotifyEvent, InotifyFD

from hotfolder import loop
from hotfolder.telemetry import bugs, logs

log = logs.get("watching")


class Reader(InotifyFD):
    """`anew`: the tree has to be watched again, since an event was lost to a bug, or this thread has ended."""

    def __init__(self, name: str, pause: loop.Pause, anew: Callable[[], None]) -> None:
        super().__init__()
        self.name = name
        self._pause = pause
        self._anew = anew

    @property
    def ended(self) -> bool:
        return self.ident is not None and not self.is_alive() and self.should_keep_running()

    def revive(self) -> None:
        self._anew()

    def run(self) -> None:
        with bugs.guarded("inotify", thread=self.name):
            super().run()

    def handle_event(self, event: InotifyEvent) -> None:
        try:
            super().handle_event(event)
        except Exception as error:  # noqa: BLE001 - a bug costs a walk, not the thread
            if isinstance(error, OSError):
                log.error("event_lost", thread=self.name, reason=str(error), next="watched anew, and reconciled")
            else:
                bugs.report("inotify", error, thread=self.name)
            self.stopped_event.wait(self._pause.longer())
            self._anew()
        else:
            self._pause.reset()

    def close(self) -> None:
        if self.ident is not None and not self.is_alive():
            self._is_reading = False  # nobody reads any more who would close the descriptors
        super().close()
