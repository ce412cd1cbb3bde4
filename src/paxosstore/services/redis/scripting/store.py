"""Where scripts lie among an entity's rows, so that every node of the cluster knows them.

    b"sb" + sha (40 hex digits)    -> class (1) + number (8) + body
    b"so" + class (1) + number (8) -> sha                                in the order in which they came
    b"sf", b"sn"                   -> libraries of functions: functions.py
    b"st"                          -> next number (8), scripts (8), bytes (8)

A class is 0: it came with EVAL, or 1: it was loaded. Where there are too many, the first that came go: of class 0 first.
"""

from __future__ import annotations

from ....core.batch.overlay import View
from ....errors import TooLarge

_BODY, _ORDER, _TOTALS = b"sb", b"so", b"st"
_AFTER_ORDER = b"sp"
EVALUATED, LOADED = b"\0", b"\1"
_HEAD = 9
MAX_SCRIPTS = 1_000
MAX_BYTES = 2 * 1024 * 1024
"""Of a database, in number and in bytes."""
MAX_NAME_BYTES = 512
"""Of a library or a function."""
MAX_SCRIPT_BYTES = 256 * 1024
"""Of one script: compiling it holds the loop."""


def get(view: View, sha: bytes) -> bytes | None:
    """The body of a script that is known."""
    row = view.get(_BODY + sha)
    return None if row is None else row[_HEAD:]


def is_known(view: View, sha: bytes) -> bool:
    return view.get(_BODY + sha) is not None


def put(view: View, sha: bytes, body: bytes, kind: bytes) -> None:
    """Keep a script; the first that came go where there are too many. Raises TooLarge."""
    check_size(body)
    row = view.get(_BODY + sha)
    if row is not None and row[:1] >= kind:
        return
    number, count, size = _totals(view)
    if row is not None:
        view.delete(_ORDER + row[:_HEAD])
        count, size = count - 1, size - len(body)
    while count and (count >= MAX_SCRIPTS or size + len(body) > MAX_BYTES):
        where, oldest = next(view.scan(_ORDER, _AFTER_ORDER))
        dropped = view.get(_BODY + oldest)
        assert dropped is not None, "a script and its place are written together"
        view.delete(where)
        view.delete(_BODY + oldest)
        count, size = count - 1, size - (len(dropped) - _HEAD)
    place = kind + number.to_bytes(8, "big")
    view.put(_BODY + sha, place + body)
    view.put(_ORDER + place, sha)
    _set_totals(view, number + 1, count + 1, size + len(body))


def check_size(body: bytes) -> None:
    if len(body) > MAX_SCRIPT_BYTES:
        raise TooLarge(f"a script of {len(body)} bytes is over the limit of {MAX_SCRIPT_BYTES}")


def flush(view: View) -> None:
    """Forget all scripts."""
    for where, sha in list(view.scan(_ORDER, _AFTER_ORDER)):
        view.delete(where)
        view.delete(_BODY + sha)
    number, _, _ = _totals(view)
    _set_totals(view, number, 0, 0)


def _totals(view: View) -> tuple[int, int, int]:
    row = view.get(_TOTALS) or bytes(24)
    return int.from_bytes(row[:8], "big"), int.from_bytes(row[8:16], "big"), int.from_bytes(row[16:], "big")


def _set_totals(view: View, *numbers: int) -> None:
    view.put(_TOTALS, b"".join([number.to_bytes(8, "big") for number in numbers]))
