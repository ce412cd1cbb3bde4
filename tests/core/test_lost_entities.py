"""What a node had of one entity is damaged (rule 19e): that alone goes the way of a lost disk, on a simulated cluster."""

from __future__ import annotations

import pytest

from paxosstore.core.entity.logstate import INFINITE
from paxosstore.core.interface.event import FloorsLoaded, Received, WritesAllowed
from paxosstore.core.interface.message import LostPage, LostRequest, PaxosMessage, ReadAnswer
from paxosstore.core.interface.ready import SetFloor
from paxosstore.core.turn.standing import (
    MAX_DAMAGED,
    OwnStanding,
    StandingRow,
    State,
    decode_standing,
    reentering,
    with_lost,
)
from paxosstore.errors import DiskFull

from .support import Operation
from .test_reentry import ENTITY, Cluster, expect_equal

OTHER = 8


def started_with_damage(cluster: Cluster, node: int) -> None:
    """Kill it, damage what it has of ENTITY, and start it."""
    cluster.kill(node, cluster.nodes[node].store.unsynced)
    cluster.nodes[node].store.damage(ENTITY)
    cluster.start(node)


def damaged_of(cluster: Cluster, node: int) -> tuple[tuple[int, int], ...]:
    return cluster.nodes[node].shard.context.standing.row.damaged


def is_whole(cluster: Cluster, node: int) -> bool:
    return not cluster.nodes[node].store.owes


def two_entities() -> Cluster:
    cluster = Cluster()
    for entity in (ENTITY, OTHER):
        for number in range(3):
            assert cluster.do(0, b"put a %d" % number, entity).reply == b"done"
    cluster.wait()
    return cluster


def test_it_comes_back_and_votes_while_all_others_go_on() -> None:
    cluster = two_entities()
    started_with_damage(cluster, 2)
    life, disk = cluster.nodes[2].life, cluster.nodes[2].disk.id
    assert cluster.do(2, b"get a", read_only=True).reply == b"2"
    counters = cluster.nodes[2].shard.context.counters
    assert counters.entities_damaged == 1
    cluster.until(lambda: is_whole(cluster, 2))
    assert cluster.state(2) is State.MEMBER
    assert (cluster.nodes[2].life, cluster.nodes[2].disk.id) == (life, disk), "neither the process nor the disk is another"
    assert counters.floors_passed == 1
    expect_equal(cluster)
    cluster.kill(0, 0)
    assert cluster.do(2, b"put a 9").reply == b"done", "it votes again"


def test_it_says_nothing_of_the_entity_before_it_has_a_floor_and_the_others_are_served() -> None:
    cluster = two_entities()
    cluster.weather.cuts |= {(1, 2), (2, 1)}  # with one of two peers there is no floor
    started_with_damage(cluster, 2)
    cluster.sent.clear()
    assert cluster.do(2, b"put a 5", OTHER).reply == b"done"
    cluster.do(2, b"put a 5")
    cluster.do(0, b"get a", OTHER, read_only=True)
    cluster.wait(500.0)
    assert damaged_of(cluster, 2) == ((ENTITY, ENTITY),)
    rows = [message for message in cluster.shown_by(2) if message.entity == ENTITY]
    assert not [message for message in rows if (message.promised or message.accepted) and not message.chosen]
    answers = [message for sender, _, message in cluster.sent if sender == 2 and isinstance(message, ReadAnswer)]
    assert not [message for message in answers if message.entity == ENTITY]
    assert [message for message in answers if message.entity == OTHER]
    cluster.weather.cuts.clear()
    cluster.until(lambda: is_whole(cluster, 2))
    expect_equal(cluster)


def test_the_floor_is_two_above_what_the_peers_have() -> None:
    cluster = two_entities()
    highest = cluster.nodes[0].store.committed_entry(ENTITY)
    written: list[SetFloor] = []
    started_with_damage(cluster, 2)
    store = cluster.nodes[2].store
    store.on_changes = lambda changes: written.extend(change for change in changes if isinstance(change, SetFloor))
    cluster.do(2, b"get a", read_only=True)
    cluster.until(lambda: bool(written))
    assert written[0] == SetFloor(ENTITY, highest + 2)


def test_damage_that_is_met_by_a_request_ends_the_life_and_the_next_one_goes_on() -> None:
    cluster = two_entities()
    cluster.do(2, b"get a", read_only=True)
    life = cluster.nodes[2].life
    cluster.nodes[2].store.damage(ENTITY)
    cluster.nodes[0].store.damage(99)  # of nothing that anybody has
    cluster.nodes[2].step(Operation(ENTITY, b"get a", read_only=True, deadline_ms=cluster.now_ms + 5_000.0))
    cluster.until(lambda: cluster.nodes[2].life == life + 1)
    cluster.until(lambda: is_whole(cluster, 2))
    assert cluster.do(2, b"get a", read_only=True).reply == b"2"
    expect_equal(cluster)


