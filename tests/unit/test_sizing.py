"""How many workers and how much memory: decisions, the limits of control groups, and the beat that follows the load."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hotfolder.model import Job, Lane
from hotfolder.pool import cgroup, scaling, sizing
from hotfolder.pool.memory import MoreMemory, Reservation
from hotfolder.pool.scaling import Balance
from hotfolder.pool.sizing import Why
from hotfolder.pool.threads import ElasticPool
from hotfolder.queue.queue import JobQueue
from hotfolder.telemetry.metrics import Metrics
from tests.helpers import wait_for


@pytest.mark.parametrize(
    ("now", "waiting", "cpu", "memory", "then"),
    [
        (4, 5, 0.3, 0.1, (5, Why.CPU_IDLE)),
        (8, 5, 0.3, 0.1, (8, None)),
        (4, 5, 0.9, 0.95, (3, Why.MEMORY_SHORT)),
        (2, 5, 0.9, 0.95, (2, None)),
        (4, 0, 0.1, 0.1, (4, None)),
        (8, 5, 0.99, 0.1, (7, Why.CPU_SHORT)),
        (4, 5, 0.99, 0.1, (4, None)),
        (4, 5, 0.8, 0.1, (4, None)),
    ],
)
def test_decisions(now: int, waiting: int, cpu: float, memory: float, then: tuple[int, Why | None]) -> None:
    assert sizing.target(now, 2, 8, waiting=waiting, cpu_share=cpu, memory_share=memory) == then


def put(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".", 1)).write_text(text)


def test_limits_of_version_2_are_those_of_all_groups_above(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/system.slice/hotfolder.service\n")
    service = tmp_path / "system.slice/hotfolder.service"
    put(
        service,
        memory__max="1000\n",
        memory__high="max\n",
        memory__current="300\n",
        memory__stat="anon 200\ninactive_file 100\n",
        cpu__max="max 100000\n",
    )
    assert cgroup.memory(str(tmp_path), str(own)) == 800
    assert cgroup.cpus(str(tmp_path), str(own)) is None
    put(service.parent, memory__max="500\n", memory__current="400\n", cpu__max="150000 100000\n")
    assert cgroup.memory(str(tmp_path), str(own)) == 100
    assert cgroup.cpus(str(tmp_path), str(own)) == 1.5


def test_limits_of_version_1(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("4:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n0::/\n")
    assert cgroup.memory(str(tmp_path), str(own)) is None
    # Docker mounts the container's group as the root: its place is not to be seen from inside.
    put(tmp_path / "cpu", cpu__cfs_quota_us="50000", cpu__cfs_period_us="100000")
    put(
        tmp_path / "memory",
        memory__limit_in_bytes="700",
        memory__usage_in_bytes="500",
        memory__stat="total_inactive_file 50\n",
    )
    assert cgroup.memory(str(tmp_path), str(own)) == 250
    assert cgroup.cpus(str(tmp_path), str(own)) == 0.5
    put(tmp_path / "cpu", cpu__cfs_quota_us="-1")
    assert cgroup.cpus(str(tmp_path), str(own)) is None


def test_no_control_groups(tmp_path: Path) -> None:
    assert cgroup.memory(str(tmp_path), str(tmp_path / "own")) is None
    assert cgroup.cpus(str(tmp_path), str(tmp_path / "own")) is None


def test_memory_that_the_process_needs_itself_is_never_lent() -> None:
    memory = Reservation(1000, own=300)
    assert (memory.reserved, memory.largest) == (300, 700)
    with memory.hold(700) as held:
        assert memory.reserved == 1000
        with pytest.raises(MoreMemory):
            held.grow(701)
    memory.withhold(650)
    with memory.hold(700):  # short of memory: one at a time, but each gets its turn
        later = threading.Thread(target=take, args=(memory, 10))
        later.start()
        wait_for("somebody in line", lambda: bool(memory._line))
    later.join(5)
    assert not later.is_alive()
    assert memory.reserved == 300


def take(memory: Reservation, amount: int) -> None:
    with memory.hold(amount):
        pass


def test_the_beat_grows_a_pool_that_idles_and_looks_at_nothing_without_work(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    metrics, queue, pool = Metrics("test"), JobQueue(100), ElasticPool(2)
    memory = Reservation(10**9)
    beat = Balance(pool, queue, memory, metrics, clock=lambda: now[0])
    beat.bound(2, 4, auto_memory=False)
    looked: list[float] = []

    def cpu_share() -> float:
        looked.append(now[0])
        return 0.2

    monkeypatch.setattr(beat, "_cpu_share", cpu_share)
    beat.beat()
    assert looked == []
    for number in range(9):
        queue.offer(Job("inbox", b"%d.jpg" % number, Lane.BACKLOG, 0.0, 0.0))
    for _ in range(4):
        beat.beat()
        beat.beat()  # within the same moment: nothing
        now[0] += scaling.BEAT_SECONDS
    assert pool.size == 4  # the first look only marks where the time begins
    assert len(looked) == 4
    assert metrics.value("hotfolder_pool_resizes_total", reason="cpu_idle") == 2
    assert metrics.value("hotfolder_workers_bound", bound="high") == 4
    pool.shutdown()
