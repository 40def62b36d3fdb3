"""Pages of sources against a plain list: whatever is asked for, the pages together are what it says, in its order."""

from __future__ import annotations

import sqlite3

from hypothesis import given, settings
from hypothesis import strategies as st

from hotfolder.index import folders, listing, schema
from hotfolder.index.listing import Filter
from hotfolder.model import State

TEXTS = st.sampled_from(["", "a", "B", "ü", "Ü", "%", "_", "sub", "\\"])
SOURCES = st.lists(
    st.tuples(
        st.sampled_from([1, 2]),
        st.sampled_from(["", "sub", "Überall"]),
        st.text("abAüÜ%_\\", min_size=1, max_size=4),
        st.sampled_from(list(State)),
        st.integers(0, 3),
    ),
    max_size=25,
    unique_by=lambda each: each[:3],
)


@settings(max_examples=150, deadline=None)
@given(SOURCES, st.sampled_from([None, 1, 2]), st.sampled_from([None, *State]), TEXTS, st.integers(1, 7))
def test_pages(
    sources: list[tuple[int, str, str, State, int]], watch: int | None, state: State | None, text: str, limit: int
) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.migrate(connection)
    for number in (1, 2):
        connection.execute("INSERT INTO watch (id, name, root, output) VALUES (?, ?, '', '')", (number, str(number)))
    expected = []
    query = "INSERT INTO source (watch_id, folder_id, name, state, done_at) VALUES (?, ?, ?, ?, ?)"
    for watch_id, folder, name, found, done_at in sources:
        folder_id = folders.ensure(connection, watch_id, folder.encode(), folds=False)
        row = (watch_id, folder_id, name.encode(), int(found), done_at)
        source_id = connection.execute(query, row).lastrowid or 0
        fits = text.lower() in name.lower() or text.lower() in folder.lower()
        if watch in (None, watch_id) and state in (None, found) and fits:
            expected.append((done_at, source_id))
    chosen, after, seen = Filter(watch, state, text), listing.START, []
    while page := listing.page(connection, chosen, after, limit):
        assert len(page) <= limit
        after = (page[-1].done_at, page[-1].id)
        seen += [(each.done_at, each.id) for each in page]
    assert seen == sorted(expected, reverse=True)
