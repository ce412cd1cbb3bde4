"""Commands on keys of any type, and on the whole keyspace of an entity."""

from __future__ import annotations

from ....core.batch.overlay import View
from ..layout.garbage import drop_garbage
from ..layout.keys import KINDS, Key, delete_many, expire_due, number_of_keys, scan_page
from ..layout.keys import flush as flush_keys
from ..layout.keyspace import slot_of
from ..reply import OK, SYNTAX_ERROR, array, bulk, integer_reply, simple
from .scanning import EMPTY_PAGE, cursor, scan_options


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
    position = cursor(args[1])
    options = scan_options(args[2:], with_type=True)
    slot = slot_of(view.entity)
    if slot < 0 and position >> 32:
        return EMPTY_PAGE
    page = scan_page(view, position & 0xFFFFFFFF, options.count, options.max_name_bytes)
    following = page.next_hash + (max(0, slot) << 32)
    if not page.next_hash and slot >= 0:
        following = slot + 1 << 32
    names = options.matching([name for name, kind in page.keys if options.only_type in ("", KINDS[kind])])
    return array([bulk(b"%d" % following), array([bulk(name) for name in names])])


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
