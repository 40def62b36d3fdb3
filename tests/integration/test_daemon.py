"""The daemon as its users see it: files dropped, changed, touched, renamed, moved and deleted."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Callable

from PIL import Image

from tests.helpers import RENDITIONS, Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]


def test_a_drop_gets_its_renditions(place: Place, run: Run) -> None:
    daemon = run(place)
    place.put("a.jpg", jpeg(1500, 1100))
    place.put("new/deep/er/b.jpg", jpeg(seed=1))
    deep = {
        path.replace("thumbnails/", "thumbnails/new/deep/er/").replace("optimized/", "optimized/new/deep/er/")
        for path in place.of("b.jpg")
    }
    daemon.wait_renditions(place.of("a.jpg") | deep)
    daemon.wait_log(" ready inbox ", 2)
    sizes = {}
    for name in ("thumb_small", "thumb_medium", "thumb_large", "preview", "square", "banner"):
        with Image.open(place.out / f"thumbnails/a_{name}.jpg") as image:
            sizes[name] = image.size
            assert image.info.get("progressive"), name
    assert sizes == {
        "thumb_small": (150, 110),
        "thumb_medium": (300, 220),
        "thumb_large": (600, 440),
        "preview": (1091, 800),
        "square": (400, 400),
        "banner": (1200, 300),
    }
    assert b"hotfolder" in (place.out / "CACHEDIR.TAG").read_bytes()
    assert daemon.stop() == 0


def test_changed_touched_deleted(place: Place, run: Run) -> None:
    daemon = run(place)
    source = place.put("a.jpg", jpeg())
    daemon.wait_renditions(place.of("a.jpg"))
    before = (place.out / "thumbnails/a_preview.jpg").read_bytes()
    daemon.wait_log(" ready ")

    os.utime(source)
    source.chmod(0o600)
    source.write_bytes(jpeg())  # the same bytes again
    wait_for("the touch to be looked at", lambda: daemon.metric("hotfolder_cache_requests_total", result="hit") >= 1)
    assert daemon.decoded() == 1

    source.write_bytes(jpeg(seed=3))
    wait_for("the change", lambda: (place.out / "thumbnails/a_preview.jpg").read_bytes() != before)
    daemon.wait_log(" ready ", 2)

    source.unlink()
    daemon.wait_renditions(set())


def test_renamed_and_moved_without_decoding(place: Place, run: Run) -> None:
    daemon = run(place)
    place.put("one/a.jpg", jpeg())
    place.put("b.jpg", jpeg(seed=1))
    daemon.wait_log(" ready ", 2)
    assert daemon.decoded() == 2

    (place.inbox / "b.jpg").rename(place.inbox / "c.jpg")
    (place.inbox / "one").rename(place.inbox / "two")
    moved = {path.replace("/", "/two/", 1) for path in place.of("a.jpg")}
    daemon.wait_renditions(place.of("c.jpg") | moved)
    (place.inbox / "two/a.jpg").rename(place.inbox / "d.jpg")
    daemon.wait_renditions(place.of("c.jpg") | place.of("d.jpg"))
    assert daemon.decoded() == 2
    assert place.cli("cache", "verify").returncode == 0


def test_restart_makes_nothing_twice_and_finds_what_changed_meanwhile(place: Place, run: Run) -> None:
    daemon = run(place)
    place.put("folder/a.jpg", jpeg())
    place.put("b.jpg", jpeg(seed=1))
    place.put("c.jpg", jpeg(seed=2))
    daemon.wait_log(" ready ", 3)
    assert daemon.stop() == 0

    (place.inbox / "folder").rename(place.inbox / "renamed")
    (place.inbox / "b.jpg").rename(place.inbox / "b2.jpg")
    (place.inbox / "c.jpg").unlink()
    daemon = run(place)
    moved = {path.replace("/", "/renamed/", 1) for path in place.of("a.jpg")}
    daemon.wait_renditions(moved | place.of("b2.jpg"))
    assert daemon.decoded() == 0
    assert daemon.stop(signal.SIGINT) == 0


def test_kill_leaves_no_temporary_file_and_loses_nothing(place: Place, run: Run) -> None:
    daemon = run(place)
    for number in range(12):
        place.put(f"{number}.jpg", jpeg(1600, 1200, number))
    wait_for("the first rendition", place.renditions)
    daemon.stop(signal.SIGKILL)
    daemon = run(place)
    expected = set().union(*(place.of(f"{number}.jpg") for number in range(12)))
    daemon.wait_renditions(expected)
    assert daemon.stop() == 0
    shutil.move(place.out, place.base / "first")
    shutil.rmtree(place.base / ".hotfolder")
    assert place.scan().returncode == 0
    for path in expected:
        assert (place.base / "first" / path).read_bytes() == (place.out / path).read_bytes(), path


DIE_BEFORE_THE_COMMIT = """
import os, signal
from hotfolder.pipeline.admission import Admission
_leave = Admission.leave

