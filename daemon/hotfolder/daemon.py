"""The daemon in the foreground: an engine with events, its server, signals, and an orderly end.

The main thread only waits for signals and for the next beat; everything else has a thread of its own.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from types import FrameType

from hotfolder import imaging, processes
from hotfolder.config import Loaded, checks, reloading
from hotfolder.engine import Engine
from hotfolder.errors import ConfigError, Exit, HotfolderError
from hotfolder.loop import Chores
from hotfolder.pool import allocator
from hotfolder.server.server import Server
from hotfolder.telemetry import bugs, logs, systemd

BEAT_SECONDS = 2.0
TRIM_SECONDS = 30.0
"""After work has ended, freed memory is given back to the system at most this often."""
RELOAD_SECONDS = 10.0
"""Until a configuration is tried again that could be had in part only: what it began anew may not be at work."""

log = logs.get("daemon")


class Daemon:
    """`run()` returns the exit status. `reload` returns the configuration anew, for SIGHUP."""

    def __init__(self, loaded: Loaded, reload: Callable[[], Loaded]) -> None:
        self._loaded = loaded
        self._reload_at: float | None = None
        self._reload = reload
        self._wake = threading.Event()
        self._signals: list[int] = []
        self._ending = False

    def run(self) -> int:
        """Start, serve until SIGTERM or SIGINT, stop. Raises StartError where it cannot start."""
        # A broken lease (see pipeline/source.py) sends SIGIO, whose default would end the process.
        if hasattr(signal, "SIGIO"):
            signal.signal(signal.SIGIO, signal.SIG_IGN)
        bugs.install()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # cli/run.py blocked it before it read the file
        config = self._loaded.config
        for warning in self._loaded.warnings:
            log.warning("config", message=warning)
        engine = Engine(config, live=True)
        engine.start()
        server = Server(engine, self._loaded.token)
        try:
            server.start()
        except BaseException:
            engine.stop(config.shutdown_timeout)
            raise
        self._introduce(engine, server)
        systemd.notify("READY=1")
        try:
            imaging.load()
            self._beat(engine, server)
        finally:
            systemd.notify("STOPPING=1")
            log.info("stopping", timeout=engine.config.shutdown_timeout)
            server.stop()
            ended = engine.stop(engine.config.shutdown_timeout)
            log.info("stopped", in_flight_ended=ended)
        return Exit.OK

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if number != signal.SIGHUP and self._ending:
            os._exit(128 + number)  # a second one: at once; the next start finds what was in flight
        self._ending = self._ending or number != signal.SIGHUP
        self._signals.append(number)
        self._wake.set()

    def _introduce(self, engine: Engine, server: Server) -> None:
        for watch in engine.config.watches:
            watcher = engine.watchers[watch.name]
            log.info(
                "watching",
                watch=watch.name,
                path=os.fsencode(watch.path),
                output=watch.output,
                state=watcher.condition.state,
                presets=",".join(watch.presets),
            )
        log.info("started", page=server.address or "off", state=engine.config.state, workers=engine.pool.size)

    def _beat(self, engine: Engine, server: Server) -> None:
        """Wait for signals; between them size the pool, give memory back, tell systemd that we live."""
        watchdog = systemd.watchdog_seconds()
        pause = min(BEAT_SECONDS, watchdog) if watchdog else BEAT_SECONDS
        chores = Chores(
            "main", engine.check, server.check, Trimming(engine).look, processes.reap_orphans, lambda: _notify(engine)
        )
        while not self._ending:
            with bugs.guarded("main"):
                self._wake.wait(pause)
                self._wake.clear()
                if self._reload_at is not None and time.monotonic() >= self._reload_at:
                    self._signals.append(signal.SIGHUP)
                while self._signals:
                    if self._signals.pop(0) == signal.SIGHUP:
                        self._read_again(engine, server)
            chores.do()

    def _read_again(self, engine: Engine, server: Server) -> None:
        former, self._reload_at = self._loaded, None
        try:
            loaded = self._reload()
            config = reloading.in_force(engine.config, loaded.config)
            if unsafe := checks.exposed(config, has_token=loaded.token is not None):
                raise ConfigError(f"{unsafe}; http.host changes with a restart alone")
            engine.apply(config)
        except HotfolderError as error:
            log.error("config_not_applied", message=str(error), next="the old configuration stays in force")
            return
        except (OSError, sqlite3.Error) as error:
            self._reload_at = time.monotonic() + RELOAD_SECONDS
            text = "a part may be in force: it is tried again by itself"
            log.error("config_not_applied", message=str(error), next=text)
            return
        changed = list(reloading.changes(former.config, config))
        if loaded.token != former.token:
            changed.append("http.token")
        server.apply(loaded.token)
        logs.setup(config.log.level, config.log.format)
        for warning in loaded.warnings:
            log.warning("config", message=warning)
        for key in reloading.changes(config, loaded.config):
            log.warning("needs_restart", key=key, next="restart hotfolder: until then the former value is in force")
        log.info("config_applied", watches=len(config.watches), changed=",".join(changed) or "nothing")
        self._loaded = replace(loaded, config=config)


class Trimming:
    """Gives back memory that work has left behind."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._trimmed, self._worked = time.monotonic(), 0

    def look(self) -> None:
        engine = self._engine
        made = engine.reporter.counts.made
        if made != self._worked and not engine.pool.busy and time.monotonic() - self._trimmed > TRIM_SECONDS:
            self._trimmed, self._worked = time.monotonic(), made
            allocator.trim()


def _notify(engine: Engine) -> None:
    """The main thread lives; systemd hears so where all others do, too."""
    engine.health.beat()
    if not engine.health.problems():
        systemd.notify(f"WATCHDOG=1\nSTATUS={_status(engine)}")


def _status(engine: Engine) -> str:
    """One line for `systemctl status`."""
    states = sorted({watcher.condition.state for watcher in engine.watchers.values()})
    counts = engine.reporter.counts
    return (
        f"{', '.join(states)}; made {counts.made}, reused {counts.reused}, failed {counts.failed}; "
        f"{engine.queue.busy()} queued, {engine.pool.busy} of {engine.pool.size} workers busy"
    )
