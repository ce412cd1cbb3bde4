"""Commands on keys of any type, and on the whole keyspace of an entity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from ....core.batch.overlay import View
from ....errors import TooLarge
from ..glob import steps_per_byte
from ..layout.garbage import drop_garbage
from ..layout.hashed import CHANCE, FEW, HASHES, random_places
from ..layout.keys import KINDS, Key, delete_many, expire_due, names_between, number_of_keys, scan_page
from ..layout.keys import flush as flush_keys
from ..layout.keyspace import slot_of
from ..reply import OK, SYNTAX_ERROR, array, bulk, error, integer_reply, nil, simple
from .scanning import EMPTY_PAGE, MATCH_STEPS, MAX_SCAN_COUNT, cursor, scan_options

_PAGES_OF_KEYS = 4
_NO_KEYS_IN_SLOTS = error("KEYS is not possible where the keys of a database are spread over slots: use SCAN")


def delete(view: View, args: list[bytes], proto: int) -> bytes:
    return integer_reply(delete_many(view, args[1:]))


def exists(view: View, args: list[bytes], proto: int) -> bytes:
    return integer_reply(sum([Key(view, name).exists for name in args[1:]]))


def keys(view: View, args: list[bytes], proto: int) -> bytes:
    """It looks at all keys, so it is refused where there are more than a request may visit."""
    if slot_of(view.entity) >= 0:
        return _NO_KEYS_IN_SLOTS
    options = scan_options((b"MATCH", args[1]))
    left = MATCH_STEPS * _PAGES_OF_KEYS // steps_per_byte(args[1])
    names: list[bytes] = []
    for name in all_names(view):
        left -= len(name)
        if left < 0:
            raise TooLarge("KEYS has more to match than one command may: use SCAN")
        names.append(name)
    return array([bulk(name) for name in options.matching(names)])


def all_names(view: View) -> Iterator[bytes]:
    """Every key, unless there are more than a request may visit."""
    at = 0
    while True:
        page = scan_page(view, at, MAX_SCAN_COUNT)
        yield from (name for name, _ in page.keys)
        at = page.next_hash
        if not at:
            return


def randomkey(view: View, args: list[bytes], proto: int) -> bytes:
    size = number_of_keys(view)
    if size <= FEW:
        names = list(all_names(view))
        return bulk(CHANCE.choice(names)) if names else nil(proto)
    for name in random_places(partial(names_between, view), size, 1):
        if Key(view, name).exists:
            return bulk(name)
    for first in (CHANCE.randrange(HASHES), 0):  # nearly all are due: a page of them is deleted now
        page = scan_page(view, first, MAX_SCAN_COUNT)
        if page.keys:
            return bulk(CHANCE.choice(page.keys)[0])
    return nil(proto)


def gather_random(replies: Sequence[bytes]) -> bytes:
    """One of what several entities have chosen."""
    return CHANCE.choice([reply for reply in replies if reply[:1] == b"$" and reply != nil(2)] or list(replies[:1]))


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


def drop_expired(view: View, args: list[bytes], proto: int) -> bytes:
    """What the node itself asks for, never a client: drop up to args[1] rows that have expired, from the time args[2] on, and
    as many members of keys that are gone."""
    limit = int(args[1])
    return array([integer_reply(number) for number in (*expire_due(view, limit, int(args[2])), drop_garbage(view, limit))])
