"""How one try of a delivery ended."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """`problem`: why it counts as failed, None where it was taken; `output`: what came back, bounded."""

    problem: str | None
    output: bytes = b""

    @property
    def text(self) -> str:
        return self.output.decode("utf-8", "backslashreplace").strip()
