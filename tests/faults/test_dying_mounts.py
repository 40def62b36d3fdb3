"""File systems that die below a root, and at it: what cannot be seen is never taken for deleted, and what went goes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers import Daemon, Place, jpeg, wait_for

Run = Callable[[Place], Daemon]
WATCH = "    presets: [small]\n    optimize: {enabled: false}\n    rescan_interval: 2s\n    poll_interval: 3s"
LOOPED = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"], "vfat": ["mkfs.vfat"]}
FUSE = ("bindfs", "mergerfs", "sshfs", "rclone")
KINDS = ("tmpfs", "overlay", *LOOPED, *FUSE)


def small(path: str) -> str:
    return f"thumbnails/{path}_thumb_small.jpg"


def _needs(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


class Disk:
    """A file system of one kind whose content outlives its mounts (but for tmpfs)."""

    def __init__(self, kind: str, base: Path) -> None:
        self.kind = kind
        self.base = base / f"disk-{kind}"
        self.base.mkdir()
        self.mounted: list[Path] = []
        self.image()

    def image(self) -> None:
        """Begin with an empty one: what was on it before is gone."""
        if self.kind in LOOPED:
            make = LOOPED[self.kind]
            _needs(make[0])
            file = self.base / "image"
            file.unlink(missing_ok=True)
            with file.open("wb") as opened:
                opened.truncate((320 if self.kind == "xfs" else 24) << 20)
            subprocess.run([*make, file], check=True)
            return
        for name in ("store", "lower", "work"):
            shutil.rmtree(self.base / name, ignore_errors=True)
            (self.base / name).mkdir()

    def mount(self, where: Path) -> None:
        store = self.base / "store"
        commands = {
            "tmpfs": ["mount", "-t", "tmpfs", "-o", "size=30m", "hotfolder-test", where],
            **{kind: ["mount", "-o", "loop", self.base / "image", where] for kind in LOOPED},
            "overlay": [
                "mount",
                "-t",
                "overlay",
                "overlay",
                "-o",
                f"lowerdir={self.base}/lower,upperdir={store},workdir={self.base}/work",
                where,
            ],
            "bindfs": ["bindfs", store, where],
            "mergerfs": ["mergerfs", f"{store}:{self.base}/lower", where],
            "sshfs": ["sshfs", f"hotfolder:{store}", where, "-o", "ssh_command=" + str(self._sftp())],
            "rclone": ["rclone", "mount", "--daemon", "--vfs-cache-mode", "off", "--config", "/dev/null", store, where],
        }
        command = commands[self.kind]
        _needs(str(command[0]))
        if self.kind in FUSE and not os.path.exists("/dev/fuse"):
            pytest.skip("there is no /dev/fuse")
        done = subprocess.run([str(part) for part in command], check=False, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"{self.kind} cannot be mounted here: {done.stderr.strip()}")
        self.mounted.append(where)

    def _sftp(self) -> Path:
        """Stands in for ssh: sshfs talks to a server of its own on this machine."""
        script = self.base / "ssh"
        script.write_text("#!/bin/sh\nexec /usr/lib/openssh/sftp-server\n")
        script.chmod(0o755)
        return script

    def umount(self, where: Path, *, lazy: bool = True) -> None:
        subprocess.run(["umount", *(["-l"] if lazy else []), where], check=True)
        self.mounted.remove(where)

    def close(self) -> None:
        for where in self.mounted:
            subprocess.run(["umount", "-l", where], check=False, stderr=subprocess.DEVNULL)


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[Callable[[str], Disk]]:
    if os.geteuid() != 0:
        pytest.skip("only the superuser may mount")
    made: list[Disk] = []

    def make(kind: str) -> Disk:
        made.append(Disk(kind, tmp_path))
        return made[-1]

    yield make
    for disk in made:
        disk.close()


def rescans(daemon: Daemon, count: int = 3) -> None:
    """Wait until so many more reconciles have ended."""
    name = "hotfolder_reconcile_duration_seconds_count"
    before = daemon.metric(name)
    wait_for("reconciles", lambda: daemon.metric(name) >= before + count, context=daemon.text)


def fill(place: Place, folder: str, count: int = 30) -> set[str]:
    for number in range(count):
        place.put(f"{folder}/{'' if number % 2 else 'deep/'}{number}.jpg", jpeg(40, 30, number))
    return {small(f"{folder}/{'' if number % 2 else 'deep/'}{number}") for number in range(count)}


@pytest.mark.parametrize("lazy", [True, False], ids=["lazily", "hard"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_system_below_dies_and_comes_back(
    tmp_path: Path, run: Run, disks: Callable[[str], Disk], kind: str, lazy: bool
) -> None:
    place = Place(tmp_path, watch=WATCH.replace("2s", "6h"))
    card = place.inbox / "card"
    card.mkdir()
    daemon = run(place)
    disk = disks(kind)
    disk.mount(card)  # after the start: no walk has seen it yet
    daemon.wait_log("mounts_changed")
    made = fill(place, "card")
    place.put("beside.jpg", jpeg(40, 30, 99))
    made |= {small("beside")}
    daemon.wait_renditions(made)
    decoded = daemon.decoded()
    disk.umount(card, lazy=lazy)
    daemon.wait_log("mounts_changed", 2)
    place.put("later.jpg", jpeg(40, 30, 98))
    daemon.wait_renditions(made | {small("later")})
    assert daemon.decoded() == decoded + 1


def troubles(daemon: Daemon) -> str:
    return daemon.place.cli("status", "--json").stdout


@pytest.mark.parametrize("kind", ["tmpfs", "ext4", "xfs", "vfat", "bindfs"])
def test_it_comes_back_empty_or_as_another(tmp_path: Path, run: Run, disks: Callable[[str], Disk], kind: str) -> None:
    place = Place(tmp_path, watch=WATCH)
    card, disk = place.inbox / "card", disks(kind)
    card.mkdir()
    disk.mount(card)
    daemon = run(place)
    made = fill(place, "card", 6)
    daemon.wait_renditions(made)
    disk.umount(card)
    rescans(daemon)
    assert place.renditions() == made
    assert "card" in troubles(daemon)
    disk.image()
    disk.mount(card)  # a new file system in the same slot
    rescans(daemon)
    place.put("card/other.jpg", jpeg(40, 30, 70))
    place.put("card/brief.jpg", jpeg(40, 30, 71))
    daemon.wait_renditions(made | {small("card/other"), small("card/brief")})
    (card / "brief.jpg").unlink()
    daemon.wait_renditions(made | {small("card/other")})
    rescans(daemon)
    assert place.renditions() == made | {small("card/other")}
    done = place.scan("--confirm-deletes", str(card))
    assert done.returncode == 0, done
    daemon.wait_renditions({small("card/other")})
    rescans(daemon)
    assert '"away"' not in troubles(daemon)


def test_what_really_went_from_a_mount_goes(tmp_path: Path, run: Run, disks: Callable[[str], Disk]) -> None:
    place = Place(tmp_path, watch=WATCH.replace("2s", "6h"))
    card, disk = place.inbox / "card", disks("ext4")
    card.mkdir()
    disk.mount(card)
    daemon = run(place)
    made = fill(place, "card", 20)
    daemon.wait_renditions(made)
    shutil.rmtree(card / "deep")
    daemon.wait_renditions({each for each in made if "deep" not in each})
    for file in card.glob("*.jpg"):
        file.unlink()
    daemon.wait_renditions(set())


def test_what_went_while_it_was_elsewhere_goes_when_it_is_back(
    tmp_path: Path, run: Run, disks: Callable[[str], Disk]
) -> None:
    place = Place(tmp_path, watch=WATCH)
    card, elsewhere, disk = place.inbox / "card", tmp_path / "elsewhere", disks("xfs")
    card.mkdir()
    elsewhere.mkdir()
    disk.mount(card)
    daemon = run(place)
    made = fill(place, "card", 6)
    daemon.wait_renditions(made)
    decoded = daemon.decoded()
    disk.umount(card)
    disk.mount(elsewhere)
    (elsewhere / "1.jpg").unlink()
    (elsewhere / "deep/0.jpg").unlink()
    rescans(daemon)
    assert place.renditions() == made
    disk.umount(elsewhere)
    disk.mount(card)
    daemon.wait_renditions(made - {small("card/1"), small("card/deep/0")})
    assert daemon.decoded() == decoded


def test_a_busy_mount_that_is_taken_away_lazily(tmp_path: Path, run: Run, disks: Callable[[str], Disk]) -> None:
    place = Place(tmp_path, watch=WATCH)
    card, disk = place.inbox / "card", disks("ext4")
    card.mkdir()
    disk.mount(card)
    daemon = run(place)
    made = fill(place, "card", 6)
    daemon.wait_renditions(made)
    with (card / "held.txt").open("w"):
        inside = os.open(card, os.O_RDONLY)
        disk.umount(card)
        # Somebody who has it open deletes there: its events come from a disk that has no path any more.
        os.unlink("1.jpg", dir_fd=inside)
        os.unlink("3.jpg", dir_fd=inside)
        rescans(daemon)
        os.close(inside)
    rescans(daemon)
    assert place.renditions() == made


def test_a_server_that_dies(tmp_path: Path, run: Run, disks: Callable[[str], Disk]) -> None:
    place = Place(tmp_path, watch=WATCH)
    card, disk = place.inbox / "card", disks("bindfs")
    card.mkdir()
    disk.mount(card)
    daemon = run(place)
    made = fill(place, "card", 6)
    daemon.wait_renditions(made)
    found = subprocess.run(
        ["pgrep", "-f", f"bindfs {disk.base}/store {card}"], capture_output=True, text=True, check=True
    )
    for number in found.stdout.split():
        os.kill(int(number), 9)
    wait_for("it to be dead", lambda: not os.path.ismount(card) or not _lists(card))
    daemon.wait_log("folder_unreadable", 2)
    assert place.renditions() == made


def _lists(folder: Path) -> bool:
    try:
        return bool(os.listdir(folder))
    except OSError:
        return False


def test_the_root_itself_dies(tmp_path: Path, run: Run, disks: Callable[[str], Disk]) -> None:
    place = Place(tmp_path, watch=WATCH)
    disk = disks("ext4")
    disk.mount(place.inbox)
    daemon = run(place)
    made = fill(place, "a", 30)
    daemon.wait_renditions(made)
    disk.umount(place.inbox)
    wait_for("offline", lambda: daemon.metric("hotfolder_watch_up", watch="inbox") == 0, context=daemon.text)
    disk.mount(place.inbox)
    wait_for("its return", lambda: daemon.metric("hotfolder_watch_up", watch="inbox") == 1, context=daemon.text)
    rescans(daemon)
    assert place.renditions() == made
    shutil.rmtree(place.inbox / "a")
    daemon.wait_renditions(set())


@pytest.mark.parametrize("tried", [True, False], ids=["and tried", "and not yet tried"])
def test_deleted_while_the_output_may_not_be_written(
    tmp_path: Path, run: Run, disks: Callable[[str], Disk], tried: bool
) -> None:
    second = "{path: ./second, output: ./well, settle: 100ms, presets: [small], optimize: {enabled: false}}"
    place = Place(tmp_path, watch=f"{WATCH.replace('2s', '6h')}\n  - {second}")
    place.out.mkdir()
    disks("tmpfs").mount(place.out)
    witness = tmp_path / "second/witness.jpg"
    witness.parent.mkdir()
    witness.write_bytes(jpeg(40, 30, 92))
    shown = tmp_path / "well" / small("witness")
    daemon = run(place)
    made = fill(place, "a", 30)
    place.put("alone.jpg", jpeg(40, 30, 91))
    daemon.wait_renditions(made | {small("alone")})
    wait_for("the other watch", shown.exists, context=daemon.text)
    subprocess.run(["mount", "-o", "remount,ro", place.out], check=True)
    shutil.rmtree(place.inbox / "a")
    (place.inbox / "alone.jpg").unlink()
    place.put("new.jpg", jpeg(40, 30, 90))
    wait_for("the trouble", lambda: "cannot be written" in daemon.text(), context=daemon.text)
    if tried:  # what was deleted later, where the output is well, is gone
        witness.unlink()
        wait_for("the other watch's to go", lambda: not shown.exists(), context=daemon.text)
    subprocess.run(["mount", "-o", "remount,rw", place.out], check=True)
    wait_for("the rest to go", lambda: place.renditions() == {small("new")}, 90, daemon.text)
