"""What this node is to its cluster, and which disks it knows its peers by (rule 19). One durable row, which this file changes.

    NEW          nothing was ever voted on this disk. It becomes a member when all n nodes say so of theirs, or a member says
                 that it was there when the cluster began; it re-enters when a member says that it was not
    MEMBER       votes, entity by entity above its floor
    REENTERING   lost its disk, or is a stale copy: learns only, but for entities that its walk has passed (core/reentry/walk.py).
                 Where its store was damaged before the cluster has begun, it is new again if all others still are

A node's number may have one disk at a time: which one is noted here before anything is told to it (the fence), and a disk
that another has taken the place of is never taken back. Before a start votes, enough members have said that its disk is still
the one they know (`confirmed`). Deciding only; the argument is in docs/PROTOCOL.md, rule 19.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from hashlib import blake2b
from typing import NamedTuple

from ..entity.logstate import INFINITE
from ..entry.ids import MAX_ENTITY
from ..interface.message import FloorPage, Standing

NOWHERE = -1
END = MAX_ENTITY
"""The cursor when all entities have their floor."""
MAX_REPLACED = 256
"""Disks remembered as replaced. More of them is two processes under one number, not bad luck."""
MAX_DAMAGED = 64
"""Ranges of entities. With more, the whole disk counts as lost."""
MAX_HISTORY = 64
"""Starts that a node remembers."""
VERSION, DAMAGED_VERSION = 1, 2
"""A row that names damaged entities must not be read by a program that does not know of them."""


class State(Enum):
    NEW = "new"
    MEMBER = "member"
    REENTERING = "reentering"


_MEMBER = State.MEMBER.value
"""As in a word. To ask the Enum takes longer than all else about it."""


class Disk(NamedTuple):
    """A node's disk as last noted, and the start that it was seen at."""

    id: int = 0
    """0: never seen."""
    starts: int = 0
    """How often a node has started on it."""
    incarnation: int = 0


class Sight(Enum):
    """What it means that a peer comes with this disk."""

    KNOWN = "known"
    NOTED = "noted"
    """Its first one, or another start of it."""
    FENCED = "fenced"
    """Another one than before: nothing of the old one counts from now on."""
    REPLACED = "replaced"
    """One that another has taken the place of: nothing of it counts."""


class StandingRow(NamedTuple):
    """What is durable."""

    state: State
    disks: tuple[Disk, ...]
    """Of all nodes, by number; the own one included."""
    founding: tuple[int, ...] = ()
    """The disks of all nodes as agreed when the cluster began; empty: not known."""
    replaced: tuple[tuple[int, int], ...] = ()
    """(node, disk), the oldest first. The own number: the disk in whose place this one came empty."""
    cursor: int = NOWHERE
    """Re-entry: every entity up to this one has its floor."""
    default: int = 0
    """Re-entry: the floor of entities that none of those asked has; 0: none."""
    without: int = 0
    """Re-entry: a bit for each peer that some floor was found without."""
    floors: int = 0
    """Floors that were set."""
    passed: int = 0
    """Of them, those that were passed: a number for people, written now and then."""
    forced: bool = False
    """The operator has let it re-enter with fewer peers than the rule needs."""
    history: tuple[int, ...] = ()
    """Incarnations of the last starts, this one's last: from some start on a copy has another past than the original."""
    damaged: tuple[tuple[int, int], ...] = ()
    """(first, last) entities of which this node may have forgotten votes, and that have no floor yet (rule 19e); ascending."""

    def encode(self) -> bytes:
        numbers: list[int] = [DAMAGED_VERSION if self.damaged else VERSION, list(State).index(self.state), len(self.disks)]
        numbers += (number for disk in self.disks for number in disk)
        numbers += (len(self.founding), *self.founding, len(self.replaced))
        numbers += (number for pair in self.replaced for number in pair)
        numbers += (self.cursor, self.default, self.without, self.floors, self.passed, int(self.forced))
        numbers += (len(self.history), *self.history)
        numbers += (entity for span in self.damaged for entity in span)
        return b" ".join(b"%d" % number for number in numbers)


