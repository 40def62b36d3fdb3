"""Every fault has one owner: a name, an output or a root that is bad stops nothing else, and no image pays for it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers import Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]
SMALL = "    presets: [small]\n    optimize: {enabled: false}"
TWO = SMALL + "\n  - path: ./inbox2\n    output: ./out2\n    settle: 100ms\n" + SMALL


def need(*commands: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only the superuser may mount")
    for command in commands:
        if shutil.which(command) is None:
            pytest.skip(f"{command} is not installed")


class Mounts:
    """Mounts that go when the test ends, the last one first."""

    def __init__(self) -> None:
        self.points: list[Path] = []
        self.loops: list[str] = []

    def mount(self, point: Path, *command: str | Path) -> None:
        point.mkdir(parents=True, exist_ok=True)
        done = subprocess.run([*command, point], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"cannot be mounted here: {done.stderr.strip()}")
        self.points.append(point)

    def remount(self, point: Path, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", point], check=True)

    def loop(self, image: Path) -> str:
        done = subprocess.run(["losetup", "-f", "--show", image], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no loop device: {done.stderr.strip()}")
        self.loops.append(done.stdout.strip())
        return self.loops[-1]

    def image(self, path: Path, size: int, *mkfs: str) -> Path:
        with path.open("wb") as file:
            file.truncate(size)
        subprocess.run([*mkfs, path], check=True, capture_output=True)
        return path


@pytest.fixture
def mounts() -> Iterator[Mounts]:
    made = Mounts()
    yield made
    for point in reversed(made.points):
        subprocess.run(["umount", "-l", point], check=True)
    for device in made.loops:
        subprocess.run(["losetup", "-d", device], check=True)


def readiness(daemon: Daemon) -> dict[str, str]:
    """What /readyz complains of, by watch."""
    try:
        daemon.get("/readyz")
    except urllib.error.HTTPError as error:
        return dict(json.loads(error.read())["problems"])
    return {}


def reasons(place: Place) -> dict[str, str]:
    return {os.path.relpath(each["path"], place.inbox): each["reason"] for each in place.failures()}


# -- names -----------------------------------------------------------------------------------------------------------


def ntfs(mounts: Mounts, base: Path) -> None:
    need("ntfs-3g", "mkfs.ntfs")
    image = mounts.image(base / "disk.ntfs", 32 << 20, "mkfs.ntfs", "-F", "-q")
    mounts.mount(base / "out", "ntfs-3g", "-o", "windows_names", image)


def exfat(mounts: Mounts, base: Path) -> None:
    need("mount.exfat-fuse", "mkfs.exfat")
    image = mounts.image(base / "disk.exfat", 32 << 20, "mkfs.exfat")
    mounts.mount(base / "out", "mount.exfat-fuse", mounts.loop(image))


@pytest.mark.parametrize("disk", [ntfs, exfat])
def test_a_name_that_the_output_cannot_hold(
    tmp_path: Path, run: Run, mounts: Mounts, disk: Callable[[Mounts, Path], None]
) -> None:
    disk(mounts, tmp_path)
    place = Place(tmp_path, watch=SMALL)
    bad = (b"latin\xe9.jpg", b"a:b?.jpg", b"f:x/one.jpg", b"f:x/two.jpg", b"dir\xe9/deep/one.jpg")
    for name in bad:
        place.put(name, jpeg())
    place.put("good.jpg", jpeg())
    scan = place.scan()
    assert scan.returncode == 1, scan.stderr
    assert place.renditions() == {"thumbnails/good_thumb_small.jpg"}
    found = place.failures()
    assert len(found) == len(bad)
    assert {each["reason"] for each in found} == {"bad_name"}
    assert all("rename the image or its folder" in each["message"] for each in found)

    daemon = run(place)
    place.put("late.jpg", jpeg(seed=2))
    place.put("late:.jpg", jpeg(seed=3))
    wait_for("the last one", lambda: len(place.failures()) == len(bad) + 1, context=daemon.text)
    daemon.wait_renditions({"thumbnails/good_thumb_small.jpg", "thumbnails/late_thumb_small.jpg"})
    assert readiness(daemon) == {}
    # Renamed to what can be held, it is made; to what cannot, it is not, and its rendition goes.
    (place.inbox / "late:.jpg").rename(place.inbox / "later.jpg")
    (place.inbox / "good.jpg").rename(place.inbox / "good?.jpg")
    wait_for("the renamed one", lambda: reasons(place).get("good?.jpg") == "bad_name", context=daemon.text)
    wait_for("the mended one", lambda: "thumbnails/later_thumb_small.jpg" in place.renditions(), context=daemon.text)
    assert readiness(daemon) == {}


def test_a_folder_in_the_way_of_a_rendition(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, watch=SMALL)
    place.put("x_thumb_small.jpg/in.jpg", jpeg(seed=1))
    place.put("y.jpg", jpeg(seed=3))
    assert place.scan().returncode == 0
    place.put("x.jpg", jpeg(seed=2))
    place.put("y_thumb_small.jpg/in.jpg", jpeg(seed=4))
    place.put("z.jpg", jpeg(seed=5))
    scan = place.scan()
    assert scan.returncode == 1, scan.stderr
    assert reasons(place) == {"x.jpg": "name_taken", "y_thumb_small.jpg/in.jpg": "name_taken"}
    assert "thumbnails/z_thumb_small.jpg" in place.renditions()
    daemon = run(place)
    assert readiness(daemon) == {}
    # As soon as the way is free it is made.
    (place.inbox / "x_thumb_small.jpg/in.jpg").unlink()
    wait_for("x.jpg", (place.out / "thumbnails/x_thumb_small.jpg").is_file, context=daemon.text)


class Protected:
    """Files and folders that nobody may write, until the test ends."""

    def __init__(self) -> None:
        self._paths: list[Path] = []

    def protect(self, path: Path) -> None:
        need("chattr")
        if subprocess.run(["chattr", "+i", path], check=False, capture_output=True).returncode:
            pytest.skip("this file system has no attributes")
        self._paths.append(path)

    def free(self) -> None:
        for path in self._paths:
            subprocess.run(["chattr", "-i", path], check=True)
        self._paths.clear()


@pytest.fixture
def protected() -> Iterator[Protected]:
    made = Protected()
    yield made
    made.free()


@pytest.mark.parametrize("what", ["thumbnails/sub/x_thumb_small.jpg", "thumbnails/sub"])
def test_one_rendition_that_is_write_protected(tmp_path: Path, run: Run, protected: Protected, what: str) -> None:
    """The fault of that path alone: others are made, the watch is well, and it is tried again by itself."""
    place = Place(tmp_path, watch=SMALL)
    place.put("sub/x.jpg", jpeg(seed=1))
    assert place.scan().returncode == 0
    protected.protect(place.out / what)
    daemon = run(place)
    before = (place.out / "thumbnails/sub/x_thumb_small.jpg").read_bytes()
    place.put("sub/x.jpg", jpeg(seed=2))
    wait_for("the complaint", lambda: "reason=write_protected" in daemon.text(), context=daemon.text)
    assert "lsattr" in daemon.text()
    place.put("y.jpg", jpeg(seed=3))
    daemon.wait_renditions({"thumbnails/sub/x_thumb_small.jpg", "thumbnails/y_thumb_small.jpg"})
    assert readiness(daemon) == {}
    assert place.failures() == []
    protected.free()
    wait_for(
        "the next try",
        lambda: (place.out / "thumbnails/sub/x_thumb_small.jpg").read_bytes() != before,
        60,
        context=daemon.text,
    )
    assert "trouble" not in daemon.text()


def test_a_scan_and_a_rendition_that_is_write_protected(tmp_path: Path, protected: Protected) -> None:
    place = Place(tmp_path, watch=SMALL)
    place.put("x.jpg", jpeg(seed=1))
    assert place.scan().returncode == 0
    protected.protect(place.out / "thumbnails/x_thumb_small.jpg")
    place.put("x.jpg", jpeg(seed=2))
    place.put("y.jpg", jpeg(seed=3))
    scan = place.scan()
    assert scan.returncode == 1, scan.stderr
    assert reasons(place) == {"x.jpg": "write_protected"}
    assert "thumbnails/y_thumb_small.jpg" in place.renditions()
    protected.free()
    assert place.cli("failures", "retry").returncode == 0
    assert place.failures() == []


def test_a_rendition_that_may_not_be_removed(tmp_path: Path, run: Run, protected: Protected) -> None:
    place = Place(tmp_path, watch=SMALL)
    for n, name in enumerate(("x.jpg", "y.jpg")):
        place.put(name, jpeg(seed=n))
    daemon = run(place)
    daemon.wait_renditions({"thumbnails/x_thumb_small.jpg", "thumbnails/y_thumb_small.jpg"})
    protected.protect(place.out / "thumbnails/x_thumb_small.jpg")
    for name in ("x.jpg", "y.jpg"):
        (place.inbox / name).unlink()
    daemon.wait_renditions({"thumbnails/x_thumb_small.jpg"})
    wait_for("the complaint", lambda: "reason=write_protected" in daemon.text(), context=daemon.text)
    assert readiness(daemon) == {}
    protected.free()
    daemon.wait_renditions(set())
    assert "trouble" not in daemon.text()


def test_an_area_that_is_write_protected_is_the_outputs_fault(tmp_path: Path, run: Run, protected: Protected) -> None:
    place = Place(tmp_path, watch=SMALL)
    place.put("x.jpg", jpeg(seed=1))
    daemon = run(place)
    daemon.wait_renditions({"thumbnails/x_thumb_small.jpg"})
    protected.protect(place.out / "thumbnails")
    place.put("sub/y.jpg", jpeg(seed=2))
    wait_for("the trouble", lambda: readiness(daemon), context=daemon.text)
    protected.free()
    daemon.wait_renditions({"thumbnails/x_thumb_small.jpg", "thumbnails/sub/y_thumb_small.jpg"})
    wait_for("the end of it", lambda: readiness(daemon) == {}, context=daemon.text)
    assert place.failures() == []


@pytest.mark.parametrize("what", ["link", "pipe", "folder"])
def test_what_is_no_file_at_a_renditions_path_is_never_written_through(tmp_path: Path, what: str) -> None:
    place = Place(tmp_path, watch=SMALL)
    place.put("a.jpg", jpeg(seed=1))
    assert place.scan().returncode == 0
    (tmp_path / "precious").write_bytes(b"precious")
    target = place.out / "thumbnails/x_thumb_small.jpg"
    match what:
        case "link":
            target.symlink_to(tmp_path / "precious")
        case "pipe":
            os.mkfifo(target)
        case "folder":
            (target / "below").mkdir(parents=True)
    place.put("x.jpg", jpeg(seed=2))
    scan = place.scan()
    assert (tmp_path / "precious").read_bytes() == b"precious"
    if what == "folder":
        assert (scan.returncode, reasons(place)) == (1, {"x.jpg": "name_taken"})
        assert (target / "below").is_dir()
    else:
        assert scan.returncode == 0, scan.stderr
        assert target.is_file()
        assert not target.is_symlink()


# -- outputs ---------------------------------------------------------------------------------------------------------


def test_an_output_that_refuses_modes_and_times(tmp_path: Path, run: Run, mounts: Mounts) -> None:
    need("bindfs")
    (tmp_path / "real").mkdir()
    mounts.mount(tmp_path / "out", "bindfs", "--chmod-deny", "--chown-deny", tmp_path / "real")
    place = Place(tmp_path, watch="    presets: [small]\n    files: {mtime: source}")
    place.hook(
        "import os\n_utime = os.utime\n"
        "def utime(path, *a, **k):\n"
        "    if isinstance(path, int):\n        raise PermissionError(1, 'Operation not permitted')\n"
        "    return _utime(path, *a, **k)\n"
        "os.utime = utime\n"
    )
    daemon = run(place)
    for n in range(3):
        place.put(f"{n}.jpg", jpeg(seed=n))
    daemon.wait_renditions({f"{folder}/{n}{end}.jpg" for n in range(3) for folder, end in AREAS})
    assert readiness(daemon) == {}
    assert daemon.text().count("output_refuses") == 2
    daemon.stop()
    assert ", 0 missing or changed" in place.cli("cache", "verify").stdout
    assert place.scan("--verify").stdout.splitlines()[0].startswith("sources 3, made 0")


AREAS = (("thumbnails", "_thumb_small"), ("optimized", ""))


def test_start_with_an_output_that_is_read_only(tmp_path: Path, run: Run, mounts: Mounts) -> None:
    need("mount")
    mounts.mount(tmp_path / "out", "mount", "-t", "tmpfs", "-o", "ro", "none")
    _starts_and_mends(tmp_path, run, lambda: mounts.remount(tmp_path / "out", "rw"), "Read-only file system")


def test_start_with_an_output_without_inodes(tmp_path: Path, run: Run, mounts: Mounts) -> None:
    need("mount")
    mounts.mount(tmp_path / "out", "mount", "-t", "tmpfs", "-o", "nr_inodes=1", "none")
    _starts_and_mends(tmp_path, run, lambda: mounts.remount(tmp_path / "out", "nr_inodes=999"), "No space left")


def _starts_and_mends(tmp_path: Path, run: Run, mend: Callable[[], None], problem: str) -> None:
    """One watch is in trouble, the other runs; well again by itself."""
    place = Place(tmp_path, watch=TWO)
    other = tmp_path / "inbox2"
    other.mkdir()
    place.put("a.jpg", jpeg())
    (other / "b.jpg").write_bytes(jpeg(seed=1))
    scan = place.scan()
    assert scan.returncode == 4, scan.stderr
    assert problem in scan.stderr
    assert (tmp_path / "out2/thumbnails/b_thumb_small.jpg").exists()
    daemon = run(place)
    (other / "c.jpg").write_bytes(jpeg(seed=2))
    wait_for("the other watch", (tmp_path / "out2/thumbnails/c_thumb_small.jpg").exists, context=daemon.text)
    assert list(readiness(daemon)) == ["watch inbox: output"]
    assert problem in readiness(daemon)["watch inbox: output"]
    mend()
    place.put("late.jpg", jpeg(seed=4))
    daemon.wait_renditions({"thumbnails/a_thumb_small.jpg", "thumbnails/late_thumb_small.jpg"})
    wait_for("well again", lambda: readiness(daemon) == {}, context=daemon.text)
    assert place.failures() == []


@pytest.mark.parametrize("dead", ["inbox", "out"])
def test_start_with_a_mount_whose_server_died(tmp_path: Path, run: Run, mounts: Mounts, dead: str) -> None:
    need("bindfs")
    place = Place(tmp_path, watch=TWO)
    (tmp_path / "inbox2").mkdir()
    (tmp_path / "real").mkdir()
    mounts.mount(tmp_path / dead, "bindfs", tmp_path / "real")
    pid = subprocess.run(["pgrep", "-f", f"bindfs.*{tmp_path}/{dead}$"], capture_output=True, text=True, check=True)
    os.kill(int(pid.stdout), 9)
    wait_for("the mount to be dead", lambda: not os.path.isdir(tmp_path / dead))
    (tmp_path / "inbox2/b.jpg").write_bytes(jpeg(seed=1))
    daemon = run(place)
    wait_for("the other watch", (tmp_path / "out2/thumbnails/b_thumb_small.jpg").exists, context=daemon.text)
    assert list(readiness(daemon)) == [f"watch inbox: {'root' if dead == 'inbox' else 'output'}"]
    subprocess.run(["umount", "-l", tmp_path / dead], check=True)
    mounts.points.clear()
    place.put("a.jpg", jpeg())
    daemon.wait_renditions({"thumbnails/a_thumb_small.jpg"})
    wait_for("well again", lambda: readiness(daemon) == {}, context=daemon.text)


def test_renamed_while_the_output_is_read_only(tmp_path: Path, run: Run, mounts: Mounts) -> None:
    need("mount")
    mounts.mount(tmp_path / "out", "mount", "-t", "tmpfs", "none")
    place = Place(tmp_path, watch=SMALL)
    for n, name in enumerate(("one.jpg", "folder/in.jpg", "copied.jpg")):
        place.put(name, jpeg(seed=n))
    daemon = run(place)
    made = {f"thumbnails/{name}_thumb_small.jpg" for name in ("one", "folder/in", "copied")}
    daemon.wait_renditions(made)
    decoded = daemon.decoded()
    mounts.remount(tmp_path / "out", "ro")
    (place.inbox / "one.jpg").rename(place.inbox / "two.jpg")
    (place.inbox / "folder").rename(place.inbox / "moved")
    shutil.copy(place.inbox / "copied.jpg", place.inbox / "copy.jpg")
    daemon.wait_log("reason=output_error", 3)
    assert list(readiness(daemon)) == ["watch inbox: output"]
    assert "io_error" not in daemon.text()
    assert place.failures() == []
    mounts.remount(tmp_path / "out", "rw")
    wanted = {f"thumbnails/{name}_thumb_small.jpg" for name in ("two", "moved/in", "copied", "copy")}
    daemon.wait_renditions(wanted)
    wait_for("well again", lambda: readiness(daemon) == {}, context=daemon.text)
    assert daemon.decoded() == decoded
    assert place.failures() == []


# -- images of others ------------------------------------------------------------------------------------------------


def test_a_damaged_image_of_another_user_ends_in_quarantine(tmp_path: Path) -> None:
    """Its owner alone may ask for a lease: without one nobody knows of writers, and two equal looks have to do. Such a
    look of our own is no change, which would make the tries begin anew."""
    need("setpriv")
    place = Place(tmp_path, watch=SMALL)

    def drop(name: str) -> None:
        (tmp_path / name).write_bytes(jpeg(1000, 800, seed=len(name))[:9000])
        os.chown(tmp_path / name, 1234, 1234)
        (tmp_path / name).rename(place.inbox / name)

    drop("there.jpg")
    daemon = Daemon(place, "setpriv", "--bounding-set", "-lease").ready()
    try:
        drop("dropped.jpg")
        wait_for("the quarantine", lambda: len(_failures(daemon)) == 2, 200, context=daemon.text)
        tries = {Path(str(each["path"])).name: each["tries"] for each in _failures(daemon)}
        assert tries["dropped.jpg"] == 6
    finally:
        daemon.stop()
    scan = place.scan("--strict")
    assert scan.returncode == 1, scan.stderr


def _failures(daemon: Daemon) -> list[dict[str, object]]:
    return list(json.loads(daemon.get("/api/failures")))
