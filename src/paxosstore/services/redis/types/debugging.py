"""DEBUG and MEMORY USAGE: what tools and test suites ask of a value. Nothing here changes anything."""

from __future__ import annotations

from hashlib import sha1
from itertools import islice

from ....core.batch.overlay import View
from ..layout.collection import Collection, after
from ..layout.keys import HASH, LIST, SET, STRING, ZSET, Key, scan_page
from ..reply import (
    NOT_AN_INTEGER,
    OK,
    SYNTAX_ERROR,
    array,
    bulk,
    error,
    integer_reply,
    lines_of,
    map_of,
    nil,
    set_of,
    simple,
    verbatim,
    wrong_arity,
)
from ..resp import integer
from . import objects

_NO_SUCH_KEY = error("no such key")
_MEMORY_HELP = (
    "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DOCTOR, PURGE: there is nothing to tell and nothing to do.",
    "USAGE <key> [SAMPLES <count>]: about how many bytes a key takes.",
    "HELP",
)
_HARMLESS = frozenset((b"log", b"sleep", b"quicklist-packed-threshold", b"set-active-expire", b"set-disable-deny-scripts"))
"""With one word, they do nothing here, but say OK."""
_RELOADS = frozenset((b"loadaof", b"reload", b"change-repl-id"))
"""Nothing is in memory alone, so there is nothing to load."""
_RELOAD_OPTIONS = frozenset((b"MERGE", b"NOFLUSH", b"NOSAVE"))
_FEW = 5
"""Members that MEMORY USAGE looks at."""
_ROW_BYTES = 48
"""What a row takes, besides its bytes."""
_MANY = 10_000
"""And at the most, where it is to look at all."""
_NO_EXAMPLE = error(
    "Wrong protocol type name. Please use one of the following:"
    " string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false"
)
_ATTRIBUTE = b"|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n"
_BIG = b"1234567999999999999999999999999999999"
_HASHED, _RANK = 4, 6
"""Bytes of the hash before a member; of the rank before a field's value."""
_BY_NAME = b"h"


def debug(view: View, args: list[bytes], proto: int) -> bytes:
    sub, words = args[1].lower(), len(args)
    if sub in _HARMLESS and words == 3:
        return OK
    if sub in _RELOADS:
        if sub == b"reload" and not {word.upper() for word in args[2:]} <= _RELOAD_OPTIONS:
            return error("DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")
        return OK
    if sub == b"protocol" and words == 3:
        return _example(args[2].lower(), proto)
    if sub == b"object" and words == 3:
        return _described(Key(view, args[2]))
    if sub == b"digest-value":
        return array([simple(digest(view, name).hex()) for name in args[2:]])
    if sub == b"digest" and words == 2:
        return simple(_digest_of_all(view).hex())
    return error(b"unknown subcommand or wrong number of arguments for '%b'. Try DEBUG HELP." % args[1][:128])


def keys_of_debug(args: list[bytes]) -> list[bytes]:
    return args[2:] if args[1].lower() in (b"object", b"digest-value") else []


def digest(view: View, name: bytes) -> bytes:
    """The same for equal values, however they came about; zeros where there is none. Its numbers are not Redis's."""
    key = Key(view, name)
    if not key.exists:
        return bytes(20)
    parts = [key.body] if key.kind <= STRING else _members(view, key)
    found = sha1(b"%d %d %d " % (max(key.kind, STRING), key.expires_ms > 0, len(parts)))
    for part in parts:
        found.update(b"%d " % len(part) + part)
    return found.digest()


def _members(view: View, key: Key) -> list[bytes]:
    """Of a collection, without what depends on how it became what it is."""
    rows = Collection(view, key.name, key.kind)
    if key.kind == LIST:
        return [element for _, element in rows.scan()]
    if key.kind == SET:
        return sorted(where[_HASHED:] for where, _ in rows.scan())
    if key.kind == HASH:
        return sorted(where[_HASHED:] + b"=" + value[_RANK:] for where, value in rows.scan())
    if key.kind == ZSET:
        return sorted(where + b"=" + value for where, value in rows.scan(_BY_NAME, after(_BY_NAME)))
    return [rows.extra, *(part for row in rows.scan() for part in row)]


