"""What is taken for clients that wait: noted, given, given back by this process or the next one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from paxosstore.core.batch.request import Request
from paxosstore.errors import NoQuorum, OutcomeUnknown, PaxosStoreError, RequestFailed
from paxosstore.services.redis.waiting import in_doubt
from paxosstore.services.redis.waiting.giveback import GiveBack
from paxosstore.services.redis.waiting.in_doubt import FILE, SLOT_BYTES, SLOTS, InDoubt, Note
from paxosstore.services.redis.waiting.takings import Asked, NodeTakings

BOOT = b"this boot"
POP = [b"BRPOP", b"q", b"0"]
GOT = b"*2\r\n$1\r\nq\r\n$1\r\na\r\n"


def note(number: int, words: list[bytes] = POP) -> Note:
    return Note(number.to_bytes(16, "big"), 7, 2, words, 40)


class Desk:
    """A store that answers when it is told to, and a clock that does not go by itself."""

    def __init__(self, directory: Path | None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(in_doubt, "boot_id", lambda: BOOT)
        self.asked: list[Request] = []
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.takings = NodeTakings(self.asked.append, lambda seconds, call: self.later.append((seconds, call)))
        self.takings.open(directory)
        self.takings.go_on()

    def answer(self, reply: bytes, error: PaxosStoreError | None = None) -> Request:
        (request,) = self.asked
        self.asked.clear()
        request.settle(reply, error)
        return request


# -- the file


def test_what_is_not_crossed_out_the_next_process_finds(tmp_path: Path) -> None:
    first = InDoubt(tmp_path, BOOT)
    for number in range(4):
        assert first.note(note(number))
    first.cross_out(note(1).uuid)
    first.cross_out(note(1).uuid)
    first.cross_out(note(9).uuid)
    second = InDoubt(tmp_path, BOOT)  # nobody closed the first: it was killed
    assert sorted(second.notes.values()) == [note(0), note(2), note(3)]
    for number in (0, 2):
        second.cross_out(note(number).uuid)
    assert second.note(note(5))
    assert sorted(InDoubt(tmp_path, BOOT).notes.values()) == [note(3), note(5)]


def test_after_the_machine_was_started_anew_nothing_is_believed(tmp_path: Path) -> None:
    InDoubt(tmp_path, BOOT).note(note(1))
    assert not InDoubt(tmp_path, b"the next boot").notes
    assert not InDoubt(tmp_path, BOOT).notes


def test_where_the_boot_is_not_known_there_is_no_file(tmp_path: Path) -> None:
    notes = InDoubt(tmp_path, b"")
    assert notes.note(note(1))
    assert not list(tmp_path.iterdir())


def test_there_are_so_many_of_such_a_size(tmp_path: Path) -> None:
    notes = InDoubt(tmp_path, BOOT)
    assert not notes.note(note(0, [b"BRPOP", b"x" * SLOT_BYTES, b"0"]))
    for number in range(SLOTS - 1):
        assert notes.note(note(number))
    assert not notes.note(note(SLOTS))
    assert len(InDoubt(tmp_path, BOOT).notes.values()) == SLOTS - 1
    notes.cross_out(note(5).uuid)
    assert notes.note(note(SLOTS))
    assert (tmp_path / FILE).stat().st_size == SLOTS * SLOT_BYTES


def test_what_is_damaged_is_no_note(tmp_path: Path) -> None:
    notes = InDoubt(tmp_path, BOOT)
    for number in range(8):
        notes.note(note(number))
    whole = (tmp_path / FILE).read_bytes()
    for at in range(SLOT_BYTES, 3 * SLOT_BYTES, 7):
        flipped = bytearray(whole)
        flipped[at] ^= 0x10
        (tmp_path / FILE).write_bytes(flipped)
        left = InDoubt(tmp_path, BOOT).notes.values()
        assert set(map(repr, left)) <= {repr(note(number)) for number in range(8)}
        assert len(left) >= 7
    for size in (0, 1, 5, SLOT_BYTES - 1, SLOT_BYTES + 3):
        (tmp_path / FILE).write_bytes(whole[:size])
        assert not InDoubt(tmp_path, BOOT).notes
    (tmp_path / FILE).write_bytes(b"\xff" * len(whole))
    assert not InDoubt(tmp_path, BOOT).notes


def test_a_file_that_cannot_be_used_is_said_and_done_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FILE).mkdir()
    notes = InDoubt(tmp_path, BOOT)
    assert notes.note(note(1))
    notes.cross_out(note(1).uuid)
    assert FILE in caplog.text


def test_a_file_that_takes_no_more_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A note that cannot be crossed out would have something given to two clients."""

    def fails(*args: object) -> int:
        raise OSError(5, "as asked")

    notes = InDoubt(tmp_path, BOOT)
    notes.note(note(1))
    monkeypatch.setattr("os.pwrite", fails)
    notes.cross_out(note(1).uuid)
    assert "as asked" in caplog.text
    monkeypatch.undo()
    assert not InDoubt(tmp_path, BOOT).notes


