"""A store was damaged before its cluster had begun, or while only its own node knew that it had (rule 19f, seed 50000340)."""

from __future__ import annotations

import pytest

from paxosstore.core.interface.event import Received, WritesAllowed
from paxosstore.core.interface.message import Standing
from paxosstore.core.interface.ready import SetStanding
from paxosstore.core.turn.standing import Disk, OwnStanding, State, decode_standing, reentering
from paxosstore.sim.disk import SimDisk

from .test_reentry import ENTITY, Cluster, expect_equal

OLD, MINE = 100, 200
OTHERS = {1: 101, 2: 102}


class FirstMember(Cluster):
    """Node 1 has become a member, and nobody else has heard of that."""

    deaf = -1
    """Who does not hear what nodes become."""

    def found(self, within_ms: float = 1_000.0) -> None:
        self.weather.cuts |= {(1, peer) for peer in range(len(self.nodes)) if peer != 1}
        self.until(lambda: self.state(1) is State.MEMBER)

    def send(self, sender: int, receiver: int, messages: list) -> None:  # type: ignore[type-arg]  # of messages
        if receiver == self.deaf:
            messages = [message for message in messages if not isinstance(message, Standing) or self._is_let(sender, message)]
        if messages:
            super().send(sender, receiver, messages)

    @staticmethod
    def _is_let(sender: int, word: Standing) -> bool:
        return word.state == State.REENTERING.value or (word.state == State.NEW.value and sender != 1)

    def change(self, node: int, disk: SimDisk) -> None:
        """Another disk in a node's place."""
        if self.nodes[node].up:
            self.kill(node, self.nodes[node].store.unsynced)
        self.change_disk(node, disk)
        self.start(node)

    def damage(self, node: int, *, before: int = 0) -> None:
        """As storage/replace.py leaves it; `before`: another disk than it had."""
        old, disk = self.nodes[node].disk.id, self.new_disk()
        disk.write({}, (), [SetStanding(reentering(node, len(self.nodes), disk.id, before or old).encode())])
        disk.sync()
        self.change(node, disk)


def test_the_cluster_begins_with_the_disk_that_came_in_its_place() -> None:
    cluster = FirstMember()
    assert [cluster.state(node) for node in range(3)] == [State.NEW, State.MEMBER, State.NEW]
    old = cluster.nodes[1].disk.id
    cluster.weather.cuts.clear()
    cluster.damage(1)
    cluster.until(lambda: all(cluster.state(node) is State.MEMBER for node in range(3)))
    tables = {cluster.nodes[node].shard.context.standing.row.founding for node in range(3)}
    assert len(tables) == 1
    assert old not in tables.pop()
    assert cluster.nodes[1].shard.context.counters.new_again == 1
    assert cluster.do(1, b"put a 1", ENTITY).reply == b"done"
    expect_equal(cluster)


def test_where_the_cluster_has_begun_it_re_enters() -> None:
    cluster = FirstMember()
    cluster.weather.cuts.discard((1, 0))
    cluster.until(lambda: cluster.state(0) is State.MEMBER)
    cluster.weather.cuts.clear()
    cluster.damage(1)
    cluster.until(lambda: all(cluster.state(node) is State.MEMBER for node in range(3)))
    assert cluster.nodes[1].shard.context.counters.new_again == 0
    assert cluster.nodes[1].shard.context.counters.floors_set == 0  # nobody has anything yet
    assert cluster.do(1, b"put a 1", ENTITY).reply == b"done"
    expect_equal(cluster)


def test_whom_the_others_have_not_known_waits_and_says_what_to_do() -> None:
    """They may be empty as well: then all that there was is lost, and no cluster begins as if there had been nothing."""
    cluster = FirstMember()
    cluster.weather.cuts.clear()
    cluster.damage(1, before=77)
    cluster.wait(2_000.0)
    assert [cluster.state(node) for node in range(3)] == [State.NEW, State.REENTERING, State.NEW]
    said = cluster.nodes[1].shard.waits_for
    assert "node 0 (it is new)" in said
    assert "move its data directory away" in said
    for peer in (0, 2):
        assert "node 1 has lost its disk" in cluster.nodes[peer].shard.waits_for


