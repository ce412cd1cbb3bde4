"""Exhaustive exploration of one entry on three acceptors, by real `EntryMachine` objects.

The network is a set that only grows: every row ever shown may be delivered to anybody, at any time, any number of times, or
never. That is loss, duplication, delay and reordering at once. A node may crash once: it keeps its own row and loses what
it knew of the others; only a pre-auth row whose early message has left may be lost with it (rule 6).

What a node does depends on its own state alone, so each distinct (state of a node, event) is run once on a real machine
and remembered by number; a state of the cluster is three such numbers. Every state is reached; none is skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


class Explorer:
    """Breadth first from three empty rows."""

    def __init__(self, plan: Plan, machine: type[EntryMachine] = EntryMachine) -> None:
        self._plan = plan
        self._machine = machine
        self._numbers: dict[Node, int] = {}
        self._nodes: list[Node] = []
        self._choices: list[Choices | None] = []
        self._heard: list[dict[Record, int]] = []
        """node number -> (peer's row -> number of the node it becomes)"""
        self._votes: list[frozenset[tuple[int, bytes]]] = []
        self._said: list[bytes | None] = []
        self._verdicts: dict[tuple[frozenset[tuple[int, bytes]], ...], frozenset[bytes]] = {}

    def run(self, limit: int) -> Result:
        """Visit every state; stop at the first violation. More than `limit` states are an error."""
        start = tuple(
            self._number(Node(me, (EMPTY,) * N, None, (), self._plan.prepares[me], self._plan.preauth and me == 0, 0, False))
            for me in range(N)
        )
        seen: set[tuple[int, int, int, bool]] = {(start[0], start[1], start[2], False)}
        frontier = list(seen)
        chosen: frozenset[bytes] = frozenset()
        while frontier:
            found: list[tuple[int, int, int, bool]] = []
            for state in frontier:
                try:
                    following = list(self._following(state))
                except AssertionError as error:
                    return Result(len(seen), len(self._nodes), chosen, f"assertion: {error}")
                for one in following:
                    if one not in seen:
                        seen.add(one)
                        found.append(one)
                        values = self._chosen(one)
                        if len(values) > 1:
                            shown = "\n".join(str(self._nodes[number]) for number in one[:N])
                            return Result(len(seen), len(self._nodes), chosen | values, f"two values chosen:\n{shown}")
                        if not values <= chosen:
                            chosen |= values
            assert len(seen) <= limit, f"more than {limit} states"
            frontier = found
        return Result(len(seen), len(self._nodes), chosen, "")

    # -- states of the cluster

    def _following(self, state: tuple[int, int, int, bool]) -> Iterator[tuple[int, int, int, bool]]:
        a, b, c, crashed = state
        for me in range(N):
            number = state[me]
            choices = self._choices[number] or self._choose(number)
            after = [(other, crashed) for other in choices.steps]
            if not crashed:
                after += [(other, True) for other in choices.crashes]
            if not self._nodes[number].unsynced:
                heard = self._heard[number]
                for peer in range(N):
                    if peer != me:
                        for row in self._nodes[state[peer]].shown:
                            other = heard.get(row, -1)
                            if other < 0:
                                other = heard[row] = self._hear(number, peer, row)
                            if other != number:
                                after.append((other, crashed))
            for other, has_crashed in after:
                if me == 0:
                    yield other, b, c, has_crashed
                elif me == 1:
                    yield a, other, c, has_crashed
                else:
                    yield a, b, other, has_crashed

    def _chosen(self, state: tuple[int, int, int, bool]) -> frozenset[bytes]:
        """Values that a majority has accepted under one ballot at some time, and those that a node calls chosen."""
        votes = tuple(self._votes[number] for number in state[:N])
        values = self._verdicts.get(votes)
        if values is None:
            one, two, three = votes
            values = self._verdicts[votes] = frozenset(value for _, value in (one & two) | (one & three) | (two & three))
        for number in state[:N]:
            said = self._said[number]
            if said is not None and said not in values:
                values |= {said}
        return values

    # -- states of one node

    def _number(self, node: Node) -> int:
        mine = node.rows[node.me]
        if mine.chosen:
            # a chosen row never changes: what else it knows and might do no longer matters
            rows = tuple(row if at == node.me else EMPTY for at, row in enumerate(node.rows))
            node = node._replace(rows=rows, proposal=None, prepares=0, preauth=False)
        number = self._numbers.get(node)
        if number is None:
            number = self._numbers[node] = len(self._nodes)
            self._nodes.append(node)
            self._choices.append(None)
            self._heard.append({})
            self._votes.append(
                frozenset((row.accepted, row.value.id) for row in node.shown if row.accepted and row.value and not row.chosen)
            )
            self._said.append(mine.value.id if mine.chosen and mine.value is not None else None)
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

    def _hear(self, number: int, peer: int, row: Record) -> int:
        node = self._nodes[number]
        machine = self._load(node)
        machine.update(peer, row)
        return self._after(node, machine)

    def _choose(self, number: int) -> Choices:
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
        if node.prepares and not mine.chosen:
            machine = self._load(node)
            machine.prepare(own)
            yield self._after(node._replace(prepares=node.prepares - 1), machine)

    def _crashes(self, node: Node) -> Iterator[int]:
        if not self._plan.crashes[node.me]:
            return
        mine = node.rows[node.me]
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


Mutate = Callable[[], type[EntryMachine]]