def leave(self, work, finding):
    if finding.change is not None and os.path.exists({flag!r}):
        os.unlink({flag!r})
        os.kill(os.getpid(), signal.SIGKILL)
    _leave(self, work, finding)

Admission.leave = leave
"""


def test_what_was_published_and_never_stored_goes_with_its_source(place: Place, run: Run) -> None:
    """Nobody else would ever know of these files: the source has gone when the daemon starts again."""
    flag = place.base / "die"
    flag.touch()
    place.hook(DIE_BEFORE_THE_COMMIT.format(flag=str(flag)))
    daemon = run(place)
    path = place.put("a.jpg", jpeg())
    wait_for("the kill", lambda: daemon.process.poll() is not None, context=daemon.text)
    assert place.renditions() == place.of("a.jpg")
    path.unlink()
    place.put("b.jpg", jpeg(seed=2))
    run(place).wait_renditions(place.of("b.jpg"))


def test_temporary_names_wait_for_their_rename_and_ignore_files_hold(place: Place, run: Run) -> None:
    place.put("private/.nomedia", b"")
    place.put("some/.hotfolderignore", b"draft*\n")
    daemon = run(place)
    place.put("private/x.jpg", jpeg())
    place.put("some/draft1.jpg", jpeg())
    place.put("@eaDir/y.jpg", jpeg())
    unfinished = place.put("a.jpg.part", jpeg(seed=4))
    place.put("b.jpg", jpeg())
    daemon.wait_renditions(place.of("b.jpg"))
    unfinished.rename(place.inbox / "a.jpg")
    daemon.wait_renditions(place.of("a.jpg") | place.of("b.jpg"))


def test_a_slow_writer_is_waited_for(place: Place, run: Run) -> None:
    daemon = run(place)
    content = jpeg(900, 700)
    with (place.inbox / "slow.jpg").open("wb") as file:
        file.write(content[: len(content) // 2])
        file.flush()
        # While it is open it is looked at again and again, and never taken.
        wait_for("two looks", lambda: daemon.metric("hotfolder_stage_duration_seconds_count", stage="settle") >= 2)
        assert place.renditions() == set()
        file.write(content[len(content) // 2 :])
    daemon.wait_renditions(place.of("slow.jpg"))
    assert daemon.metric("hotfolder_jobs_total", watch="inbox", result="retried") == 0


def test_second_instance_and_taken_port(place: Place, run: Run) -> None:
    daemon = run(place)
    second = place.cli("run")
    assert second.returncode == 3
    assert "another hotfolder (pid" in second.stderr
    assert f"{daemon.process.pid}" in second.stderr
    daemon.stop()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", place.port))
        taken.listen()
        refused = place.cli("run")
    assert refused.returncode == 3
    assert f"127.0.0.1:{place.port}" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_commands_talk_to_the_living_daemon(place: Place, run: Run) -> None:
    place.configure(extra="", watch="")
    daemon = run(place)
    place.put("a.jpg", jpeg())
    place.put("bad.jpg", b"this is no image")
    os.utime(place.inbox / "bad.jpg", (1e9, 1e9))
    daemon.wait_renditions(place.of("a.jpg"))
    assert oct((place.base / ".hotfolder/control.sock").stat().st_mode & 0o777) == "0o600"
    scan = place.scan()
    assert "sources 2" in scan.stdout
    assert place.cli("status", "--json").returncode == 0
    assert '"name": "inbox"' in place.cli("status", "--json").stdout
    assert place.cli("cache", "stats").stdout.startswith(f"{RENDITIONS} renditions")
    assert [each["path"] for each in place.export()].count("a.jpg") == 1
    cleared = place.cli("cache", "clear", "--yes")
    assert f"{RENDITIONS} renditions removed" in cleared.stdout
    assert place.renditions() == set()
    place.scan()
    daemon.wait_renditions(place.of("a.jpg"))
    assert daemon.stop() == 0
    assert place.cli("status").returncode == 3


def test_http_off_leaves_the_control_socket(place: Place, run: Run) -> None:
    place.configure()
    text = (place.base / "config.yaml").read_text().replace("port:", "enabled: false, port:")
    (place.base / "config.yaml").write_text(text)
    daemon = run(place)
    assert "page=off" in daemon.text()
    assert place.cli("status").returncode == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", place.port)) != 0


def test_reload_and_a_wrong_file(place: Place, run: Run) -> None:
    daemon = run(place)
    place.put("a.jpg", jpeg())
    daemon.wait_renditions(place.of("a.jpg"))
    place.configure(extra="nonsense: 1")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_log("config_not_applied")
    place.configure(watch="    presets: [small]\n    optimize: {enabled: false}")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_log("config_applied")
    daemon.wait_renditions({"thumbnails/a_thumb_small.jpg"})
    assert daemon.decoded() == 1


def test_an_orderly_stop_keeps_the_rest_for_the_next_start(place: Place, run: Run) -> None:
    place.configure(extra="pool: {memory_limit: 300MB}\nshutdown_timeout: 6s")
    daemon = run(place)
    content = jpeg(4000, 3000)
    for number in range(10):
        place.put(f"{number}.jpg", content[:-2] + bytes([number]) + content[-2:])
    wait_for("the first", lambda: " ready " in daemon.text(), context=daemon.text)
    assert daemon.stop() == 0
    assert "in_flight_ended=True" in daemon.text()
    assert not list(place.out.rglob(".hotfolder-*"))
    daemon = run(place)
    daemon.wait_renditions(set().union(*(place.of(f"{number}.jpg") for number in range(10))))
    assert place.cli("failures", "list", "--json").stdout.strip() == "[]"


def test_changed_while_it_is_decoded_ends_as_the_last_version(place: Place, run: Run) -> None:
    daemon = run(place)
    for seed in range(8):
        place.put("a.jpg", jpeg(1800, 1400, seed))
    last = jpeg(1500, 300, 99)
    place.put("a.jpg", last)

    def is_last() -> bool:
        try:
            with Image.open(place.out / "thumbnails/a_thumb_large.jpg") as image:
                return image.size == (600, 120)
        except FileNotFoundError:
            return False

    wait_for("the last version", is_last, context=daemon.text)
    assert place.scan().returncode == 0
    assert is_last()


def test_deleted_and_made_again_at_once_and_vanishing_while_it_waits(place: Place, run: Run) -> None:
    daemon = run(place)
    source = place.put("a.jpg", jpeg())
    daemon.wait_renditions(place.of("a.jpg"))
    content = source.read_bytes()
    source.unlink()
    source.write_bytes(content)
    for number in range(30):
        place.put(f"v{number}.jpg", jpeg(seed=number)).unlink()
    place.put("z.jpg", jpeg(seed=77))
    daemon.wait_renditions(place.of("a.jpg") | place.of("z.jpg"))
    assert place.cli("failures", "list", "--json").stdout.strip() == "[]"
