"""What lists, sets, hashes and sorted sets promise, in Redis's words: kinds of operations are commands in lower case, replies are
Redis's. Each model is a table of pure functions: (content, arguments) -> (content, reply).

Besides, of each kind: `delete()` -> whether it was there; `expire(ms)` -> the same, and its end comes then.

Two things happen to a key that nobody calls: its end comes, and what was taken for a client that has gone is given back.
`with_unseen` adds them to a history, as operations that may have happened or not.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

from .history import Contradiction, Operation, Value, one_per_uuid
from .models import UNSEEN, Model, Unseen

EXPIRE, OVER, GIVEN_BACK = "expire", "over", "given back"
BLOCKING = {"blpop": "lpop", "brpop": "rpop", "bzpopmin": "zpopmin"}
"""What waits until there is something -> what it does then. None, for a timeout, says nothing of what was there."""

Content = tuple[Any, ...]
Command = Callable[..., tuple[Content, object]]


class Kept(NamedTuple):
    """What is under a key, and what was taken from it for clients that may have gone."""

    content: Content = ()
    ends: Hashable = None
    """The `expire` by which its end comes."""
    taken: frozenset[tuple[Hashable, str, Value | Unseen]] = frozenset()
    """For whom, by which command, what; by none: it was given back. Nobody takes twice, so that a search ends which repeats."""


class Collection(Model[Kept]):
    """A key that is gone when nothing is left in it."""

    initial = Kept()
    commands: ClassVar[Mapping[str, Command]]
    reads: frozenset[str]
    in_vain: ClassVar[Mapping[str, Value]]
    """The reply of what has changed nothing."""
    fresh: ClassVar[Mapping[str, int]] = {}
    """Which argument is a value that nobody compares with: if no reply shows it, any other is as good."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._shown = {value for one in operations if one.returned is not None for value in _flat(one.reply)}

    def apply(self, state: Kept, operation: Operation) -> tuple[Kept, object]:
        kind = operation.kind
        if kind == EXPIRE:
            return (state._replace(ends=_who(operation)) if state.content else state), int(bool(state.content))
        if kind == OVER:
            return (state._replace(content=(), ends=None) if state.ends == operation.arguments else state), None
        if kind == GIVEN_BACK:
            return self._give_back(state, operation), None
        if kind in BLOCKING and operation.reply is None:
            return (state if operation.returned is not None else self._take_for(state, operation)), None
        content, reply = self._run(BLOCKING.get(kind, kind), state.content, self._arguments(operation))
        return self._with(state, content), reply

    def _run(self, kind: str, content: Content, arguments: Iterable[object]) -> tuple[Content, object]:
        if kind == "delete":
            return (), int(bool(content))
        return self.commands[kind](content, *arguments)

    def _arguments(self, operation: Operation) -> tuple[Value | Unseen, ...]:
        arguments, at = operation.arguments, self.fresh.get(operation.kind)
        if at is None or arguments[at] in self._shown:
            return arguments
        return (*arguments[:at], UNSEEN, *arguments[at + 1 :])

    @staticmethod
    def _with(state: Kept, content: Content) -> Kept:
        return state._replace(content=content, ends=state.ends if content else None)

    def _take_for(self, state: Kept, operation: Operation) -> Kept:
        command = BLOCKING[operation.kind]
        if any(whose == _who(operation) for whose, _, _ in state.taken):
            return state
        content, item = self.commands[command](state.content)
        if content == state.content:
            return state
        after = self._with(state, content)
        return after._replace(taken=after.taken | {(_who(operation), command, item)})  # type: ignore[arg-type]  # a reply

    def _give_back(self, state: Kept, operation: Operation) -> Kept:
        for one in state.taken:
            whose, command, item = one
            if whose == operation.arguments and command:
                content, _ = self._returned(state.content, command, item)
                return self._with(state, content)._replace(taken=state.taken - {one} | {(whose, "", None)})
        return state

    def _returned(self, content: Content, command: str, item: Any) -> tuple[Content, object]:
        raise NotImplementedError  # only what is waited for has it

    def is_read(self, operation: Operation) -> bool:
        kind = operation.kind
        if kind in self.reads:
            return True
        in_vain = {**self.in_vain, "delete": 0, EXPIRE: 0}
        return operation.returned is not None and kind in in_vain and operation.reply == in_vain[kind]

    def effect(self, operation: Operation) -> Hashable:
        own = _who(operation) if operation.kind == EXPIRE or operation.kind in BLOCKING else ()
        return operation.kind, self._arguments(operation), own


def _flat(reply: object) -> Iterable[object]:
    if isinstance(reply, tuple):
        for part in reply:
            yield from _flat(part)
    else:
        yield reply


def _who(operation: Operation) -> tuple[Value, ...]:
    """What tells it from all others on its key."""
    return operation.client, operation.called


def with_unseen(operations: Iterable[Operation], tolerance_ms: float | None = None) -> list[Operation]:
    """A history, and what nobody called: ends, and what is given back. Times are in milliseconds.

    `tolerance_ms`: clocks are right to within this, so that no end comes before its time; None: it may come at any time.
    """
    operations = list(operations)
    by_key: dict[str, list[Operation]] = {}
    for operation in operations:
        by_key.setdefault(operation.key, []).append(operation)
    for key, own in by_key.items():
        try:
            singles = one_per_uuid(own)
        except Contradiction:
            continue  # as the check will find out too
        for one in singles:
            unseen = Operation("nobody", key, OVER, _who(one), one.called)
            if one.kind == EXPIRE and (one.returned is None or one.reply == 1):
                early_ms = 0.0 if tolerance_ms is None else max(0.0, _milliseconds(one) - tolerance_ms)
                operations.append(replace(unseen, called=one.called + early_ms))
            elif one.kind in BLOCKING and one.returned is None:
                operations.append(replace(unseen, kind=GIVEN_BACK))
    return operations