@pytest.mark.parametrize("asked_for", [False, True], ids=["nobody asks", "a read"])
def test_damage_that_a_start_could_not_note_is_repaired_when_there_is_room(asked_for: bool) -> None:
    """What was to be deleted is still there then: it is found again when it is read."""
    cluster = two_entities()
    node = cluster.nodes[2]
    cluster.kill(2, node.store.unsynced)
    node.store.damage(ENTITY)
    node.store.full = True
    node.lost_ranges = [(ENTITY, ENTITY)]
    cluster.start(2)
    assert node.shard.context.cannot_write
    if asked_for:
        assert cluster.do(2, b"get a", read_only=True).reply is None
    assert cluster.do(0, b"put a 7").reply == b"done"
    cluster.wait(1_000.0)
    node.store.full = False
    node.step(WritesAllowed(""))
    cluster.until(lambda: is_whole(cluster, 2))
    assert node.store.damaged == set()
    assert cluster.do(2, b"get a", read_only=True).reply == b"7"
    expect_equal(cluster)


class LateFounder(Cluster):
    """Node 2 hears nothing yet: it is new when the others have begun the cluster, with it."""

    def found(self, within_ms: float = 1_000.0) -> None:
        self.weather.cuts |= {(0, 2), (1, 2)}
        self.until(lambda: self.state(0) is self.state(1) is State.MEMBER)


def test_what_is_damaged_stays_so_when_the_cluster_begins() -> None:
    cluster = LateFounder()
    cluster.do(0, b"put a 1")
    assert cluster.state(2) is State.NEW
    started_with_damage(cluster, 2)
    cluster.nodes[2].step(Operation(ENTITY, b"get a", read_only=True, deadline_ms=cluster.now_ms + 5_000.0))
    cluster.until(lambda: damaged_of(cluster, 2) == ((ENTITY, ENTITY),))
    cluster.weather.cuts = {(0, 2)}  # it hears of the beginning, and from one of two peers it gets no floor
    cluster.until(lambda: cluster.state(2) is State.MEMBER)
    assert damaged_of(cluster, 2)
    entity = cluster.nodes[2].shard.entity(ENTITY)
    assert entity is not None
    assert entity.log.floor == INFINITE
    cluster.weather.cuts.clear()
    cluster.until(lambda: is_whole(cluster, 2))
    expect_equal(cluster)


def test_an_entity_that_no_peer_has_is_free_above_entry_1() -> None:
    cluster = two_entities()
    cluster.kill(2, 0)
    cluster.nodes[2].store.damage(55)
    cluster.start(2)
    assert cluster.do(2, b"put a 1", 55).reply == b"done"
    cluster.until(lambda: is_whole(cluster, 2))
    cluster.kill(0, 0)
    assert cluster.do(2, b"put a 2", 55).reply == b"done"


def test_where_a_majority_has_lost_the_entity_nobody_says_anything_of_it() -> None:
    """What only those had accepted may have been acknowledged: it cannot be known any more."""
    cluster = two_entities()
    for node in (1, 2):
        started_with_damage(cluster, node)
    for node in (1, 2):
        cluster.nodes[node].step(Operation(ENTITY, b"get a", read_only=True, deadline_ms=cluster.now_ms + 5_000.0))
    cluster.wait(1_000.0)
    assert [damaged_of(cluster, node) for node in (1, 2)] == [((ENTITY, ENTITY),)] * 2
    assert cluster.do(1, b"put a 5", OTHER).reply == b"done"


def test_who_lost_its_disk_does_not_go_by_the_word_of_one_that_lost_the_entity() -> None:
    cluster = two_entities()
    started_with_damage(cluster, 1)
    cluster.nodes[1].step(Operation(ENTITY, b"get a", read_only=True, deadline_ms=cluster.now_ms + 5_000.0))
    cluster.weather.cuts |= {(1, 2), (2, 1)}
    cluster.wait()
    assert damaged_of(cluster, 1) == ((ENTITY, ENTITY),)
    cluster.lose_disk(2)
    cluster.weather.cuts.clear()
    cluster.start(2)
    cluster.until(lambda: cluster.state(2) is State.MEMBER)
    assert damaged_of(cluster, 2) == ((ENTITY, ENTITY),), "two of three have lost it: nobody can say what they had accepted"
    cluster.wait(500.0)
    assert damaged_of(cluster, 1) == damaged_of(cluster, 2) == ((ENTITY, ENTITY),)
    cluster.kill(0, 0)
    assert cluster.do(2, b"put a 5", OTHER).reply == b"done", "all others go on"


def test_an_answer_from_an_earlier_damage_does_not_count() -> None:
    cluster = two_entities()
    started_with_damage(cluster, 2)
    cluster.do(2, b"get a", read_only=True)
    cluster.until(lambda: is_whole(cluster, 2))
    stale = {sender: message for sender, to, message in cluster.sent if isinstance(message, LostPage) and to == 2}
    assert set(stale) == {0, 1}
    for number in range(20):
        cluster.do(2, b"put a %d" % number)
    cluster.wait()
    highest = cluster.nodes[0].store.committed_entry(ENTITY)
    cluster.weather.cuts |= {(0, 2), (2, 0), (1, 2), (2, 1)}
    started_with_damage(cluster, 2)
    cluster.weather.cuts.clear()
    cluster.nodes[2].step(Operation(ENTITY, b"get a", read_only=True, deadline_ms=cluster.now_ms + 5_000.0))
    floors: list[SetFloor] = []
    cluster.nodes[2].store.on_changes = lambda changes: floors.extend(one for one in changes if isinstance(one, SetFloor))
    while not floors:
        for sender, page in stale.items():
            cluster.nodes[2].step(Received(sender, [page]))
        cluster.wait(0.2)
    assert floors[0] == SetFloor(ENTITY, highest + 2)