# -- what becomes of them


def test_what_a_process_took_for_nobody_the_next_one_gives_back_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = Desk(tmp_path, monkeypatch)
    uuid = killed.takings.begin(7, 2, POP, 40, b"")
    assert len(uuid) == 16

    second = Desk(tmp_path, monkeypatch)
    asks = second.answer(GOT)
    assert isinstance(asks, Asked)
    assert (asks.entity, asks.uuid, asks.floor, asks.digest) == (7, uuid, 40, b"")
    (back,) = second.asked
    assert isinstance(back, GiveBack)

    third = Desk(tmp_path, monkeypatch)  # the second one was killed, too
    third.answer(GOT)
    (again,) = third.asked
    assert (again.uuid, again.payload()) == (back.uuid, back.payload()), "so that the store does it once"
    assert again.uuid not in (uuid, b"")
    third.answer(b":1\r\n")
    assert third.takings.given_back == 1
    assert not Desk(tmp_path, monkeypatch).asked


@pytest.mark.parametrize("found", [(b"*-1\r\n", None), (b"", RequestFailed("its client has gone: nothing was taken"))])
def test_who_took_nothing_gives_nothing_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: tuple[bytes, PaxosStoreError | None]
) -> None:
    Desk(tmp_path, monkeypatch).takings.begin(7, 2, POP, 0, b"")
    second = Desk(tmp_path, monkeypatch)
    second.answer(*found)
    assert not second.asked
    assert not Desk(tmp_path, monkeypatch).asked


def test_what_a_client_has_is_not_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Desk(tmp_path, monkeypatch)
    first.takings.settle(first.takings.begin(7, 2, POP, 0, b""))
    assert not Desk(tmp_path, monkeypatch).asked


def test_what_is_not_known_is_asked_again_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(tmp_path, monkeypatch)
    desk.takings.find_out(b"nobody's uuid ..")
    desk.takings.find_out(desk.takings.begin(7, 2, POP, 0, b"x" * 16))
    waited = 0.0
    for number in range(desk.takings.tries):
        desk.answer(b"", OutcomeUnknown("as asked") if number % 2 else NoQuorum("as asked"))
        for seconds, call in desk.later:
            waited += seconds
            call()
        desk.later.clear()
        assert all(request.uuid == b"x" * 16 for request in desk.asked)
    assert not desk.asked
    assert "not known" in caplog.text
    assert waited > 120.0
    assert not desk.takings.asking
    caplog.set_level(logging.INFO)
    assert len(Desk(tmp_path, monkeypatch).asked) == 1, "the next process tries it again"


def test_what_goes_back_is_tried_again_under_its_uuid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(tmp_path, monkeypatch)
    uuid = desk.takings.begin(7, 2, POP, 0, b"")
    desk.takings.give_back(7, POP, GOT, uuid)
    first = desk.answer(b"", OutcomeUnknown("as asked"))
    ((_, call),) = desk.later
    call()
    assert [request.uuid for request in desk.asked] == [first.uuid]
    desk.answer(b":1\r\n")
    assert (desk.takings.given_back, desk.takings.lost_back) == (1, 0)
    assert not Desk(tmp_path, monkeypatch).asked
