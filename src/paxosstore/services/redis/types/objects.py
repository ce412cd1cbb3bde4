"""OBJECT: how Redis would keep a value."""

from __future__ import annotations

from ....core.batch.overlay import View
from ..layout.collection import LARGE, flags_in
from ..layout.keys import HASH, LIST, SET, STREAM, STRING, ZSET, Key
from ..reply import ONE, ZERO, error, integer_reply, lines_of, nil, text, wrong_arity
from ..resp import integer

_ENCODINGS = {HASH: ("listpack", "hashtable"), LIST: ("quicklist", "quicklist"), SET: ("intset", "hashtable")}
_ENCODINGS |= {ZSET: ("listpack", "skiplist"), STREAM: ("stream", "stream")}
"""Kind -> small, large."""
_EMBEDDED_BYTES = 44
_SHARED_INTEGERS = 10_000
_SHARED = 2**31 - 1
"""How often an integer that all keys share is referred to."""
_NO_LFU = error(
    "An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at"
    " runtime LRU and LFU data will take some time to adjust."
)
HELP = """OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
ENCODING <key>
    Return the kind of internal representation used in order to store the value
    associated with a <key>.
FREQ <key>
    Return the access frequency index of the <key>. The returned integer is
    proportional to the logarithm of the recent access frequency of the key.
IDLETIME <key>
    Return the idle time of the <key>, that is the approximated number of
    seconds elapsed since the last access to the key.
REFCOUNT <key>
    Return the number of references of the value associated with the specified
    <key>.
HELP
    Prints this help."""


def object_(view: View, args: list[bytes], proto: int) -> bytes:
    sub = args[1].upper()
    if sub == b"HELP":
        return lines_of(HELP.split("\n")) if len(args) == 2 else wrong_arity("object|help")
    if sub not in (b"ENCODING", b"FREQ", b"IDLETIME", b"REFCOUNT"):
        return error(b"unknown subcommand '%b'. Try OBJECT HELP." % args[1][:128])
    if len(args) != 3:
        return wrong_arity(f"object|{sub.decode().lower()}")
    key = Key(view, args[2])
    if not key.exists:
        return nil(proto)
    if sub == b"ENCODING":
        return text(encoding(key))
    if sub == b"FREQ":
        return _NO_LFU
    if sub == b"IDLETIME":
        return ZERO  # nobody keeps when a key was read
    number = integer(key.body) if key.kind <= STRING else None
    return ONE if number is None or not 0 <= number < _SHARED_INTEGERS else integer_reply(_SHARED)


def encoding(key: Key) -> str:
    """Of a key that exists."""
    if key.kind > STRING:
        return _ENCODINGS[key.kind][flags_in(key.body) & LARGE]
    if integer(key.body) is not None:
        return "int"
    return "embstr" if len(key.body) <= _EMBEDDED_BYTES else "raw"


def keys_of_object(args: list[bytes]) -> list[bytes]:
    return args[2:3]
