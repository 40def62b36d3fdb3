"""The registry: every format that is read or written, one file each. Whoever needs a name, an extension, a type or what
a format can do queries this registry; no other part of hotfolder knows a format by its name.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

from hotfolder.errors import SourceError
from hotfolder.imaging.formats import detection
from hotfolder.imaging.formats.format import DEEP, LENIENT, Format, version
from hotfolder.imaging.formats.values import Carried, Extra, Settings

BUILT_IN = (
    "jpeg",
    "png",
    "webp",
    "avif",
    "gif",
    "bmp",
    "ico",
    "ppm",
    "heif",
    "jxl",
    "raw",
    "tiff",
    "tga",
)
"""In the order in which a file's first bytes are tried: camera RAW is TIFF with something more, TGA has no mark."""


@cache
def _registry() -> dict[str, Format]:
    """By name. Loaded when it is first asked for: not every command has to do with formats."""
    return {name: import_module(f"{__name__}.{name}").FORMAT for name in BUILT_IN}


def register(format: Format) -> None:
    """Adds a format, or puts another in the place of one of the same name."""
    _registry()[format.name] = format
    suffixes.cache_clear()


def of(name: str) -> Format:
    """The format of this name. Raises KeyError."""
    return _registry()[name]


def writing(name: str) -> Format:
    """The format of this name that renditions are to have. Raises ValueError."""
    format = _registry().get(name)
    if format is None or not format.is_written:
        raise ValueError(f"{name!r} is no format that is written; allowed: {', '.join(written())}")
    return format


def known() -> tuple[Format, ...]:
    """All of them, in the order in which a file is tried."""
    return tuple(_registry().values())


def written() -> tuple[str, ...]:
    """The names of those that renditions can have."""
    return tuple(each.name for each in known() if each.is_written)


def copied() -> tuple[str, ...]:
    """What the format of an optimized copy can be: that of its source, or one that is written."""
    return ("keep", *written())


def extensions() -> frozenset[str]:
    """What makes a name that of a source: lower case, without a dot, the same whatever extras are installed."""
    return frozenset(extension for each in known() for extension in each.extensions)


@cache
def suffixes() -> frozenset[bytes]:
    """The same with their dots, as they end the names of files."""
    return frozenset(b"." + extension.encode() for extension in extensions())


def extras() -> tuple[Extra, ...]:
    """What can be installed to read more formats."""
    return tuple(each.extra for each in known() if each.extra is not None)


def extra_names() -> tuple[str, ...]:
    """The names of all extras."""
    return tuple(extra.name for extra in extras())


def installed_extras() -> tuple[str, ...]:
    """The names of those that are installed."""
    return tuple(each.extra.name for each in known() if each.extra is not None and each.is_installed)


def detect(data: bytes, name: bytes = b"") -> Format:
    """Whose bytes these are. Raises SourceError: EMPTY, UNSUPPORTED (a known other kind) or NOT_AN_IMAGE."""
    return detection.detect(_registry().values(), data, name)


def sniff(data: bytes, name: bytes = b"") -> str:
    """The name of `detect`."""
    return detect(data, name).name


def media_type(data: bytes, name: bytes = b"") -> str:
    """The type of these bytes for HTTP."""
    try:
        return detect(data, name).media_type
    except SourceError:
        return Format.media_type


def is_misnamed(format: Format, name: bytes) -> bool:
    """Whether the name's extension speaks of another format than the content is."""
    extension = name[name.rfind(b".") + 1 :].lower().decode("ascii", "replace") if b"." in name else ""
    return extension not in (*format.extensions, *format.also_named) and extension in extensions()


def is_hollow(data: bytes) -> bool:
    """Whether a file runs out into zeros before its end: room that was made for it and is not filled yet."""
    return any(each.is_hollow(data) for each in known())


def decoders() -> tuple[str, ...]:
    """All decoders that are installed: a source that an older one refused is tried again."""
    return tuple(sorted({each.decoder for each in known() if each.is_installed} | {version(DEEP)}))


def pillow_plugins() -> tuple[str, ...]:
    """Pillow's decoders of what is written here."""
    return tuple(plugin for each in known() if each.is_written for plugin in each.plugins)


__all__ = [
    "DEEP",
    "LENIENT",
    "Carried",
    "Extra",
    "Format",
    "Settings",
    "copied",
    "decoders",
    "detect",
    "extensions",
    "extra_names",
    "extras",
    "installed_extras",
    "is_hollow",
    "is_misnamed",
    "known",
    "media_type",
    "of",
    "pillow_plugins",
    "register",
    "sniff",
    "suffixes",
    "version",
    "writing",
    "written",
]
