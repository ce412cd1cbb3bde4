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

from paxosstore.core.entry import EntryMachine
from paxosstore.core.record import EMPTY, Record, Value

N = 3


class Plan(NamedTuple):
    """How often each of the three nodes may do what."""

    prepares: tuple[int, int, int]
    preauth: bool
    """Whether node 0 holds pre-auth."""
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


class Choices(NamedTuple):
    """What a node may do by itself, as the numbers of the nodes it becomes."""

    steps: tuple[int, ...]
    crashes: tuple[int, ...]


class Result(NamedTuple):
    states: int
    node_states: int
    chosen: frozenset[bytes]
    """Every value that was chosen in some state."""
    violation: str
    """Two values chosen in one state, or an assertion of the machine; empty: none."""


State = tuple[int, int, int, bool]
"""Numbers of the three nodes' states, and whether one has crashed."""
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
        self._choices: dict[int, Choices] = {}
        self._heard: dict[tuple[int, int], tuple[int, ...]] = {}
        """(node, peer) -> what the node can become by a row that the peer has shown"""
        self._follow: list[bool] = []
        """node number -> whether it got there by more than learning"""
        self._kinds: list[int] = []
        """node number -> number of its votes and of what it calls chosen"""
        self._kind_numbers: dict[tuple[Votes, bytes | None], int] = {}
        self._verdicts: dict[tuple[int, int, int], frozenset[bytes]] = {}

    def run(self, limit: int) -> Result:
        """Visit every state; stop at the first violation. More than `limit` states are an error."""
        a, b, c = (
            self._number(Node(me, (EMPTY,) * N, None, (), self._plan.prepares[me], self._plan.preauth and me == 0, 0, False))
            for me in range(N)
        )
        seen: set[State] = {(a, b, c, False)}
        frontier = list(seen)
        chosen: frozenset[bytes] = frozenset()
        while frontier:
            found: list[State] = []
            for state in frontier:
                try:
                    following = self._following(state)
                except AssertionError as error:
                    return Result(len(seen), len(self._nodes), chosen, f"assertion: {error}")
                for one in following:
                    if one in seen:
                        continue
                    seen.add(one)
                    if not self._plan.thin or self._follow[one[0]] and self._follow[one[1]] and self._follow[one[2]]:
                        found.append(one)
                    values = self._chosen(one)
                    chosen |= values
                    if len(values) > 1:
                        shown = "\n".join(str(self._nodes[number]) for number in one[:N])
                        return Result(len(seen), len(self._nodes), chosen, f"two values chosen:\n{shown}")
            assert len(seen) <= limit, f"more than {limit} states"
            frontier = found
        return Result(len(seen), len(self._nodes), chosen, "")

    # -- states of the cluster

    def _following(self, state: State) -> list[State]:
        a, b, c, crashed = state
        after: list[State] = []
        after += [(one, b, c, crashed) for one in self._alone(a).steps + self._hears(a, b) + self._hears(a, c)]
        after += [(a, one, c, crashed) for one in self._alone(b).steps + self._hears(b, a) + self._hears(b, c)]
        after += [(a, b, one, crashed) for one in self._alone(c).steps + self._hears(c, a) + self._hears(c, b)]
        if not crashed:
            after += [(one, b, c, True) for one in self._alone(a).crashes]
            after += [(a, one, c, True) for one in self._alone(b).crashes]
            after += [(a, b, one, True) for one in self._alone(c).crashes]
        return after

    def _chosen(self, state: State) -> frozenset[bytes]:
        """Values that a majority has accepted under one ballot at some time, and those that a node calls chosen."""
        key = self._kinds[state[0]], self._kinds[state[1]], self._kinds[state[2]]
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

    def _hears(self, number: int, peer_number: int) -> tuple[int, ...]:
        after = self._heard.get((number, peer_number))
        if after is None:
            node, peer = self._nodes[number], self._nodes[peer_number]
            found = set() if node.unsynced else {self._hear(node, peer.me, row) for row in peer.shown if not (self._plan.thin and row.chosen)}
            after = self._heard[number, peer_number] = tuple(sorted(found - {number}))
        return after

    def _hear(self, node: Node, peer: int, row: Record) -> int:
        machine = self._load(node)
        machine.update(peer, row)
        return self._after(node, machine)

    def _alone(self, number: int) -> Choices:
        choices = self._choices.get(number)
        if choices is None:
            node = self._nodes[number]
            choices = self._choices[number] = Choices(tuple(self._steps(node)), tuple(self._crashes(node)))
        return choices

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
            yield self._number(
                node._replace(rows=tuple(machine.rows), shown=(*node.shown, early), preauth=False, unsynced=True)
            )
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

