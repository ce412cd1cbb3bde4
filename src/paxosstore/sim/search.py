"""The search for one order of the operations on one key, in agreement with real time, that explains every reply.

It is Wing and Gong's, with Lowe's memory of what was tried. Next in the order may be only what was called before the first
return among the answered operations that have no place yet. Besides:

- A read whose reply is right now is placed now: it disturbs nothing, and to wait makes nothing possible.
- Operations of unknown outcome are optional and have no return. They are tried last, and only where they change something.
  Those with equal effects are interchangeable: the one called first goes first.
- Of two ways to place the same operations and reach the same state, the one that used no more optional ones is as good.
- If that takes long, optional operations may at first take effect again and again. If even that explains nothing, there is no
  order. If it explains all and really repeats one, those like it are counted from then on, and the search begins anew. What
  this does not decide gets an exact search with the rest of the budget.

The problem is NP-complete: optional operations of many different effects, or very many clients at once, can make it take
exponentially long. So there is a budget.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from .history import Operation
from .models import Model

FIRST_TRY = 10
"""Steps per operation, and for a hundred more, after which optional operations may repeat."""
COMPARISONS_PER_STEP = 16


class Undecided(Exception):
    """The budget is spent, and it is not known whether there is an order."""


class DeadEnd(NamedTuple):
    """Where the longest order that was found ends."""

    order: tuple[Operation, ...]
    """An operation of unknown outcome is in it only if it is needed."""
    state: Hashable
    candidates: tuple[Operation, ...]
    """One of these must come next, and cannot."""
    watched: tuple[Operation, ...]
    """These, and the next read: what comes next must leave all of their replies possible."""


def is_optional(operation: Operation, model: Model[Any]) -> bool:
    """Whether it may have happened or not, and that may make a difference."""
    return operation.returned is None and not model.is_read(operation) and model.effect(operation) is not None


class _Timeline:
    """Calls and returns by time, in a list linked both ways: to place an operation and to take it back are the same few steps
    wherever it stands. Optional operations have their numbers in time, and no place in the list."""

    def __init__(self, answered: Sequence[Operation], optional: Sequence[Operation]) -> None:
        # At equal times calls come first: neither operation is then known to precede the other.
        moments = [(operation.called, False, number) for number, operation in enumerate([*answered, *optional])]
        moments += [(operation.returned or 0.0, True, number) for number, operation in enumerate(answered)]
        self.end = len(moments) + 1
        self.called = [0] * (len(answered) + len(optional))
        self._returned = [0] * len(answered)
        self._calls = [-1] * (self.end + 1)
        """Event -> the operation that is called; -1: it is a return, or the end."""
        self._after = [self.end] * (self.end + 1)
        self._before = [0] * (self.end + 1)
        last = 0
        for event, (_, is_return, number) in enumerate(sorted(moments), 1):
            (self._returned if is_return else self.called)[number] = event
            if number < len(answered):
                self._calls[event] = -1 if is_return else number
                self._after[last], self._before[event] = event, last
                last = event
        self._before[self.end] = last

    def candidates(self) -> tuple[list[int], int]:
        """The answered operations that may come next, and the first return: whatever comes next is called before that."""
        found = []
        event = self._after[0]
        while (number := self._calls[event]) >= 0:
            found.append(number)
            event = self._after[event]
        return found, event

    def place(self, number: int) -> None:
        for event in (self.called[number], self._returned[number]):
            before, after = self._before[event], self._after[event]
            self._after[before], self._before[after] = after, before

    def take_back(self, number: int) -> None:
        """The one that was placed last."""
        for event in (self._returned[number], self.called[number]):
            self._after[self._before[event]] = self._before[self._after[event]] = event


class _Move(NamedTuple):
    """One more operation, and where that leads."""

    operation: int
    state: Hashable
    used: int
    """How many of each group of optional operations are used, in one field of bits per group."""
    placed: int
    """The answered operations that have a place, one bit each."""


class _Group(NamedTuple):
    """Optional operations with equal effects."""

    members: list[int]
    """By the time of their calls."""
    shift: int
    mask: int
    """Its field; the bit above is a guard. A count above the number of members says that some are repeated."""

    def count(self, used: int) -> int:
        return used >> self.shift & self.mask


class Search:
    """Over the operations on one key, none of them refused, and no two with the same uuid."""

    def __init__(self, operations: Sequence[Operation], model: Model[Any]) -> None:
        self._model = model
        answered = [operation for operation in operations if operation.returned is not None]
        optional = [operation for operation in operations if is_optional(operation, model)]
        self._operations = answered + optional
        self._answered = len(answered)
        self._timeline = _Timeline(answered, optional)
        self._is_read = [model.is_read(operation) for operation in answered]
        self._middle = [operation.called + (operation.returned or 0.0) for operation in answered]
        """Twice the middle of each: the best guess when it took effect."""
        self._next_read = self._reads_by_event()
        self._groups = self._grouped(optional)
        self._longest: list[_Move] = []
        self._depth = (-1, 0)
        self._steps_left = 0

    def is_good(self, budget: int) -> bool:
        """Whether there is an order. Raises Undecided after so many steps."""
        exact = frozenset(range(len(self._groups)))
        first = min(budget, FIRST_TRY * (100 + len(self._operations)))
        second = (budget - first) // 2
        for steps, counted in ((first, exact), (second, frozenset[int]()), (budget - first - second, exact)):
            self._steps_left = steps
            try:
                return self._has_order(counted)
            except Undecided:
                continue
        raise Undecided

    def _has_order(self, counted: frozenset[int]) -> bool:
        """Whether there is an order in which no operation is repeated, when these groups are counted from the start."""
        while (used := self._run(counted)) is not None:
            repeated = {number for number, group in enumerate(self._groups) if group.count(used) > len(group.members)}
            if not repeated:
                return True
            counted |= repeated
        return False

    def dead_end(self) -> DeadEnd:
        """What the tries without repetition found, once it is known that there is no order."""
        for move in self._longest:
            self._place(move)
        numbers, horizon = self._timeline.candidates()
        for move in reversed(self._longest):
            self._take_back(move)

        def named(numbers: Iterable[int]) -> tuple[Operation, ...]:
            return tuple(self._operations[number] for number in numbers)

        order = named(move.operation for move in self._longest)
        state = self._longest[-1].state if self._longest else self._model.initial
        return DeadEnd(order, state, named(numbers), named(self._watched(numbers, horizon)))

    # -- preparation

    def _reads_by_event(self) -> list[int]:
        """Event -> the next read that is called from there on; -1: none."""
        reads = [-1] * (self._timeline.end + 1)
        for number, is_read in enumerate(self._is_read):
            if is_read:
                reads[self._timeline.called[number]] = number
        for event in range(self._timeline.end - 1, -1, -1):
            if reads[event] < 0:
                reads[event] = reads[event + 1]
        return reads

    def _grouped(self, optional: Sequence[Operation]) -> list[_Group]:
        by_effect: dict[Hashable, list[int]] = defaultdict(list)
        for number, operation in enumerate(optional, self._answered):
            by_effect[self._model.effect(operation)].append(number)
        groups = []
        shift = 0
        for members in by_effect.values():
            bits = (len(members) + 1).bit_length()
            groups.append(_Group(sorted(members, key=self._timeline.called.__getitem__), shift, (1 << bits) - 1))
            shift += bits + 1
        return groups

    # -- the search

    def _run(self, counted: frozenset[int]) -> int | None:
        """Depth first. Returns how often an order that explains everything uses each group; None: there is none.
        Groups that are not counted may be used more often than they have members."""
        fields = sum(group.mask << group.shift for number, group in enumerate(self._groups) if number in counted)
        guards = sum((group.mask + 1) << group.shift for number, group in enumerate(self._groups) if number in counted)
        tried: dict[tuple[int, Hashable], list[int]] = {}

        def is_new(move: _Move) -> bool:
            """Whether nothing as good was tried: with the same placed, the same state, and no more used of any group."""
            before = tried.setdefault((move.placed, move.state), [])
            self._steps_left -= 1 + len(before) // COMPARISONS_PER_STEP
            if self._steps_left < 0:
                raise Undecided
            used = move.used & fields
            # A field borrows its guard only if it is smaller than what is taken from it.
            if any((used | guards) - less & guards == guards for less in before):
                return False
            before.append(used)
            return True

        root = _Move(-1, self._model.initial, 0, 0)
        everything = (1 << self._answered) - 1
        path = [(root, self._moves(root, counted))]
        try:
            while path:
                here, moves = path[-1]
                if here.placed == everything:
                    return here.used
                move = next(filter(is_new, moves), None)
                if move is not None:
                    if len(path) > 2 * len(self._operations):
                        raise Undecided  # perhaps it would repeat for ever
                    self._place(move)
                    path.append((move, self._moves(move, counted)))
                    continue
                if len(counted) == len(self._groups):
                    self._remember(path)
                path.pop()
                self._take_back(here)
            return None
        finally:
            for here, _ in reversed(path):
                self._take_back(here)

    def _place(self, move: _Move) -> None:
        if move.operation < self._answered:
            self._timeline.place(move.operation)

    def _take_back(self, move: _Move) -> None:
        if 0 <= move.operation < self._answered:
            self._timeline.take_back(move.operation)

    def _remember(self, path: list[tuple[_Move, Iterator[_Move]]]) -> None:
        """The path that places most, and of those the shortest."""
        depth = (path[-1][0].placed.bit_count(), -len(path))
        if depth > self._depth:
            self._depth = depth
            self._longest = [move for move, _ in path[1:]]

    def _moves(self, here: _Move, counted: frozenset[int]) -> Iterator[_Move]:
        """What may come next, the most promising first. Asks the timeline only before the first move."""
        numbers, horizon = self._timeline.candidates()
        numbers.sort(key=self._middle.__getitem__)
        right, wrong = [], []
        for number in numbers:
            state, reply = self._model.apply(here.state, self._operations[number])
            if reply != self._operations[number].reply:
                wrong.append(number)
                continue
            move = _Move(number, state, here.used, here.placed | 1 << number)
            if self._is_read[number]:
                yield move
                return
            right.append(move)
        watched = self._watched(numbers, horizon)
        yield from (move for move in right if self._leaves_hope(move, watched))
        later = []
        for move in self._optional_moves(here, counted, horizon):
            if self._leaves_hope(move, watched):
                if any(self._is_right(number, move.state) for number in wrong):
                    yield move
                else:
                    later.append(move)
        yield from later

    def _optional_moves(self, here: _Move, counted: frozenset[int], horizon: int) -> Iterator[_Move]:
        called = self._timeline.called
        for index, group in enumerate(self._groups):
            count, members = group.count(here.used), group.members
            if count < len(members) and called[members[count]] < horizon:
                number, more = members[count], 1
            elif index not in counted and called[members[0]] < horizon:
                number, more = members[0], len(members) + 1 - count
            else:
                continue
            state, _ = self._model.apply(here.state, self._operations[number])
            if state != here.state:
                yield _Move(number, state, here.used + (more << group.shift), here.placed)

    def _is_right(self, number: int, state: Hashable) -> bool:
        _, reply = self._model.apply(state, self._operations[number])
        return bool(reply == self._operations[number].reply)

    def _watched(self, candidates: list[int], horizon: int) -> list[int]:
        """Reads tell most. So besides the candidates it is the next read whose reply must stay possible."""
        read = self._next_read[horizon]
        return candidates if read < 0 else [*candidates, read]

    def _leaves_hope(self, move: _Move, watched: list[int]) -> bool:
        hopeless, operations = self._model.hopeless, self._operations
        return not any(number != move.operation and hopeless(move.state, operations[number]) for number in watched)
