"""What a stream with one consumer group promises, for histories of it (sim/linearizability.py).

Ids are `1-*`, so an entry is known by its number: the first one is 0. Of each operation: arguments -> reply.

    xadd(token) -> number        xdel(number) -> 0 or 1        xlen() -> how many        xrange() -> entries
    xread(after) -> entries behind it, or None                 xlast(first) -> True: the next entry to come is this
    xgroup() -> "made" or "busy"                               xdestroy(), delete() -> 0 or 1
    xreadgroup(consumer, count) -> new entries, or None: they are pending for it from then on
    xtake(consumer, count) -> the same with NOACK: they are not
    xmine(consumer) -> what is pending for it, once more       xpending() -> (number, consumer, deliveries) of all
    xack(number) -> 0 or 1                                     xclaim(consumer, number) -> entries
    xautoclaim(consumer, count) -> (the next to look at, entries, numbers of those that are gone)

Entries are (number, token). Where there is no group, what needs one replies NO_GROUP.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

from paxosstore.sim.history import Operation
from paxosstore.sim.models import Model

NO_GROUP = "no group"
NONE_PENDING = -1
"""XAUTOCLAIM has looked at all."""
READS = frozenset(("xlen", "xrange", "xread", "xpending", "xlast"))
GROUPED = frozenset(("xreadgroup", "xtake", "xmine", "xclaim", "xautoclaim", "xpending"))

Entry = tuple[int, str]
Pending = tuple[int, str, int]
"""The number, for whom, and how often it was delivered."""


class Group(NamedTuple):
    last: int = -1
    """What was delivered last."""
    pending: tuple[Pending, ...] = ()


class State(NamedTuple):
    exists: bool = False
    last: int = -1
    """What was added last."""
    entries: tuple[Entry, ...] = ()
    group: Group | None = None

    def token(self, number: int) -> str | None:
        return dict(self.entries).get(number)

    def behind(self, after: int) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry[0] > after)

    def with_pending(self, *pending: Pending) -> State:
        """In the place of what was pending of these."""
        assert self.group is not None
        numbers = [one[0] for one in pending]
        left = [one for one in self.group.pending if one[0] not in numbers]
        return self._replace(group=self.group._replace(pending=tuple(sorted([*left, *pending]))))

    def without(self, number: int) -> State:
        """No longer pending."""
        assert self.group is not None
        left = tuple(one for one in self.group.pending if one[0] != number)
        return self._replace(group=self.group._replace(pending=left))


Result = tuple[State, object]


def _add(state: State, token: str) -> Result:
    number = state.last + 1
    return state._replace(exists=True, last=number, entries=(*state.entries, (number, token))), number


def _delete_entry(state: State, number: int) -> Result:
    left = tuple(entry for entry in state.entries if entry[0] != number)
    return state._replace(entries=left), len(state.entries) - len(left)


def _make_group(state: State) -> Result:
    return (state, "busy") if state.group else (state._replace(exists=True, group=Group()), "made")


def _destroy(state: State) -> Result:
    return state._replace(group=None), int(state.group is not None)


def _read_group(state: State, consumer: str, count: int) -> Result:
    state, found = _take(state, consumer, count)
    pending = [(number, consumer, 1) for number, _ in found or ()]
    return state.with_pending(*pending), found


def _take(state: State, consumer: str, count: int) -> tuple[State, tuple[Entry, ...] | None]:
    assert state.group is not None
    found = state.behind(state.group.last)[:count]
    return (state._replace(group=state.group._replace(last=found[-1][0])), found) if found else (state, None)


def _mine(state: State, consumer: str) -> Result:
    assert state.group is not None
    own = [one for one in state.group.pending if one[1] == consumer]
    found = [(number, state.token(number)) for number, _, _ in own]
    again = [(*one[:2], one[2] + 1) for one, (_, token) in zip(own, found, strict=True) if token is not None]
    return state.with_pending(*again), tuple(found)


def _acknowledge(state: State, number: int) -> Result:
    if state.group is None:
        return state, 0
    after = state.without(number)
    return after, int(after != state)


def _claim(state: State, consumer: str, number: int) -> Result:
    assert state.group is not None
    pending, token = [one for one in state.group.pending if one[0] == number], state.token(number)
    if token is None:
        return state.without(number), ()
    if not pending:
        return state, ()
    return state.with_pending((number, consumer, pending[0][2] + 1)), ((number, token),)


def _autoclaim(state: State, consumer: str, count: int) -> Result:
    assert state.group is not None
    found, after = state.group.pending[:count], state.group.pending[count : count + 1]
    claimed: list[Entry] = []
    gone: list[int] = []
    for number, _, _ in found:
        state, entries = _claim(state, consumer, number)
        claimed += entries  # type: ignore[arg-type]  # a reply of entries
        gone += [] if entries else [number]
    return state, (after[0][0] if after else NONE_PENDING, tuple(claimed), tuple(gone))


class StreamModel(Model[State]):
    """One key."""

    initial = State()
    commands: ClassVar[dict[str, Callable[..., Result]]] = {
        "xadd": _add,
        "xdel": _delete_entry,
        "xlen": lambda state: (state, len(state.entries)),
        "xrange": lambda state: (state, state.entries),
        "xread": lambda state, after: (state, state.behind(after) or None),
        "xgroup": _make_group,
        "xdestroy": _destroy,
        "delete": lambda state: (State(), int(state.exists)),
        "xreadgroup": _read_group,
        "xtake": _take,
        "xmine": _mine,
        "xack": _acknowledge,
        "xclaim": _claim,
        "xautoclaim": _autoclaim,
        "xpending": lambda state: (state, state.group.pending),
    }

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._never_ends = not any(one.kind in ("delete", "xdestroy") for one in operations)
        self._deleted = {one.arguments[0] for one in operations if one.kind == "xdel"}

    def apply(self, state: State, operation: Operation) -> Result:
        kind, arguments = operation.kind, operation.arguments
        if kind == "xlast":
            (first,) = arguments
            assert isinstance(first, int)
            return state, state.last < first and all(number in self._deleted for number in range(state.last + 1, first))
        if kind in GROUPED and state.group is None:
            return state, NO_GROUP
        return self.commands[kind](state, *arguments)

    def is_read(self, operation: Operation) -> bool:
        kind, reply = operation.kind, operation.reply
        if kind in READS:
            return True
        in_vain = {"xdel": 0, "xgroup": "busy", "xdestroy": 0, "delete": 0, "xreadgroup": None, "xtake": None, "xack": 0}
        return operation.returned is not None and (reply == NO_GROUP or (kind in in_vain and in_vain[kind] == reply))

    def hopeless(self, state: State, operation: Operation) -> bool:
        kind, reply, group = operation.kind, operation.reply, state.group
        if not self._never_ends:
            return False
        if kind == "xadd":
            return isinstance(reply, int) and reply <= state.last
        if kind not in ("xreadgroup", "xtake") or group is None:
            return False
        if isinstance(reply, tuple):
            first: Any = reply[0]
            return bool(first[0] <= group.last)
        return reply == NO_GROUP
