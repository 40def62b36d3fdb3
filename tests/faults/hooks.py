"""Code that test processes run before anything else (see Place.hook): decoders that die or hang, roots that block."""

from __future__ import annotations

DECODER = """
import os, signal, threading
from PIL import ImageFile
from hotfolder.imaging import native

_load, _decode = ImageFile.ImageFile.load, native.decode

def spoil(image):
    what = image.info.get("comment")
    if what in (b"segv", b"kill"):
        os.kill(os.getpid(), signal.SIGSEGV if what == b"segv" else signal.SIGKILL)
    elif what == b"exit":
        os._exit(7)
    elif what == b"hang":
        threading.Event().wait()

def load(self):
    spoil(self)
    return _load(self)

def decode(opened, scale):
    spoil(opened.image)
    return _decode(opened, scale)

ImageFile.ImageFile.load, native.decode = load, decode
"""
"""A JPEG whose comment is `segv`, `kill`, `exit` or `hang` does that to whoever decodes it, by Pillow or without."""

ENDED = """
from hotfolder.errors import SourceError
from hotfolder.imaging import native

_decode = native.decode

def decode(opened, scale):
    try:
        return _decode(opened, scale)
    except SourceError as error:
        with open({flag!r}, "w") as file:
            file.write(error.reason)
        raise

native.decode = decode
"""
"""A decode in the core that is ended writes why."""

BARRIER = """
_here = threading.Barrier({parties})
_spoil = spoil

def spoil(image):
    if not os.path.exists({flag!r}):
        try:
            _here.wait({seconds})
        except threading.BrokenBarrierError:
            pass
    _spoil(image)
"""
"""Appended: decoding begins only when so many are at it at once, as long as the flag's file is missing."""

GATE = """
_through = spoil

def spoil(image):
    open({begun!r}, "w").close()
    while os.path.exists({gate!r}):
        threading.Event().wait(0.02)
    _through(image)
"""
"""Appended: a decode says that it has begun, and goes on when the gate's file is gone."""

BLOCK = """
import os, threading
_real = dict(open=os.open, scandir=os.scandir)

def _blocks(path):
    name = os.fsencode(path) if isinstance(path, (str, bytes)) else os.readlink(f"/proc/self/fd/{{path}}").encode()
    return name.startswith(ROOT) and os.path.exists(FLAG)

def _wrap(name):
    real = _real[name]
    def call(path=".", *args, **keys):
        while _blocks(path):
            threading.Event().wait(0.05)
        return real(path, *args, **keys)
    setattr(os, name, call)

ROOT, FLAG = {root!r}, {flag!r}
for _name in ("open", "scandir"):
    _wrap(_name)
"""
"""A root that does not answer while the flag's file is there: opening and listing it blocks."""

BLOCK_RENAMES = """
import os, threading
_rename = os.rename

def rename(src, dst, *, src_dir_fd=None, dst_dir_fd=None):
    def blocks():
        place = os.readlink(f"/proc/self/fd/{{src_dir_fd}}") if src_dir_fd is not None else ""
        return place.startswith({output!r}) and os.path.exists({flag!r})
    while blocks():
        threading.Event().wait(0.05)
    return _rename(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

os.rename = rename
"""
"""An output that does not answer a rename while the flag's file is there."""

HALF_LISTED = """
import os
_scandir = os.scandir

class _Half:
    def __init__(self, entries):
        self._entries = entries
        self._begun = False
    def __enter__(self):
        return self
    def __exit__(self, *args):
        self._entries.close()
    def close(self):
        self._entries.close()
    def __iter__(self):
        return self
    def __next__(self):
        if self._begun and os.path.exists({flag!r}):
            raise OSError(5, "Input/output error")
        self._begun = True
        return next(self._entries)

os.scandir = lambda path=".": _Half(_scandir(path))
"""
"""Every listing fails after it has begun, while the flag's file is there."""

DEAF = """
from hotfolder.watcher import tree
tree.TreeWatcher.on_event = lambda self, event: None
"""
"""No event ever arrives."""

CLOCK = """
import os, time
_time = time.time

def now():
    try:
        with open({flag!r}) as file:
            return _time() + float(file.read() or 0)
    except OSError:
        return _time()

time.time = now
"""
"""The clock goes wrong by as many seconds as the flag's file says."""

REMOTE = """
from hotfolder import mounts
mounts.NETWORK = mounts.NETWORK | {"tmpfs"}
"""
"""tmpfs counts as a network file system."""

BOOT = """
from hotfolder.store import inflight
inflight.boot_id = lambda: open({flag!r}).read()
"""
"""The machine's boot id is what the flag's file says."""

RAISE = """
import importlib, os

def _fails_once(where, flag, error):
    module, _, name = where.partition(":")
    owner = importlib.import_module(module)
    *names, last = name.split(".")
    for each in names:
        owner = getattr(owner, each)
    real = getattr(owner, last)

    def call(*args, **keys):
        try:
            os.unlink(flag)
        except FileNotFoundError:
            return real(*args, **keys)
        raise error("injected")

    setattr(owner, last, call)

_fails_once({where!r}, {flag!r}, {error})
"""
"""`module:Class.method` raises at the next call after the flag's file was made."""

FAILS_AT_FIRST = """
from hotfolder import loop
from hotfolder.index import epochs

_start = loop.Loop.start
loop.FIRST_PAUSE = epochs.SYNC_SECONDS = 0.05
_left = dict.fromkeys([{kind!r}], 2)

def _broken(kind, step):
    def call():
        if _left.get(kind, 0):
            _left[kind] -= 1
            raise RuntimeError("injected")
        return step()
    return call

def start(self):
    if self._thread is None:
        self._step = _broken(self.kind, self._step)
    _start(self)

loop.Loop.start = start
"""
"""The first two steps of this kind of loop raise."""

ALL_SUSPECTS = """
from hotfolder.renderers import suspects
suspects.Suspects.__contains__ = lambda self, key: True
"""
"""Every source is decided by a helper, in the line of suspects."""
