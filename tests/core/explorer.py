"""Exhaustive exploration of one entry on three acceptors, by real `EntryMachine` objects.

The network is a set that only grows: every row ever shown may be delivered to anybody, at any time, any number of times, or
never. That is loss, duplication, delay and reordering at once. A node may crash once: it keeps its own row and loses what
it knew of the others; only a pre-auth row whose early message has left may be lost with it (rule 6).

What a node does depends on its own state alone, so each distinct (state of a node, event) is run once on a real machine
and remembered by number; a state of the cluster is three such numbers. Every state is reached; none is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from paxosstore.core.entry.machine import EntryMachine
from paxosstore.core.entry.record import EMPTY, Record, Value

N = 3


class Plan(NamedTuple):
    """How often each of the three nodes may do what."""

    prepares: tuple[int, int, int]
    preauth: tuple[bool, bool, bool]
    """Who holds pre-auth: one node at most, by rule 5."""
    crashes: tuple[bool, bool, bool] = (False, False, False)
    """Which nodes may be the one that crashes."""
    thin: bool = False
    """Leave out what cannot matter, see `Explorer`."""
    preauth_again: bool = False
    """Break rule 6: pre-auth stays on after a crash."""


class Node(NamedTuple):
    """Everything about one node that matters from here on, the rows it has shown included."""

    me: int
    rows: tuple[Record, ...]
    proposal: Value | None
    shown: tuple[Record, ...]
    prepares: int
    preauth: bool
    lives: int
    unsynced: bool
    """Its early pre-auth message has left and its own row is not durable."""


class Result(NamedTuple):
    states: int
    node_states: int
    chosen: frozenset[bytes]
    """Every value that was chosen in some state."""
    violation: str
    """Two values chosen in one state, or an assertion of the machine; empty: none."""


SHIFT = (0, 20, 40)
"""Where the numbers of the three nodes stand in the number of the cluster's state."""
MASK = (1 << 20) - 1
CRASHED = 60
"""The bit that says whether a node has crashed."""
Votes = frozenset[tuple[int, bytes]]
"""(ballot, value id) of everything a node has ever accepted."""


