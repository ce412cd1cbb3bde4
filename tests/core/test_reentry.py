"""A node comes back on another disk (rule 19), on a simulated cluster: what it does not do, and how it gets to do it again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from paxosstore.core.interface.event import PeerDown, PeerUp, Received, WritesAllowed
from paxosstore.core.interface.message import CatchUpRequest, FloorPage, FloorRequest, PaxosMessage, ReadQuestion, Standing
from paxosstore.core.interface.ready import SetFloor
from paxosstore.core.turn.standing import State
from paxosstore.errors import DiskFull
from paxosstore.settings import TuningSettings
from paxosstore.sim.cluster import SimCluster
from paxosstore.sim.node import SimNode

from .support import HANDLERS, Operation

ENTITY = 7


class Cluster(SimCluster):
    """Nodes that have begun."""

    def __init__(self, nodes: int = 3, **tuning: float) -> None:
        super().__init__(1, nodes, TuningSettings(**tuning), HANDLERS)  # type: ignore[arg-type]  # each of its own type
        self.sent: list[tuple[int, int, object]] = []
        """(from, to, message)"""
        self.start_all()
        self.found()

    def send(self, sender: int, receiver: int, messages: list) -> None:  # type: ignore[type-arg]  # of messages
        self.sent += [(sender, receiver, message) for message in messages]
        super().send(sender, receiver, messages)

    def wait(self, ms: float = 100.0) -> None:
        self.run_until(self.now_ms + ms)

    def until(self, condition: Callable[[], bool], within_ms: float = 20_000.0) -> None:
        last_ms = self.now_ms + within_ms
        while not condition():
            assert self.now_ms < last_ms
            self.wait(1.0)

    def do(self, node: int, operation: bytes, entity: int = ENTITY, *, read_only: bool = False) -> Operation:
        request = Operation(entity, operation, read_only=read_only, deadline_ms=self.now_ms + 5_000.0)
        self.nodes[node].step(request)
        self.until(lambda: request.ended)
        return request

    def lose_disk(self, node: int) -> None:
        """Of a node that runs."""
        self.kill(node, self.nodes[node].store.unsynced)
        self.change_disk(node, self.new_disk())

    def is_back(self, node: int) -> bool:
        return self.nodes[node].shard.progress.done

    def state(self, node: int) -> State:
        return self.nodes[node].shard.context.standing.row.state

    def shown_by(self, node: int) -> list[PaxosMessage]:
        """Rows that it has shown since `sent` was cleared."""
        messages = [message for sender, _, message in self.sent if sender == node]
        return [message for message in messages if isinstance(message, PaxosMessage)]


def expect_equal(cluster: Cluster) -> None:
    cluster.until(lambda: len({node.store.content_hash() for node in cluster.nodes}) == 1)


def test_a_lost_disk_comes_back_idle_entities_included() -> None:
    cluster = Cluster()
    for entity in range(300):
        assert cluster.do(0, b"put a 1", entity).reply == b"done"
    cluster.lose_disk(2)
    cluster.start(2)
    cluster.until(lambda: cluster.is_back(2))
    progress = cluster.nodes[2].shard.progress
    assert (progress.state, progress.passed, progress.entities) == ("member", 300, 300)
    assert progress.eta_s == 0.0
    assert cluster.nodes[2].store.floors(-1, 10) == []
    assert dict(cluster.nodes[2].store.committed()) == dict(cluster.nodes[0].store.committed())
    expect_equal(cluster)
    cluster.kill(0, 0)
    assert cluster.do(2, b"put a 2").reply == b"done", "it votes again"


def test_only_so_many_entities_are_learned_at_a_time() -> None:
    cluster = Cluster(max_catch_ups=3)
    for entity in range(40):
        cluster.do(0, b"put a 1", entity)
    cluster.lose_disk(2)
    cluster.start(2)
    most = 0
    while not cluster.is_back(2):
        most = max(most, len(cluster.nodes[2].shard._passing._active))
        cluster.wait(0.1)
    assert 1 <= most <= 3


def test_it_does_not_vote_below_its_floor_nor_show_rows_nor_answer_questions() -> None:
    cluster = Cluster()
    cluster.do(0, b"put a 1")
    cluster.wait()
    cluster.lose_disk(2)
    cluster.weather.cuts |= {(1, 2), (2, 1)}  # one of two is not enough
    cluster.start(2)
    cluster.wait(500.0)
    assert cluster.state(2) is State.REENTERING
    assert "waits for node 1" in cluster.nodes[2].shard.waits_for
    cluster.sent.clear()
    for number in range(5):
        assert cluster.do(0, b"put a %d" % number).reply == b"done"
        cluster.nodes[2].step(Received(0, [ReadQuestion(ENTITY, number + 1)]))
    cluster.wait(300.0)
    assert all(row.chosen or not row.promised for row in cluster.shown_by(2))
    counters = cluster.nodes[2].shard.context.counters
    assert counters.votes_withheld > 0
    assert counters.answers_withheld > 0
    assert cluster.nodes[2].store.committed_entry(ENTITY) == 6, "it learns all the same"
    cluster.weather.cuts.clear()
    cluster.until(lambda: cluster.is_back(2))


def test_requests_are_handed_over_reads_too() -> None:
    cluster = Cluster()
    cluster.do(0, b"put a 1")
    cluster.lose_disk(2)
    cluster.weather.cuts |= {(1, 2), (2, 1)}
    cluster.start(2)
    cluster.wait(100.0)
    assert cluster.do(2, b"put a 2").reply == b"done"
    assert cluster.do(2, b"get a", read_only=True).reply == b"2"
    assert cluster.nodes[2].shard.context.counters.reads_handed_over == 1


def test_without_a_peer_that_takes_them_they_say_whom_the_node_waits_for() -> None:
    cluster = Cluster(request_timeout_ms=300.0)
    cluster.do(0, b"put a 1")
    cluster.lose_disk(2)
    cluster.start(2)
    for peer in (0, 1):
        cluster.kill(peer, 9)
        cluster.nodes[2].step(PeerDown(peer, "connection refused"))
    for read_only in (True, False):
        error = cluster.do(2, b"get a", read_only=read_only).error
        assert error is not None
        assert error.outcome_known
        assert "node 0 down" in str(error)
        assert "node 1 down" in str(error)


def test_who_is_asked_answers_only_a_disk_that_it_has_noted_durably() -> None:
    cluster = Cluster()
    cluster.do(0, b"put a 1")
    cluster.wait()
    cluster.sent.clear()
    node = cluster.nodes[0]
    node.step(Received(2, [FloorRequest(12_345, -1, 10)]))
    cluster.wait()
    assert not [message for _, _, message in cluster.sent if isinstance(message, FloorPage)]
    node.hangs = True
    node.step(PeerUp(2, 12_345, 1, 1))
    node.step(Received(2, [_word_of(cluster.nodes[2], 12_345)], 0, 12_345))
    node.step(Received(2, [FloorRequest(12_345, -1, 10)], 0, 12_345))
    cluster.wait()
    said = [message for sender, _, message in cluster.sent if sender == 0 and isinstance(message, FloorPage | Standing)]
    assert said == [], "the note is not durable"
    node.hangs = False
    cluster.wait()
    pages = [message for sender, _, message in cluster.sent if sender == 0 and isinstance(message, FloorPage)]
    assert (pages[0].disk, pages[0].entities) == (12_345, [(ENTITY, 1)])
    assert pages[0].disks[2] == (12_345, 1, 1)
    assert [node for node, _ in pages[0].replaced] == [2]


def _word_of(node: SimNode, disk: int) -> Standing:
    """What it would say from another disk."""
    word = node.shard.context.standing.said(0, asks=True)
    disks = [(disk, 1, 1) if number == node.number else seen for number, seen in enumerate(word.disks)]
    return word._replace(state="new", disks=disks, founding=[])


def test_what_comes_over_a_link_of_the_old_disk_does_not_count() -> None:
    cluster = Cluster()
    cluster.do(0, b"put a 1")
    cluster.wait()
    old = cluster.nodes[2].disk.id
    cluster.lose_disk(2)
    cluster.start(2)
    cluster.until(lambda: cluster.is_back(2))
    node = cluster.nodes[0]
    counters = node.shard.context.counters
    node.step(Received(2, [PaxosMessage(ENTITY, 2, 3, 3, 0, False, b"v" * 16, b"", 1, True, False)], 0, old))
    node.step(Received(2, [CatchUpRequest(ENTITY, 1, 1)], 0, old))
    cluster.wait()
    assert counters.messages_fenced == 2
    opened = node.shard.entity(ENTITY)
    assert opened is None or 2 not in opened.log.opened


def test_rows_of_the_old_disk_that_are_in_memory_are_forgotten() -> None:
    cluster = Cluster()
    cluster.do(0, b"put a 1")
    cluster.wait()
    node = cluster.nodes[0]
    cluster.weather.cuts |= {(0, 1), (0, 2), (1, 0)}
    node.step(Received(2, [PaxosMessage(ENTITY, 2, 6, 6, 0, False, b"", None, 1, False, False)], 0, cluster.nodes[2].disk.id))
    cluster.wait(5.0)
    entity = node.shard.entity(ENTITY)
    assert entity is not None
    assert entity.log.opened[2].machine.rows[2].promised == 6
    node.step(PeerUp(2, 12_345, 1, 1))
    node.step(Received(2, [_word_of(cluster.nodes[2], 12_345)], 0, 12_345))
    cluster.wait(5.0)
    assert entity.log.opened[2].machine.rows[2].promised == 0
    assert entity.log.opened[2].machine.mine.promised == 6, "the own promise stays"


@pytest.mark.parametrize(("away", "default"), [((), 0), ((4,), 2)], ids=["all answer", "one is away"])
def test_entities_that_nobody_has_are_free_only_if_all_say_so(away: tuple[int, ...], default: int) -> None:
    cluster = Cluster(5)
    cluster.do(0, b"put a 1")
    cluster.wait()
    cluster.lose_disk(1)
    for peer in away:
        cluster.kill(peer, 9)
    cluster.start(1)
    cluster.until(lambda: cluster.is_back(1))
    assert cluster.nodes[1].shard.context.standing.row.default == default


def test_preauth_is_not_regained_by_learning() -> None:
    """Rule 19d: the value of the last entry is node 0's own, from before."""
    cluster = Cluster()
    cluster.do(0, b"put a 1")
    cluster.wait()
    cluster.lose_disk(0)
    cluster.start(0)
    cluster.until(lambda: cluster.is_back(0))
    entity = cluster.nodes[0].shard.entity(ENTITY)
    if entity is not None:
        assert entity.log.last_origin == 0
        assert entity.log.no_preauth_through >= 2
    rounds = cluster.nodes[0].shard.context.counters
    cluster.do(0, b"put a 2")
    assert (rounds.rounds_preauth, rounds.rounds_full) == (0, 1)
    cluster.do(0, b"put a 3")
    assert rounds.rounds_preauth == 1, "from then on as ever"


