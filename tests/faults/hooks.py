"""Code that test processes run before anything else (see Place.hook): decoders that die or hang, roots that block."""

from __future__ import annotations

DECODER = """
import os, signal, threading
from PIL import ImageFile

_load = ImageFile.ImageFile.load

def load(self):
    what = self.info.get("comment")
    if what in (b"segv", b"kill"):
        os.kill(os.getpid(), signal.SIGSEGV if what == b"segv" else signal.SIGKILL)
    elif what == b"exit":
        os._exit(7)
    elif what == b"hang":
        threading.Event().wait()
    return _load(self)

ImageFile.ImageFile.load = load
"""
"""A JPEG whose comment is `segv`, `kill`, `exit` or `hang` does that to whoever decodes it."""

BARRIER = """
import os, threading
_here = threading.Barrier({parties})
_load2 = ImageFile.ImageFile.load

def load2(self):
    if not os.path.exists({flag!r}):
        try:
            _here.wait({seconds})
        except threading.BrokenBarrierError:
            pass
    return _load2(self)

ImageFile.ImageFile.load = load2
"""
"""Appended: decoding begins only when so many are at it at once, as long as the flag's file is missing."""