class Explorer:
    """Breadth first from three empty rows.

    A thin plan leaves out, to reach further:
    - preparing again while the own ballot leads (production does so only after a restart);
    - crashes after which the node proposes nothing: it forgets what it would have proposed, or called chosen. Silence is
      the same, and silence is explored;
    - what follows from learning that a value is chosen. A node that learned stands still for ever. Whatever the others do
      from there they could do as well while it merely stayed silent. So a state in which a node learned without voting is
      checked and not followed, and chosen rows are not delivered.
    """

    def __init__(self, plan: Plan, machine: type[EntryMachine] = EntryMachine) -> None:
        self._plan = plan
        self._machine = machine
        self._numbers: dict[Node, int] = {}
        self._nodes: list[Node] = []
        self._steps_of: dict[int, tuple[int, ...]] = {}
        self._crashes_of: dict[int, tuple[int, ...]] = {}
        self._heard: dict[tuple[int, int, Record], int] = {}
        self._talks: dict[tuple[int, int], tuple[int, ...]] = {}
        self._follow: list[bool] = []
        """node number -> whether it got there by more than learning"""
        self._kinds: list[int] = []
        """node number -> number of its votes and of what it calls chosen"""
        self._kind_numbers: dict[tuple[Votes, bytes | None], int] = {}
        self._verdicts: dict[tuple[int, int, int], frozenset[bytes]] = {}

    def run(self, limit: int) -> Result:
        """Visit every state; stop at the first violation. More than `limit` states are an error."""
        plan = self._plan
        nodes = [Node(me, (EMPTY,) * N, None, (), plan.prepares[me], plan.preauth[me], 0, False) for me in range(N)]
        first = [self._number(node) for node in nodes]
        start = sum(number << SHIFT[me] for me, number in enumerate(first))
        seen = {start}
        frontier = [start]
        chosen: frozenset[bytes] = frozenset()
        while frontier:
            found: list[int] = []
            for state in frontier:
                try:
                    fresh = self._following(state)
                except AssertionError as error:
                    return Result(len(seen), len(self._nodes), chosen, f"assertion: {error}")
                fresh -= seen
                seen |= fresh
                for one in fresh:
                    numbers = a, b, c = one & MASK, one >> SHIFT[1] & MASK, one >> SHIFT[2] & MASK
                    if not plan.thin or (self._follow[a] and self._follow[b] and self._follow[c]):
                        found.append(one)
                    values = self._chosen(a, b, c)
                    if not values <= chosen:
                        chosen |= values
                    if len(values) > 1:
                        shown = "\n".join(str(self._nodes[number]) for number in numbers)
                        return Result(len(seen), len(self._nodes), chosen, f"two values chosen:\n{shown}")
            assert len(seen) <= limit, f"more than {limit} states"
            frontier = found
        return Result(len(seen), len(self._nodes), chosen, "")

    # -- states of the cluster

    def _following(self, state: int) -> set[int]:
        a, b, c = state & MASK, state >> SHIFT[1] & MASK, state >> SHIFT[2] & MASK
        alone, crash, talk = self._alone, self._crash, self._talk
        ways = alone(a) + alone(b) + alone(c) + talk(a, b) + talk(a, c) + talk(b, c)
        if not state >> CRASHED:
            ways += crash(a) + crash(b) + crash(c)
        return {state + way for way in ways}

    def _chosen(self, a: int, b: int, c: int) -> frozenset[bytes]:
        """Values that a majority has accepted under one ballot at some time, and those that a node calls chosen."""
        key = self._kinds[a], self._kinds[b], self._kinds[c]
        values = self._verdicts.get(key)
        if values is None:
            kinds = list(self._kind_numbers)
            (one, _), (two, _), (three, _) = (kinds[kind] for kind in key)
            voted = {value for _, value in (one & two) | (one & three) | (two & three)}
            said = {kinds[kind][1] for kind in key} - {None}
            values = self._verdicts[key] = frozenset(voted) | frozenset(value for value in said if value is not None)
        return values

    # -- states of one node

    def _number(self, node: Node) -> int:
        mine = node.rows[node.me]
        if mine.chosen:
            # a chosen row never changes: what else it knows and might do no longer matters
            rows = tuple(row if at == node.me else EMPTY for at, row in enumerate(node.rows))
            node = node._replace(rows=rows, proposal=None, prepares=0, preauth=False)
        if not node.prepares and not node.preauth:
            node = node._replace(lives=0)  # it will propose nothing new
        number = self._numbers.get(node)
        if number is None:
            number = self._numbers[node] = len(self._nodes)
            self._nodes.append(node)
            self._follow.append(not mine.chosen or mine.accepted not in {row.accepted for row in node.shown if not row.chosen})
            votes = frozenset((row.accepted, row.value.id) for row in node.shown if row.accepted and row.value)
            kind = votes, mine.value.id if mine.chosen and mine.value is not None else None
            self._kinds.append(self._kind_numbers.setdefault(kind, len(self._kind_numbers)))
        return number

    def _load(self, node: Node) -> EntryMachine:
        machine = self._machine(N, node.me)
        machine.rows = list(node.rows)
        machine.proposal = node.proposal
        return machine

    def _after(self, node: Node, machine: EntryMachine) -> int:
        """The node with what its machine has become: durable, hence shown. As in production, it proposes when it may."""
        shown = node.shown
        if machine.mine not in shown:
            shown = (*shown, machine.mine)
        if node.proposal is not None or machine.proposal is not None:
            machine.propose()
            if machine.mine not in shown:
                shown = (*shown, machine.mine)
        return self._number(node._replace(rows=tuple(machine.rows), proposal=machine.proposal, shown=shown))

    def _talk(self, one: int, other: int) -> tuple[int, ...]:
        """What can become of two nodes by a row that one of them has shown, as differences of the cluster's number."""
        ways = self._talks.get((one, other))
        if ways is None:
            ways = self._talks[one, other] = self._hears(one, other) + self._hears(other, one)
        return ways

    def _hears(self, number: int, peer_number: int) -> tuple[int, ...]:
        node, peer = self._nodes[number], self._nodes[peer_number]
        if node.unsynced:
            return ()  # one turn at a time: its next one begins when this is durable
        rows = [row for row in peer.shown if not (self._plan.thin and row.chosen)]
        return self._ways(number, {self._hear(number, peer.me, row) for row in rows})

    def _hear(self, number: int, peer: int, row: Record) -> int:
        after = self._heard.get((number, peer, row))
        if after is None:
            node = self._nodes[number]
            machine = self._load(node)
            machine.update(peer, row)
            after = self._heard[number, peer, row] = self._after(node, machine)
        return after

    def _alone(self, number: int) -> tuple[int, ...]:
        ways = self._steps_of.get(number)
        if ways is None:
            ways = self._steps_of[number] = self._ways(number, set(self._steps(self._nodes[number])))
        return ways

    def _crash(self, number: int) -> tuple[int, ...]:
        ways = self._crashes_of.get(number)
        if ways is None:
            crashed = self._ways(number, set(self._crashes(self._nodes[number])))
            ways = self._crashes_of[number] = tuple(way + (1 << CRASHED) for way in crashed)
        return ways

    def _ways(self, number: int, after: set[int]) -> tuple[int, ...]:
        shift = SHIFT[self._nodes[number].me]
        return tuple((other - number) << shift for other in sorted(after) if other != number)

    def _steps(self, node: Node) -> Iterator[int]:
        mine = node.rows[node.me]
        if node.unsynced:
            yield self._number(node._replace(unsynced=False, shown=(*node.shown, mine)))
            return
        own = Value(b"value of %d, life %d" % (node.me, node.lives), b"")
        if node.preauth and mine.is_empty:
            machine = self._load(node)
            machine.propose_preauth(own)
            early = machine.mine._replace(accepted=0, chosen=False)
            yield self._number(node._replace(rows=tuple(machine.rows), shown=(*node.shown, early), preauth=False, unsynced=True))
        machine = self._load(node)
        if node.prepares and not mine.chosen and not (self._plan.thin and machine.leads and node.proposal is not None):
            machine.prepare(own)
            yield self._after(node._replace(prepares=node.prepares - 1), machine)

    def _crashes(self, node: Node) -> Iterator[int]:
        mine = node.rows[node.me]
        if not self._plan.crashes[node.me] or mine.chosen:
            return  # a chosen row is all that matters of its node, and it is kept
        if self._plan.thin and not node.prepares and not node.unsynced:
            return  # it proposes nothing afterwards
        kept = [mine, EMPTY] if node.unsynced else [mine]
        for row in kept:
            rows = tuple(row if at == node.me else EMPTY for at in range(N))
            shown = node.shown if row == EMPTY or row in node.shown else (*node.shown, row)
            yield self._number(
                node._replace(
                    rows=rows,
                    proposal=None,
                    shown=shown,
                    preauth=self._plan.preauth_again,
                    lives=node.lives + 1,
                    unsynced=False,
                )
            )
