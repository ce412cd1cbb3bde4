"""Plain accounts of one key: what was acknowledged is there at the end, what was refused is not, and nothing happened twice.

They know less than the checker of linearizability, and do not depend on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from .journal import Operation, Outcome, Word
from .models import tokens


def problems(key: str, operations: Sequence[Operation], first_reader: int) -> list[str]:
    """What does not hold of a key. The reads by clients from `first_reader` on are the last ones."""
    finals = {o.reply for o in operations if o.client >= first_reader and o.outcome is Outcome.DONE}
    if len(finals) != 1:
        return []  # whether the nodes agree is another check
    changes = merged(o for o in operations if o.name not in ("get", "select"))
    return [f"{key}: {problem}" for problem in _ACCOUNTS[operations[0].kind](changes, finals.pop())]


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


def _value(changes: list[Operation], final: Word) -> list[str]:
    """Of a register, or a key that is set once and taken."""
    if final is None:
        lost = [o for o in changes if o.name in ("set", "swap") and o.outcome is Outcome.DONE]
        return [f"is gone, though it was set: {lost[0]}"] if lost else []
    writers = [o for o in changes if final in o.arguments]
    if not writers:
        return [f"holds {final}, which nobody wrote"]
    return [f"holds {final}, which was refused: {o}" for o in writers if o.outcome is Outcome.REFUSED]


def _counter(changes: list[Operation], final: Word) -> list[str]:
    done = sum(_amount(o) for o in changes if o.outcome is Outcome.DONE)
    return _in_bounds(done, [_amount(o) for o in changes if o.outcome is Outcome.UNKNOWN], int(final or 0))


def _list(changes: list[Operation], final: Word) -> list[str]:
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


def _card(changes: list[Operation], final: Word) -> list[str]:
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
    return _in_bounds(done, [_amount(o) for o in updates if o.outcome is Outcome.UNKNOWN], int(final or 0))


def _in_bounds(done: int, unknown: list[int], final: int) -> list[str]:
    least, most = done + sum(a for a in unknown if a < 0), done + sum(a for a in unknown if a > 0)
    return [] if least <= final <= most else [f"is {final}: {done} was acknowledged, so it must be {least} to {most}"]


def _amount(change: Operation) -> int:
    return int(change.arguments[0] or 0)


_ACCOUNTS: dict[str, Callable[[list[Operation], Word], list[str]]] = {
    "register": _value,
    "once": _value,
    "counter": _counter,
    "list": _list,
    "lease": _value,
    "card": _card,
}
