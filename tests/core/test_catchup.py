"""Whom a catch-up asks and when, and what it may be told."""

from __future__ import annotations

from paxosstore.core.batch.overlay import WriteBatch
from paxosstore.core.entity.catchup import CatchUpState, learned_from
from paxosstore.core.entry.ids import NOBODY
from paxosstore.core.entry.record import Record, Value
from paxosstore.core.interface.event import LogLoaded
from paxosstore.core.interface.message import CatchUpReply, Learned
from paxosstore.core.interface.ready import Apply
from paxosstore.core.shard.shard import Shard
from paxosstore.core.turn.context import Identity
from paxosstore.settings import ClusterSettings, TuningSettings
from paxosstore.storage.body import MsgpackBodyCodec
from paxosstore.storage.memory import MemoryStore

V = Value(b"v", b"body")
CHOSEN = Record(4, 4, 4, V, True)


def test_whoever_is_ahead_is_asked_first_and_then_the_others_in_turn() -> None:
    state = CatchUpState()
    state.news_from(2)
    order = []
    for _ in range(6):
        order.append(state.next_peer(5, 0))
        state.asked(0.0)
    assert order == [2, 3, 4, 1, 2, 3]


def test_it_never_asks_itself() -> None:
    for me in range(3):
        state = CatchUpState()
        for _ in range(6):
            assert state.next_peer(3, me) != me
            state.asked(0.0)


def test_it_waits_between_two_requests_and_not_after_news() -> None:
    state = CatchUpState()
    assert state.due(0.0, 100.0)
    state.asked(50.0)
    assert not state.due(149.0, 100.0)
    assert state.due(150.0, 100.0)
    state.asked(150.0)
    state.news_from(1)
    assert state.due(151.0, 100.0)


def test_a_peer_that_has_nothing_is_passed_by_at_once_once_around() -> None:
    state = CatchUpState()
    for _ in range(2):
        state.asked(50.0)
        if state.attempts < 2:
            state.had_nothing(2)
            assert state.due(51.0, 100.0)
    state.had_nothing(2)
    assert not state.due(51.0, 100.0)


def test_only_the_unbroken_run_of_chosen_rows_is_told() -> None:
    leftover = Record(0, 4, 4, V)  # accepted, perhaps lost: rule 3
    assert [one.entry for one in learned_from(3, [(3, CHOSEN), (4, CHOSEN), (5, leftover), (6, CHOSEN)])] == [3, 4]
    assert [one.entry for one in learned_from(3, [(3, CHOSEN), (5, CHOSEN)])] == [3]
    assert learned_from(3, [(3, leftover), (4, CHOSEN)]) == []
    assert learned_from(3, []) == []
    (one,) = learned_from(3, [(3, CHOSEN)])
    assert (one.ballot, one.value_id, one.body) == (4, b"v", b"body")


def test_nothing_is_told_that_begins_behind_what_was_asked_for() -> None:
    """The asker could not apply it, and would ask for the same again and again instead of for a snapshot (rule 17)."""
    assert learned_from(3, [(4, CHOSEN), (5, CHOSEN)]) == []


def test_whoever_no_longer_has_an_entry_is_not_asked_for_it_again() -> None:
    state = CatchUpState()
    for _ in range(3):
        state.news_from(2)  # it is ahead, and says so all the time
        state.lacks(2, gone=True)
        assert state.offer == 2
        assert state.next_peer(3, 0) == 1
        state.asked(0.0)
    state.lacks(1, gone=True)  # then nobody has it: whoever is asked, it ends
    assert state.next_peer(3, 0) in (1, 2)


def test_who_never_had_an_entry_offers_nothing_and_may_be_asked_again() -> None:
    state = CatchUpState()
    state.news_from(2)
    state.lacks(2, gone=False)
    assert state.offer == NOBODY
    assert state.next_peer(3, 0) == 2


def test_what_has_come_says_nothing_of_the_next() -> None:
    state = CatchUpState()
    state.lacks(1, gone=True)
    state.has_come()
    assert (state.offer, state.lacking) == (NOBODY, {})


def test_what_has_left_memory_is_told_from_the_disk() -> None:
    """A peer has asked for entries, and the entity was let go of before they were read: it is not loaded for that."""
    store = MemoryStore()
    row = Record(4, 4, 4, Value(b"v" * 16, b"body"), True)
    store.write({(7, 1): row}, [Apply(7, 1, WriteBatch())])
    shard = Shard(Identity(ClusterSettings("test"), TuningSettings(), 0, 1), store, MsgpackBodyCodec(), {})
    shard.step(LogLoaded(7, 1, [(1, row)], 1), 0.0, 0)
    ready = shard.ready()
    assert ready.early.messages == [(1, CatchUpReply(7, 1, [Learned(1, 4, b"v" * 16, b"body")]))]
    assert ready.loads == []
    shard.step(LogLoaded(7, 1, [], 1), 0.0, 0)
    assert shard.ready().early.messages == [(1, CatchUpReply(7, 1, [], True))], "its row is gone (rule 17)"