def _milliseconds(expire: Operation) -> float:
    milliseconds = expire.arguments[0]
    assert isinstance(milliseconds, int | float)
    return milliseconds


# -- lists


def _pushed_left(items: Content, item: object) -> tuple[Content, object]:
    return (item, *items), len(items) + 1


def _pushed_right(items: Content, item: object) -> tuple[Content, object]:
    return (*items, item), len(items) + 1


class ListModel(Collection):
    """lpush, rpush, lpop, rpop, lmove (from the left end to the right one), llen, lrange (all); blpop, brpop."""

    commands: ClassVar[Mapping[str, Command]] = {
        "lpush": _pushed_left,
        "rpush": _pushed_right,
        "lpop": lambda items: (items[1:], items[0] if items else None),
        "rpop": lambda items: (items[:-1], items[-1] if items else None),
        "lmove": lambda items: (items[1:] + items[:1], items[0] if items else None),
        "llen": lambda items: (items, len(items)),
        "lrange": lambda items: (items, items),
    }
    reads = frozenset(("llen", "lrange"))
    in_vain: ClassVar[Mapping[str, Value]] = {"lpop": None, "rpop": None, "lmove": None, "blpop": None, "brpop": None}
    fresh: ClassVar[Mapping[str, int]] = {"lpush": 0, "rpush": 0}

    def _returned(self, content: Content, command: str, item: Any) -> tuple[Content, object]:
        return (_pushed_left if command == "lpop" else _pushed_right)(content, item)


# -- sets: the members, sorted


def _added(members: Content, member: str) -> tuple[Content, object]:
    return (members, 0) if member in members else (tuple(sorted((*members, member))), 1)


def _removed(members: Content, member: str) -> tuple[Content, object]:
    left = tuple(other for other in members if other != member)
    return left, len(members) - len(left)


class SetModel(Collection):
    """sadd, srem, sismember, scard, smembers."""

    commands: ClassVar[Mapping[str, Command]] = {
        "sadd": _added,
        "srem": _removed,
        "sismember": lambda members, member: (members, int(member in members)),
        "scard": lambda members: (members, len(members)),
        "smembers": lambda members: (members, members),
    }
    reads = frozenset(("sismember", "scard", "smembers"))
    in_vain: ClassVar[Mapping[str, Value]] = {"sadd": 0, "srem": 0}


# -- pairs of a name and what it has, in an order


def _with_pair(pairs: Content, pair: tuple[str, Any], order: Callable[[Any], Any]) -> tuple[Content, object]:
    others, _ = _dropped(pairs, pair[0])
    return tuple(sorted((*others, pair), key=order)), int(len(others) == len(pairs))


def _dropped(pairs: Content, name: str) -> tuple[Content, object]:
    left = tuple(pair for pair in pairs if pair[0] != name)
    return left, len(pairs) - len(left)


# -- hashes: pairs of a field and its value, by field


def _set_field(pairs: Content, field: str, value: object) -> tuple[Content, object]:
    return _with_pair(pairs, (field, value), _first)


def _increased(pairs: Content, field: str, amount: int) -> tuple[Content, object]:
    count = int(dict(pairs).get(field, 0)) + amount
    return _set_field(pairs, field, str(count))[0], count


def _first(pair: tuple[str, object]) -> str:
    return pair[0]


class HashModel(Collection):
    """hset, hdel, hget, hincrby, hgetall; hset and hincrby are never asked for on the same field."""

    commands: ClassVar[Mapping[str, Command]] = {
        "hset": _set_field,
        "hincrby": _increased,
        "hdel": _dropped,
        "hget": lambda pairs, field: (pairs, dict(pairs).get(field)),
        "hlen": lambda pairs: (pairs, len(pairs)),
        "hgetall": lambda pairs: (pairs, pairs),
    }
    reads = frozenset(("hget", "hlen", "hgetall"))
    in_vain: ClassVar[Mapping[str, Value]] = {"hdel": 0}
    fresh: ClassVar[Mapping[str, int]] = {"hset": 1}


# -- sorted sets: pairs of a member and its score, by score


def _scored(pairs: Content, member: str, score: int) -> tuple[Content, object]:
    return _with_pair(pairs, (member, score), _score_first)


def _score_increased(pairs: Content, member: str, amount: int) -> tuple[Content, object]:
    score = dict(pairs).get(member, 0) + amount
    return _scored(pairs, member, score)[0], score


def _score_first(pair: tuple[str, int]) -> tuple[int, str]:
    return pair[1], pair[0]


class SortedSetModel(Collection):
    """zadd, zrem, zincrby, zscore, zcard, zrange (all, with scores), zpopmin (one); bzpopmin."""

    commands: ClassVar[Mapping[str, Command]] = {
        "zadd": _scored,
        "zrem": _dropped,
        "zincrby": _score_increased,
        "zscore": lambda pairs, member: (pairs, dict(pairs).get(member)),
        "zcard": lambda pairs: (pairs, len(pairs)),
        "zrange": lambda pairs: (pairs, pairs),
        "zpopmin": lambda pairs: (pairs[1:], pairs[0] if pairs else None),
    }
    reads = frozenset(("zscore", "zcard", "zrange"))
    in_vain: ClassVar[Mapping[str, Value]] = {"zrem": 0, "zpopmin": None, "bzpopmin": None}

    def _returned(self, content: Content, command: str, item: Any) -> tuple[Content, object]:
        return _scored(content, *item)


COLLECTIONS: dict[str, type[Collection]] = {"deque": ListModel, "set": SetModel, "hash": HashModel, "zset": SortedSetModel}
"""By the kind of a key."""
