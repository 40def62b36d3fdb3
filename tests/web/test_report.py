"""The page that `hotfolder analyze --html` writes, opened from a file: it shows what it should and asks for nothing."""

from __future__ import annotations

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.helpers import Place
from tests.unit.imaging import encoded, scene


@pytest.fixture
def place_with_images(place: Place) -> Place:
    original = scene(3, 800, 600)
    place.put("one.jpg", encoded(original, "JPEG", quality=95))
    place.put("small & <b>one.jpg", encoded(original.resize((400, 300)), "JPEG", quality=60))
    place.put("soft.jpg", encoded(scene(5, 800, 600).resize((40, 30)).resize((800, 600)), "JPEG"))
    place.put("page.png", encoded(Image.new("RGB", (300, 400), "white"), "PNG"))
    assert place.cli("analyze", "inbox", "--html", "report.html").returncode == 0
    return place


def opened(page: Page, place: Place) -> list[str]:
    """Open the report; gives whatever the browser asked for or complained of, which fills up later, too."""
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url) if not request.url.startswith("data:") else None)
    page.on("console", lambda message: seen.append(message.text))
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.goto((place.base / "report.html").as_uri())
    return seen


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_report_shows_the_set_and_asks_for_nothing(
    browser: Browser, place_with_images: Place, width: int, scheme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    seen = opened(page, place_with_images)
    expect(page.get_by_role("heading", name="What is in 4 images")).to_be_visible()
    for title in ("Formats", "Resolution", "Cameras", "Taken in", "Sharpness"):
        chart = page.get_by_role("img", name=title, exact=title != "Exposure")
        expect(chart).to_be_visible()
        assert chart.locator("rect").count() > 0
    alike = page.locator(".group")
    expect(alike).to_have_count(1)
    expect(alike.get_by_text("small & <b>one.jpg")).to_be_visible()
    expect(page.locator("dl").get_by_text("likely blurred").locator("..")).to_contain_text("1")
    drawn = page.locator("img").evaluate_all("all => all.map(one => one.complete && one.naturalWidth > 0)")
    assert len(drawn) >= 5
    assert all(drawn)
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0
    assert seen == [(place_with_images.base / "report.html").as_uri()]
    context.close()
