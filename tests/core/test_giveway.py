"""Who comes first where several have lost races, for how long, and what ends it."""

from __future__ import annotations

import pytest

from paxosstore.core.batch.evaluate import Evaluated
from paxosstore.core.batch.overlay import WriteBatch
from paxosstore.core.entity.entity import NEVER, Entity
from paxosstore.core.entity.writes import InFlight
from paxosstore.core.entry.record import Value
from paxosstore.core.handover.handover import HandOvers
from paxosstore.core.interface.message import GiveWay
from paxosstore.core.log.giveway import ATTEMPTS, LEAST_MS, RightOfWay
from paxosstore.core.log.log import Log
from paxosstore.core.turn.admission import Admission
from paxosstore.core.turn.context import Context, Identity
from paxosstore.core.turn.entities import Entities
from paxosstore.settings import ClusterSettings, TuningSettings
from paxosstore.storage.body import MsgpackBodyCodec

from .support import AloneOperation, DictReader, Operation, uuid

ENTITY = 7
ME = 1
TUNING = TuningSettings(lease_ms=10.0, give_way_ms=500.0)


class Way:
    """A node's right of way at one entity, and what it says."""

    def __init__(self) -> None:
        self.context = Context(Identity(ClusterSettings("test", 5), TUNING, ME, 1), DictReader(), MsgpackBodyCodec(), {})
        self.context.now_ms = 1_000.0
        self.way = RightOfWay(self.context, Entities(self.context))
        self.entity = Entity(ENTITY)

    def loses(self, entry: int, took_ms: float = 40.0, request: Operation | None = None) -> None:
        self.entity.writes.queue.append(request or Operation(ENTITY, b"incr c"))
        self._decided(entry, took_ms, chosen=False)

    def wins(self, entry: int) -> None:
        self.entity.writes.queue.clear()
        self._decided(entry, 1.0, chosen=True)

    def _decided(self, entry: int, took_ms: float, *, chosen: bool) -> None:
        evaluated = Evaluated(entry, WriteBatch(), [], [])
        self.way.decided(self.entity, InFlight(evaluated, Value(b"", b""), 1, self.context.now_ms - took_ms), chosen)

    def is_asked(self, peer: int, since: int, for_ms: int = 200) -> bool:
        """Whether this node gives way to that peer then."""
        self.way.asked(self.entity, peer, GiveWay(ENTITY, since, for_ms))
        return self.way.gives_way(self.entity) and self.entity.way.given is not None and self.entity.way.given.peer == peer

    @property
    def said(self) -> list[GiveWay]:
        """To every peer, once each."""
        messages = self.context.ready.early.messages
        peers = [peer for peer, _ in messages[: len(self.context.peers)]]
        assert peers == self.context.peers[: len(messages)]
        said = [message for _, message in messages[:: len(peers) or 1]]
        messages.clear()
        assert all(isinstance(message, GiveWay) for message in said)
        return said  # type: ignore[return-value]  # as just asserted


@pytest.fixture
def way() -> Way:
    return Way()


def test_an_entity_stays_in_memory_while_a_peer_comes_first(way: Way) -> None:
    way.way.asked(way.entity, 2, GiveWay(ENTITY, 3, 200))
    way.way.remember(way.entity)
    assert way.entity.wake_ms == 1_200.0, "it is not idle (rule 18), and is looked at again then"
    way.entity.wake_ms = NEVER
    way.context.now_ms = 1_200.0
    way.way.remember(way.entity)
    assert way.entity.wake_ms == NEVER


def test_who_has_not_lost_asks_nobody_and_waits_for_nobody(way: Way) -> None:
    assert not way.way.asks(way.entity)
    assert not way.way.gives_way(way.entity)
    assert way.said == []


def test_after_a_loss_the_others_are_asked_once_and_given_a_moment(way: Way) -> None:
    way.loses(5, took_ms=40.0)
    assert way.way.asks(way.entity)
    assert way.said == [GiveWay(ENTITY, 5, int(TUNING.lease_ms + ATTEMPTS * 40.0))]
    way.context.now_ms += TUNING.lease_ms - 1.0
    assert way.way.asks(way.entity)
    assert way.entity.wake_ms == way.context.now_ms + 1.0
    way.context.now_ms += 1.0
    assert not way.way.asks(way.entity)
    assert way.said == []


def test_quick_requests_wait_no_longer_than_they_take(way: Way) -> None:
    way.loses(5, took_ms=2.0)
    assert way.way.asks(way.entity)
    assert way.said == [GiveWay(ENTITY, 5, int(2.0 + LEAST_MS))]
    way.context.now_ms += 2.0
    assert not way.way.asks(way.entity)


def test_each_loss_asks_again_and_the_claim_grows_older(way: Way) -> None:
    way.loses(5)
    way.way.asks(way.entity)
    way.loses(9)
    way.way.asks(way.entity)
    assert [message.since for message in way.said] == [5, 5]
    way.wins(10)
    way.loses(12)
    way.way.asks(way.entity)
    assert [message.since for message in way.said] == [12]


def test_a_request_for_exactly_one_entry_asks_for_nothing(way: Way) -> None:
    """It is refused at once: its entry is taken."""
    request = Operation(ENTITY, b"incr c")
    request.at_entry = 5
    way.loses(5, request=request)
    assert not way.way.asks(way.entity)


def test_the_others_are_told_when_nothing_waits_any_more(way: Way) -> None:
    way.loses(5)
    way.way.asks(way.entity)
    assert len(way.said) == 1
    way.way.withdraw(way.entity)
    assert way.said == [GiveWay(ENTITY, 5, 0)]
    way.loses(8)
    way.way.withdraw(way.entity)
    assert way.said == [], "nobody had been asked"


