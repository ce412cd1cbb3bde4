"""Rule 19, clause by clause: what a node is, which disks it knows, which floors follow from what it is told."""

from __future__ import annotations

import pytest

from paxosstore.core.batch.overlay import WriteBatch
from paxosstore.core.entity.logstate import INFINITE, LogState
from paxosstore.core.entry.record import EMPTY
from paxosstore.core.interface.event import Durable, Loaded, PeerUp, Received, Tick
from paxosstore.core.interface.message import FloorPage, FloorRequest, Message, PaxosMessage, Standing
from paxosstore.core.interface.ready import FloorRead, Ready, SetFloor, SetStanding
from paxosstore.core.shard.shard import Shard
from paxosstore.core.turn.context import Identity
from paxosstore.core.turn.standing import END, MAX_HISTORY, NOWHERE, Disk, OwnStanding, Sight, StandingRow, State, decode_standing
from paxosstore.settings import ClusterSettings, TuningSettings
from paxosstore.storage.body import MsgpackBodyCodec
from paxosstore.storage.floors import read_floors
from paxosstore.storage.memory import MemoryStore

from .support import DictReader

ENTITY = 7
NO_WRITES = MsgpackBodyCodec().encode(WriteBatch())
MINE, FIRST, SECOND, ANOTHER = 100, 101, 102, 999
"""Ids of disks."""


def disks(*ids: int) -> tuple[Disk, ...]:
    return tuple(Disk(number, 1, number) for number in ids)


