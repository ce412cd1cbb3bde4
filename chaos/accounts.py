"""Plain accounts of one key: what was acknowledged is there at the end, what was refused is not, and nothing happened twice.

They know less than the checker of linearizability, and do not depend on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from . import kinds
from .clients import CALL, NOT_THAT_MUCH, READS
from .journal import Operation, Outcome, Reply
from .models import tokens


def problems(key: str, operations: Sequence[Operation], first_reader: int) -> list[str]:
    """What does not hold of a key. The reads by clients from `first_reader` on are the last ones."""
    finals = {o.reply for o in operations if o.client >= first_reader and o.outcome is Outcome.DONE}
    if len(finals) != 1:
        return []  # whether the nodes agree is another check
    account = _ACCOUNTS.get(operations[0].kind)
    if account is None:
        return []  # it has ended when it would be looked at
    changes = merged(o for o in operations if o.name not in READS)
    return [f"{key}: {problem}" for problem in account(changes, finals.pop())]


def merged(changes: Iterable[Operation]) -> list[Operation]:
    """One operation for all attempts under one uuid: the one that tells most."""
    single: list[Operation] = []
    by_uuid: dict[str, Operation] = {}
    for change in changes:
        if not change.uuid:
            single.append(change)
            continue
        known = by_uuid.setdefault(change.uuid, change)
        if _tells(change) > _tells(known):
            by_uuid[change.uuid] = change
    return single + list(by_uuid.values())


def _tells(change: Operation) -> int:
    """An attempt that was refused says nothing of the others."""
    return (Outcome.REFUSED, Outcome.WRONG, Outcome.UNKNOWN, Outcome.DONE).index(change.outcome)


def _value(changes: list[Operation], final: Reply) -> list[str]:
    """Of a register, or a key that is set once and taken."""
    if final is None:
        lost = [o for o in changes if o.name in ("set", "swap") and o.outcome is Outcome.DONE]
        return [f"is gone, though it was set: {lost[0]}"] if lost else []
    writers = [o for o in changes if final in o.arguments]
    if not writers:
        return [f"holds {final}, which nobody wrote"]
    return [f"holds {final}, which was refused: {o}" for o in writers if o.outcome is Outcome.REFUSED]


def _counter(changes: list[Operation], final: Reply) -> list[str]:
    done = sum(_amount(o) for o in changes if o.outcome is Outcome.DONE)
    return _in_bounds(done, [_amount(o) for o in changes if o.outcome is Outcome.UNKNOWN], _number(final))


def _list(changes: list[Operation], final: Reply) -> list[str]:
    there = Counter(tokens(final))
    found = [f"holds {token!r} {times} times" for token, times in there.items() if times > 1]
    by_token = {str(o.arguments[0]): o for o in changes}
    found += [f"holds {token!r}, which nobody appended" for token in there if token not in by_token]
    for token, change in by_token.items():
        if change.outcome is Outcome.DONE and token not in there:
            found.append(f"lost {change}")
        if change.outcome is Outcome.REFUSED and token in there:
            found.append(f"holds what was refused: {change}")
    return found


def _card(changes: list[Operation], final: Reply) -> list[str]:
    """Of a card that was never deleted, and inserted at most once."""
    may_have_happened = [
        o for o in changes if o.outcome in (Outcome.DONE, Outcome.UNKNOWN) and o.reply not in ("exists", "missing")
    ]
    inserts = [o for o in may_have_happened if o.name == "insert"]
    if len(inserts) != 1 or any(o.name == "delete" for o in may_have_happened):
        return []
    if final == "missing":
        return [f"is gone, though it was inserted: {inserts[0]}"] if inserts[0].outcome is Outcome.DONE else []
    updates = [o for o in may_have_happened if o.name == "update" and o.reply != "not enough"]
    done = _amount(inserts[0]) + sum(_amount(o) for o in updates if o.outcome is Outcome.DONE)
    return _in_bounds(done, [_amount(o) for o in updates if o.outcome is Outcome.UNKNOWN], _number(final))


def _account(changes: list[Operation], final: Reply) -> list[str]:
    """Of calls of the application: each was done once, or refused by it."""
    changed = [o for o in changes if o.reply != NOT_THAT_MUCH]
    done = sum(_amount(o) for o in changed if o.outcome is Outcome.DONE)
    return _in_bounds(done, [_amount(o) for o in changed if o.outcome is Outcome.UNKNOWN], _number(final))


def _in_bounds(done: int, unknown: list[int], final: int) -> list[str]:
    least, most = done + sum(a for a in unknown if a < 0), done + sum(a for a in unknown if a > 0)
    return [] if least <= final <= most else [f"is {final}: {done} was acknowledged, so it must be {least} to {most}"]


def _number(final: Reply) -> int:
    assert not isinstance(final, tuple)
    return int(final or 0)


def _amount(change: Operation) -> int:
    return int(change.arguments[0] or 0)


def _handed(changes: list[Operation], final: Reply) -> list[str]:
    """Of what was pushed, to be popped once or to be there: tokens, in a list or by their scores."""
    pushed = {str(o.arguments[0]): o for o in changes if o.name in _PUSHES}
    pops = [o for o in changes if o.name in _POPS]
    popped = Counter(_item(o.reply) for o in pops if o.outcome is Outcome.DONE and o.reply is not None)
    there = Counter(map(_item, _members(final)))
    found = [f"{item!r} was popped {times} times" for item, times in popped.items() if times > 1]
    found += [f"holds {item!r} {times} times" for item, times in there.items() if times > 1]
    found += [f"holds {item!r}, which was popped" for item in there if item in popped]
    found += [f"showed {item!r}, which nobody pushed" for item in popped | there if item not in pushed]
    seen = {*popped, *there}
    found += [f"showed what was refused: {o}" for item, o in pushed.items() if o.outcome is Outcome.REFUSED and item in seen]
    lost = [o for item, o in pushed.items() if o.outcome is Outcome.DONE and item not in seen]
    unknown = sum(o.outcome is Outcome.UNKNOWN for o in pops)
    if len(lost) > unknown and not any(o.name == "delete" and _may_have_happened(o) for o in changes):
        found.append(f"lost {len(lost)}, of which unknown pops explain {unknown}: {lost[0]}")
    return found


def _held(changes: list[Operation], final: Reply) -> list[str]:
    """Of a set, a hash or a sorted set: who is in it."""
    happened = [o for o in changes if _may_have_happened(o)]
    there = {_item(member) for member in _members(final)}
    added = {str(o.arguments[0]): o for o in sorted(happened, key=_tells) if o.name in _ADDS}
    found = [f"holds {name!r}, which nobody put there" for name in there if name not in added]
    for name, change in added.items():
        removed = any(o.name in ("delete", "zpopmin") or (o.name in _REMOVES and o.arguments[0] == name) for o in happened)
        if change.outcome is Outcome.DONE and name not in there and not removed:
            found.append(f"lost {name!r}: {change}")
    return found


def _fields(changes: list[Operation], final: Reply) -> list[str]:
    """Of a hash, besides: what is in it."""
    found = _held(changes, final)
    for field, value in _members(final):  # type: ignore[str-unpack, misc]  # pairs
        own = [o for o in changes if o.name == "delete" or o.arguments[0] == field]
        if field not in kinds.COUNTS:
            if not any(o.name == "hset" and o.arguments[1] == value and _may_have_happened(o) for o in own):
                found.append(f"{field!r} is {value!r}, which nobody has written")
        elif not any(o.name in ("hdel", "delete") and _may_have_happened(o) for o in own):
            done = sum(_increase(o) for o in own if o.outcome is Outcome.DONE)
            unknown = [_increase(o) for o in own if o.outcome is Outcome.UNKNOWN]
            found += [f"{field!r} {problem}" for problem in _in_bounds(done, unknown, int(value))]
    return found


_PUSHES, _POPS = ("lpush", "rpush", "zadd"), ("lpop", "rpop", "blpop", "brpop", "zpopmin", "bzpopmin")
_ADDS, _REMOVES = ("sadd", "hset", "hincrby", "zadd", "zincrby"), ("srem", "hdel", "zrem")


def _members(final: Reply) -> tuple[str | int | tuple[str | int, ...], ...]:
    assert isinstance(final, tuple), final
    return final


def _item(shown: Reply) -> str:
    """A member, with what it has or without."""
    return str(shown[0] if isinstance(shown, tuple) else shown)


def _increase(change: Operation) -> int:
    return int(change.arguments[1] or 0)


def _may_have_happened(change: Operation) -> bool:
    return change.outcome in (Outcome.DONE, Outcome.UNKNOWN)


_ACCOUNTS: dict[str, Callable[[list[Operation], Reply], list[str]]] = {
    "register": _value,
    "once": _value,
    "counter": _counter,
    "list": _list,
    "lease": _value,
    "card": _card,
    CALL: _account,
    kinds.DEQUE: _handed,
    kinds.QUEUE: _handed,
    kinds.PILE: _handed,
    kinds.SET: _held,
    kinds.HASH: _fields,
    kinds.ZSET: _held,
}
"""By the kind of a key; of `brief-` keys there is none."""