def test_of_five_two_may_have_lost_it() -> None:
    cluster = Cluster(nodes=5)
    cluster.do(0, b"put a 1")
    cluster.wait()
    for node in (1, 2):
        started_with_damage(cluster, node)
    for node in (1, 2):
        cluster.do(node, b"get a", read_only=True)
    cluster.until(lambda: is_whole(cluster, 1) and is_whole(cluster, 2))
    expect_equal(cluster)


@pytest.mark.parametrize("restart", [False, True])
def test_without_room_to_note_it_nothing_is_said_and_it_goes_on_when_there_is(restart: bool) -> None:
    cluster = two_entities()
    cluster.kill(2, 0)
    cluster.nodes[2].store.damage(ENTITY)
    cluster.start(2)
    cluster.wait()
    cluster.nodes[2].store.fail_next_write = DiskFull("no room")
    cluster.do(2, b"get a", read_only=True)
    if restart and cluster.nodes[2].up:
        cluster.kill(2, 0)
        cluster.start(2)
    cluster.wait(200.0)
    cluster.allow_writes(2, "")
    cluster.until(lambda: cluster.do(2, b"get a", read_only=True).reply == b"2")
    cluster.until(lambda: is_whole(cluster, 2))
    expect_equal(cluster)


def test_a_range_of_entities_gets_floors_page_by_page() -> None:
    cluster = Cluster()
    for entity in range(10):
        cluster.do(0, b"put a 1", entity)
    cluster.wait()
    node = cluster.nodes[2]
    cluster.kill(2, node.store.unsynced)
    node.lost_ranges = [(3, 6)]
    cluster.start(2)
    assert damaged_of(cluster, 2) == ((3, 6),)
    assert node.shard.context.standing.floor_of(4, 0, 0) == INFINITE
    assert node.shard.context.standing.floor_of(7, 0, 1) == 0
    cluster.until(lambda: is_whole(cluster, 2))
    assert node.shard.context.counters.floors_set == 4
    expect_equal(cluster)


def test_a_list_of_floors_that_was_read_before_the_last_one_was_set_does_not_end_the_round() -> None:
    """Seed 50001416: two ranges were answered for at once, the second floor was set a turn after the first one, and missed."""
    shard = two_entities().nodes[2].shard
    passing, context = shard._passing, shard.context
    passing.begin()
    passing.go_on()
    read = context.floor_reads.pop(context.me)
    passing.begin()
    passing.loaded(FloorsLoaded(read.peer, read.disk, read.after, [], more=False))
    assert not passing.is_done
    passing.go_on()
    read = context.floor_reads[context.me]
    passing.loaded(FloorsLoaded(read.peer, read.disk, read.after, [], more=False))
    assert passing.is_done


# -- the row


def test_a_row_that_names_damaged_entities_is_not_read_by_a_program_of_before() -> None:
    row = reentering(1, 3, 77, 76)
    assert row.encode().startswith(b"1 ")
    lost = with_lost(with_lost(row, 9, 9), 2, 4)
    assert lost.encode().startswith(b"2 ")
    assert decode_standing(lost.encode()) == lost
    assert lost.damaged == ((2, 4), (9, 9))


def test_ranges_are_joined_and_bounded() -> None:
    row = StandingRow(State.MEMBER, ())
    for entity in (5, 7, 6, 5):
        row = with_lost(row, entity, entity)
    assert row.damaged == ((5, 7),)
    standing = OwnStanding(0, 2, row)
    while standing.may_lose:
        standing.lose(len(standing.row.damaged) * 10, len(standing.row.damaged) * 10)
    assert len(standing.row.damaged) == MAX_DAMAGED


def test_floors_end_what_is_damaged_from_its_beginning() -> None:
    standing = OwnStanding(0, 2, with_lost(StandingRow(State.MEMBER, ()), 3, 9))
    standing.found_floors(3, 5, 3)
    assert standing.row.damaged == ((6, 9),)
    standing.found_floors(6, 9, 4)
    assert not standing.row.damaged
    assert standing.row.floors == 7


def test_messages_are_of_the_own_disk() -> None:
    cluster = two_entities()
    started_with_damage(cluster, 2)
    cluster.do(2, b"get a", read_only=True)
    cluster.until(lambda: is_whole(cluster, 2))
    asked = [message for sender, _, message in cluster.sent if sender == 2 and isinstance(message, LostRequest)]
    assert {message.disk for message in asked} == {cluster.nodes[2].disk.id}
    assert not [message for message in cluster.shown_by(2) if isinstance(message, PaxosMessage) and message.entity == 99]
