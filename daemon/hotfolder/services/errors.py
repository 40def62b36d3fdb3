"""Why a use case cannot do what it should: HTTP makes problem documents of it, the CLI a message and an exit status."""

from __future__ import annotations

from hotfolder.errors import Exit, HotfolderError


class ServiceError(HotfolderError):
    """Base; the text is a whole sentence for the caller."""


class Invalid(ServiceError):
    """One field of a request is wrong."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class NotFound(ServiceError):
    """There is no such watch, source, job, hook …"""


class Outside(ServiceError):
    """A path lies below no root, or below no output. Whether anything is there is not said."""


class Conflict(ServiceError):
    """What is there does not allow it, and trying again will not help."""


class TooLarge(ServiceError):
    """More bytes than the configuration allows."""


class Unavailable(ServiceError):
    """It cannot be done for now. `retry_after`: seconds until another try makes sense."""

    exit = Exit.STOPPED_EARLY

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after
