"""200,000 images in the index: the document stays small, and only what is seen is asked for."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.helpers import Daemon, Place, jpeg
from tests.web.browsing import Visit

Run = Callable[[Place], Daemon]
Visiting = Callable[..., Visit]
MANY = 200_000
PAGE = 60
PAGES = 4
WANTED = 123_456

SOURCES = """
    INSERT INTO source (watch_id, folder_id, name, size, state, made, format, width, height, done_at)
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
    SELECT watch_id, folder_id, CAST(printf('IMG_%06d.jpg', i) AS BLOB), 4000000, state, made, format, 4000, 3000, i
    FROM n, (SELECT * FROM source LIMIT 1)"""
RENDITIONS = """
    INSERT INTO rendition (source_id, preset, signature, plan_id, area, place, name, name_key, width, height, bytes,
                           mtime_ns)
    SELECT s.id, preset, signature, plan_id, area, place, CAST(printf('IMG_%06d_thumb_medium.jpg', s.done_at) AS BLOB),
           CAST(s.id AS BLOB), r.width, r.height, bytes, r.mtime_ns
    FROM source s, rendition r WHERE r.preset = 'medium' AND s.id <> r.source_id"""


def fill(place: Place) -> None:
    """Rows as a scan of so many images leaves them, and the thumbnails of those that will be seen."""
    place.put("first.jpg", jpeg())
    assert place.scan().returncode == 0
    index = sqlite3.connect(place.base / ".hotfolder/index.db")
    with index:
        index.execute(SOURCES, (MANY,))
        index.execute(RENDITIONS)
    index.close()
    thumbnails = place.out / "thumbnails"
    for number in (WANTED, *range(MANY - PAGES * PAGE, MANY + 1)):
        os.link(thumbnails / "first_thumb_medium.jpg", thumbnails / f"IMG_{number:06}_thumb_medium.jpg")


def nodes(page: Page) -> int:
    found: int = page.evaluate("document.querySelectorAll('*').length")
    return found


def test_two_hundred_thousand_images_stay_quick(place: Place, run: Run, visit: Visiting) -> None:
    fill(place)
    visited = visit(run(place), viewport={"width": 1280, "height": 720})
    page = visited.page
    expect(page.locator("#figure-sources .value")).to_have_text("200,001")
    expect(page.locator("#grid li")).to_have_count(PAGE)
    expect(page.locator("#grid img").first).to_have_js_property("naturalWidth", 300)
    first = nodes(page)
    assert first < 1000
    assert len(visited.asked("/api/")) - len(visited.asked("/api/renditions/")) < 12
    assert len(visited.asked("/api/renditions/")) <= PAGE  # lazily: those near what is seen
    for n in range(1, PAGES):
        page.get_by_role("button", name="Older").click()
        expect(page.locator("#pager-text")).to_have_text(f"{n * PAGE + 1}–{(n + 1) * PAGE} of 200,001")
        expect(page.locator("#grid img").first).to_have_js_property("naturalWidth", 300)
        assert nodes(page) <= first + 2 * PAGE
    before = len(visited.asked("/api/sources?"))
    page.get_by_label("Search by name").press_sequentially(f"IMG_{WANTED}", delay=20)
    expect(page.locator("#grid li")).to_have_text([re.compile(f"IMG_{WANTED}.jpg")])
    expect(page.locator("#grid img")).to_have_js_property("naturalWidth", 300)
    assert len(visited.asked("/api/sources?")) - before <= 3  # not one for each letter
