"""What must hold at every moment. All of it is seen from outside: rows on disks, frames, and what clients are told.

A check is a method of `Invariants`, called by the cluster where the thing it is about happens. It raises `Violation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..core.entry.record import EMPTY, Record
from ..core.interface.message import (
    CatchUpReply,
    CompareReply,
    CompareRequest,
    InventoryReply,
    Message,
    PaxosMessage,
    ReadAnswer,
    ReadQuestion,
    Stopped,
)

Place = tuple[int, int]
"""(entity, entry)"""


class Violation(AssertionError):
    """What the store promised does not hold."""


class Asked(NamedTuple):
    """What everybody's answers to a read question must show."""

    votes: list[int]
    """Of each node, the highest entry that it has voted for."""
    chosen: int
    """The highest entry that was chosen."""


class Invariants:
    """Knows every vote that was kept or shown, and so what is chosen, whether or not any node knows it yet.

    It takes no rule's word from the code under test: a mistake there must not be made here too.
    """

    def __init__(self, nodes: int) -> None:
        self._quorum = nodes // 2 + 1
        self._bodies: dict[bytes, bytes] = {}
        """Value id -> the one value it stands for."""
        self._proposed: dict[tuple[int, int, int], bytes] = {}
        """(entity, entry, ballot) -> id of the one value proposed under it."""
        self._votes: dict[tuple[int, int, int], set[int]] = {}
        """(entity, entry, ballot) -> nodes that accepted under it."""
        self.chosen: dict[Place, bytes] = {}
        """(entity, entry) -> id of the value that a majority has accepted under one ballot."""
        self._deciders: dict[Place, set[int]] = {}
        """(entity, entry) -> nodes whose votes are among those that chose its value."""
        self.latest: dict[int, int] = {}
        """Entity -> its highest chosen entry."""
        self._starts = [0] * nodes
        self._questions: dict[tuple[int, int, int], int] = {}
        """(node, entity, number) -> the start of the node after which it asked that."""
        self._nodes = range(nodes)
        self._accepted: dict[tuple[int, int], int] = {}
        """(node, entity) -> highest entry at which the node has a vote that is durable."""
        self._lost: dict[tuple[int, int], int] = {}
        """(node, entity) -> highest entry at which it had one on disks that are lost."""
        self._asked: dict[tuple[int, int], Asked] = {}
        """(entity, number of a read question) -> how things stood then."""

    def started(self, node: int) -> None:
        """A node begins a new life."""
        self._starts[node] += 1

    def disk_changed(self, node: int) -> None:
        """A node has another disk: what was chosen with its votes stays chosen, what was not may be forgotten (rule 19)."""
        for place in [place for place in self._accepted if place[0] == node]:
            self._lost[place] = max(self._lost.get(place, 0), self._accepted.pop(place))
        for (entity, _), asked in self._asked.items():
            asked.votes[node] = self._decided(node, entity, min(asked.votes[node], asked.chosen))

    def entity_lost(self, node: int, entity: int) -> None:
        """The same of one entity, whose rows were damaged."""
        if (node, entity) in self._accepted:
            self._lost[node, entity] = max(self._lost.get((node, entity), 0), self._accepted.pop((node, entity)))
        for (number, _), asked in self._asked.items():
            if number == entity:
                asked.votes[node] = self._decided(node, entity, min(asked.votes[node], asked.chosen))

    def _voted(self, node: int, entity: int, chosen: int) -> int:
        """The highest entry at which a node must not hide its vote; below its floor it does not answer at all."""
        place = node, entity
        return max(self._accepted.get(place, 0), self._decided(node, entity, min(self._lost.get(place, 0), chosen)))

    def _decided(self, node: int, entity: int, through: int) -> int:
        """The highest entry up to this one that was chosen with a vote of this node: one that decided nothing may be forgotten
        with its disk, also where another value was chosen later (seed 86006382)."""
        return next((entry for entry in range(through, 0, -1) if node in self._deciders.get((entity, entry), ())), 0)

    def written(self, node: int, before: Mapping[Place, Record], rows: Mapping[Place, Record]) -> None:
        """Rows only move forward on a disk, within the life of that disk."""
        for place, new in rows.items():
            old = before.get(place, EMPTY)
            backwards = new.promised < old.promised or new.prepared < old.prepared or (old.chosen and not new.chosen)
            if backwards or (new.accepted < old.accepted and not new.chosen):
                raise Violation(f"node {node}: the row at {place} went back from {old} to {new}")
            kept = old.chosen or (old.accepted and old.accepted == new.accepted)
            if kept and old.value is not None and (new.value is None or old.value.id != new.value.id):
                raise Violation(f"node {node}: the value at {place} changed from {old} to {new}")

    def learns_only(self, node: int, before: Mapping[Place, Record], rows: Mapping[Place, Record]) -> None:
        """Who learns only writes what is chosen, and neither a promise nor a vote."""
        for place, row in rows.items():
            if not row.chosen and row != before.get(place, EMPTY):
                raise Violation(f"node {node} learns only, and wrote {row} at {place}")

    def durable(self, node: int, rows: Mapping[Place, Record]) -> None:
        """One value under one ballot, one chosen value per entry; nothing is marked chosen that is not."""
        for (entity, entry), row in rows.items():
            if not row.accepted:
                continue
            assert row.value is not None
            self._means(row.value.id, row.value.body)
            self._vote(node, entity, entry, row.accepted, row.value.id)
            if row.chosen and self.chosen.get((entity, entry)) != row.value.id:
                raise Violation(f"node {node} holds {row.value.id.hex()} chosen at {(entity, entry)}, a majority does not")

    def sent(self, node: int, message: Message, disk: Mapping[Place, Record]) -> None:
        """What a message shows is on the sender's disk (rule 7), and what it calls chosen is."""
        match message:
            case PaxosMessage():
                self._claims(node, message.entity, message.entry - 1)  # or this one were not open (rule 11)
                self._claims(node, message.entity, message.max_chosen)
                self._shown(node, message, disk)
            case ReadQuestion():
                start = self._starts[node]
                if self._questions.setdefault((node, message.entity, message.number), start) != start:
                    raise Violation(f"node {node} asks under a number of an earlier life: {message} (rule 12)")
                question = message.entity, message.number
                if question not in self._asked:
                    chosen = self.latest.get(message.entity, 0)
                    votes = [self._voted(each, message.entity, chosen) for each in self._nodes]
                    self._asked[question] = Asked(votes, chosen)
            case ReadAnswer():
                self._claims(node, message.entity, message.max_chosen)
                if message.highest < self._asked[message.entity, message.number].votes[node]:
                    raise Violation(f"node {node} hides a vote that it had when it was asked: {message} (rule 12)")
            case CatchUpReply():
                self._claims(node, message.entity, message.max_chosen)
                for learned in message.entries:
                    if self.chosen.get((message.entity, learned.entry)) != learned.value_id:
                        raise Violation(f"node {node} teaches a value at {(message.entity, learned.entry)} that is not chosen")
            case Stopped():
                raise Violation(f"node {node} takes replicas that are alike for different: {message}")
            case CompareRequest():
                self._claims(node, message.entity, message.known)
            case CompareReply():
                self._claims(node, message.entity, message.entry)
            case InventoryReply():
                for entity, committed in message.entities:
                    self._claims(node, entity, committed)

    def above_floor(self, node: int, message: PaxosMessage | ReadAnswer, floor: int) -> None:
        """Below its floor a node may have forgotten what it has voted for: it says nothing of it (rule 19c)."""
        if isinstance(message, ReadAnswer):
            if message.max_chosen < floor - 1:
                raise Violation(f"node {node} answers a read question below its floor {floor}: {message} (rule 19)")
        elif message.entry < floor and (message.promised or message.accepted) and not message.chosen:
            raise Violation(f"node {node} shows a row below its floor {floor}: {message} (rule 19)")

    def fenced(self, node: int, came: int, dropped: int) -> None:
        """Nothing that comes over a link of a disk that was replaced is processed (rule 19b)."""
        if came > dropped:
            raise Violation(f"node {node} took in {came - dropped} frames of disks that it knows were replaced (rule 19)")

    def back(self, node: int, below: list[tuple[int, int]]) -> None:
        """Who says that it is a member like any other is: the next disk may be lost on its word (rule 19)."""
        if below:
            raise Violation(f"node {node} says that all of it is back, and has entities below their floors: {below} (rule 19)")

    def told(self, node: int, entity: int, committed: int) -> None:
        """What a client or a peer is told of requests rests on chosen entries (rules 3 and 7)."""
        if committed and (entity, committed) not in self.chosen:
            raise Violation(f"node {node} told the outcome of entry {(entity, committed)}, which no majority holds")

    def in_time(self, node: int, now_ms: float, last_ms: float) -> None:
        """Whatever the disk does, a client is told how it stands soon after its deadline. Times of that node's clock."""
        if now_ms > last_ms:
            raise Violation(f"node {node} told a client something {now_ms - last_ms:.0f} ms too late for its deadline")

    def refused(self, node: int, shown: Iterable[tuple[Place, bytes]]) -> None:
        """Where a client is told that nothing happened, every value that carried its request and was shown has lost for good."""
        for place, value_id in shown:
            if self.chosen.get(place, value_id) == value_id:
                raise Violation(f"node {node} told that nothing happened, and {value_id.hex()} at {place} may yet be chosen")

    def _claims(self, node: int, entity: int, entry: int) -> None:
        if entry and (entity, entry) not in self.chosen:
            raise Violation(f"node {node} calls entry {(entity, entry)} chosen, which no majority holds")

    def _means(self, value_id: bytes, body: bytes) -> None:
        if self._bodies.setdefault(value_id, body) != body:
            raise Violation(f"two values under the id {value_id.hex()} (rule 4)")

    def _propose(self, vote: tuple[int, int, int], value_id: bytes) -> None:
        if self._proposed.setdefault(vote, value_id) != value_id:
            raise Violation(f"two values under ballot {vote[2]} at {vote[:2]}")

    def _vote(self, node: int, entity: int, entry: int, ballot: int, value_id: bytes) -> None:
        vote = entity, entry, ballot
        self._propose(vote, value_id)
        voters = self._votes.setdefault(vote, set())
        voters.add(node)
        self._accepted[node, entity] = max(self._accepted.get((node, entity), 0), entry)
        if len(voters) >= self._quorum:
            if self.chosen.setdefault((entity, entry), value_id) != value_id:
                raise Violation(f"two values chosen at {(entity, entry)}")
            self.latest[entity] = max(self.latest.get(entity, 0), entry)
            self._deciders.setdefault((entity, entry), set()).update(voters)

    def _shown(self, node: int, message: PaxosMessage, disk: Mapping[Place, Record]) -> None:
        if message.body is not None:
            self._means(message.value_id, message.body)
        row = disk.get((message.entity, message.entry), EMPTY)
        if message.accepted == 0 and message.value_id:
            self._proposed_early(node, message, disk)
            return
        self._on_disk(node, message, row)
        if message.accepted:  # a later vote of the same turn may have replaced it on the disk: it counts all the same
            self._vote(node, message.entity, message.entry, message.accepted, message.value_id)
        if message.chosen and self.chosen.get((message.entity, message.entry)) != message.value_id:
            raise Violation(f"node {node} calls a value chosen that is not: {message}")

    def _proposed_early(self, node: int, message: PaxosMessage, disk: Mapping[Place, Record]) -> None:
        """A pre-auth proposal leaves before its own row is durable (rule 6), and only the holder sends one (rule 5)."""
        entity, entry = message.entity, message.entry
        if message.promised != node + 1 or message.chosen:
            raise Violation(f"node {node} sent a value under no ballot of its own: {message}")
        self._propose((entity, entry, message.promised), message.value_id)
        if (entity, entry) in disk:
            raise Violation(f"node {node} used pre-auth at {(entity, entry)}, where its disk has {disk[entity, entry]}")
        chosen = self.chosen.get((entity, entry - 1))
        if chosen is None or chosen[0] != node:
            raise Violation(f"node {node} used pre-auth at {(entity, entry)}, and no value of its own was chosen before")
        before = disk.get((entity, entry - 1), EMPTY)
        if before.value is None or before.value.id != chosen:
            raise Violation(f"node {node} used pre-auth at {(entity, entry)}, and on its disk {before} comes before that")

    def _on_disk(self, node: int, message: PaxosMessage, row: Record) -> None:
        if row.chosen:
            return  # nothing that it forgot of its votes matters any more
        if message.promised > row.promised or message.prepared > row.prepared or message.accepted > row.accepted:
            raise Violation(f"node {node} showed a row that is not on its disk: {message}, the disk has {row}")
        if message.accepted and message.accepted == row.accepted:
            assert row.value is not None
            if row.value.id != message.value_id:
                raise Violation(f"node {node} showed another value than its disk has: {message}, the disk has {row}")