def test_given_until_a_value_of_the_asker_is_chosen(way: Way) -> None:
    assert way.is_asked(3, since=6)
    given = way.entity.way.given
    assert given is not None
    way.entity.way.chosen(7, origin=2)
    assert way.entity.way.given is given
    way.entity.way.chosen(6, origin=3)
    assert way.entity.way.given is given, "that one came before it lost"
    way.entity.way.chosen(7, origin=3)
    assert way.entity.way.given is None


def test_given_until_the_asker_needs_it_no_longer(way: Way) -> None:
    assert way.is_asked(3, since=6)
    way.is_asked(2, since=6, for_ms=0)
    assert way.way.gives_way(way.entity), "that was another peer"
    assert not way.is_asked(3, since=6, for_ms=0)


def test_not_for_ever_whatever_is_asked_for(way: Way) -> None:
    assert way.is_asked(3, since=6, for_ms=2**62)
    way.entity.writes.queue.append(Operation(ENTITY, b"incr c"))
    way.context.now_ms += TUNING.give_way_ms
    assert not way.way.gives_way(way.entity)
    assert way.context.counters.way_given_in_vain == 1


def test_not_again_before_the_own_batch_is_decided(way: Way) -> None:
    assert way.is_asked(3, since=6)
    way.entity.writes.queue.append(Operation(ENTITY, b"incr c"))
    way.context.now_ms += 200.0
    assert not way.way.gives_way(way.entity)
    assert not way.is_asked(3, since=6)
    assert not way.is_asked(2, since=1)
    way.wins(7)
    assert way.is_asked(3, since=6)


def test_not_to_a_peer_that_is_down(way: Way) -> None:
    assert way.is_asked(3, since=6)
    way.context.reach.down(3, "killed", way.context.now_ms)
    assert not way.way.gives_way(way.entity)


def test_the_oldest_comes_first_then_the_lowest_number(way: Way) -> None:
    assert way.is_asked(3, since=6)
    assert not way.is_asked(4, since=6)
    assert not way.is_asked(2, since=7)
    assert way.is_asked(2, since=6)
    assert way.is_asked(4, since=5)


def test_who_has_waited_for_longer_oneself_goes_first(way: Way) -> None:
    way.loses(6)
    assert not way.is_asked(3, since=7)
    assert not way.is_asked(2, since=6), "node 1 comes before node 2"
    assert way.is_asked(0, since=6)
    assert way.is_asked(3, since=5)


def test_who_has_given_way_asks_again_afterwards(way: Way) -> None:
    """Others may have given way to that peer instead."""
    way.loses(6)
    way.way.asks(way.entity)
    assert way.is_asked(3, since=5)
    assert way.entity.way.given is not None
    way.entity.way.chosen(8, origin=3)
    assert way.way.asks(way.entity)
    assert [message.since for message in way.said] == [6, 6]


# -- rather than compete: what waits is handed over


class Loser:
    """Node 1 has lost to node 0, which is up, and requests wait."""

    def __init__(self, *requests: Operation, max_batch_requests: int = 100) -> None:
        identity = Identity(ClusterSettings("test", 3), TuningSettings(max_batch_requests=max_batch_requests), ME, 1)
        self.context = Context(identity, DictReader(), MsgpackBodyCodec(), {})
        entities = Entities(self.context)
        self.handovers = HandOvers(self.context, entities, Log(self.context), Admission(self.context, entities))
        self.handovers.peers[0].up = True
        self.entity = Entity(ENTITY)
        self.entity.log.last_origin = 0
        self.entity.writes.queue.extend(requests)

    def hands_over(self) -> int | None:
        """How many; None: it competes."""
        before = len(self.context.ready.early.messages)
        if not self.handovers.send_waiting(self.entity):
            return None
        return len(self.context.ready.early.messages) - before


def increments(count: int) -> list[Operation]:
    return [Operation(ENTITY, b"incr c", uuid=uuid(str(number))) for number in range(count)]


def test_all_that_waits_is_handed_over_in_order() -> None:
    requests = increments(3)
    loser = Loser(*requests)
    assert loser.hands_over() == 3
    assert [message.uuid for _, message in loser.context.ready.early.messages] == [  # type: ignore[union-attr]  # hand-overs only
        request.uuid for request in requests
    ]
    assert not loser.entity.writes.queue


def test_not_what_only_this_node_can_run_nor_what_is_behind_it() -> None:
    assert Loser(*increments(2), AloneOperation(ENTITY, b"incr c")).hands_over() is None


def test_not_to_a_suspect_nor_to_oneself() -> None:
    loser = Loser(*increments(1))
    loser.handovers.peers[0].suspect_until_ms = 10.0
    assert loser.hands_over() is None
    loser.entity.log.last_origin = ME
    assert loser.hands_over() is None


def test_not_before_the_loss_is_durable() -> None:
    """Found on rows that a crash forgets: the lost value might yet be chosen, and its requests are to run under other uuids."""
    loser = Loser(*increments(1))
    loser.entity.writes.lost_turn = 5
    loser.context.durable_turn = 4
    assert loser.hands_over() == 0
    assert loser.entity.wake_ms == loser.context.now_ms
    loser.context.durable_turn = 5
    assert loser.hands_over() == 1


def test_one_batch_at_a_time() -> None:
    loser = Loser(*increments(10), max_batch_requests=4)
    assert loser.hands_over() == 4
    assert loser.hands_over() is None, "the rest waits for these"
    assert len(loser.entity.writes.queue) == 6


def test_a_repetition_waits_for_what_it_repeats() -> None:
    one, two = increments(2)
    again = Operation(ENTITY, b"incr c", uuid=one.uuid)
    loser = Loser(one, again, two)
    assert loser.hands_over() == 1
    assert list(loser.entity.writes.queue) == [again, two]
