"""What a person does on the page, in a real browser against a real daemon."""

from __future__ import annotations

import base64
import json
import re
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import Page, Route, WebSocketRoute, expect

from tests.helpers import Daemon, Place, jpeg
from tests.web.browsing import Visit

Run = Callable[[Place], Daemon]
Visiting = Callable[..., Visit]
BROKEN = b"\xff\xd8\xff" + b"nonsense" * 50


def drop(page: Page, files: dict[str, bytes]) -> None:
    """Drag files over the page and let them go, as a file manager does."""
    data = page.evaluate_handle(
        """files => {
            const data = new DataTransfer();
            for (const [name, content] of files) {
                const bytes = Uint8Array.from(atob(content), c => c.charCodeAt(0));
                data.items.add(new File([bytes], name, { type: "image/jpeg" }));
            }
            return data;
        }""",
        [[name, base64.b64encode(content).decode()] for name, content in files.items()],
    )
    page.dispatch_event("main", "dragenter", {"dataTransfer": data})
    expect(page.locator("#drop")).to_be_visible()
    page.dispatch_event("main", "drop", {"dataTransfer": data})
    expect(page.locator("#drop")).to_be_hidden()


def test_a_dropped_image_appears_without_reload(place: Place, run: Run, visit: Visiting) -> None:
    page = visit(run(place)).page
    expect(page.locator("#empty")).to_contain_text("No images yet")
    page.evaluate("window.same = true")
    content = jpeg(640, 480)
    drop(page, {"dropped.jpg": content})
    tile = page.locator("#grid li", has_text="dropped.jpg")
    expect(tile).to_have_count(1)
    expect(tile.locator("img")).to_have_js_property("complete", True)
    assert tile.locator("img").evaluate("image => image.naturalWidth") == 300
    assert page.evaluate("window.same")  # nothing loaded the page anew
    assert (place.inbox / "dropped.jpg").read_bytes() == content
    expect(page.locator("#notice")).to_contain_text("1 image added")


def test_the_file_button_adds_images(place: Place, run: Run, visit: Visiting, tmp_path: Path) -> None:
    page = visit(run(place)).page
    chosen = []
    for number in range(3):
        chosen.append(tmp_path / f"chosen {number}.jpg")
        chosen[-1].write_bytes(jpeg(320, 240, number))
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Add images").click()
    chooser.value.set_files(chosen)
    expect(page.locator("#grid li")).to_have_count(3)
    expect(page.locator("#notice")).to_contain_text("3 images added")


def test_images_chosen_before_the_page_knows_any_watch_are_sent_then(
    place: Place, run: Run, visit: Visiting, tmp_path: Path
) -> None:
    page = visit(run(place)).page
    held: list[Route] = []
    knows = False

    def answer(route: Route) -> None:
        if knows:
            route.continue_()
        else:
            held.append(route)

    page.route("**/api/status", answer)
    page.route_web_socket("**/api/events*", lambda socket: None)  # nor is it told by events
    page.reload()
    (tmp_path / "chosen.jpg").write_bytes(jpeg())
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Add images").click()
    chooser.value.set_files(tmp_path / "chosen.jpg")
    knows = True
    for route in held:
        route.continue_()
    expect(page.locator("#grid li")).to_have_count(1)


def test_what_is_no_image_is_refused_by_name(place: Place, run: Run, visit: Visiting) -> None:
    page = visit(run(place)).page
    expect(page.locator("#link")).to_have_text("live")
    hostile = '<img src=x onerror="window.harmed=1">.txt'
    drop(page, {hostile: b"words", "good.jpg": jpeg()})
    expect(page.locator("#uploads-failed li")).to_contain_text(hostile)
    expect(page.locator("#uploads-failed li")).to_contain_text("has no extension of an image")
    assert page.evaluate("window.harmed") is None
    expect(page.locator("#uploads-text")).to_have_text("1 image added, 1 not.")
    expect(page.locator("#grid li", has_text="good.jpg")).to_have_count(1)


def test_a_failure_is_told_and_tried_again(place: Place, run: Run, visit: Visiting) -> None:
    place.put("broken.jpg", BROKEN)
    assert place.scan().returncode == 1
    page = visit(run(place)).page
    failure = page.locator("#failures-list li", has_text="broken.jpg")
    expect(failure).to_have_count(1)
    expect(page.locator("#failures-count")).to_have_text("1")
    expect(page.locator("#figures")).to_contain_text("1 failure")
    with page.expect_response("**/api/failures/retry") as answer:
        failure.get_by_role("button", name="Try broken.jpg again").click()
    assert answer.value.json() == {"retried": 1}
    expect(page.locator("#notice")).to_have_text("1 image will be tried again.")
    expect(failure).to_contain_text("The file is cut short")  # it is tried, and is still none
    place.put("broken.jpg", jpeg(200, 100))
    expect(page.locator("#failures-list li")).to_have_count(0)
    expect(page.locator("#failures-none")).to_be_visible()


