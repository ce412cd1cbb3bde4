"""Whom a catch-up asks and when, and what it may be told."""

from __future__ import annotations

from paxosstore.core.entity.catchup import CatchUpState, learned_from
from paxosstore.core.entry.record import Record, Value
from paxosstore.core.interface.event import PeerUp
from paxosstore.core.interface.message import InventoryRequest
from paxosstore.core.interface.ready import InventoryRead
from paxosstore.core.log.learn import INVENTORY_PAGE
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
    assert [one.entry for one in learned_from([(3, CHOSEN), (4, CHOSEN), (5, leftover), (6, CHOSEN)])] == [3, 4]
    assert [one.entry for one in learned_from([(3, CHOSEN), (5, CHOSEN)])] == [3]
    assert learned_from([(3, leftover), (4, CHOSEN)]) == []
    assert learned_from([]) == []
    (one,) = learned_from([(3, CHOSEN)])
    assert (one.ballot, one.value_id, one.body) == (4, b"v", b"body")


def test_a_link_that_comes_up_tells_the_peer_what_is_here() -> None:
    """The peer's own question may have come before, and the answer was lost for want of this link: it lagged for long."""
    store = MemoryStore()
    shard = Shard(Identity(ClusterSettings("test"), TuningSettings(), 0, 1), store, MsgpackBodyCodec(), {})
    shard.step(PeerUp(1), 0.0, 0)
    ready = shard.ready()
    assert ready.early.messages == [(1, InventoryRequest(-1, INVENTORY_PAGE))]
    assert ready.inventory_reads == [InventoryRead(-1, INVENTORY_PAGE, 1)]
