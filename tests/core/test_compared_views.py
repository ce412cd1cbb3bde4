"""Views that are compared, message by message: each shows an entity at exactly one entry, and holds nothing up for long."""

from __future__ import annotations

from typing import Any

import pytest

from paxosstore.core.batch.overlay import DATA, UUID, WriteBatch
from paxosstore.core.entry.ids import value_id
from paxosstore.core.interface.comparison import Comparison
from paxosstore.core.interface.event import Compare, Event, PeerUp, Received
from paxosstore.core.interface.message import CatchUpReply, CatchUpRequest, CompareReply, CompareRequest, Learned, Message
from paxosstore.core.interface.ready import Apply, BeginInstall, InstallRows, Release, StopEntity
from paxosstore.core.shard.shard import Shard
from paxosstore.core.turn.context import Identity
from paxosstore.core.verify.digest import digest_of
from paxosstore.core.verify.views import MAX_VIEWS, WAIT_MS
from paxosstore.errors import DiskFull
from paxosstore.settings import ClusterSettings, TuningSettings
from paxosstore.storage.body import MsgpackBodyCodec
from paxosstore.storage.memory import MemoryStore
from paxosstore.storage.turn import Turn

from .support import HANDLERS

E = 7
CODEC = MsgpackBodyCodec()
ALL = 1 << 20


def row(name: str) -> tuple[bytes, bytes]:
    return DATA + name.encode(), name.upper().encode()


class Node:
    """Node 0 of three. Its entity E is applied through entry 1, with a row for each letter."""

    def __init__(self, rows: str = "abc", **tuning: Any) -> None:
        self.store = MemoryStore()
        self.store.write({}, [Apply(E, 1, WriteBatch(dict(map(row, rows))))])
        identity = Identity(ClusterSettings("test"), TuningSettings(**{"snapshot_timeout_ms": 1_000.0, **tuning}), 0, 5)
        self.shard = Shard(identity, self.store, CODEC, HANDLERS)
        self.now_ms = 1_000.0
        self.said: list[tuple[int, Message]] = []
        self.committed: list[int] = []
        """After each turn."""
        self._turn = Turn(self.shard, self.store, self._release)

    def run(self, *events: Event) -> None:
        inbox: list[Any] = list(events)
        for _ in range(20):
            if self._turn.begin(inbox, self.now_ms, 0):
                self.store.sync()
            self.committed.append(self.store.committed_entry(E))
            inbox = self._turn.finish(self.now_ms, 0)
            if not inbox and self.shard.next_deadline_ms > self.now_ms:
                return
        raise AssertionError("it never comes to rest")

    def wait(self, ms: float) -> None:
        last = self.now_ms + ms
        while (due := self.shard.next_deadline_ms) <= last:
            self.now_ms = max(self.now_ms, due)
            self.run()
        self.now_ms = last

    def ask(self, entry: int, number: int = 9, peer: int = 1, **fields: Any) -> list[CompareReply]:
        """What it answers to a question at once."""
        self.run(Received(peer, [CompareRequest(E, number, entry, **{"after": b"", "limit": ALL, **fields})]))
        return self.replies()

    def replies(self) -> list[CompareReply]:
        found = [message for _, message in self.said if isinstance(message, CompareReply)]
        self.said = [item for item in self.said if not isinstance(item[1], CompareReply)]
        return found

    def learns(self, first: int, last: int) -> None:
        """A peer tells what was chosen at these entries: each puts a row named after it."""
        entries = [
            Learned(entry, 1, value_id(1, 1, entry), CODEC.encode(WriteBatch(dict([row(f"e{entry}")]))))
            for entry in range(first, last + 1)
        ]
        self.run(Received(1, [CatchUpReply(E, last, entries)]))

    @property
    def open_views(self) -> int:
        return len(self.store._views)

    def _release(self, release: Release) -> None:
        self.said += release.messages


def test_an_entity_is_shown_at_its_entry_without_being_loaded() -> None:
    node = Node()
    (reply,) = node.ask(1)
    assert (reply.why_not, reply.entry, reply.row_count, reply.last, reply.more) == ("", 1, 3, DATA + b"c", False)
    assert reply.digest == digest_of(map(row, "abc"))
    assert reply.rows is None
    assert node.shard.entity(E) is None


def test_nothing_runs_idle_while_a_peer_is_waited_for() -> None:
    node = Node()
    comparison = Comparison(E, 1e9)
    node.run(PeerUp(1), PeerUp(2), Compare(comparison))  # its own view is read by then
    (asked, _) = [message for _, message in node.said if isinstance(message, CompareRequest)]
    assert node.shard.next_deadline_ms > node.now_ms
    shown = CompareReply(E, asked.number, 1, b"", "", digest_of(map(row, "abc")), 6, 3, DATA + b"c", False)
    node.run(Received(1, [shown]), Received(2, [shown]))
    assert comparison.result is not None
    assert (comparison.result.nodes, comparison.result.differing) == ((0, 1, 2), 0)


def test_what_a_turn_has_shown_that_was_not_written_is_told_to_nobody() -> None:
    """A comparison that begins in the turn of an entry, on a disk that takes no write (seed 86011768)."""
    node = Node()
    node.run(PeerUp(1), PeerUp(2))
    node.learns(1, 1)  # it is in memory now
    node.store.fail_next_write = DiskFull("no room")
    learned = Learned(2, 1, value_id(1, 1, 2), CODEC.encode(WriteBatch(dict([row("e2")]))))
    node.run(Received(1, [CatchUpReply(E, 2, [learned])]), Compare(Comparison(E, 1e9)))
    node.wait(500.0)
    asked = [message for _, message in node.said if isinstance(message, CompareRequest)]
    assert asked
    assert {(request.entry, request.known) for request in asked if request.limit} == {(1, 1)}


