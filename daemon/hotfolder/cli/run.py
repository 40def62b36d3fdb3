"""`hotfolder run`: the daemon in the foreground."""

from __future__ import annotations

import typer

from hotfolder import logs
from hotfolder.cli.common import ConfigOption, loaded
from hotfolder.cli.importing import importing


def run(config: ConfigOption = None) -> None:
    """Watch the folders and keep their renditions right, until SIGTERM or Ctrl-C."""
    found = loaded(config)
    logs.setup(found.config.log.level, found.config.log.format)
    with importing():
        from hotfolder.daemon import Daemon

    raise typer.Exit(Daemon(found, lambda: loaded(found.file)).run())