def test_what_nobody_has_chosen_is_filled_by_a_peer() -> None:
    """Node 1 alone has a promise at entry 2: the floor is 3, and nobody would write there."""
    cluster = Cluster()
    cluster.do(0, b"put a 1")
    cluster.wait()
    node = cluster.nodes[1]
    node.step(Received(0, [PaxosMessage(ENTITY, 2, 4, 4, 0, False, b"", None, 1, False, False)], 0, cluster.nodes[0].disk.id))
    cluster.wait()
    cluster.lose_disk(2)
    cluster.start(2)
    cluster.until(lambda: cluster.is_back(2))
    assert cluster.nodes[2].store.committed_entry(ENTITY) == 2
    counters = cluster.counters()
    assert counters["fills_asked"] > 0
    assert counters["entries_filled"] > 0
    expect_equal(cluster)


def test_a_floor_that_is_passed_already_is_taken_off_the_disk() -> None:
    """A crash between the floor and its end left the row there for ever."""
    cluster = Cluster()
    cluster.do(0, b"put a 1")
    cluster.wait()
    cluster.kill(2, 9)
    cluster.nodes[2].store.write({}, (), [SetFloor(ENTITY, 2)])
    cluster.nodes[2].store.sync()
    cluster.start(2)
    cluster.until(lambda: not cluster.nodes[2].store.floors(-1, 10))


