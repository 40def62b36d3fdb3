"""`hotfolder run`: the daemon in the foreground."""

from __future__ import annotations

import signal

import typer

from hotfolder.cli.common import ConfigOption, loaded
from hotfolder.cli.importing import importing
from hotfolder.telemetry import logs


def run(config: ConfigOption = None) -> None:
    """Watch the folders and keep their renditions right, until SIGTERM or Ctrl-C."""
    # A SIGHUP while we start would end us. It waits until the daemon takes it, and then reads the file again.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    found = loaded(config)
    logs.setup(found.config.log.level, found.config.log.format)
    with importing():
        from hotfolder.daemon import Daemon

    raise typer.Exit(Daemon(found, lambda: loaded(found.file)).run())
