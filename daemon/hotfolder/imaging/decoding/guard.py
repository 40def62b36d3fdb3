"""What decoders raise on hostile bytes, in our own words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hotfolder.errors import HotfolderError, Reason, SourceError
from hotfolder.imaging.formats import Format

SAID_MOST = 160
"""Characters of a decoder's own message that are kept; it may quote the file."""
_UNSUPPORTED = ("unsupported", "not implemented", "no decoder")
"""How decoders begin what they say of a picture that is whole, but of a kind that they cannot show."""


@contextmanager
def guarded(decoder_name: str, data: bytes = b"", format: Format | None = None) -> Iterator[None]:
    """Whatever a decoder raises on hostile bytes becomes a SourceError with that decoder's name."""
    try:
        yield
    except HotfolderError:
        raise
    except MemoryError as error:
        raise SourceError(Reason.TOO_MUCH_MEMORY, "decoding it needs more memory than there is") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno and error.strerror and error.filename is None:
            raise  # the disk, not the picture
        text = str(error) or type(error).__name__
        truncated = any(word in text.lower() for word in ("truncated", "broken data stream", "premature"))
        if truncated or (data and format is not None and _cut_short(data, format)):
            raise SourceError(Reason.TRUNCATED, "the file ends too early", decoder=decoder_name) from error
        reason = Reason.UNSUPPORTED if text.lower().startswith(_UNSUPPORTED) else Reason.DAMAGED
        raise SourceError(reason, _in_words(reason, decoder_name, text), decoder=decoder_name) from error


def _cut_short(data: bytes, format: Format) -> bool:
    # Zeros to the end: of full length, but not what was once written.
    return any(data[-64:]) and format.cut_short(data)


def _in_words(reason: Reason, decoder_name: str, text: str) -> str:
    """What was found, for the picture's owner; what the decoder said of it stands behind, for who looks closer."""
    found = "it is of a kind that is not read" if reason is Reason.UNSUPPORTED else "it is damaged"
    said = "".join(c if c.isprintable() else " " for c in text)[:SAID_MOST]
    return f"{found} ({decoder_name.partition(' ')[0]}: {said})"
