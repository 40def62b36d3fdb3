"""Names of sources and renditions: what is one, how long it may be, where it lies, and when two of them meet.

Pure: nothing here looks at a file or a folder. What names cannot keep apart is told apart by the index's unique
rendition paths: `a.jpg` beside `a.JPG` on an output that ignores case, two cut names whose eight digits agree, a source
that bears the very name another's was cut to.
"""

from __future__ import annotations

import hashlib
import unicodedata

from hotfolder.imaging import formats

NAME_MAX = 255


def split(name: bytes) -> tuple[bytes, bytes]:
    """Stem and extension with its dot; a leading dot begins no extension."""
    dot = name.rfind(b".")
    return (name, b"") if dot <= 0 else (name[:dot], name[dot:])


def is_image_name(name: bytes) -> bool:
    """Whether its extension makes it a source: the same ones whatever extras are installed."""
    return split(name)[1].lower() in formats.suffixes()


def bounded(head: bytes, tail: bytes, full_name: bytes, name_max: int) -> bytes:
    """`head` + `tail`; where that would pass `name_max` `head` is cut and told apart by the MD5 of the full name."""
    if len(head) + len(tail) <= name_max:
        return head + tail
    mark = b"~" + hashlib.md5(full_name, usedforsecurity=False).hexdigest()[:8].encode()
    cut = name_max - len(tail) - len(mark)
    while cut and head[cut] & 0xC0 == 0x80:  # not within a UTF-8 character
        cut -= 1
    return head[:cut] + mark + tail


def rendition_path(folder: bytes, area: bytes, name: bytes) -> bytes:
    """Relative to the output root: the one truth for where a rendition lies. `folder` is its source's."""
    return b"/".join(part for part in (area, folder, name) if part)


def fold(name: bytes) -> bytes:
    """A name's key on an output that ignores case or normalises Unicode: NFC of the case-folded text."""
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold()).encode()


def key(path: bytes, size: int, mtime_ns: int, signature: str) -> str:
    """The cache key of one rendition: MD5 over relative path, size, mtime_ns and the preset's signature."""
    text = b"\0".join((path, str(size).encode(), str(mtime_ns).encode(), signature.encode()))
    return hashlib.md5(text, usedforsecurity=False).hexdigest()
