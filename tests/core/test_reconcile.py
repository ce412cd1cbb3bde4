"""Two nodes find out which entities differ, and no others are touched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest

from paxosstore.core.batch.overlay import WriteBatch
from paxosstore.core.entity.divergence import Divergence
from paxosstore.core.entry.record import Record, Value
from paxosstore.core.interface.digest import BUCKETS_ASKED, LEVELS, NODES_ASKED, bucket_of, entity_at, first_place, place_of
from paxosstore.core.interface.event import Event, PeerDown, PeerUp, Received, WriteFailed, WritesAllowed
from paxosstore.core.interface.message import (
    CatchUpReply,
    CatchUpRequest,
    CompareRequest,
    DigestReply,
    DigestRequest,
    InventoryReply,
    InventoryRequest,
    Learned,
    Message,
)
from paxosstore.core.interface.ready import Apply, NewEntity, Release
from paxosstore.core.log import learn, reconcile
from paxosstore.core.log.reconcile import Reconciliation
from paxosstore.core.shard.shard import Shard
from paxosstore.core.turn.context import Counters, Identity
from paxosstore.settings import ClusterSettings, TuningSettings
from paxosstore.storage import turn
from paxosstore.storage.body import MsgpackBodyCodec
from paxosstore.storage.memory import MemoryStore
from paxosstore.storage.turn import Turn

from .support import HANDLERS

ROW = Record(4, 4, 4, Value(b"v" * 16, MsgpackBodyCodec().encode(WriteBatch({b"dk": b"v"}))), True)
CROWD = [entity_at(first_place(5) + number * 1_000_003) for number in range(40)]
"""All of one bucket."""


def apply(store: MemoryStore, entities: Iterable[int], count: int = 1) -> None:
    """Apply so many entries to each."""
    for entity in entities:
        before = store.committed_entry(entity)
        for entry in range(before + 1, before + count + 1):
            changes = [] if entry > 1 else [NewEntity(entity)]
            store.write({(entity, entry): ROW}, [Apply(entity, entry, WriteBatch())], changes)
    store.sync()


class Node:
    """A shard and its store, turn by turn."""

    def __init__(self, pair: Pair, me: int, tuning: TuningSettings) -> None:
        self.store = MemoryStore()
        self.shard = Shard(Identity(ClusterSettings("test"), tuning, me, 1), self.store, MsgpackBodyCodec(), HANDLERS)
        self.turn = Turn(self.shard, self.store, lambda release: pair.release(me, release))
        self.inbox: list[Event] = []

    @property
    def counters(self) -> Counters:
        return self.shard.context.counters

    def lost(self, *kinds: type[Message]) -> None:
        """What of these kinds has come and was not taken in."""
        self.inbox = [event for event in self.inbox if not isinstance(event, Received) or type(event.messages[0]) not in kinds]


class Pair:
    """Nodes 0 and 1 of three; node 2 is away. Messages arrive in the next turn."""

    def __init__(self, **limits: float) -> None:
        tuning = TuningSettings(**limits)  # type: ignore[arg-type]  # all of them are numbers
        self.now_ms = 1_000.0
        self.sent: list[tuple[int, Message]] = []
        """(sender, message)"""
        self.nodes = [Node(self, me, tuning) for me in (0, 1)]

    def release(self, sender: int, release: Release) -> None:
        for peer, message in release.messages:
            self.sent.append((sender, message))
            if peer < 2:
                self.nodes[peer].inbox.append(Received(sender, [message]))

    def round(self) -> bool:
        """One turn at each; whether there was anything to do."""
        busy = [node for node in self.nodes if node.inbox or node.shard.next_deadline_ms <= self.now_ms]
        for node in busy:
            events, node.inbox = node.inbox, []
            node.turn.begin(events, self.now_ms, 0)
            node.store.sync()
            node.inbox += node.turn.finish(self.now_ms, 0)
        return bool(busy)

    def run(self, rounds: int = 10_000) -> None:
        """As long as there is anything to do at once."""
        for _ in range(rounds):
            if not self.round():
                return

    def later(self, ms: float) -> None:
        """Let time pass."""
        until = self.now_ms + ms
        while self.now_ms < until:
            self.run()
            self.now_ms = min(until, max(self.now_ms + 1.0, min(node.shard.next_deadline_ms for node in self.nodes)))
        self.run()

    def link(self) -> None:
        for me in (0, 1):
            self.nodes[me].inbox.append(PeerUp(1 - me))

    def count(self, sender: int) -> Counter[type[Message]]:
        return Counter(type(message) for node, message in self.sent if node == sender)

    @property
    def committed(self) -> list[dict[int, int]]:
        return [dict(node.store.committed()) for node in self.nodes]


def test_those_that_differ_are_found_and_no_others_touched() -> None:
    pair = Pair()
    mine, theirs = pair.nodes
    for node in pair.nodes:
        apply(node.store, range(3_000))
        apply(node.store, CROWD)
    changed = [*range(0, 3_000, 100), *CROWD[::7]]
    apply(theirs.store, changed, 3)
    pair.link()
    pair.later(3_000.0)
    assert pair.committed[0] == pair.committed[1]
    assert mine.counters.loads == mine.counters.entities_behind == len(changed)
    assert theirs.counters.entities_behind == 0
    listed = sum(len(message.entities) for _, message in pair.sent if isinstance(message, InventoryReply))
    assert listed < 2 * (len(changed) + len(CROWD)) + 20, "with few entities a bucket holds nothing else"


def test_what_only_one_knows_is_found_by_the_other() -> None:
    pair = Pair()
    apply(pair.nodes[0].store, [1, 2])
    apply(pair.nodes[1].store, [2, 3])
    pair.link()
    pair.later(3_000.0)
    assert pair.committed == [{1: 1, 2: 1, 3: 1}] * 2


def test_of_two_that_are_alike_the_digests_below_the_root_are_all_that_is_told() -> None:
    pair = Pair()
    for node in pair.nodes:
        apply(node.store, range(100))
    pair.link()
    pair.later(3_000.0)
    told = [message for _, message in pair.sent if isinstance(message, DigestReply | DigestRequest)]
    assert {message.level for message in told} == {0}
    assert len(pair.sent) == len(told) <= 6
    assert all(node.counters.loads == 0 for node in pair.nodes)


def test_entities_on_either_side_of_a_step_back_are_found() -> None:
    """One is ahead here by as much as another is there."""
    pair = Pair()
    for node in pair.nodes:
        apply(node.store, CROWD)
    apply(pair.nodes[0].store, CROWD[:1], 2)
    apply(pair.nodes[1].store, CROWD[1:2], 2)
    pair.link()
    pair.later(3_000.0)
    assert pair.committed[0] == pair.committed[1] == {**dict.fromkeys(CROWD, 1), CROWD[0]: 3, CROWD[1]: 3}


@pytest.mark.parametrize("lost", [DigestRequest, DigestReply, InventoryRequest, InventoryReply])
def test_a_lost_question_or_answer_is_asked_for_again(lost: type[Message]) -> None:
    pair = Pair()
    apply(pair.nodes[1].store, range(5))
    pair.link()
    for _ in range(100):
        pair.round()
        for node in pair.nodes:
            node.lost(lost)
    assert pair.committed[0] == {}
    pair.later(10_000.0)
    assert pair.committed[0] == pair.committed[1]
    assert pair.nodes[0].counters.comparisons_repeated > 0


def test_a_peer_that_asked_before_the_link_was_there_is_told_when_it_is() -> None:
    """Its question was heard, and the answer was lost: it waits for nothing any more, and lacks what was told meanwhile."""
    pair = Pair()
    apply(pair.nodes[1].store, [1])
    pair.nodes[1].inbox.append(PeerUp(0))
    pair.run()
    assert pair.committed[0] == {1: 1}


def test_what_is_applied_in_the_turn_in_which_a_link_comes_up_is_told() -> None:
    """Nobody was told of it before there was a link."""
    pair = Pair()
    node = pair.nodes[1]
    assert ROW.value is not None
    node.shard._entities.get(7)
    node.shard.context.loads.clear()
    node.inbox = [node.store.load(7), Received(2, [CatchUpReply(7, 1, [Learned(1, 4, *ROW.value)])]), PeerUp(0)]
    pair.run()
    assert pair.committed == [{7: 1}, {7: 1}]


def test_answers_that_come_late_or_twice_lead_nowhere() -> None:
    pair = Pair()
    apply(pair.nodes[1].store, range(50))
    mine = pair.nodes[0]
    pair.link()
    for _ in range(200):
        mine.inbox += [event for event in mine.inbox if isinstance(event, Received)]
        pair.round()
    late = mine.counters.digests_late
    assert late > 0
    mine.inbox += [
        Received(1, [DigestReply(1, [3], bytes(128))]),
        Received(1, [InventoryReply([3], -1, [(entity_at(first_place(3)), 5)], False)]),
    ]
    pair.later(3_000.0)
    assert mine.counters.digests_late == late + 2
    assert pair.committed[0] == pair.committed[1]


def test_a_walk_begins_anew_with_the_link_and_ends_without_it() -> None:
    pair = Pair()
    mine = pair.nodes[0]
    apply(pair.nodes[1].store, range(200))
    pair.link()
    pair.run(6)
    assert mine.shard.reconciliation.comparisons[0].under_way
    mine.inbox = [PeerDown(1)]
    pair.nodes[1].inbox.clear()
    pair.run(3)
    assert mine.shard.reconciliation.comparisons == ()
    asked = pair.count(0)[DigestRequest]
    pair.later(1_000.0)
    assert pair.count(0)[DigestRequest] == asked, "nobody is asked"
    pair.link()
    pair.later(2_000.0)
    assert pair.committed[0] == pair.committed[1]


def test_digests_that_are_being_built_are_waited_for_at_either_end() -> None:
    pair = Pair()
    apply(pair.nodes[1].store, [1])
    for node in pair.nodes:
        node.store.digests_not_ready = 3
    pair.link()
    pair.run()
    assert pair.committed[0] == {}
    pair.later(5_000.0)
    assert pair.committed[0] == {1: 1}
    assert all(node.counters.digests_not_ready == 3 for node in pair.nodes)


def test_an_inventory_comes_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "READ", 7)
    pair = Pair()
    apply(pair.nodes[1].store, CROWD)
    pair.link()
    pair.later(3_000.0)
    assert pair.committed[0] == dict.fromkeys(CROWD, 1)
    assert pair.count(1)[InventoryReply] == len(CROWD) // 7 + 1


def test_a_walk_waits_while_much_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "MAX_FOUND", 10)
    monkeypatch.setattr(reconcile, "BUCKETS_ASKED", 4)
    pair = Pair(catch_up_entities_per_second=100)
    apply(pair.nodes[1].store, range(400))
    mine = pair.nodes[0]
    pair.link()
    most = 0
    for _ in range(6_000):
        pair.round()
        pair.now_ms += 1.0
        most = max(most, mine.shard.reconciliation.waiting)
    assert most < 14
    assert pair.committed[0] == pair.committed[1]


def test_no_more_begin_than_the_rate_allows() -> None:
    pair = Pair(catch_up_entities_per_second=100)
    apply(pair.nodes[1].store, range(300))
    mine = pair.nodes[0]
    pair.link()
    pair.later(200.0)
    seen = mine.shard.reconciliation
    assert seen.comparisons[0].behind == 300, "to find them takes no longer for it"
    begun = [mine.counters.entities_behind]
    for _ in range(10):
        pair.later(100.0)
        begun.append(mine.counters.entities_behind)
        assert begun[-1] - begun[-2] <= 13
    assert 95 <= begun[-1] - begun[0] <= 105
    assert seen.waiting + seen.under_way > 250


def test_only_some_are_begun_at_a_time() -> None:
    pair = Pair(max_catch_ups=2)
    apply(pair.nodes[1].store, range(BUCKETS_ASKED))
    mine = pair.nodes[0]
    pair.link()
    for _ in range(200):
        pair.round()
        pair.nodes[0].lost(CatchUpReply)
    assert mine.shard.reconciliation.under_way == mine.counters.loads == 2 * reconcile.PER_CATCH_UP
    assert mine.shard.reconciliation.waiting == BUCKETS_ASKED - 2 * reconcile.PER_CATCH_UP
    pair.later(60_000.0)
    assert pair.committed[0] == pair.committed[1]
    assert mine.shard.reconciliation[1:3] == (0, 0)


def test_what_has_come_meanwhile_is_not_begun() -> None:
    pair = Pair(catch_up_entities_per_second=1)
    for node in pair.nodes:
        apply(node.store, range(20))
    apply(pair.nodes[1].store, range(20))
    mine = pair.nodes[0]
    pair.link()
    pair.later(100.0)
    assert mine.shard.reconciliation.waiting == 19
    begun = {entity.id for entity in mine.shard._entities}
    apply(mine.store, set(range(20)) - begun)
    pair.later(3_000.0)
    assert mine.shard.reconciliation.waiting == 0
    assert mine.counters.loads == 1


def test_stopped_entities_are_left_alone_and_make_room() -> None:
    pair = Pair(max_catch_ups=1)
    apply(pair.nodes[1].store, range(20))
    mine = pair.nodes[0]
    mine.shard.context.stopped[3] = Divergence(1, b"a" * 16, b"b" * 16, 1)
    pair.link()
    for _ in range(100):
        pair.round()
        mine.lost(CatchUpReply)
    begun = [entity for entity in mine.shard._entities if not entity.mailbox]
    assert len(begun) == reconcile.PER_CATCH_UP
    for entity in begun:
        entity.stopped = mine.shard.context.stopped[entity.id] = Divergence(1, b"a" * 16, b"b" * 16, 1)
        mine.shard._entities.touch(entity)
    pair.later(10_000.0)
    left = {3, *(entity.id for entity in begun)}
    assert pair.committed[0] == {entity: 1 for entity in range(20) if entity not in left}
    assert mine.shard.reconciliation[1:3] == (0, 0)


def test_a_disk_that_took_no_writes_compares_anew_when_it_does() -> None:
    pair = Pair()
    mine = pair.nodes[0]
    apply(pair.nodes[1].store, range(30))
    pair.link()
    pair.run(4)
    mine.shard.step(WriteFailed("full"), pair.now_ms, 0)
    pair.later(1_000.0)
    assert pair.committed[0] == {}
    assert mine.shard.reconciliation == Reconciliation((), 0, 0)
    asked = pair.count(0)[DigestRequest]
    pair.later(1_000.0)
    assert pair.count(0)[DigestRequest] == asked
    mine.inbox.append(WritesAllowed(""))
    pair.later(3_000.0)
    assert pair.committed[0] == pair.committed[1]


def test_what_nobody_waits_for_is_told_at_a_rate() -> None:
    pair = Pair(catch_up_bytes_per_second=10_000)
    value = Value(b"v" * 16, MsgpackBodyCodec().encode(WriteBatch({b"dk": bytes(1_000)})))
    theirs = pair.nodes[1]
    for entity in range(40):
        theirs.store.write({(entity, 1): Record(4, 4, 4, value, True)}, [Apply(entity, 1, WriteBatch())], [NewEntity(entity)])
    theirs.store.sync()
    pair.link()
    pair.later(2_000.0)
    assert 10 <= len(pair.committed[0]) <= 40 - 5, "10 a second, and what one turn begins with"
    assert theirs.counters.answers_paced > 0
    theirs.inbox.append(Received(2, [CatchUpRequest(39, 1, 64)]))
    pair.run(4)
    assert [message.entity for node, message in pair.sent if node == 1 and isinstance(message, CatchUpReply)][-1] == 39
    pair.later(10_000.0)
    assert pair.committed[0] == pair.committed[1]


@pytest.mark.parametrize(("budget_ms", "at_least_ms"), [(1_000.0, 400.0), (100.0, 4_000.0)])
def test_what_differs_is_found_out_behind_the_requests(budget_ms: float, at_least_ms: float) -> None:
    """5,000 entities take half a second of the processor."""
    pair = Pair(background_ms_per_second=budget_ms, catch_up_entities_per_second=10**9)
    apply(pair.nodes[1].store, range(5_000))
    began_ms = pair.now_ms
    pair.link()
    pair.run()
    (comparison,) = pair.nodes[0].shard.reconciliation.comparisons
    assert comparison.under_way
    assert pair.count(1)[DigestReply], "that they differ is known at once"
    while pair.nodes[0].shard.reconciliation.comparisons[0].under_way:
        pair.later(10.0)
    assert at_least_ms < pair.now_ms - began_ms < 10 * at_least_ms


def test_few_entities_are_loaded_at_a_time_to_be_caught_up() -> None:
    """So that a load for a request waits behind few."""
    pair = Pair(catch_up_entities_per_second=10**9)
    apply(pair.nodes[1].store, range(300))
    pair.link()
    context, most = pair.nodes[0].shard.context, 0
    for _ in range(3_000):
        pair.round()
        pair.now_ms += 1.0
        most = max(most, context.loading + len(context.loads))
    assert 0 < most <= reconcile.MAX_LOADING
    assert pair.committed[0] == pair.committed[1]


def test_catch_up_goes_on_though_requests_keep_the_loads_busy() -> None:
    pair = Pair()
    apply(pair.nodes[1].store, range(40))
    pair.nodes[0].shard.context.loading = reconcile.MAX_LOADING  # as many as that, at all times
    pair.link()
    pair.later(10_000.0)
    assert pair.committed[0] == pair.committed[1]


def test_what_differs_is_found_out_however_slowly_peers_are_told() -> None:
    pair = Pair(catch_up_bytes_per_second=1)
    apply(pair.nodes[1].store, range(40))
    context = pair.nodes[0].shard.context
    context.catch_up_rate.pay(100_000, 1, pair.now_ms)  # it has told a peer as much: a day at this rate
    pair.link()
    pair.later(2_000.0)
    assert pair.nodes[0].shard.reconciliation.comparisons[0].behind == 40


def test_how_far_a_comparison_is() -> None:
    pair = Pair()
    mine = pair.nodes[0]
    apply(pair.nodes[1].store, range(2_000))
    pair.link()
    shares = []
    for _ in range(5_000):
        pair.round()
        pair.now_ms += 1.0
        if mine.shard.reconciliation.comparisons[0].share == 1.0:
            break
        shares.append(mine.shard.reconciliation.comparisons[0].share)
    assert shares == sorted(shares)
    assert len(set(shares)) > 10
    pair.later(100.0)
    (comparison,) = mine.shard.reconciliation.comparisons
    assert (comparison.peer, comparison.under_way, comparison.share, comparison.behind) == (1, False, 1.0, 2_000)


def test_questions_and_answers_are_bounded() -> None:
    """However much differs."""
    pair = Pair()
    apply(pair.nodes[1].store, range(5_000))
    pair.link()
    pair.later(20_000.0)
    most = 0
    for _, message in pair.sent:
        if isinstance(message, DigestRequest):
            most = max(most, len(message.nodes))
        elif isinstance(message, InventoryRequest):
            assert len(message.buckets) <= BUCKETS_ASKED
    assert most == NODES_ASKED
    differing = len({bucket_of(place_of(entity)) for entity in range(5_000)})
    assert [node.counters.buckets_listed for node in pair.nodes] == [differing] * 2, "each looks for what it lacks itself"


def test_a_walk_remembers_little() -> None:
    walk = reconcile.Walk(0.0)
    most = 0
    for _ in range(200):
        level, nodes = walk.parts[-1]
        if level == LEVELS:
            walk.done()
        else:
            walk.found(level + 1, [node * 16 + child for node in nodes for child in range(16)])
        most = max(most, sum(len(nodes) for _, nodes in walk.parts))
        assert [nodes for _, nodes in walk.parts if nodes != sorted(nodes)] == []
    assert most <= 16 * NODES_ASKED * LEVELS


def test_what_two_peers_show_is_begun_once() -> None:
    pair = Pair()
    mine = pair.nodes[0]
    apply(pair.nodes[1].store, [7])
    pair.link()
    for _ in range(40):
        pair.round()
        mine.lost(CatchUpReply)
    reconciler = mine.shard._reconciler
    assert mine.counters.entities_behind == 1
    reconciler._found[7] = 5, 2
    reconciler.begin()
    entity = mine.shard.entity(7)
    assert entity is not None
    assert (entity.catchup.wanted, mine.counters.entities_behind, reconciler.describe().waiting) == (5, 1, 0)


@pytest.mark.parametrize("by", ["an inventory", "a comparison"])
@pytest.mark.parametrize("third", ["says the same", "is silent"])
def test_what_no_peer_has_is_not_looked_for_for_ever_nor_filled(by: str, third: str) -> None:
    """A peer has named a number that is nowhere near the truth: nobody proposes for that, and a place is free again."""
    pair = Pair()
    apply(pair.nodes[1].store, [7], 3)
    pair.link()
    pair.later(100.0)
    mine = pair.nodes[0]
    assert pair.committed[0] == {7: 3}
    if by == "an inventory":
        mine.shard._reconciler._found[7] = 2**62, 1
        mine.shard._reconciler.begin()
    else:
        mine.inbox.append(Received(1, [CompareRequest(7, 5, 2**61, b"", 100, 2**62)]))
    for _ in range(40):
        pair.later(500.0)
        if third == "says the same":
            mine.inbox += [
                Received(2, [CatchUpReply(7, 3, [])])
                for sender, message in pair.sent
                if sender == 0 and type(message) is CatchUpRequest
            ][-1:]
    entity = mine.shard.entity(7)
    assert entity is None or entity.log.max_chosen == 3
    assert not mine.counters.rounds_full, "nothing is proposed to fill what was never there"
    if third == "says the same":
        assert entity is None or not entity.catchup.wanted
        assert mine.counters.catchups_in_vain == 1
        assert mine.shard._reconciler.describe().under_way == 0


def test_who_could_not_tell_when_a_link_came_up_tells_when_it_can() -> None:
    """The other end asks nobody: its own link was up all the time."""
    pair = Pair()
    apply(pair.nodes[1].store, [1])
    pair.nodes[1].store.digests_not_ready = 2
    pair.nodes[1].inbox.append(PeerUp(0))
    pair.run()
    assert pair.count(1)[DigestReply] == 0
    pair.later(1_000.0)
    assert pair.committed[0] == {1: 1}


def test_rates_hold_from_the_moment_they_are_changed() -> None:
    pair = Pair(catch_up_entities_per_second=1)
    apply(pair.nodes[1].store, range(200))
    mine = pair.nodes[0]
    pair.link()
    pair.later(500.0)
    assert mine.counters.entities_behind <= 2
    context = mine.shard.context
    context.tuning = replace(context.tuning, catch_up_entities_per_second=1_000)
    pair.later(2_000.0)
    assert pair.committed[0] == pair.committed[1]


def test_few_ask_at_a_time_where_nobody_waits() -> None:
    """Their answers come together, and would make a long turn of it."""
    unpaced = {"background_bytes_per_second": 1_000_000_000, "background_ms_per_second": 1_000_000.0}
    pair = Pair(catch_up_entities_per_second=1_000_000, **unpaced)
    apply(pair.nodes[1].store, range(100))
    pair.link()
    for _ in range(200):
        pair.round()
        pair.nodes[0].lost(CatchUpReply)
    assert pair.count(0)[CatchUpRequest] == learn.PATIENT_AT_A_TIME
    pair.later(10_000.0)
    assert pair.committed[0] == pair.committed[1]
