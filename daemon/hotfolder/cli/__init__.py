"""The command line: one file a command group. A user never sees a traceback for something that he can cause."""

from __future__ import annotations

import os
import sys

from hotfolder.cli.importing import importing
from hotfolder.errors import Exit, HotfolderError


def main() -> None:
    """The `hotfolder` command."""
    with importing():
        from hotfolder import logs
        from hotfolder.cli.app import build

    logs.hush_libraries()
    try:
        build()(prog_name="hotfolder")
    except HotfolderError as error:
        print(f"hotfolder: {error}", file=sys.stderr)  # noqa: T201 - this is the terminal
        sys.exit(int(error.exit))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader has gone: nothing more to say
        sys.exit(Exit.OK)
