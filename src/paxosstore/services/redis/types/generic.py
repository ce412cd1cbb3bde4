"""Commands on keys of any type, and on the whole keyspace of an entity."""

from __future__ import annotations

from ....core.batch.overlay import View
from ..glob import compile_glob, steps_per_byte
from ..layout.garbage import drop_garbage
from ..layout.keys import KINDS, PAGE_BYTES, Key, delete_many, expire_due, number_of_keys, scan_page
from ..layout.keys import flush as flush_keys
from ..layout.keyspace import slot_of
from ..reply import NOT_AN_INTEGER, OK, SYNTAX_ERROR, array, bulk, error, integer_reply, simple
from ..resp import integer

MAX_SCAN_COUNT = 10_000
"""One SCAN looks at no more keys than this, whatever COUNT says: nobody else is served meanwhile."""
MATCH_STEPS = 1_048_576
"""A page ends when matching its keys may take so many steps, some tens of ns each."""
INVALID_CURSOR = error("invalid cursor")
NO_MORE_KEYS = array([bulk(b"0"), array([])])


def delete(view: View, args: list[bytes], proto: int) -> bytes:
    return integer_reply(delete_many(view, args[1:]))


def exists(view: View, args: list[bytes], proto: int) -> bytes:
    return integer_reply(sum([Key(view, name).exists for name in args[1:]]))


def type_(view: View, args: list[bytes], proto: int) -> bytes:
    return simple(KINDS.get(Key(view, args[1]).kind, "none"))


def dbsize(view: View, args: list[bytes], proto: int) -> bytes:
    return integer_reply(number_of_keys(view))


def flush(view: View, args: list[bytes], proto: int) -> bytes:
    if len(args) > 2 or (len(args) == 2 and args[1].upper() not in (b"ASYNC", b"SYNC")):
        return SYNTAX_ERROR
    flush_keys(view)
    return OK


def scan(view: View, args: list[bytes], proto: int) -> bytes:
    """A cursor is slot (upper half) and the hash to go on from (lower half); it holds at every node.

    The last page of a slot leads to the next slot, which may not exist: the server knows where the slots end.
    """
    cursor = parse_cursor(args[1])
    if cursor is None:
        return INVALID_CURSOR
    count, pattern, only_type = 10, b"*", ""
    words = iter(args[2:])
    for word in words:
        name, argument = word.upper(), next(words, None)
        if argument is None or name not in (b"COUNT", b"MATCH", b"TYPE"):
            return SYNTAX_ERROR
        if name == b"COUNT":
            number = integer(argument)
            if number is None:
                return NOT_AN_INTEGER
            if number < 1:
                return SYNTAX_ERROR
            count = min(number, MAX_SCAN_COUNT)
        elif name == b"MATCH":
            pattern = argument
        else:
            only_type = argument.decode("latin-1").lower()
    slot = slot_of(view.entity)
    if slot < 0 and cursor >> 32:
        return NO_MORE_KEYS
    matches = None if pattern == b"*" else compile_glob(pattern).fullmatch
    most = PAGE_BYTES if matches is None else MATCH_STEPS // steps_per_byte(pattern)
    page = scan_page(view, cursor & 0xFFFFFFFF, count, most)
    following = page.next_hash + (max(0, slot) << 32)
    if not page.next_hash and slot >= 0:
        following = slot + 1 << 32
    names = [name for name, kind in page.keys if not only_type or KINDS[kind] == only_type]
    if matches is not None:
        names = [name for name in names if matches(name)]
    return array([bulk(b"%d" % following), array([bulk(name) for name in names])])


def parse_cursor(text: bytes) -> int | None:
    return int(text) if text.isdigit() and len(text) <= 20 and int(text) < 2**64 else None


def import_keys(view: View, args: list[bytes], proto: int) -> bytes:
    """Set keys that come as name, value and expiry, whatever they were before; none that has expired."""
    for name, value, at_ms in zip(args[1::3], args[2::3], args[3::3], strict=True):
        if not 0 < int(at_ms) < view.now_ms:
            Key(view, name).set(value, int(at_ms))
    return OK


def drop_expired(view: View, args: list[bytes], proto: int) -> bytes:
    """What the node itself asks for, never a client: drop up to args[1] rows that have expired, from the time args[2] on, and
    as many members of keys that are gone."""
    limit = int(args[1])
    return array([integer_reply(number) for number in (*expire_due(view, limit, int(args[2])), drop_garbage(view, limit))])
