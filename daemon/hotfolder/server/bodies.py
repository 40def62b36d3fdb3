"""What requests have in common: bodies whose unknown fields are 422, and paths. Names are bytes: what is no UTF-8 comes
in base64, or percent-encoded in a query, and is text with surrogates from then on."""

from __future__ import annotations

import base64
import binascii
import os
from typing import Annotated
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field

from hotfolder.services.errors import Invalid

MOST = 1000


class Body(BaseModel):
    """Unknown fields are 422."""

    model_config = ConfigDict(extra="forbid")


class PathsBody(Body):
    """`paths_b64`: the same in base64, for names that are no UTF-8."""

    paths: Annotated[list[str], Field(max_length=MOST)] = []
    paths_b64: Annotated[list[str], Field(max_length=MOST)] = []

    def named(self) -> list[str]:
        """All of them, `paths` first. Raises Invalid."""
        return [*self.paths, *(_decoded(text, f"paths_b64.{n}") for n, text in enumerate(self.paths_b64))]


def in_query(query: bytes, name: str) -> str:
    """The parameter with all of its bytes; frameworks replace those that are no UTF-8."""
    return dict(parse_qsl(query.decode("latin-1"), errors="surrogateescape"))[name]


def _decoded(text: str, field: str) -> str:
    try:
        path = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid(field, "is no base64") from error
    if not path:
        raise Invalid(field, "is empty")
    return os.fsdecode(path)
