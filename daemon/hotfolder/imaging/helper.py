"""The program of a helper process: it opens and renders one picture after the other into files of its parent's.

Parent and helper talk in lines of JSON over a socket; the source and the files to write come as descriptors beside the
question. A picture that kills or hangs its decoder costs this process and nothing else.

    parent  {"name", "size", "limits", "parts": [[plan, [presets]], …]}  + the source
    helper  {"need": bytes, "sizes", "facts"}                        or {"error": …} | {"missing": …}
    parent  {"go": true, "presets"}  + one file for each rendition     or {"go": false}: forget it
    helper  {"rendered": …, "stages": {stage: seconds}}     or {"error": …} | {"os_error": …}
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, BinaryIO

from hotfolder.errors import MissingExtra, Reason, SourceError
from hotfolder.imaging.decoding.decode import Limits, Opened, open_image
from hotfolder.imaging.decoding.reading import read_all
from hotfolder.imaging.memory import peak
from hotfolder.imaging.messages import FILES_MAX, receive, send
from hotfolder.imaging.plan import Plan
from hotfolder.imaging.renditions import Part, narrowed, render_parts, sizes
from hotfolder.presets import ANALYSIS


def main() -> None:
    """Serve on the descriptors named by the arguments: the socket, and a pipe that breaks when the parent dies."""
    talk, life = int(sys.argv[1]), int(sys.argv[2])
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)  # ours alone: C libraries would fill the log (libtiff)
    os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), 2)
    warnings.simplefilter("ignore")  # of what a picture lacks; the parent reports what matters
    _die_with_parent(life)
    # Signals to the whole service are the parent's to act on: it ends its helpers itself.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=talk) as connection:
        send(connection, {"ready": True})
        while True:
            question, files = receive(connection, FILES_MAX)
            if question is None:
                return
            _answer(connection, question, files)


def _die_with_parent(life: int) -> None:
    """SIGIO ends this process when the other end of the pipe is closed, even where a decoder never returns."""
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)


def _answer(connection: socket.socket, question: dict[str, Any], files: list[int]) -> None:
    try:
        name = os.fsencode(question["name"])
        limits = Limits(**question["limits"])
        parts = [(Plan.from_json(plan), tuple(presets)) for plan, presets in question["parts"]]
        opened = open_image(read_all(files[0], question["size"]), limits, name)
        need = max(peak(opened, plan, presets) for plan, presets in parts)
        facts = {name: getattr(opened, name) for name in ("decoder", "format", "width", "height")}
        send(connection, {"need": need, "sizes": sizes(opened, parts[0][0]), "facts": facts})
        going, targets = receive(connection, FILES_MAX)
        files += targets
        if going is not None and going["go"]:
            send(connection, _rendered(opened, narrowed(parts, going["presets"]), targets, limits, name))
    except SourceError as error:
        send(connection, {"error": {"reason": error.reason, "message": error.message, "decoder": error.decoder}})
    except MissingExtra as error:
        send(connection, {"missing": error.extra, "format": error.format_name})
    except OSError as error:
        send(connection, {"os_error": error.errno or errno.EIO})
    except Exception as error:  # noqa: BLE001 - a bug must cost one picture, and must not look like its crash
        send(connection, {"error": {"reason": Reason.INTERNAL, "message": repr(error), "decoder": None}})
    finally:
        for file in files:
            os.close(file)


def _rendered(
    opened: Opened, parts: Sequence[Part], targets: Sequence[int], limits: Limits, name: bytes
) -> dict[str, Any]:
    names = (preset for _, presets in parts for preset in presets if preset != ANALYSIS)
    by_preset = dict(zip(names, targets, strict=True))
    files: list[BinaryIO] = []
    stages: dict[str, float] = {}

    def create(preset: str) -> BinaryIO:
        file = os.fdopen(os.dup(by_preset[preset]), "w+b")
        files.append(file)
        return file

    def stage(name: str, seconds: float) -> None:
        stages[name] = stages.get(name, 0.0) + seconds

    try:
        rendered = render_parts(opened, parts, create, limits, name, stage)
    finally:
        for file in files:
            file.close()
    return {"rendered": asdict(rendered), "stages": stages}


if __name__ == "__main__":
    main()