def test_of_five_one_may_be_empty_that_has_not_known_it() -> None:
    """Seed 64002293 of plans with a damage at the founding."""
    standing, disks = of_five()
    for peer, known in ((1, [OLD]), (2, [OLD]), (3, []), (4, [])):
        standing.heard(peer, Standing(State.NEW.value, disks, [], known, False, []))
    assert not standing.begins_anew(), "two of five: all disks may be lost"
    standing.heard(3, Standing(State.NEW.value, disks, [], [OLD], False, []))
    assert standing.begins_anew()


def test_of_five_each_has_to_say_so() -> None:
    standing, disks = of_five()
    for peer in (1, 2, 3):
        standing.heard(peer, Standing(State.NEW.value, disks, [], [OLD], False, []))
        assert not standing.begins_anew(), "the last one may be a member"
    standing.heard(4, Standing(State.NEW.value, disks, [], [OLD], False, []))
    assert standing.begins_anew()


@pytest.mark.parametrize(
    ("state", "founding", "table", "begins"),
    [
        (State.REENTERING, False, True, True),
        (State.REENTERING, True, True, True),
        (State.REENTERING, False, False, False),
        (State.MEMBER, False, True, False),
    ],
    ids=["damaged as well", "has heard of a cluster", "sees others", "a member"],
)
def test_of_five_two_may_be_damaged(state: State, founding: bool, table: bool, begins: bool) -> None:
    """Each waited for the other to be new (seed 98205442)."""
    standing, disks = of_five()
    for peer in (1, 2, 3):
        standing.heard(peer, Standing(State.NEW.value, disks, [], [OLD], False, []))
    seen = disks if table else [*disks[:4], (99, 1, 4)]
    standing.heard(4, Standing(state.value, seen, [1, 2, 3, 4, 5] if founding else [], [OLD], False, []))
    assert standing.begins_anew() is begins


def test_where_too_many_are_damaged_it_says_what_to_do() -> None:
    cluster = FirstMember()
    cluster.weather.cuts.clear()
    cluster.damage(1)
    cluster.damage(2)
    cluster.wait(2_000.0)
    assert "it has lost its disk as well" in cluster.nodes[1].shard.waits_for
    assert "If this cluster has never begun" in cluster.nodes[1].shard.waits_for


def test_where_a_cluster_is_known_to_have_begun_nobody_is_told_to_go_on_without_what_it_held() -> None:
    cluster = FirstMember()
    cluster.weather.cuts.clear()
    cluster.damage(1)
    row = cluster.nodes[1].shard.context.standing
    row.row = row.row._replace(founding=(1, 2, 3))
    cluster.damage(2)
    cluster.wait(2_000.0)
    assert "it has lost its disk as well" in cluster.nodes[1].shard.waits_for
    assert "If this cluster has never begun" not in cluster.nodes[1].shard.waits_for


def test_those_that_began_a_cluster_lose_their_disks_before_the_others_hear_of_it() -> None:
    """Seed 98205442: one was told of it by the other, so it knows that there was one."""
    cluster = FirstMember(5)
    cluster.weather.cuts = {(1, 0), (1, 3), (1, 4)}
    cluster.until(lambda: cluster.state(2) is State.MEMBER)
    cluster.change(2, cluster.new_disk())
    cluster.until(lambda: cluster.state(2) is State.REENTERING)
    assert cluster.nodes[2].shard.context.standing.row.founding
    cluster.damage(1)
    cluster.weather.cuts.clear()
    cluster.until(lambda: all(cluster.state(node) is State.MEMBER for node in range(5)))
    assert len({cluster.nodes[node].shard.context.standing.row.founding for node in range(5)}) == 1
    assert cluster.nodes[2].shard.context.counters.new_again == 1
    assert cluster.do(1, b"put a 1", ENTITY).reply == b"done"
    expect_equal(cluster)


