from typing import final

from hotfolder.imaging.plan import Box, Size

library: str
BASELINE: int
FAST: int
SMALL: int

class Declined(Exception): ...
class Cancelled(Exception): ...

@final
class Planes:
    @property
    def size(self) -> Size: ...
    @property
    def count(self) -> int: ...
    @property
    def direct(self) -> bool: ...
    def resized(
        self,
        size: Size,
        box: Box,
        orientation: int,
        halved: bool,
        average: bool = ...,
        cancel: bytearray | None = ...,
        seconds: float = ...,
        /,
    ) -> Planes: ...
    def jpeg(
        self,
        quality: int,
        scans: int,
        tables: bytes | None = ...,
        cancel: bytearray | None = ...,
        seconds: float = ...,
        /,
    ) -> bytes: ...
    def plane(self, number: int, cancel: bytearray | None = ..., seconds: float = ..., /) -> tuple[Size, bytes]: ...

def decode(
    data: bytes,
    width: int,
    height: int,
    denominator: int,
    cancel: bytearray | None = ...,
    seconds: float = ...,
    /,
) -> Planes: ...