def test_what_was_learned_before_its_floor_was_set_counts_once() -> None:
    """Found by chaos: counted again when it was loaded, a node was called a member while others were below their floors."""
    cluster = Cluster(max_mem_entities=1)
    cluster.lose_disk(2)
    cluster.weather.cuts |= {(1, 2), (2, 1)}  # one of two is not enough
    cluster.start(2)
    for entity in range(5):
        cluster.do(0, b"put a 1", entity)
    node = cluster.nodes[2]
    cluster.until(lambda: all(node.store.committed_entry(entity) for entity in range(5)))
    cluster.weather.cuts.clear()
    cluster.until(lambda: cluster.is_back(2))
    for entity in range(5):
        assert cluster.do(2, b"get a", entity, read_only=True).reply == b"1"
    assert node.shard.progress.entities == node.shard._passing.passed_in_all == 5


def test_a_disk_that_was_replaced_before_a_node_came_back_is_not_believed_by_it() -> None:
    """Found by chaos: the peer had lost its own disk since, and nobody else was there to say that this one is an old one."""
    cluster = Cluster()
    cluster.do(0, b"put a 1")
    cluster.wait()
    old = cluster.nodes[2].store.copy()
    for node in (2, 1):
        cluster.lose_disk(node)
        cluster.start(node)
        cluster.until(partial(cluster.is_back, node))
    assert cluster.do(1, b"put a 2").reply == b"done"
    cluster.kill(2, 9)
    cluster.change_disk(2, old)
    cluster.weather.cuts |= {(0, 2), (2, 0)}
    cluster.start(2)
    cluster.wait(2_000.0)
    assert cluster.state(2) is State.REENTERING, "it has been told"
    assert cluster.nodes[2].shard.context.standing.disk.id != old.id
    cluster.weather.cuts.clear()
    cluster.until(lambda: cluster.is_back(2))
    expect_equal(cluster)