def decode_standing(content: bytes) -> StandingRow:
    """The row that `StandingRow.encode` wrote. Raises ValueError for one of a later version."""
    numbers = iter([int(word) for word in content.split()])

    def some(count: int) -> list[int]:
        return [next(numbers) for _ in range(count)]

    version, state, n = some(3)
    if version not in (VERSION, DAMAGED_VERSION):
        raise ValueError(f"the standing of this node is of version {version}, this program reads {VERSION}")
    disks = tuple(Disk(*some(3)) for _ in range(n))
    founding = tuple(some(next(numbers)))
    replaced = tuple((number, disk) for number, disk in (some(2) for _ in range(next(numbers))))
    cursor, default, without, floors, passed, forced = some(6)
    row = StandingRow(list(State)[state], disks, founding, replaced, cursor, default, without, floors, passed, bool(forced))
    row = row._replace(history=tuple(some(next(numbers))))
    damaged = list(numbers)
    return row._replace(damaged=tuple(zip(damaged[::2], damaged[1::2], strict=True)))


def begin(content: bytes, me: int, n: int, disk: int, incarnation: int, *, holds_data: bool, force: bool = False) -> StandingRow:
    """The row of a start, to be durable before the first hello.

    `content` is what the store has (empty: nothing yet), `disk` the id of the data directory. A directory that holds data and no
    standing is of an earlier version: a member, whose peers are noted when they are first seen.
    """
    if content:
        row = decode_standing(content)
    else:
        disks = tuple(Disk(disk) if node == me else Disk() for node in range(n))
        row = StandingRow(State.MEMBER, disks, cursor=END) if holds_data else StandingRow(State.NEW, disks)
    own = row.disks[me]
    row = row._replace(disks=_with(row.disks, me, own._replace(starts=own.starts + 1, incarnation=incarnation)))
    return row._replace(forced=row.forced or force, history=(*row.history, incarnation)[-MAX_HISTORY:])


def reentering(me: int, n: int, disk: int, before: int) -> StandingRow:
    """The row of an empty disk in the place of one, `before`, that a node may have voted on: of itself it begins no cluster."""
    disks = tuple(Disk(disk) if node == me else Disk() for node in range(n))
    return StandingRow(State.REENTERING, disks, replaced=((me, before),))


def with_lost(row: StandingRow, first: int, last: int) -> StandingRow:
    """The row of one that may have forgotten votes on these entities, too."""
    return row._replace(damaged=_joined([*row.damaged, (first, last)]))


def follows(known: Disk, seen: Disk, history: Sequence[int]) -> bool:
    """Whether a disk that was known at one start is seen at a later one with a past in which the former is.

    `history`: the incarnations of its last starts. A past of more than those is taken on trust.
    """
    back = seen.starts - known.starts
    if not known.starts or back >= MAX_HISTORY:
        return True
    return 0 <= back < len(history) and history[-1 - back] == known.incarnation


def not_counted(row: StandingRow, me: int) -> StandingRow:
    """The row of a start that could not be written: it says no number until it can be, and does not vote."""
    return row._replace(disks=_with(row.disks, me, row.disks[me]._replace(starts=0)))


