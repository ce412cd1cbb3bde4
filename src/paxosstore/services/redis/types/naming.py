"""Commands that give a key another name, or a value another key."""

from __future__ import annotations

from ....core.batch.overlay import View
from ..layout.collection import copy_members
from ..layout.keys import LOOKUPS, STRING, Key, check_name
from ..layout.keyspace import DATABASES, REDIS_BASE, slot_of
from ..reply import NO_SUCH_KEY, NOT_AN_INTEGER, OK, ONE, SYNTAX_ERROR, ZERO, ReplyError, error
from ..resp import integer

_SAME = error("source and destination objects are the same")
_NO_DATABASE = error("DB index is out of range")
_NOT_ATOMIC = error(
    "databases are replicated each by itself: between them nothing is moved, copied or exchanged in one step; see docs/REDIS.md"
)


def rename(view: View, args: list[bytes], proto: int) -> bytes:
    _rename(view, args[1], args[2])
    return OK


def renamenx(view: View, args: list[bytes], proto: int) -> bytes:
    if Key(view, args[1]).exists and Key(view, args[2]).exists:
        return ZERO
    _rename(view, args[1], args[2])
    return ONE


def _rename(view: View, old: bytes, new: bytes) -> None:
    """It takes the same time for any number of members: they belong to a version, not to a name."""
    key = Key(view, old)
    if not key.exists:
        raise ReplyError(NO_SUCH_KEY)
    if old == new:
        return
    check_name(new)
    kind, body, expires_ms = max(key.kind, STRING), key.body, key.expires_ms
    key.delete(emptied=True)
    Key(view, new).put(kind, body, expires_ms)


def copy(view: View, args: list[bytes], proto: int) -> bytes:
    """The members of a collection are copied one by one."""
    database, replace = _database(view), False
    words = iter(args[3:])
    for word in words:
        if word.upper() == b"REPLACE":
            replace = True
        elif word.upper() == b"DB" and (argument := next(words, None)) is not None:
            database = _need_database(view, argument)
        else:
            return SYNTAX_ERROR
    here = database == _database(view)
    if here and args[1] == args[2]:
        return _SAME
    with LOOKUPS:
        source = Key(view, args[1])
    if not source.exists:
        return ZERO
    if not here:
        return _NOT_ATOMIC
    target = Key(view, args[2])
    if target.exists and not replace:
        return ZERO
    check_name(args[2])
    body = source.body if source.kind <= STRING else copy_members(view, source.body)
    target.put(max(source.kind, STRING), body, source.expires_ms)
    return ONE


def move(view: View, args: list[bytes], proto: int) -> bytes:
    if _need_database(view, args[2]) == _database(view):
        return _SAME
    return _NOT_ATOMIC if Key(view, args[1]).exists else ZERO


def swapdb(view: View, args: list[bytes], proto: int) -> bytes:
    for word, which in ((args[1], "first"), (args[2], "second")):
        number = integer(word)
        if number is None:
            return error(f"invalid {which} DB index")
        if not 0 <= number < _databases(view):
            return _NO_DATABASE
    return OK if args[1] == args[2] else _NOT_ATOMIC


def _database(view: View) -> int:
    """The number of the database that this is."""
    return view.entity - REDIS_BASE if slot_of(view.entity) < 0 else 0


def _databases(view: View) -> int:
    return DATABASES if slot_of(view.entity) < 0 else 1


def _need_database(view: View, word: bytes) -> int:
    """Raises ReplyError."""
    number = integer(word)
    if number is None:
        raise ReplyError(NOT_AN_INTEGER)
    if not -(2**31) <= number < 2**31:
        raise ReplyError(error("value is out of range, value must between -2147483648 and 2147483647"))
    if not 0 <= number < _databases(view):
        raise ReplyError(_NO_DATABASE)
    return number