def test_who_never_heard_that_its_peers_are_members_asks() -> None:
    """Seed 20000772: the words by which they said so were lost, and one of before the cluster began came late."""

    class Deaf(Cluster):
        def send(self, sender: int, receiver: int, messages: list) -> None:  # type: ignore[type-arg]  # of messages
            lost = receiver == 0 and self.now_ms < 200.0
            kept = [each for each in messages if not (lost and isinstance(each, Standing) and each.state == "member")]
            if kept:
                super().send(sender, receiver, kept)

    cluster = Deaf()
    words = {peer: word for peer, to, word in cluster.sent if to == 0 and isinstance(word, Standing) and word.state == "new"}
    cluster.run_until(200.0)
    context = cluster.nodes[0].shard.context
    for peer, word in words.items():
        cluster.nodes[0].step(Received(peer, [word], 0, cluster.nodes[peer].shard.context.standing.disk.id))
    cluster.wait(5.0)
    assert "does not vote" in context.reach.describe(cluster.now_ms)
    cluster.wait(500.0)
    assert context.reach.describe(cluster.now_ms) == ""


def test_the_word_that_it_is_back_may_be_lost() -> None:
    """Its peers would count no majority with it, for as long as the link stands: it says so only once by itself."""
    cluster = Cluster()
    cluster.do(0, b"put k v")
    cluster.lose_disk(2)
    cluster.start(2)
    cluster.until(lambda: 2 in cluster.nodes[0].shard.context.reach.learners)
    lost: list[Standing] = []
    send = cluster.send

    def lose_the_word(sender: int, receiver: int, messages: list) -> None:  # type: ignore[type-arg]  # of messages
        left = []
        for message in messages:
            is_the_word = type(message) is Standing and (sender, receiver) == (2, 0) and message.state == State.MEMBER.value
            if is_the_word and not lost:
                lost.append(message)
            else:
                left.append(message)
        if left:
            send(sender, receiver, left)

    cluster.send = lose_the_word  # type: ignore[method-assign]  # a net that loses it
    cluster.until(lambda: cluster.is_back(2) and bool(lost))
    cluster.wait(3_000.0)
    cluster.kill(1)
    cluster.wait(50.0)
    assert cluster.do(0, b"put k w").outcome == "done"


def test_lost_again_half_way_everything_begins_again() -> None:
    cluster = Cluster()
    for entity in range(50):
        cluster.do(0, b"put a 1", entity)
    for wait_ms in (0.5, 2.0, 5.0, 20.0):
        cluster.lose_disk(2)
        cluster.start(2)
        cluster.wait(wait_ms)
    cluster.until(lambda: cluster.is_back(2))
    expect_equal(cluster)
    replaced = cluster.nodes[0].shard.context.standing.row.replaced
    assert len(replaced) == len(set(replaced)) >= 2


def test_after_a_crash_the_walk_goes_on_where_it_was() -> None:
    cluster = Cluster()
    for entity in range(30):
        cluster.do(0, b"put a 1", entity)
    cluster.lose_disk(2)
    cluster.start(2)
    for _ in range(20):
        cluster.wait(3.0)
        cluster.kill(2, 0)
        cluster.start(2)
    cluster.until(lambda: cluster.is_back(2))
    expect_equal(cluster)
    assert cluster.nodes[2].shard.context.standing.row.floors == 30


def test_five_nodes_one_lost_while_one_more_is_away() -> None:
    cluster = Cluster(5)
    cluster.do(0, b"put a 1")
    cluster.kill(4, 9)
    cluster.do(0, b"put a 2")
    cluster.lose_disk(1)
    cluster.start(1)
    cluster.until(lambda: cluster.is_back(1))
    assert cluster.do(1, b"put a 3").reply == b"done"
    cluster.start(4)
    assert cluster.do(4, b"get a", read_only=True).reply == b"3"
    expect_equal(cluster)