def standing(state: State, *ids: int, me: int = 0, **fields: object) -> OwnStanding:
    row = StandingRow(state, disks(*ids), history=(ids[me],), **fields)  # type: ignore[arg-type]  # of the row
    return OwnStanding(me, len(ids) // 2 + 1, row)


def word(state: State, *ids: int, founding: tuple[int, ...] = (), replaced: tuple[int, ...] = (), asks: bool = False) -> Standing:
    seen = [(disk.id, disk.starts, disk.incarnation) for disk in disks(*ids)]
    return Standing(state.value, seen, list(founding), list(replaced), asks, [])


TABLE = MINE, FIRST, SECOND


class TestFounding:
    def test_all_are_new_and_see_the_same_disks(self) -> None:
        own = standing(State.NEW, *TABLE)
        assert not own.heard(1, word(State.NEW, *TABLE))
        assert own.row.state.value == "new", "node 2 has not said so"
        assert own.heard(2, word(State.NEW, *TABLE))
        assert own.row.state.value == "member"
        assert own.row.founding == TABLE
        assert own.votes

    def test_not_with_one_that_sees_other_disks(self) -> None:
        own = standing(State.NEW, *TABLE)
        own.heard(1, word(State.NEW, *TABLE))
        assert not own.heard(2, word(State.NEW, MINE, ANOTHER, SECOND))
        assert own.row.state.value == "new"

    def test_not_with_a_disk_that_was_not_seen(self) -> None:
        own = standing(State.NEW, MINE, FIRST, 0)
        own.heard(1, word(State.NEW, MINE, FIRST, 0))
        assert not own.heard(2, word(State.NEW, MINE, FIRST, 0))
        assert own.row.state.value == "new"

    def test_not_by_what_the_old_disk_of_a_peer_has_said(self) -> None:
        own = standing(State.NEW, *TABLE)
        own.heard(1, word(State.NEW, *TABLE))
        assert own.sight(1, Disk(ANOTHER, 1, 5)) is Sight.FENCED
        assert not own.heard(2, word(State.NEW, MINE, ANOTHER, SECOND))
        assert own.row.state.value == "new"

    @pytest.mark.parametrize(("forced", "replaced"), [(False, 2), (True, 2), (False, 1)])
    def test_what_may_be_left_of_a_majority_begins_nothing(self, forced: bool, replaced: int) -> None:
        """Those that are on other disks now may have voted with the ones before, and this node need not have heard of it."""
        own = standing(State.NEW, *TABLE, forced=forced)
        table = MINE, ANOTHER, 998 if replaced == 2 else SECOND
        own.sight(1, Disk(ANOTHER, 1, 1))
        own.sight(2, Disk(table[2], 1, 1))
        begins = forced or replaced < 2
        own.heard(1, word(State.NEW, *table))
        assert own.heard(2, word(State.NEW, *table)) is begins
        if not begins:
            assert [disk for disk, _, _ in own.said(1, asks=False).disks] == [MINE, 0, 0], "and nobody else on its word"

    def test_who_was_there_when_it_began_is_a_member(self) -> None:
        own = standing(State.NEW, *TABLE)
        assert own.heard(1, word(State.MEMBER, *TABLE, founding=TABLE))
        assert own.row.state.value == "member"
        assert own.row.founding == TABLE

    def test_who_was_there_with_another_disk_comes_back(self) -> None:
        own = standing(State.NEW, *TABLE)
        assert own.heard(1, word(State.MEMBER, *TABLE, founding=(ANOTHER, FIRST, SECOND)))
        assert own.row.state.value == "reentering"
        assert own.row.cursor == NOWHERE
        assert own.row.replaced == ((0, ANOTHER),), "it is in the place of that one"

    @pytest.mark.parametrize("founding", [TABLE, (ANOTHER, FIRST, SECOND)])
    def test_hearsay_moves_nobody(self, founding: tuple[int, ...]) -> None:
        """That cluster may have been given up since, and another begun; or it is another one of this name."""
        own = standing(State.NEW, *TABLE)
        assert not own.heard(1, word(State.REENTERING, *TABLE, founding=founding))
        assert own.row.state.value == "new"
        back = standing(State.REENTERING, *TABLE)
        assert not back.heard(1, word(State.REENTERING, *TABLE, founding=founding))
        assert back.row.founding == ()


class TestDisks:
    def test_the_first_one_is_noted(self) -> None:
        own = standing(State.MEMBER, MINE, 0, SECOND)
        assert own.sight(1, Disk(FIRST, 1, 1)) is Sight.NOTED
        assert own.row.disks[1].id == FIRST

    def test_another_one_takes_its_place_for_good(self) -> None:
        own = standing(State.MEMBER, *TABLE)
        own.heard(1, word(State.MEMBER, *TABLE))
        assert own.sight(1, Disk(ANOTHER, 1, 1)) is Sight.FENCED
        assert own.admits(1, ANOTHER)
        assert not own.admits(1, FIRST)
        assert 1 not in own.words
        assert own.sight(1, Disk(FIRST, 9, 9)) is Sight.REPLACED
        assert own.row.disks[1].id == ANOTHER

    def test_a_start_is_noted_and_an_older_one_is_not(self) -> None:
        own = standing(State.MEMBER, *TABLE)
        past = [FIRST, 8, 7]
        assert own.sight(1, Disk(FIRST, 3, 7)) is Sight.KNOWN, "it has not shown its past"
        assert own.sight(1, Disk(FIRST, 3, 7), [ANOTHER, 8, 7]) is Sight.KNOWN, "another past: a copy"
        assert own.row.disks[1] == Disk(FIRST, 1, FIRST)
        assert own.sight(1, Disk(FIRST, 3, 7), past) is Sight.NOTED
        assert own.sight(1, Disk(FIRST, 2, 8), past[:2]) is Sight.KNOWN
        assert own.row.disks[1] == Disk(FIRST, 3, 7)

    def test_a_past_that_is_too_long_to_be_remembered_is_taken_on_trust(self) -> None:
        own = standing(State.MEMBER, *TABLE)
        last = 1 + MAX_HISTORY
        assert own.sight(1, Disk(FIRST, last - 1, 7), [7] * MAX_HISTORY) is Sight.KNOWN
        assert own.sight(1, Disk(FIRST, last, 7), [7] * MAX_HISTORY) is Sight.NOTED

    @pytest.mark.parametrize(
        ("seen", "known"),
        [
            (Disk(MINE, 1, MINE), False),
            (Disk(MINE, 1, ANOTHER), True),
            (Disk(MINE, 5, ANOTHER), True),
            (Disk(MINE, 0, 0), False),
            (Disk(ANOTHER, 5, 5), False),
        ],
        ids=["itself", "a twin", "it was further", "this start is not noted yet", "another disk, not noted yet"],
    )
    def test_a_copy_is_found_out(self, seen: Disk, known: bool) -> None:
        own = standing(State.MEMBER, *TABLE)
        theirs = word(State.MEMBER, *TABLE)
        theirs.disks[0] = seen.id, seen.starts, seen.incarnation
        assert own.knows_better(theirs) is known

    def test_who_was_replaced_is_told_so(self) -> None:
        own = standing(State.MEMBER, *TABLE, forced=True)
        assert own.knows_better(word(State.MEMBER, ANOTHER, FIRST, SECOND, replaced=(MINE,)))
        own.renew(ANOTHER)
        assert own.row.state.value == "reentering"
        assert own.row.cursor == NOWHERE
        assert own.disk.id == ANOTHER
        assert not own.row.forced, "what was given up then is not given up again"
        assert own.floor_of(ENTITY, 0, 50) == INFINITE

    def test_a_start_votes_when_enough_members_know_its_disk(self) -> None:
        own = standing(State.MEMBER, MINE, 101, 102, 103, 104)
        assert not own.votes
        own.heard(1, word(State.MEMBER, MINE, 101, 102, 103, 104))
        own.heard(2, word(State.REENTERING, MINE, 101, 102, 103, 104))
        own.heard(3, word(State.MEMBER, ANOTHER, 101, 102, 103, 104))
        assert not own.votes
        own.heard(4, word(State.MEMBER, MINE, 101, 102, 103, 104))
        assert own.votes

    def test_the_row_is_what_was_written(self) -> None:
        row = StandingRow(State.REENTERING, disks(*TABLE), (1, 2, 3), ((1, 5), (2, 6)), 17, 2, 4, 10, 3, True)
        assert decode_standing(row.encode()) == row


class TestFloors:
    @pytest.mark.parametrize(
        ("state", "cursor", "stored", "default", "committed", "floor"),
        [
            (State.NEW, NOWHERE, 0, 0, 0, INFINITE),
            (State.REENTERING, ENTITY - 1, 0, 0, 0, INFINITE),
            (State.REENTERING, ENTITY - 1, 5, 0, 9, INFINITE),
            (State.REENTERING, ENTITY, 5, 0, 3, 5),
            (State.REENTERING, ENTITY, 5, 0, 4, 0),
            (State.REENTERING, ENTITY, 0, 2, 0, 2),
            (State.MEMBER, END, 0, 2, 0, 2),
            (State.MEMBER, END, 0, 2, 1, 0),
            (State.MEMBER, END, 5, 2, 0, 5),
            (State.MEMBER, END, 0, 0, 0, 0),
        ],
    )
    def test_of_an_entity(self, state: State, cursor: int, stored: int, default: int, committed: int, floor: int) -> None:
        own = standing(state, *TABLE, cursor=cursor, default=default)
        assert own.floor_of(ENTITY, stored, committed) == floor

    def test_preauth_is_off_through_the_floor(self) -> None:
        log = LogState()
        log.set_floor(5, stored=True)
        log.set_floor(0, stored=False)
        assert log.no_preauth_through == 5

    def test_whether_the_own_word_counts(self) -> None:
        log = LogState()
        log.set_floor(5, stored=True)
        log.contiguous_chosen = 3
        assert log.learns_only
        log.contiguous_chosen = 4
        assert not log.learns_only

    def test_a_page_counts_what_lies_below_an_own_floor(self) -> None:
        store = MemoryStore()
        store.write({}, (), [SetFloor(1, 5), SetFloor(3, 7)])
        read = FloorRead(-1, 10, 2, ANOTHER)
        assert read_floors(store, read).entities == [(1, 4), (3, 6)]
        assert read_floors(store, read._replace(peer=0, disk=0)).entities == [(1, 5), (3, 7)]

    def test_a_page_ends_where_both_lists_are_known(self) -> None:
        store = MemoryStore()
        store.write({}, (), [SetFloor(1, 5), SetFloor(3, 7), SetFloor(9, 2)])
        page = read_floors(store, FloorRead(-1, 2, 2, ANOTHER))
        assert page.entities == [(1, 4), (3, 6)]
        assert page.more


class Node:
    """A shard by itself, and what leaves it."""

    def __init__(self, state: State, *ids: int, me: int = 0, **fields: object) -> None:
        n = len(ids)
        row = StandingRow(state, disks(*ids), history=(ids[me],), **fields)  # type: ignore[arg-type]  # of the row
        identity = Identity(ClusterSettings("t", n), TuningSettings(), me, ids[me], row, 1)
        self.reader = DictReader()
        self.shard = Shard(identity, self.reader, MsgpackBodyCodec(), {})
        self.me, self.ids, self.now = me, list(ids), 0.0
        self.last = Ready(0)

    def step(self, *events: object, after_ms: float = 1.0) -> Ready:
        """One turn, durable at its end."""
        self.now += after_ms
        for event in events:
            self.shard.step(event, self.now, 0)  # type: ignore[arg-type]  # events
        self.last = self.shard.ready()
        self.shard.step(Durable(self.last.turn), self.now, 0)
        return self.last

    def says(self, peer: int, *messages: Message, disk: int = 0) -> Ready:
        return self.step(Received(peer, list(messages), 0, disk or self.ids[peer]))

    def members(self, *peers: int) -> None:
        """These peers say that they are members, and know all disks."""
        for peer in peers:
            self.step(PeerUp(peer, self.ids[peer], 1, self.ids[peer]))
            told = word(State.MEMBER, *self.ids, founding=tuple(self.ids))
            own = self.row.disks[self.me]
            told.disks[self.me] = own.id, own.starts, own.incarnation
            self.says(peer, told)

    def load(self, entity: int = ENTITY, **what: object) -> None:
        self.step(Loaded(entity, 0, [], 0, b"", **what))  # type: ignore[arg-type]  # fields of the event

    def page(self, peer: int, *entities: tuple[int, int], after: int = NOWHERE, more: bool = False, default: int = 0) -> Ready:
        return self.says(peer, FloorPage(self.ids[self.me], after, list(entities), more, default))

    @property
    def floors(self) -> dict[int, int]:
        """What the last turn has set."""
        return {change.entity: change.floor for change in self.last.changes if isinstance(change, SetFloor)}

    @property
    def row(self) -> StandingRow:
        return self.shard.context.standing.row


class TestWalk:
    def test_all_have_answered(self) -> None:
        node = Node(State.REENTERING, *TABLE)
        node.members(1, 2)
        node.page(1, (1, 5), (2, 1))
        assert node.floors == {}, "one of two is not enough"
        node.page(2, (1, 4), (3, 9))
        assert node.floors == {1: 6, 2: 2, 3: 10}
        assert node.row.default == 0
        assert node.row.state.value == "member"
        assert any(isinstance(change, SetStanding) for change in node.last.changes), "in the same write"

    def test_one_of_five_is_away(self) -> None:
        node = Node(State.REENTERING, MINE, 101, 102, 103, 104)
        node.members(1, 2, 3)
        node.page(1, (1, 5))
        node.page(2, (1, 4))
        assert node.floors == {}
        node.page(3)
        assert node.floors == {1: 7}
        assert node.row.default == 2
        assert node.row.without == 1 << 4

    def test_who_has_answered_for_all_of_five(self) -> None:
        node = Node(State.REENTERING, MINE, 101, 102, 103, 104)
        node.members(1, 2, 3, 4)
        for peer in (1, 2, 3, 4):
            node.page(peer, (1, peer))
        assert node.floors == {1: 5}
        assert node.row.default == 0

    def test_page_by_page(self) -> None:
        node = Node(State.REENTERING, *TABLE)
        node.members(1, 2)
        node.page(1, (1, 5), (4, 1), more=True)
        node.page(2, (1, 4), (2, 8), more=True)
        assert node.floors == {1: 6, 2: 9}, "node 2 may have more below 4"
        assert node.row.cursor == 2
        assert node.row.state.value == "reentering"
        node.page(1, (4, 1), after=2)
        node.page(2, (1, 4), (2, 8), more=True)  # the one before, late
        assert node.floors == {}
        node.page(2, (9, 3), after=2)
        assert node.floors == {4: 2, 9: 4}
        assert node.row.state.value == "member"

    def test_a_peer_may_have_forgotten_what_lies_below_its_own_default_floor(self) -> None:
        node = Node(State.REENTERING, *TABLE)
        node.members(1, 2)
        node.page(1, default=2)
        node.page(2)
        assert node.row.default == 2

    def test_who_comes_back_itself_is_not_asked(self) -> None:
        node = Node(State.REENTERING, *TABLE)
        node.members(1)
        node.step(PeerUp(2, SECOND, 1, SECOND))
        node.says(2, word(State.REENTERING, *TABLE))
        node.page(1, (1, 5))
        node.page(2, (1, 4))
        node.step(Tick(), after_ms=60_000.0)
        assert node.floors == {}
        assert "node 2" in node.shard.waits_for

    def test_who_has_not_noted_the_new_disk_is_not_asked(self) -> None:
        node = Node(State.REENTERING, *TABLE)
        node.members(1)
        node.says(2, word(State.MEMBER, ANOTHER, FIRST, SECOND))
        node.page(1, (1, 5))
        node.page(2, (1, 4))
        node.step(Tick(), after_ms=60_000.0)
        assert node.floors == {}

    def test_a_page_for_another_disk_does_not_count(self) -> None:
        node = Node(State.REENTERING, *TABLE)
        node.members(1, 2)
        node.page(1, (1, 5))
        node.says(2, FloorPage(ANOTHER, NOWHERE, [(1, 4)], False, 0))
        assert node.floors == {}

    def test_an_entity_in_memory_gets_its_floor(self) -> None:
        node = Node(State.REENTERING, *TABLE)
        node.members(1, 2)
        node.says(1, vote(1, 4))
        node.load()
        entity = node.shard.entity(ENTITY)
        assert entity is not None
        assert entity.log.floor == INFINITE
        node.page(1, (ENTITY, 5))
        node.page(2)
        assert entity.log.floor == 6

    def test_an_entity_that_is_being_loaded_gets_its_floor(self) -> None:
        """What the disk said of it was read before the floor was written."""
        node = Node(State.REENTERING, *TABLE)
        node.members(1, 2)
        node.says(1, vote(1, 4))
        node.page(1, (ENTITY, 5))
        node.page(2)
        node.load()
        entity = node.shard.entity(ENTITY)
        assert entity is not None
        assert entity.log.floor == 6

    def test_it_is_answered_when_its_disk_is_noted(self) -> None:
        node = Node(State.MEMBER, *TABLE)
        node.members(1, 2)
        request = FloorRequest(ANOTHER, NOWHERE, 10)
        assert node.says(2, request).floor_reads == []
        events = PeerUp(2, ANOTHER, 1, 1), Received(2, [request], 0, ANOTHER)
        ready = node.step(*events)
        assert ready.floor_reads == [FloorRead(NOWHERE, 10, 2, ANOTHER)], "read when this turn is durable"
        assert any(isinstance(change, SetStanding) for change in ready.changes), "and this turn notes the disk"
        assert ready.needs_sync
        assert ready.late.messages, "what is told of it waits for that"
        assert not any(isinstance(message, Standing) for _, message in ready.early.messages)

    @pytest.mark.parametrize("state", [State.NEW, State.REENTERING])
    def test_who_is_no_member_does_not_answer(self, state: State) -> None:
        node = Node(state, *TABLE)
        node.step(PeerUp(2, ANOTHER, 1, 1))
        assert node.says(2, FloorRequest(ANOTHER, NOWHERE, 10), disk=ANOTHER).floor_reads == []

    def test_a_start_that_is_not_confirmed_does_not_answer(self) -> None:
        node = Node(State.MEMBER, *TABLE)
        node.step(PeerUp(2, ANOTHER, 1, 1))
        assert node.says(2, FloorRequest(ANOTHER, NOWHERE, 10), disk=ANOTHER).floor_reads == []


def vote(entry: int, ballot: int, *, entity: int = ENTITY, asks: bool = True, accepted: int = 0) -> PaxosMessage:
    """Node (ballot - 1) % 3 prepares, or proposes."""
    value_id, body = (b"v" * 16, NO_WRITES) if accepted else (b"", None)
    return PaxosMessage(entity, entry, ballot, ballot, accepted, False, value_id, body, entry - 1, asks, False)


class TestFence:
    def test_messages_of_the_old_disk_do_not_count(self) -> None:
        node = Node(State.MEMBER, *TABLE)
        node.members(1, 2)
        node.load()
        node.step(PeerUp(1, ANOTHER, 1, 1))
        assert node.says(1, vote(1, 5), disk=FIRST).records == {}
        assert node.says(1, vote(1, 5), disk=ANOTHER).records != {}

    def test_who_is_turned_away_is_told_why(self) -> None:
        """An old word, come late, may make a peer's disk look replaced: it would never learn that by itself."""
        node = Node(State.MEMBER, *TABLE)
        node.members(1, 2)
        node.step(PeerUp(1, ANOTHER, 1, 1))
        told = [message for peer, message in node.says(1, vote(1, 5), disk=FIRST).late.messages if peer == 1]
        assert [message.replaced for message in told if isinstance(message, Standing)] == [[FIRST]]
        assert not node.says(1, word(State.MEMBER, *TABLE), disk=FIRST).records

    def test_what_waits_for_a_load_is_forgotten(self) -> None:
        node = Node(State.MEMBER, *TABLE)
        node.members(1, 2)
        node.says(1, vote(1, 5))
        node.says(2, vote(1, 6))
        node.step(PeerUp(1, ANOTHER, 1, 1))
        ready = node.step(Loaded(ENTITY, 0, [], 0, b""))
        assert ready.records[ENTITY, 1].promised == 6
        assert all(peer == 2 for peer, message in ready.late.messages if isinstance(message, PaxosMessage))

    def test_rows_of_the_old_disk_are_forgotten(self) -> None:
        node = Node(State.MEMBER, *TABLE)
        node.members(1, 2)
        node.says(1, vote(1, 5))
        node.load()
        entity = node.shard.entity(ENTITY)
        assert entity is not None
        rows = entity.log.opened[1].machine.rows
        assert rows[1].promised == 5
        node.step(PeerUp(1, ANOTHER, 1, 1))
        assert rows[1] == EMPTY
        assert rows[0].promised == 5, "the own promise stays"


class TestVotes:
    def test_below_the_floor_it_only_learns(self) -> None:
        node = Node(State.MEMBER, *TABLE, cursor=END)
        node.members(1, 2)
        node.says(1, vote(1, 5))
        node.load(floor=3)
        ready = node.says(1, vote(2, 5))
        assert ready.records == {}
        assert not any(isinstance(message, PaxosMessage) for _, message in (*ready.early.messages, *ready.late.messages))
        ready = node.says(1, vote(1, 5, accepted=5), vote(2, 5))
        assert ready.records == {}
        ready = node.says(2, vote(1, 5, accepted=5)._replace(prepared=0))
        assert ready.records[ENTITY, 1].chosen, "two others have accepted it"

    def test_at_the_floor_it_votes(self) -> None:
        node = Node(State.MEMBER, *TABLE, cursor=END)
        node.members(1, 2)
        node.says(1, vote(1, 5))
        node.load(floor=2)
        chosen = vote(1, 5, accepted=5)._replace(chosen=True)
        node.says(1, chosen)
        ready = node.says(1, vote(2, 5))
        assert ready.records[ENTITY, 2].promised == 5
        assert node.floors == {} or node.floors == {ENTITY: 0}

    @pytest.mark.parametrize("state", [State.NEW, State.REENTERING])
    def test_who_has_no_floor_yet_does_not_vote(self, state: State) -> None:
        node = Node(state, *TABLE)
        if state is State.REENTERING:
            node.members(1, 2)
        node.says(1, vote(1, 5))
        node.load()
        assert node.says(1, vote(1, 5)).records == {}
        assert node.last.late.messages == []

    def test_an_own_round_ends_when_this_node_may_not_vote_any_more(self) -> None:
        """It turns out to be a copy in the middle of a round: promises that come now are not used."""
        node = Node(State.MEMBER, *TABLE, cursor=END)
        node.members(1, 2)
        node.says(1, vote(1, 5))
        node.load()
        entity = node.shard.entity(ENTITY)
        assert entity is not None
        machine = entity.log.opened[1].machine
        node.shard._proposer.drive(entity, 1)
        node.step()
        assert machine.mine.prepared == 7
        twin = word(State.MEMBER, *TABLE)
        twin.disks[0] = (MINE, 5, ANOTHER)
        node.says(2, twin)
        assert node.row.state.value == "reentering"
        node.says(1, vote(1, 7)._replace(prepared=5, asks=False))
        assert machine.mine.accepted == 0

    def test_a_copy_that_was_found_out_has_no_floor_yet(self) -> None:
        """In memory as well: its new disk is confirmed long before its walk has come to the entity."""
        node = Node(State.MEMBER, *TABLE, cursor=END)
        node.members(1, 2)
        node.says(1, vote(1, 5))
        node.load()
        twin = word(State.MEMBER, *TABLE)
        twin.disks[0] = (MINE, 5, ANOTHER)
        node.says(2, twin)
        assert node.last.renewed not in (0, MINE)
        node.ids[0] = node.last.renewed
        node.members(1, 2)
        assert node.row.state.value == "reentering"
        assert node.shard.context.standing.confirmed
        assert node.says(1, vote(1, 8)).records == {}


class TestMemory:
    """An entity may leave memory while its floor lies on the disk, and come back (rule 18)."""

    def test_a_floor_that_lies_behind_is_deleted(self) -> None:
        """It was set when the disk did not have yet what was applied in that turn: seed 5036 with room for one entity."""
        node = Node(State.MEMBER, *TABLE, cursor=END)
        node.step(Loaded(ENTITY, 18, [], 18, b"", floor=15))
        assert node.floors == {ENTITY: 0}

    def test_one_that_was_passed_and_deleted_is_not_taken_for_the_one_that_the_walk_has_set(self) -> None:
        node = Node(State.REENTERING, *TABLE)
        node.members(1, 2)
        node.load()
        node.page(1, (ENTITY, 5))
        node.page(2)
        assert node.floors == {ENTITY: 6}
        node.shard._entities.forget(ENTITY)
        node.step(Loaded(ENTITY, 9, [], 9, b""))
        assert node.floors == {}
        assert node.shard.context.counters.floors_passed == 0
