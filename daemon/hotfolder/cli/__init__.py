"""The command line: one file a command group. A user never sees a traceback for something that he can cause."""

from __future__ import annotations

import sys

from hotfolder.cli.importing import importing, leave_at_once


def main() -> None:
    """The `hotfolder` command."""
    leave_at_once()
    with importing():
        from hotfolder.cli import ending
        from hotfolder.cli.app import build
        from hotfolder.telemetry import logs

    ending.prepare()
    logs.hush_libraries()
    sys.exit(ending.status_of(lambda: build()(prog_name="hotfolder")))
