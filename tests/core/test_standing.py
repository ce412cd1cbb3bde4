"""Which words of peers let a start vote (rule 19a), and what a start makes of floors that it finds."""

from __future__ import annotations

from paxosstore.core.interface.message import FloorPage, Standing
from paxosstore.core.interface.ready import SetFloor, SetStanding
from paxosstore.core.turn.standing import END, Disk, OwnStanding, Sight, StandingRow, State, begin, decode_standing, reentering
from paxosstore.settings import TuningSettings
from paxosstore.sim.cluster import SimCluster

from .support import HANDLERS, Operation

ENTITY = 7
MINE, OTHERS = 100, (101, 102)


def started(*, forced: bool = False) -> OwnStanding:
    """Node 0 of three, a member, that has just started for the second time."""
    disks = (Disk(MINE, 1, 11), Disk(OTHERS[0], 1, 12), Disk(OTHERS[1], 1, 13))
    content = StandingRow(State.MEMBER, disks, tuple(disk.id for disk in disks), cursor=END).encode()
    return OwnStanding(0, 2, begin(content, 0, 3, MINE, 22, holds_data=True), forced=forced)


def word(mine: Disk, peer: int = 1, state: State = State.MEMBER) -> Standing:
    """A peer's, that knows this node by that disk."""
    disks = [tuple(mine), (OTHERS[0], 1, 12), (OTHERS[1], 1, 13)]
    return Standing(state.value, disks, [MINE, *OTHERS], [], False, [])  # type: ignore[arg-type]  # three numbers each


def test_a_start_votes_when_a_member_knows_it() -> None:
    standing = started()
    assert standing.disk == Disk(MINE, 2, 22)
    assert not standing.votes
    standing.heard(1, word(standing.disk, state=State.REENTERING))
    assert not standing.votes, "it has forgotten what it knew"
    standing.heard(1, word(standing.disk))
    assert standing.votes


def test_a_word_about_an_earlier_start_is_no_word_about_this_one() -> None:
    standing = started()
    standing.heard(1, word(Disk(MINE, 1, 11)))
    assert not standing.votes
    standing.heard(1, word(Disk(MINE, 2, 99)))
    assert not standing.votes, "another start of the same number: a copy's"


def test_who_was_known_stays_so_when_the_others_lose_their_disks() -> None:
    """Else a majority of lost disks could not even be forced: the last intact node would not answer."""
    standing = started()
    standing.heard(1, word(standing.disk))
    standing.sight(1, Disk(201, 1, 33))
    assert standing.confirmed_by == set()
    assert standing.votes
    standing.renew(300)
    assert not standing.votes


def test_the_operator_can_vouch_for_a_disk() -> None:
    assert started(forced=True).votes


def test_a_floor_that_was_passed_before_a_crash_is_deleted_after_it() -> None:
    """Its deletion was not synced: the row is there, and the entity has what lies below it."""
    cluster = SimCluster(1, 3, TuningSettings(), HANDLERS)
    cluster.start_all()
    cluster.found()
    request = Operation(ENTITY, b"incr a")
    cluster.nodes[0].step(request)
    cluster.run_until(cluster.now_ms + 200.0)
    assert request.ended
    store = cluster.nodes[2].store
    cluster.kill(2, store.unsynced)
    store = cluster.nodes[2].store
    assert store.committed_entry(ENTITY) == 1
    row = decode_standing(store.standing())._replace(floors=1)
    store.write({}, [], [SetStanding(row.encode()), SetFloor(ENTITY, 2)])
    store.sync()
    cluster.start(2)
    cluster.run_until(cluster.now_ms + 3_000.0)
    assert cluster.nodes[2].store.floors(-1, 1) == []
    assert cluster.nodes[2].shard.progress.done