def test_all_failures_are_tried_again_at_once(place: Place, run: Run, visit: Visiting) -> None:
    for number in range(3):
        place.put(f"{number}.jpg", BROKEN + bytes([number]))
    assert place.scan().returncode == 1
    page = visit(run(place)).page
    expect(page.locator("#failures-list li")).to_have_count(3)
    with page.expect_response("**/api/failures/retry") as answer:
        page.get_by_role("button", name="Try all again").click()
    assert answer.value.json() == {"retried": 3}


def test_progress_moves_and_ends(place: Place, run: Run, visit: Visiting) -> None:
    for number in range(30):
        place.put(f"{number:02}.jpg", jpeg(1500, 1000, number % 7) + bytes([number]))
    daemon = run(place)
    visited = visit(daemon)
    page = visited.page
    seen = page.evaluate_handle(
        """() => {
            const seen = [];
            const look = () => {
                const bar = document.querySelector("#jobs-list progress");
                if (bar && seen.at(-1) !== bar.value) seen.push(bar.value);
            };
            new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
            return seen;
        }"""
    )
    paths = [f"{number:02}.jpg" for number in range(30)]
    page.evaluate(
        """async paths => {
            const body = JSON.stringify({ paths, sizes: [{ width: 99, height: 99, suffix: "_own" }] });
            const headers = { "content-type": "application/json" };
            await fetch("api/image-processing/thumbnails/generate", { method: "POST", body, headers });
        }""",
        paths,
    )
    expect(page.locator("#jobs-list li")).to_have_count(1)
    expect(page.locator("#jobs-list li")).to_contain_text("of 30")
    expect(page.locator("#jobs")).to_be_hidden()
    values = seen.json_value()
    assert len(values) >= 3
    assert values == sorted(values)


def test_a_restart_is_told_and_got_over(place: Place, run: Run, visit: Visiting) -> None:
    daemon = run(place)
    page = visit(daemon).page
    page.evaluate("window.same = true")
    expect(page.locator("#link")).to_have_text("live")
    daemon.stop(signal.SIGKILL)
    expect(page.locator("#link")).to_have_text("reconnecting")
    place.put("meanwhile.jpg", jpeg())
    run(place)
    expect(page.locator("#link")).to_have_text("live")
    expect(page.locator("#grid li", has_text="meanwhile.jpg")).to_have_count(1)
    assert page.evaluate("window.same")


def test_pause_holds_work_and_resume_lets_it_go(place: Place, run: Run, visit: Visiting) -> None:
    daemon = run(place)
    page = visit(daemon).page
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.locator("#figure-waiting")).to_contain_text("paused")
    held = {(each["lane"], each["watch"]) for each in json.loads(daemon.get("/api/status"))["paused"]}
    assert held == {("fresh", None), ("backlog", None)}
    place.put("held.jpg", jpeg())
    expect(page.locator("#figure-waiting .value")).to_have_text("1")
    assert place.renditions() == set()
    page.get_by_role("button", name="Resume", exact=True).click()
    expect(page.locator("#grid li", has_text="held.jpg").locator("img")).to_have_count(1)
    page.get_by_role("button", name="Pause inbox").click()
    expect(page.locator("#watches li")).to_contain_text("paused")
    held = {(each["lane"], each["watch"]) for each in json.loads(daemon.get("/api/status"))["paused"]}
    assert held == {("fresh", "inbox"), ("backlog", "inbox")}


def test_lost_events_are_told_and_asked_for(place: Place, run: Run, visit: Visiting) -> None:
    lines: list[WebSocketRoute] = []

    def join(line: WebSocketRoute) -> None:
        line.connect_to_server()
        lines.append(line)

    page = visit(run(place), before=lambda page: page.route_web_socket("**/api/events", join)).page
    expect(page.locator("#link")).to_have_text("live")
    expect(page.locator("#empty")).to_be_visible()
    with ExitStack() as stack:
        for address in ("**/api/sources?*", "**/api/failures?*", "**/api/jobs", "**/api/status"):
            stack.enter_context(page.expect_request(address))
        lines[0].send('{"topic": "events", "event": "lost", "count": 1234}')
    expect(page.locator("#notice")).to_contain_text("1,234 events")