class OwnStanding:
    """The row, and what the peers have said since this start."""

    __slots__ = ("_quorum", "_was_confirmed", "active", "confirmed_by", "learning", "me", "row", "words")

    def __init__(self, me: int, quorum: int, row: StandingRow | None, *, forced: bool = False) -> None:
        self.me = me
        self._quorum = quorum
        self.active = row is not None
        """Rule 19 is in force. (Else this is a part of a node, in a test.)"""
        self.row = row or StandingRow(State.MEMBER, (), cursor=END)
        self.words: dict[int, Standing] = {}
        """The latest word of each peer about itself, from the disk that is known."""
        self.learning = 0
        """How often this node has been told to learn only, and to stop that, since its start: an odd number, it does."""
        self.confirmed_by: set[int] = set()
        self._was_confirmed = forced

    # -- what it is

    @property
    def disk(self) -> Disk:
        return self.row.disks[self.me]

    @property
    def cluster_id(self) -> str:
        """Which cluster this is, of all that may have had this name: by the disks that it began with; empty: not known.

        A member that knows none is of a cluster that began before they were noted: nobody in it knows one.
        """
        if not self.row.founding and self.row.state is not State.MEMBER:
            return ""
        return blake2b(b" ".join(b"%d" % disk for disk in self.row.founding), digest_size=8).hexdigest()

    @property
    def confirmed(self) -> bool:
        """Whether so many members knew this disk, at this very start, that no other one can have taken its place.

        That they lose their own disks later changes nothing about this one.
        """
        return not self.active or (self.disk.starts > 0 and self._was_confirmed)

    @property
    def votes(self) -> bool:
        """Whether this node votes at all: above the floors of its entities."""
        return self.row.state is not State.NEW and self.confirmed

    @property
    def learns(self) -> bool:
        """Whether the peers' words on entities mean anything to this node: the cluster is there.

        A member whose start could not be counted votes for nothing until it is; what is chosen it learns, in memory.
        """
        return self.row.state is State.REENTERING or self.votes or (self.row.state is State.MEMBER and not self.disk.starts)

    def serves(self, peer: int) -> bool:
        """Whether requests may be handed over to this peer, as far as is known."""
        word = self.words.get(peer)
        return word is None or (word.state == _MEMBER and not word.learns_only)

    def floor_of(self, entity: int, stored: int, committed: int) -> int:
        """The floor of an entity that is loaded with this one stored: below it this node only learns; 0: none."""
        row = self.row
        if row.damaged and self.is_damaged(entity):
            return INFINITE
        if row.state is State.NEW or (row.state is State.REENTERING and entity > row.cursor):
            return INFINITE
        floor = stored or row.default
        return floor if committed < floor - 1 else 0

    # -- what is damaged (rule 19e)

    def is_damaged(self, entity: int) -> bool:
        return any(first <= entity <= last for first, last in self.row.damaged)

    @property
    def may_lose(self) -> bool:
        """Whether one more entity may be damaged, and not the disk."""
        return self.active and len(self.row.damaged) < MAX_DAMAGED

    def lose(self, first: int, last: int) -> None:
        """Votes on these entities may be forgotten: nothing is said of them until they have a floor."""
        self.row = with_lost(self.row, first, last)

    def found_floors(self, first: int, upto: int, floors: int) -> None:
        """Those of the damaged entities first..upto are set."""
        row = self.row
        left = [(upto + 1 if begin == first else begin, end) for begin, end in row.damaged]
        damaged = tuple(span for span in left if span[0] <= span[1])
        self.row = row._replace(damaged=damaged, floors=row.floors + floors)

    # -- which disks

    def admits(self, peer: int, disk: int) -> bool:
        """Rule 19b: whether what comes over a link of this disk counts."""
        return not self.active or not disk or disk == self.row.disks[peer].id

    def sight(self, peer: int, seen: Disk, history: Sequence[int] = ()) -> Sight:
        """A peer comes with this disk, at this start, and, if it has said so, with this past."""
        row, known = self.row, self.row.disks[peer]
        if (peer, seen.id) in row.replaced:
            return Sight.REPLACED
        if known.id == seen.id:
            if seen.starts <= known.starts or not follows(known, seen, history):
                return Sight.KNOWN  # it has to show its past; or learns from our word that it is a stale copy
            self.row = row._replace(disks=_with(row.disks, peer, seen))
            return Sight.NOTED
        replaced = row.replaced
        if known.id:
            replaced = (*replaced, (peer, known.id))[-MAX_REPLACED:]
            self.words.pop(peer, None)
            self.confirmed_by.discard(peer)
        self.row = row._replace(disks=_with(row.disks, peer, seen), replaced=replaced)
        return Sight.FENCED if known.id else Sight.NOTED

    def knows_better(self, word: Standing) -> bool:
        """Rule 19a: whether a peer's word shows that this disk was replaced, or has been further than it is."""
        mine, theirs = self.disk, Disk(*word.disks[self.me])
        copied = theirs.id == mine.id and mine.starts > 0 and not follows(theirs, mine, self.row.history)
        return mine.id in word.replaced or copied

    def count(self, starts: int) -> None:
        """This start is counted now."""
        self.row = self.row._replace(disks=_with(self.row.disks, self.me, self.disk._replace(starts=starts)))

    def renew(self, disk: int) -> None:
        """This disk does not count any more: become another one. What had votes re-enters, and nobody has forced that."""
        row, own = self.row, self.disk
        state = State.NEW if row.state is State.NEW else State.REENTERING
        others = tuple(pair for pair in row.replaced if pair[0] != self.me)  # it is not empty as one in the place of another
        row = row._replace(disks=_with(row.disks, self.me, own._replace(id=disk)), replaced=others)
        self.row = row._replace(state=state, cursor=NOWHERE, default=0, without=0, floors=0, passed=0, forced=False, damaged=())
        self.confirmed_by.clear()
        self._was_confirmed = False

    # -- founding

    def heard(self, peer: int, word: Standing) -> bool:
        """Take in what a peer says of itself; whether the own state is another one now."""
        self.words[peer] = word
        if word.state == State.MEMBER.value and Disk(*word.disks[self.me]) == self.disk:
            self._confirm((peer,))
        row = self.row
        if row.state is State.NEW and word.state == State.NEW.value:
            return self._found()
        if word.state != State.MEMBER.value:
            return False  # what it knows of a cluster is hearsay: that one may have been given up, or be another of this name
        if row.state is not State.NEW:
            if word.founding and not row.founding and row.state is State.REENTERING:
                self.row = row._replace(founding=tuple(word.founding))
            return False
        if word.founding and word.founding[self.me] == self.disk.id:
            self.row = row._replace(state=State.MEMBER, founding=tuple(word.founding), cursor=END)
            return True
        before = [(self.me, word.founding[self.me])] if word.founding else []  # this disk is in the place of that one
        replaced = (*before, *row.replaced)[-MAX_REPLACED:]
        self.row = row._replace(state=State.REENTERING, founding=tuple(word.founding), replaced=replaced, cursor=NOWHERE)
        return True

    def begins_anew(self) -> bool:
        """Be new again, if that is no more than any empty disk would be (rule 19f); whether it is.

        This empty disk is in the place of one that was damaged or lost, a majority is new, and the others are as this one is: by
        one table with this disk, none in doubt. A majority has known the disk before: if that one has voted, they were in the
        table with it, and have not voted to this day. If that table is known, they are in it still (seed 98205442).
        """
        row = self.row
        before = {disk for node, disk in row.replaced if node == self.me}
        if row.state is not State.REENTERING or row.cursor != NOWHERE or len(self.words) < len(row.disks) - 1:
            return False
        table = [disk.id for disk in row.disks]
        known = sum(not before.isdisjoint(word.replaced) for word in self.words.values())
        new = sum(says_new(word, table) for word in self.words.values())
        lost = sum(_says_lost(word, table) for word in self.words.values())
        if known < self._quorum or new < self._quorum or new + lost < len(self.words):
            return False
        if row.founding:
            there = [peer for peer, word in self.words.items() if says_new(word, table) and table[peer] == row.founding[peer]]
            if len(there) < self._quorum:
                return False  # a majority may have voted since
        self.row = row._replace(state=State.NEW, founding=())
        return True

    @property
    def new_peers(self) -> bool:
        """Whether a peer was new by its last word."""
        return any(word.state == State.NEW.value for word in self.words.values())

    @property
    def reentering_peers(self) -> list[int]:
        """Who was re-entering by its last word: that it has become a member may have been said, and lost."""
        return [peer for peer, word in self.words.items() if word.state == State.REENTERING.value]

    @property
    def doubts(self) -> list[int]:
        """Why a node that is new begins no new cluster: so many nodes, these, are on other disks than when they were first met.

        With those disks a cluster may have begun, and a majority have voted, while this node heard nothing of it. Where fewer
        are replaced, one that has voted is left: it is a member and says so.
        """
        replaced = sorted({node for node, _ in self.row.replaced})
        in_doubt = self.row.state is State.NEW and not self.row.forced and len(replaced) >= self._quorum
        return replaced if in_doubt else []

    def _found(self) -> bool:
        """Become a member if all are new and know each other by the same disks."""
        if self.doubts:
            return False
        table = [disk.id for disk in self.row.disks]
        others = [self.words.get(peer) for peer in range(len(table)) if peer != self.me]
        if not all(table) or not all(word is not None and says_new(word, table) for word in others):
            return False
        self.row = self.row._replace(state=State.MEMBER, founding=tuple(table), cursor=END)
        self._confirm(peer for peer in range(len(table)) if peer != self.me)
        return True

    def _confirm(self, peers: Iterable[int]) -> None:
        self.confirmed_by.update(peers)
        self._was_confirmed |= len(self.confirmed_by) >= self._quorum - 1

    # -- re-entry

    def intact(self) -> list[int]:
        """The peers that may be asked for floors: members that have noted this disk."""
        return [
            peer for peer, word in sorted(self.words.items()) if word.state == _MEMBER and word.disks[self.me][0] == self.disk.id
        ]

    def learn_disks(self, pages: Iterable[FloorPage]) -> set[int]:
        """Rule 19a: take over what those that are asked for floors know of all disks. Whoever comes back has forgotten it, and
        would believe a disk that had been replaced before. Returns the peers that are here by such a one."""
        row, pages = self.row, list(pages)
        told = {(node, disk) for page in pages for node, disk in page.replaced} - {(self.me, self.disk.id)}
        replaced = (*sorted(told.difference(row.replaced)), *row.replaced)[-MAX_REPLACED:]
        disks = list(row.disks)
        gone = {node for node, disk in enumerate(disks) if node != self.me and (node, disk.id) in told}
        for node in gone:
            disks[node] = Disk()
            self.words.pop(node, None)
            self.confirmed_by.discard(node)
        for page in pages:
            for node, seen in enumerate([Disk(*one) for one in page.disks[: len(disks)]]):
                known = disks[node]
                is_later = not known.id or (known.id == seen.id and known.starts < seen.starts)
                if node != self.me and seen.id and is_later and (node, seen.id) not in replaced:
                    disks[node] = seen
        self.row = row._replace(disks=tuple(disks), replaced=replaced)
        return gone

    def walked(self, cursor: int, default: int, missing: Iterable[int], floors: int) -> None:
        """The floors of all entities up to this one are set."""
        row = self.row
        assert row.state is State.REENTERING
        assert row.cursor < cursor
        without = row.without
        for peer in missing:
            without |= 1 << peer
        state = State.MEMBER if cursor == END else State.REENTERING
        self.row = row._replace(
            state=state, cursor=cursor, default=max(default, row.default), without=without, floors=row.floors + floors
        )

    def settled(self, ended: bool, floors: int) -> None:
        """All peers have answered after all: so many entities have a floor of their own instead of the default one, which, at the
        end of the list, is none."""
        row = self.row
        assert row.state is State.MEMBER
        self.row = row._replace(default=0 if ended else row.default, floors=row.floors + floors)

    def note_passed(self, passed: int) -> None:
        """So many of the floors are behind."""
        self.row = self.row._replace(passed=passed)

    def revert(self, row: StandingRow) -> None:
        """What has become of the row since could not be written."""
        self.row = row

    def said(self, peer: int, *, asks: bool) -> Standing:
        """What a peer is told."""
        row = self.row
        replaced = [disk for node, disk in row.replaced if node == peer]
        disks = [(disk.id, disk.starts, disk.incarnation) for disk in row.disks]
        if self.doubts:  # or others would begin a cluster on this word
            disks = [disk if node == self.me else (0, 0, 0) for node, disk in enumerate(disks)]
        return Standing(row.state.value, disks, list(row.founding), replaced, asks, list(row.history), self.learning)


def says_new(word: Standing, table: list[int]) -> bool:
    """Whether a peer says that it is new, and knows all nodes by these disks."""
    return word.state == State.NEW.value and _sees(word, table)


def _says_lost(word: Standing, table: list[int]) -> bool:
    """Whether a peer says that it has lost its disk, and knows all nodes by these."""
    return word.state == State.REENTERING.value and _sees(word, table)


def _sees(word: Standing, table: list[int]) -> bool:
    return [disk for disk, _, _ in word.disks] == table


def _joined(spans: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Ascending, without overlaps; neighbours are joined."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(last, joined[-1][1])
        else:
            joined.append((first, last))
    return tuple(joined)


def _with(disks: tuple[Disk, ...], node: int, disk: Disk) -> tuple[Disk, ...]:
    return (*disks[:node], disk, *disks[node + 1 :])