def test_the_digest_is_of_all_spaces() -> None:
    node = Node()
    (before,) = node.ask(1)
    node.store.write({}, [Apply(E, 2, WriteBatch({UUID + b"x": b"outcome"}))])
    (after,) = node.ask(2, number=10)
    assert before.digest != after.digest
    assert after.last == UUID + b"x"


def test_pieces_follow_each_other_and_each_may_be_asked_for_again() -> None:
    node = Node("abcd")
    (first,) = node.ask(1, limit=5)
    assert (first.row_count, first.last, first.more) == (2, DATA + b"b", True)
    node.store.write({}, [Apply(E, 2, WriteBatch({DATA + b"c": b"later"}))])
    (second,) = node.ask(1, limit=5, after=first.last)
    assert second.digest == digest_of(map(row, "cd"))
    assert node.ask(1, limit=5, after=first.last) == [second]
    (listed,) = node.ask(1, limit=5, after=first.last, lists=True)
    assert listed.rows is not None
    assert [(key, length) for key, length, _ in listed.rows] == [(DATA + b"c", 1), (DATA + b"d", 1)]
    assert node.ask(1, limit=5, after=DATA + b"a")[0].why_not == "gone"


def test_a_view_may_begin_behind_a_key() -> None:
    (reply,) = Node().ask(1, after=DATA + b"a")
    assert reply.digest == digest_of(map(row, "bc"))


def test_who_has_passed_the_entry_says_so() -> None:
    node = Node()
    node.store.write({}, [Apply(E, 2, WriteBatch())])
    (reply,) = node.ask(1)
    assert (reply.why_not, reply.entry) == ("passed", 2)
    assert node.open_views == 0


def test_who_does_not_come_to_the_entry_says_so_after_a_while() -> None:
    node = Node()
    assert node.ask(5) == []
    node.wait(WAIT_MS - 1.0)
    assert node.replies() == []
    node.wait(2.0)
    (reply,) = node.replies()
    assert (reply.why_not, reply.entry) == ("behind", 1)
    node.learns(2, 9)
    assert node.store.committed_entry(E) == 9  # nothing holds it up any more


def test_applying_stops_at_the_entry_until_the_view_is_open() -> None:
    node = Node()
    node.ask(5)
    node.learns(2, 9)
    (reply,) = node.replies()
    assert (reply.why_not, reply.entry) == ("", 5)
    assert reply.digest == digest_of(sorted(map(row, ["a", "b", "c", "e2", "e3", "e4", "e5"])))
    assert 5 in node.committed
    assert node.store.committed_entry(E) == 9


def test_several_may_wait_for_entries_of_their_own() -> None:
    node = Node()
    node.ask(6, peer=2)
    node.ask(4, peer=1)
    node.learns(2, 9)
    assert sorted((reply.entry, reply.why_not) for reply in node.replies()) == [(4, ""), (6, "")]
    assert node.store.committed_entry(E) == 9


def test_who_lacks_what_others_have_learns_it() -> None:
    node = Node()
    node.ask(3, known=3)
    ((peer, asked),) = [(peer, message) for peer, message in node.said if isinstance(message, CatchUpRequest)]
    assert (peer, asked.first) == (1, 2)
    node.learns(2, 3)
    assert [(reply.entry, reply.why_not) for reply in node.replies()] == [(3, "")]


def test_data_that_a_copy_is_written_beside_is_shown() -> None:
    node = Node()
    before = node.ask(1)
    node.store.write({}, [], [BeginInstall(E), InstallRows(E, [(b"dcopied", b"x")])])
    after = node.ask(1)
    assert [(reply.why_not, reply.digest) for reply in after] == [("", before[0].digest)]


def test_a_stopped_entity_is_not_shown() -> None:
    node = Node()
    node.store.write({}, [], [StopEntity(E, f"1 {ID.hex()} {ID.hex()} 1")])
    node.shard.context.stopped[E] = None  # type: ignore[assignment]  # that it is there is all that counts
    assert [reply.why_not for reply in node.ask(1)] == ["stopped"]


ID = bytes(16)


def test_views_are_bounded_in_number() -> None:
    node = Node()
    for number in range(1, MAX_VIEWS + 1):
        node.run(Received(1, [CompareRequest(E + number, number, 5, b"", ALL)]))
    assert [reply.why_not for reply in node.ask(1, number=1_000)] == ["busy"]


def test_a_new_view_takes_the_place_of_the_askers_old_one() -> None:
    node = Node("abcd")
    node.ask(1, number=9, limit=3)
    node.ask(1, number=10, limit=3)
    assert node.open_views == 1


@pytest.mark.parametrize("close", [True, False])
def test_a_view_is_closed_when_it_is_told_so_or_not_asked_for(close: bool) -> None:
    node = Node("abcd")
    node.ask(1, limit=3)
    assert node.open_views == 1
    if close:
        node.ask(1, limit=0)
    else:
        node.wait(1_000.0)
        node.run()
    assert node.open_views == 0


def test_a_turn_that_is_not_written_leaves_nothing_that_waits() -> None:
    node = Node()
    node.ask(3)
    node.store.fail_next_write = DiskFull("no room")
    node.learns(2, 5)
    assert node.replies() == []
    assert node.shard.context.pauses == {}