def test_a_copy_of_before_the_last_start_is_found_out() -> None:
    cluster = Cluster()
    cluster.do(0, b"put a 1")
    cluster.wait()
    copy = cluster.nodes[2].store.copy()
    cluster.kill(2, 9)
    cluster.start(2)
    cluster.wait()
    cluster.kill(0, 9)
    cluster.do(1, b"put a 2")  # by nodes 1 and 2
    cluster.kill(2, 9)
    cluster.change_disk(2, copy)
    cluster.start(2)
    cluster.start(0)
    cluster.until(lambda: cluster.is_back(2))
    assert cluster.nodes[2].shard.context.counters.copies_found_out == 1
    assert cluster.nodes[2].disk.id == cluster.nodes[2].shard.context.standing.disk.id != copy.id
    assert cluster.do(0, b"get a", read_only=True).reply == b"2"
    expect_equal(cluster)


def test_a_node_that_is_replaced_while_it_runs_comes_back_idle_entities_included() -> None:
    """It had looked for floors of its own at its start, found none, and never looked again."""
    cluster = Cluster()
    for entity in range(20):
        cluster.do(0, b"put a 1", entity)
    cluster.wait()
    for node in cluster.nodes[:2]:
        node.step(PeerUp(2, 12_345, 1, 1))
        node.step(Received(2, [_word_of(cluster.nodes[2], 12_345)], 0, 12_345))
    promise = PaxosMessage(3, 2, 4, 4, 0, False, b"", None, 1, False, False)  # so that a floor is left to be passed
    cluster.nodes[1].step(Received(0, [promise], 0, cluster.nodes[0].disk.id))
    cluster.until(lambda: cluster.state(2) is State.REENTERING)
    cluster.until(lambda: cluster.is_back(2))
    assert cluster.nodes[2].store.floors(-1, 10) == []
    assert cluster.nodes[2].shard.progress.entities == 20
    expect_equal(cluster)


def test_a_disk_that_was_replaced_comes_back_as_another_one() -> None:
    cluster = Cluster()
    cluster.do(0, b"put a 1")
    cluster.wait()
    found_again = cluster.nodes[2].store.copy()
    cluster.lose_disk(2)
    cluster.start(2)
    cluster.until(lambda: cluster.is_back(2))
    cluster.kill(0, 9)
    cluster.do(1, b"put a 2")
    cluster.kill(2, 9)
    cluster.change_disk(2, found_again)
    cluster.start(2)
    cluster.start(0)
    cluster.until(lambda: cluster.is_back(2))
    assert cluster.nodes[2].shard.context.counters.copies_found_out == 1
    assert cluster.do(0, b"get a", read_only=True).reply == b"2"
    expect_equal(cluster)


def test_a_majority_lost_waits_says_so_and_goes_on_if_forced() -> None:
    cluster = Cluster()
    cluster.do(0, b"put a 1")
    cluster.wait()
    cluster.lose_disk(1)
    cluster.lose_disk(2)
    for node in (1, 2):
        cluster.start(node)
    cluster.wait(30_000.0)
    for node in (1, 2):
        assert "it has lost its disk as well" in cluster.nodes[node].shard.waits_for
    for node in (1, 2):
        cluster.kill(node, 9)
        cluster.nodes[node].force = True
        cluster.start(node)
    cluster.until(lambda: cluster.is_back(1) and cluster.is_back(2), 60_000.0)
    without = {node: cluster.nodes[node].shard.progress.forced_without for node in (1, 2)}
    assert without[1] == (2,) or without[2] == (1,)
    assert cluster.do(1, b"get a", read_only=True).reply == b"1"
    expect_equal(cluster)


def test_it_is_not_back_while_a_floor_is_left_though_writes_have_failed() -> None:
    cluster = Cluster(max_catch_ups=1)
    for entity in range(30):
        cluster.do(0, b"put a 1", entity)
    cluster.lose_disk(2)
    cluster.start(2)
    node = cluster.nodes[2]
    failed = 0
    while not cluster.is_back(2):
        passed = node.shard.progress.passed
        cluster.wait(0.1)
        if node.shard.progress.passed > passed and failed < 8 and node.store.fail_next_write is None:
            node.store.fail_next_write = DiskFull("no room")
            failed += 1
        elif node.shard.writes_refused_because:
            node.step(WritesAllowed(""))
    assert failed == 8
    assert node.store.floors(-1, 100) == []