def _digest_of_all(view: View) -> bytes:
    """Of all keys of a database, in whatever order they lie."""
    total, first = 0, 0
    while True:
        page = scan_page(view, first, 1_000)
        for name, _ in page.keys:
            total ^= int.from_bytes(sha1(name + digest(view, name)).digest(), "big")
        first = page.next_hash
        if not first:
            return total.to_bytes(20, "big")


def _described(key: Key) -> bytes:
    if not key.exists:
        return _NO_SUCH_KEY
    encoding = objects.encoding(key)
    facts = f"Value at:0x0 refcount:1 encoding:{encoding} serializedlength:{len(key.body)} lru:0 lru_seconds_idle:0"
    if encoding == "quicklist":
        facts += " ql_nodes:1 ql_avg_node:1.00 ql_listpack_max:-2 ql_compressed:0 ql_uncompressed_size:0"
    return simple(facts)


def _example(kind: bytes, proto: int) -> bytes:
    """One reply of each type there is."""
    numbers = [integer_reply(number) for number in range(3)]
    if kind == b"push" and proto == 2:
        return error("RESP2 is not supported by this command")
    examples = {
        b"string": bulk(b"Hello World"),
        b"integer": integer_reply(12_345),
        b"double": b",3.141\r\n" if proto == 3 else bulk(b"3.141"),
        b"bignum": b"(%b\r\n" % _BIG if proto == 3 else bulk(_BIG),
        b"null": nil(proto),
        b"array": array(numbers),
        b"set": set_of(numbers, proto),
        b"map": map_of([(integer_reply(number), _truth(number == 1, proto)) for number in range(3)], proto),
        b"attrib": (_ATTRIBUTE if proto == 3 else b"") + bulk(b"Some real reply following the attribute"),
        b"push": array([bulk(b"server-cpu-usage"), integer_reply(42)]).replace(b"*", b">", 1)
        + bulk(b"Some real reply following the push reply"),
        b"verbatim": verbatim("This is a verbatim\nstring", proto),
        b"true": _truth(True, proto),
        b"false": _truth(False, proto),
    }
    return examples.get(kind) or _NO_EXAMPLE


def _truth(value: bool, proto: int) -> bytes:
    return (b"#t\r\n" if value else b"#f\r\n") if proto == 3 else integer_reply(value)


def memory(view: View, args: list[bytes], proto: int) -> bytes:
    sub, words = args[1].upper(), len(args)
    if sub == b"HELP":
        return lines_of(_MEMORY_HELP) if words == 2 else wrong_arity("memory|help")
    if sub == b"USAGE":
        return _usage(view, args, proto) if words > 2 else wrong_arity("memory|usage")
    if sub not in (b"DOCTOR", b"PURGE"):
        return error(b"unknown subcommand '%b'. Try MEMORY HELP." % args[1][:128])
    if words != 2:
        return wrong_arity(f"memory|{sub.decode().lower()}")
    return OK if sub == b"PURGE" else verbatim("There is no more to say of this node's memory than INFO says.\n", proto)


def keys_of_memory(args: list[bytes]) -> list[bytes]:
    return args[2:3]


def _usage(view: View, args: list[bytes], proto: int) -> bytes:
    """About how many bytes a key takes, by some of its members."""
    look = _FEW
    if len(args) > 3:
        samples = integer(args[4]) if len(args) == 5 and args[3].upper() == b"SAMPLES" else -1
        if samples is None:
            return NOT_AN_INTEGER
        if samples < 0:
            return SYNTAX_ERROR
        look = samples or _MANY
    key = Key(view, args[2])
    if not key.exists:
        return nil(proto)
    size = _ROW_BYTES + len(key.name) + len(key.body)
    if key.kind > STRING:
        members = Collection(view, key.name, key.kind)
        rows = [len(where) + len(value) + _ROW_BYTES for where, value in islice(members.scan(), min(look, _MANY))]
        if rows:
            size += members.size * sum(rows) // len(rows)
    return integer_reply(size)
