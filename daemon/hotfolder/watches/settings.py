"""What work takes from the configuration. It is asked at each use, so another configuration is in force at once."""

from __future__ import annotations

from hotfolder import imaging
from hotfolder.config import Config
from hotfolder.config.schema import Isolation


class Settings:
    """Holds the one configuration in force; whoever replaces `config` replaces it for all that share this."""

    def __init__(self, config: Config) -> None:
        self.config = config

    @property
    def limits(self) -> imaging.Limits:
        section = self.config.limits
        return imaging.Limits(section.max_pixels, section.max_bytes, lenient=section.truncated == "allow")

    @property
    def min_free(self) -> int:
        """Bytes that an output has to have free."""
        return self.config.limits.min_free

    @property
    def job_timeout(self) -> float:
        """Seconds that decoding one picture may take."""
        return self.config.pool.job_timeout

    @property
    def isolate(self) -> Isolation:
        return self.config.pool.isolate

    @property
    def fsync(self) -> bool:
        return self.config.fsync
