"""Who may see the page, from where, with which devices and senses."""

from __future__ import annotations

import contextlib
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Error, Page, expect

from tests.helpers import Daemon, Place, jpeg
from tests.web.browsing import Visit

Run = Callable[[Place], Daemon]
Visiting = Callable[..., Visit]
TOKEN = "a token of the tests"
BROKEN = b"\xff\xd8\xff" + b"nonsense" * 50
LONG = "a very long name without any place to break it " + "x" * 120


@pytest.fixture
def guarded(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    (tmp_path / "token").write_text(TOKEN)
    text = (tmp_path / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(text.replace("http: {", "http: {token_file: ./token, "))
    return place


def test_a_wrong_token_is_told_and_the_right_one_works(guarded: Place, run: Run, visit: Visiting) -> None:
    guarded.put("a.jpg", jpeg())
    visited = visit(run(guarded))
    page = visited.page
    expect(page.get_by_label("Token")).to_be_focused()
    assert visited.asked("/api/") == []  # nothing is asked before
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("That is not the token.")
    page.keyboard.type(TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator("#grid img")).to_have_js_property("complete", True)
    expect(page.locator("#link")).to_have_text("live")  # the WebSocket takes the cookie, too
    cookie = visited.context.cookies()[0]
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    assert TOKEN not in cookie["value"]
    page.reload()
    expect(page.locator("#grid li")).to_have_count(1)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token")).to_be_visible()


def test_a_session_that_ends_leads_to_the_token(guarded: Place, run: Run, visit: Visiting) -> None:
    visited = visit(run(guarded))
    visited.page.get_by_label("Token").fill(TOKEN)
    visited.page.get_by_role("button", name="Sign in").click()
    expect(visited.page.locator("#link")).to_have_text("live")
    visited.context.clear_cookies()
    # The page may have asked by itself already, and be on its way to the token or there: then there is no list.
    with contextlib.suppress(Error):
        visited.page.evaluate("""() => {
            const list = document.getElementById("by-state");
            if (list) { list.value = "failed"; list.dispatchEvent(new Event("change")); }
        }""")
    expect(visited.page.get_by_label("Token")).to_be_visible()


@pytest.mark.parametrize("path", ["/photos/", "/photos", "/"])
def test_behind_a_prefix(tmp_path: Path, run: Run, visit: Visiting, path: str) -> None:
    """With the prefix left in place, without its last slash, and taken away by the proxy."""
    place = Place(tmp_path)
    text = (tmp_path / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(text.replace("http: {", "http: {root_path: /photos, "))
    place.put("a.jpg", jpeg())
    visited = visit(run(place), path)
    expect(visited.page.locator("#grid img")).to_have_js_property("complete", True)
    expect(visited.page.locator("#link")).to_have_text("live")
    if path != "/":
        assert [url for url in visited.requests if "/photos" not in url] == []


def test_a_prefix_without_its_slash_leads_to_the_token(guarded: Place, run: Run, visit: Visiting) -> None:
    text = (guarded.base / "config.yaml").read_text()
    (guarded.base / "config.yaml").write_text(text.replace("http: {", "http: {root_path: /photos, "))
    page = visit(run(guarded), "/photos").page
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#link")).to_have_text("live")


def test_what_the_page_is_made_of(place: Place, run: Run) -> None:
    daemon = run(place)

    def ask(path: str, **headers: str) -> tuple[int, dict[str, str]]:
        request = urllib.request.Request(f"http://127.0.0.1:{place.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers)

    for path, kind in {"/": "text/html", "/page/style.css": "text/css", "/page/main.js": "text/javascript"}.items():
        status, headers = ask(path)
        assert status == 200
        assert headers["content-type"].startswith(kind)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert ask(path, **{"If-None-Match": headers["etag"]})[0] == 304
        assert ask(path, **{"If-None-Match": '"another"'})[0] == 200
    for path in ("/page/nothing.js", "/page/..%2fapp.py", "/page/%2e%2e/app.py", "/page/../app.py"):
        assert ask(path)[0] == 404
    assert b"innerHTML" not in b"".join(
        daemon.get(f"/page/{name}.js") for name in ("dom", "gallery", "detail", "failures", "main", "upload")
    )


def fill(place: Place) -> None:
    for number in range(5):
        place.put(f"{number}.jpg", jpeg(400, 300, number))
    place.put(f"{LONG}.jpg", jpeg())
    place.put(f"{LONG}-broken.jpg", BROKEN)
    assert place.scan().returncode == 1


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_no_width_scrolls_sideways(place: Place, run: Run, visit: Visiting, width: int) -> None:
    fill(place)
    page = visit(run(place), viewport={"width": width, "height": 740}).page
    expect(page.locator("#grid li")).to_have_count(7)
    expect(page.locator("#failures-list li")).to_have_count(1)
    assert sideways(page) == 0
    page.locator("#grid li:has(img) button").first.click()
    expect(page.locator("#detail table")).to_be_visible()
    assert sideways(page) == 0
    about = page.locator("#detail-about")
    assert about.evaluate("element => element.scrollWidth - element.clientWidth") == 0


def sideways(page: Page) -> int:
    found: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return found


AUDIT = (Path(__file__).parent / "audit.js").read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_names_roles_and_contrast(place: Place, run: Run, visit: Visiting, scheme: str) -> None:
    fill(place)
    page = visit(run(place), color_scheme=scheme).page
    expect(page.locator("#grid li")).to_have_count(7)
    expect(page.locator("#failures-list li")).to_have_count(1)
    check(page)
    page.locator("#grid li:has(img) button").first.click()
    expect(page.locator("#detail table")).to_be_visible()
    check(page)


def check(page: Page) -> None:
    found = page.evaluate(AUDIT)
    faults = {key: found[key] for key in ("nameless", "pictures", "doubled", "nowhere", "small", "weak")}
    assert {key: value for key, value in faults.items() if value} == {}
    assert (found["headings"], found["mains"], found["language"]) == (1, 1, "en")
    assert set(found["live"]) <= {"notice", "images-count"}  # figures that change each second are not read out


def test_the_keyboard_alone_reaches_everything(place: Place, run: Run, visit: Visiting) -> None:
    fill(place)
    page = visit(run(place)).page
    expect(page.locator("#grid li")).to_have_count(7)
    expect(page.locator("#failures-list li")).to_have_count(1)
    reached: list[str] = []
    for _ in range(40):
        page.keyboard.press("Tab")
        focus = page.evaluate(
            """() => {
                const element = document.activeElement, style = getComputedStyle(element);
                return { id: element.id || element.className || element.tagName, seen: style.outlineStyle !== "none" };
            }"""
        )
        if focus["id"] == "BODY":  # once around
            break
        assert focus["seen"], f"no sign of the focus on {focus['id']}"
        reached.append(focus["id"])
    assert reached[0] == "skip"
    order = ["skip", "text", "add", "by-state", "tile", "retry-all"]
    assert [name for name in dict.fromkeys(reached) if name in order] == order
    assert reached.count("tile") == 7
    page.locator("#grid button").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert page.evaluate("document.activeElement.id") == "detail-close"
