"""Who is guilty of a failure: what another's fault put off is not held against the image."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from hotfolder import faults
from hotfolder.errors import Owner, Reason, SourceError
from hotfolder.faults import Operation
from hotfolder.index.sources import Row
from hotfolder.model import State, Version
from hotfolder.pipeline import retries
from hotfolder.pipeline.retries import Retries
from hotfolder.renderers import children
from hotfolder.watches.grounds import _raise_shortage


def row(tries: int, put_off: int) -> Row:
    return Row(
        id=1,
        folder_id=1,
        name=b"1.jpg",
        version=Version(1, 1, 1, 1),
        state=State.PENDING,
        made="",
        tries=tries,
        young=True,
        gone=0,
        extra="",
        put_off=put_off,
    )


def test_failures_of_others_use_up_no_tries() -> None:
    patient = Retries(patient=True)
    assert patient.waits_for_more(row(0, 99))
    assert not patient.waits_for_more(row(5, 0))
    assert patient.delay(Reason.IO_ERROR, 1, 0, young=False) == retries.PASSING_DELAYS[0]
    assert patient.delay(Reason.OUTPUT_ERROR, 0, 3, young=False) == retries.INNOCENT_DELAYS[2]
    assert patient.delay(Reason.OUTPUT_ERROR, 0, 99, young=False) == retries.INNOCENT_DELAYS[-1]


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EMFILE, errno.ENOMEM, errno.ENOENT])
def test_a_helper_that_cannot_be_started_is_the_machines_fault(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, "refused")

    monkeypatch.setattr(children, "Process", refuse)
    with pytest.raises(SourceError, match="a helper process cannot be started") as caught:
        children.Child(1.0)
    assert caught.value.reason is Reason.SHORTAGE
    assert caught.value.reason.owner is Owner.MACHINE


def test_a_helper_that_ends_at_once_is_the_machines_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    if not Path("/bin/false").exists():
        pytest.skip("there is no /bin/false")
    with pytest.raises(SourceError, match="it ended with status") as caught:
        children.Child(1.0)
    assert caught.value.reason is Reason.SHORTAGE


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_a_shortage_says_nothing_of_a_root(number: int) -> None:
    assert faults.owner(number, Operation.REACH) is Owner.MACHINE
    with pytest.raises(OSError, match="x"):
        _raise_shortage(OSError(number, "x"))
    _raise_shortage(OSError(errno.ENOENT, "x"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_and_a_used_up_quota_ask_for_space(number: int) -> None:
    found = faults.failure(OSError(number, "x"), Operation.WRITE, "the output /out cannot be written")
    assert (found.reason, found.reason.owner) == (Reason.OUTPUT_ERROR, Owner.OUTPUT)
    assert found.message.endswith("; free some space")