@pytest.mark.parametrize("damaged", [False, True])
def test_a_founding_that_was_given_up_is_not_taken_up_by_hearsay(damaged: bool) -> None:
    """Node 1 alone begins a cluster, and loses its disk; 0 and 1 begin another one, of which 2 has not heard. Then the machine of
    before is back, is told that it was replaced, and knows of the first one."""
    cluster = FirstMember()
    cluster.wait(50.0)  # its disk knows that, too
    before = cluster.nodes[1].store.copy()
    before.id = cluster.nodes[1].disk.id
    cluster.weather.cuts.clear()
    cluster.deaf = 2
    if damaged:
        cluster.damage(1)
    else:
        cluster.change(1, cluster.new_disk())
    cluster.until(lambda: cluster.state(0) is State.MEMBER and cluster.state(1) is State.MEMBER)
    cluster.lose_connection(0, 2)
    cluster.lose_connection(1, 2)
    cluster.deaf = -1
    assert cluster.state(2) is State.NEW
    cluster.change(1, before)
    cluster.connect(1, 2)
    cluster.wait(1_000.0)
    assert cluster.state(1) is State.REENTERING
    assert cluster.state(2) is State.NEW
    cluster.connect(0, 2)
    cluster.until(lambda: cluster.state(2) is State.MEMBER)
    founded = [cluster.nodes[node].shard.context.standing.row.founding for node in (0, 2)]
    assert founded[0] == founded[1]
    assert [node.number for node in cluster.strangers()] == [1], "it has no link to them, and is to begin anew"


def knows_a_founding(*table: int) -> OwnStanding:
    """Node 0 of five has come back with an empty disk, and was told of a cluster."""
    standing, disks = of_five()
    standing.row = standing.row._replace(founding=(OLD, *table))
    for peer in range(1, 5):
        standing.heard(peer, Standing(State.NEW.value, disks, [], [OLD], False, []))
    return standing


def test_a_founding_is_given_up_where_a_majority_has_not_left_it() -> None:
    """They are new, on the disks of then: nobody's vote has counted."""
    assert not knows_a_founding(101, 102, 9, 9).begins_anew(), "those two of then may have voted with the own disk of then"
    standing = knows_a_founding(101, 102, 103, 9)
    assert standing.begins_anew()
    assert standing.row.founding == ()


def test_who_is_told_that_it_is_a_copy_is_not_empty() -> None:
    """It came empty in the place of another one, became a member, and has rows by now."""
    standing = knows_a_founding(101, 102, 103, 104)
    standing.renew(300)
    standing.words.clear()
    disks = [(300, 1, 11), *((100 + peer, 1, peer) for peer in range(1, 5))]
    for peer in range(1, 5):
        standing.heard(peer, Standing(State.NEW.value, disks, [], [OLD, MINE], False, []))
    assert not standing.begins_anew()


def test_of_five_three_may_not_be_damaged() -> None:
    standing, disks = of_five()
    for peer, state in ((1, State.NEW), (2, State.NEW), (3, State.REENTERING), (4, State.REENTERING)):
        standing.heard(peer, Standing(state.value, disks, [], [OLD], False, []))
    assert not standing.begins_anew()


def test_two_of_five_are_damaged_before_all_know_that_the_cluster_has_begun() -> None:
    cluster = FirstMember(5)
    cluster.weather.cuts.clear()
    cluster.damage(1)
    cluster.damage(2)
    cluster.until(lambda: all(cluster.state(node) is State.MEMBER for node in range(5)))
    assert cluster.do(1, b"put a 1", ENTITY).reply == b"done"
    expect_equal(cluster)


def of_five() -> tuple[OwnStanding, list[tuple[int, int, int]]]:
    """Node 0 of five, whose store was damaged; and the disks that all of them see."""
    standing = OwnStanding(0, 3, reentering(0, 5, MINE, OLD))
    for peer in range(1, 5):
        standing.sight(peer, Disk(100 + peer, 1, peer))
    return standing, [(MINE, 1, 11), *((100 + peer, 1, peer) for peer in range(1, 5))]


def test_a_word_over_a_link_of_before_does_not_replace_a_disk() -> None:
    """Seed 64001531: node 1 was on another disk by then, which had never met the old one of node 2."""
    cluster = Cluster()
    node = cluster.nodes[1]
    known = node.shard.context.standing.row.disks
    disks = [tuple(known[0]), tuple(known[1]), (999, 1, 5)]
    word = Standing(State.NEW.value, disks, [], [], False, [5])  # type: ignore[arg-type]  # three numbers each
    node.step(Received(2, [word], 0, 999))
    cluster.wait()
    assert node.shard.context.standing.row.disks == known
    assert [cluster.state(number) for number in range(3)] == [State.MEMBER] * 3


