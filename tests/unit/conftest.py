"""What many unit tests need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hotfolder.index.database import Database


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Database]:
    index = Database(str(tmp_path / "index.db"))
    index.open()
    yield index
    index.close()