def test_search_finds_by_name(place: Place, run: Run, visit: Visiting) -> None:
    for name in ("beach one.jpg", "beach two.jpg", "summer/mountain.jpg"):
        place.put(name, jpeg(seed=len(name)))
    page = visit(run(place)).page
    expect(page.locator("#grid li")).to_have_count(3)
    page.get_by_label("Search by name").fill("beach")
    expect(page.locator("#grid li")).to_have_count(2)
    expect(page.locator("#images-count")).to_have_text("2 matches")
    page.get_by_label("Search by name").fill("MOUNT")
    expect(page.locator("#grid li")).to_have_text([re.compile("mountain.jpg")])
    page.get_by_label("Search by name").fill("nowhere")
    expect(page.locator("#empty")).to_contain_text("Nothing matches")
    page.get_by_label("Search by name").fill("")
    expect(page.locator("#grid li")).to_have_count(3)


def test_hostile_names_are_only_text(place: Place, run: Run, visit: Visiting) -> None:
    hostile = '<img src=x onerror="window.harmed=1">.jpg'
    place.put(hostile, jpeg())
    place.put("<script>window.harmed=1</script>.jpg".replace("/", "∕"), BROKEN)
    place.put(b"caf\xe9.jpg", jpeg(seed=2))
    assert place.scan().returncode == 1
    page = visit(run(place)).page
    tile = page.locator("#grid li", has_text=hostile)
    expect(tile).to_have_count(1)
    expect(page.locator("#grid li", has_text="caf\\xe9.jpg").locator("img")).to_have_count(1)
    expect(page.locator("#failures-list li")).to_contain_text("<script>window.harmed=1<∕script>.jpg")
    tile.get_by_role("button").click()
    expect(page.locator("#detail-name")).to_have_text(hostile)
    assert page.evaluate("window.harmed") is None
    assert page.locator("img[src=x]").count() == 0


def test_the_dialog_tells_all_of_an_image(place: Place, run: Run, visit: Visiting) -> None:
    content = jpeg(1600, 1200)
    for name in ("one.jpg", "two.jpg"):
        place.put(f"album/{name}", content + name.encode())
    page = visit(run(place)).page
    page.locator("#grid li", has_text="two.jpg").get_by_role("button").click()
    dialog = page.get_by_role("dialog", name="two.jpg")
    expect(dialog).to_be_visible()
    table = dialog.locator("table")
    for preset, pixels in {"small": "150 × 112", "preview": "1067 × 800", "square": "400 × 400"}.items():
        expect(table.locator("tr", has_text=preset)).to_contain_text(pixels)
    expect(dialog.locator(".after")).to_have_text(re.compile(r"^The optimized copy saves [\d.]+ kB \(\d+ %\)\.$"))
    expect(dialog.locator("#detail-stage img")).to_have_js_property("complete", True)
    assert dialog.locator("#detail-stage img").evaluate("image => image.naturalWidth") == 1067
    expect(dialog.locator(".pairs").first).to_contain_text("1600 × 1200")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert page.evaluate("document.activeElement.className") == "tile"  # focus is where it was


def test_a_changed_image_shows_anew(place: Place, run: Run, visit: Visiting) -> None:
    place.put("a.jpg", jpeg(400, 300, 1))
    daemon = run(place)
    page = visit(daemon).page
    image = page.locator("#grid img")
    expect(image).to_have_count(1)
    former = image.get_attribute("src")
    place.put("a.jpg", jpeg(300, 400, 2))
    expect(image).not_to_have_attribute("src", former or "")
    expect(page.locator("#grid .under")).to_contain_text("300 × 400")


def test_metrics_and_state_agree_with_the_page(place: Place, run: Run, visit: Visiting) -> None:
    daemon = run(place)
    page = visit(daemon).page
    place.put("a.jpg", jpeg())
    expect(page.locator("#figure-sources .value")).to_have_text("1")
    expect(page.locator("#figure-drop .value")).to_have_text(re.compile(r"^[\d.]+ (ms|s)$"))
    status = json.loads(daemon.get("/api/status"))
    expect(page.locator("#figure-workers")).to_contain_text(f"of {status['thread_pool']['max_workers']} busy")
    expect(page.locator("#watches li")).to_contain_text(str(place.inbox))