def test_one_whose_disk_takes_no_writes_is_not_new_before_it_does() -> None:
    cluster = FirstMember()
    cluster.weather.cuts.add((2, 1))  # one word is missing
    cluster.damage(1)
    cluster.wait(100.0)
    assert cluster.state(1) is State.REENTERING
    context = cluster.nodes[1].shard.context
    context.cannot_write = "no room"
    cluster.weather.cuts.clear()
    cluster.wait(2_000.0)
    assert cluster.state(1) is State.REENTERING
    cluster.nodes[1].step(WritesAllowed(""))
    cluster.until(lambda: all(cluster.state(node) is State.MEMBER for node in range(3)))
    assert context.counters.new_again == 1


def test_a_word_that_names_another_disk_than_its_link_replaces_none() -> None:
    """Its sender has become another one since it made that link, and says so over one of the new disk, from its hello on."""
    cluster = Cluster()
    node = cluster.nodes[1]
    known = node.shard.context.standing.row.disks
    disks = [tuple(known[0]), tuple(known[1]), (999, 1, 5)]
    word = Standing(State.REENTERING.value, disks, [], [], False, [5])  # type: ignore[arg-type]  # three numbers each
    node.step(Received(2, [word], 0, known[2].id))
    cluster.wait()
    assert node.shard.context.standing.row.disks == known
    assert node.shard.context.counters.peers_fenced == 0


# -- the words


def damaged() -> OwnStanding:
    standing = OwnStanding(0, 2, reentering(0, 3, MINE, OLD))
    for peer, disk in OTHERS.items():
        standing.sight(peer, Disk(disk, 1, peer))
    return standing


def says(peer: int) -> Standing:
    disks = [(MINE, 1, 11), (OTHERS[1], 1, 12), (OTHERS[2], 1, 13)]
    return Standing(State.NEW.value, disks, [], [OLD], False, [])


def test_it_is_new_when_all_others_are() -> None:
    standing = damaged()
    standing.heard(1, says(1))
    assert not standing.begins_anew()
    standing.heard(2, says(2))
    assert standing.begins_anew()
    assert standing.row.state is State.NEW
    assert decode_standing(standing.row.encode()) == standing.row
    assert not standing.begins_anew(), "once"


@pytest.mark.parametrize(
    "other",
    [
        says(2)._replace(state=State.MEMBER.value),
        says(2)._replace(state=State.REENTERING.value),
        says(2)._replace(replaced=[]),
        says(2)._replace(replaced=[99]),
        says(2)._replace(disks=[(OLD, 1, 1), (OTHERS[1], 1, 12), (OTHERS[2], 1, 13)]),
        says(2)._replace(disks=[(0, 0, 0), (0, 0, 0), (OTHERS[2], 1, 13)]),  # it doubts
        says(2)._replace(founding=[OLD, OTHERS[1], OTHERS[2]], state=State.MEMBER.value),
    ],
    ids=["a member", "lost as well", "never met", "met another", "has not noted it", "in doubt", "a founding is known"],
)
def test_it_stays_what_it_is_where_one_is_not(other: Standing) -> None:
    standing = damaged()
    standing.heard(1, says(1))
    standing.heard(2, other)
    assert not standing.begins_anew()
    assert standing.row.state is State.REENTERING


def test_who_knows_that_there_was_a_cluster_is_not_new_where_a_majority_may_have_voted() -> None:
    standing = damaged()
    standing.heard(1, says(1))
    standing.heard(2, says(2)._replace(founding=[OLD, 101, 9], state=State.MEMBER.value))
    standing.heard(2, says(2))
    assert not standing.begins_anew()


def test_an_empty_disk_with_another_past_is_not_new_again() -> None:
    """One that was made from a backup has data; one that was told that it is another has votes."""
    standing = damaged()
    standing.row = standing.row._replace(replaced=())
    for peer in OTHERS:
        standing.heard(peer, says(peer))
    assert not standing.begins_anew()


def test_who_has_walked_some_of_its_way_is_not_new_again() -> None:
    """It votes for those entities, and has peers' word that there were any."""
    standing = damaged()
    standing.row = standing.row._replace(cursor=5)
    for peer in OTHERS:
        standing.heard(peer, says(peer))
    assert not standing.begins_anew()


def test_that_a_peers_disk_was_replaced_says_nothing_of_the_own_one() -> None:
    standing = damaged()
    standing.row = standing.row._replace(replaced=((1, OLD),))
    for peer in OTHERS:
        standing.heard(peer, says(peer))
    assert not standing.begins_anew()