def test_a_copy_that_has_started_more_often_than_the_original_is_found_out_by_its_past() -> None:
    """Its peers were away meanwhile, and have seen the original's second start: the fourth looked like a later one (990590)."""
    original = begin(b"", 0, 3, MINE, 1, holds_data=True)
    copy = begin(original.encode(), 0, 3, MINE, 77, holds_data=True)
    for incarnation in (78, 79):
        copy = begin(copy.encode(), 0, 3, MINE, incarnation, holds_data=True)
    standing = OwnStanding(0, 2, copy)
    assert standing.disk == Disk(MINE, 4, 79)
    assert standing.knows_better(word(Disk(MINE, 2, 22)))
    assert not standing.knows_better(word(Disk(MINE, 1, 1)))
    assert not standing.knows_better(word(Disk(MINE, 2, 77)))


# -- which cluster it is


def of_before() -> OwnStanding:
    """Node 0 of a cluster that began before founding tables were noted."""
    return OwnStanding(0, 2, begin(b"", 0, 3, MINE, 1, holds_data=True))


def test_a_member_that_knows_no_founding_is_of_no_cluster_that_has_one() -> None:
    """Else what such a one of the same name has chosen would be taken for chosen here: a hello that says nothing fits any."""
    assert of_before().cluster_id
    assert of_before().cluster_id == OwnStanding(1, 2, begin(b"", 1, 3, OTHERS[0], 5, holds_data=True)).cluster_id
    assert of_before().cluster_id != started().cluster_id


def test_who_is_not_a_member_yet_says_no_cluster() -> None:
    assert OwnStanding(0, 2, begin(b"", 0, 3, MINE, 1, holds_data=False)).cluster_id == ""
    assert OwnStanding(0, 2, reentering(0, 3, MINE, 99)).cluster_id == ""


def test_a_member_takes_over_no_founding() -> None:
    standing = of_before()
    standing.heard(1, word(standing.disk))
    assert standing.row.founding == ()


def comes_back(*disks: Disk) -> OwnStanding:
    """Node 2 on an empty disk, which has met the others by these."""
    row = reentering(2, 3, 30, 29)
    return OwnStanding(2, 2, row._replace(disks=(*disks, row.disks[2])))


def page(*disks: Disk, replaced: list[tuple[int, int]] | None = None) -> FloorPage:
    known = [(disk.id, disk.starts, disk.incarnation) for disk in disks]
    return FloorPage(30, -1, [], False, 0, disks=known, replaced=replaced or [])


def test_who_comes_back_knows_what_those_knew_that_it_asked() -> None:
    standing = comes_back(Disk(10, 2, 102), Disk(11, 1, 111))
    told = page(Disk(10, 2, 102), Disk(11, 5, 115), Disk(30, 1, 1), replaced=[(0, 8), (2, 29), (2, 28)])
    assert standing.learn_disks([told, page(Disk(10, 1, 101), Disk(11, 4, 114), Disk())]) == set()
    assert standing.row.disks[:2] == (Disk(10, 2, 102), Disk(11, 5, 115)), "the later start of each"
    assert set(standing.row.replaced) == {(2, 29), (0, 8), (2, 28)}
    assert standing.sight(0, Disk(8, 9, 9)) is Sight.REPLACED
    assert standing.sight(1, Disk(11, 5, 999), [999]) is Sight.KNOWN, (
        "another one at that start: a copy, which our word will tell"
    )


def test_a_peer_that_is_here_by_a_disk_that_was_replaced_counts_no_more() -> None:
    standing = comes_back(Disk(10, 2, 102), Disk(11, 1, 111))
    standing.words[1] = word(Disk(30), peer=1)
    assert standing.learn_disks([page(Disk(10, 2, 102), Disk(12, 1, 121), Disk(30), replaced=[(1, 11)])]) == {1}
    assert standing.row.disks[1] == Disk(12, 1, 121)
    assert not standing.admits(1, 11)
    assert 1 not in standing.words


def test_nobody_is_told_that_its_own_disk_is_replaced_by_a_page() -> None:
    standing = comes_back(Disk(10, 2, 102), Disk(11, 1, 111))
    standing.learn_disks([page(Disk(10, 2, 102), Disk(11, 1, 111), Disk(31, 1, 1), replaced=[(2, 30)])])
    assert standing.disk == Disk(30)
    assert (2, 30) not in standing.row.replaced
