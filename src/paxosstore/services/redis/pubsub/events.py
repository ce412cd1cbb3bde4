"""Keyspace notifications: what a command has done to which keys, by the names that Redis has for it.

Whoever runs a command finds out only if somebody, at any node, wants to know (`interest`): the rows of keys that it writes are
noted, and what it has done follows from its name and from what became of them. The request publishes that (`View.publish`), so it
is told when the request is decided, and never if it is refused. Each node tells its own clients what they want to know (hub.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ....core.batch.overlay import View
from ..layout.keys import ROW, key_in, row_key
from ..layout.keyspace import DATABASES, REDIS_BASE
from ..reply import ZERO
from ..run import Run
from ..types.zsets.members import split_options

KEY_EVENT = 3
"""Kind of the messages that say so: the channel is the class and the name, the payload the database and the key."""
CLASSES = "g$lshzxetdnm"
"""Generic, strings, lists, sets, hashes, sorted sets, expired, evicted, streams, of modules, new, missed."""
ALL = "g$lshzxetd"
"""What `A` stands for."""
_BY_GROUP = {
    "string": "$",
    "bitmap": "$",
    "hyperloglog": "$",
    "list": "l",
    "set": "s",
    "hash": "h",
    "sorted-set": "z",
    "geo": "z",
    "stream": "t",
    "generic": "g",
}
_NAMES = {
    "setex": "set",
    "psetex": "set",
    "getset": "set",
    "setnx": "set",
    "mset": "set",
    "msetnx": "set",
    "bitop": "set",
    "bitfield": "setbit",
    "incr": "incrby",
    "decr": "incrby",
    "decrby": "incrby",
    "lpushx": "lpush",
    "rpushx": "rpush",
    "blpop": "lpop",
    "brpop": "rpop",
    "hmset": "hset",
    "hsetnx": "hset",
    "zincrby": "zincr",
    "bzpopmin": "zpopmin",
    "bzpopmax": "zpopmax",
    "geoadd": "zadd",
    "georadius": "georadiusstore",
    "georadiusbymember": "georadiusstore",
    "pfmerge": "pfadd",
    "pexpire": "expire",
    "expireat": "expire",
    "pexpireat": "expire",
    "copy": "copy_to",
    "copy-in": "copy_to",
    "sort": "sortstore",
    "unlink": "del",
    "getdel": "del",
}
"""Of commands whose event has another name than they have."""
_SILENT_AT_ZERO = frozenset(
    "sadd srem hdel zrem lrem pfadd persist linsert zremrangebyscore zremrangebyrank zremrangebylex".split()  # noqa: SIM905
)
"""Nothing has changed where they reply 0."""
_SILENT = frozenset(("pfcount", "xack", "xautoclaim", "xclaim", "xreadgroup"))
"""What they write is no event in Redis 7.0."""
_MOVES = frozenset(("lmove", "blmove", "rpoplpush", "brpoplpush"))
_DELETE = frozenset(("del", "unlink", "getdel", "getex", "bitop", "flushdb", "flushall"))
"""That a key is gone is all that they have done, where it is."""
_ENDS = frozenset((b"EX", b"PX", b"EXAT", b"PXAT"))
"""Options of SET."""


COMPOSED = frozenset((b"exec", b"look", b"once", b"try", b"watch", b"eval", b"evalsha", b"fcall", b"paxos.call", b"paxos.read"))
"""What runs other commands, each of which is watched by itself."""


class Interest:
    """Which classes of events anybody wants to know, of this node's clients or another's."""

    def __init__(self) -> None:
        self.classes = frozenset[str]()
        self._by_hub: dict[object, frozenset[str]] = {}

    def set(self, hub: object, classes: frozenset[str]) -> None:
        """What a hub wants to know, for its clients and other nodes."""
        if classes:
            self._by_hub[hub] = classes
        else:
            self._by_hub.pop(hub, None)
        self.classes = frozenset[str]().union(*self._by_hub.values())


interest = Interest()
"""Of this process: commands are run without a server to ask."""


class Witness:
    """A view that notes which keys' rows are written."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.entity, self.entry, self.now_ms = view.entity, view.entry, view.now_ms
        self.before: dict[bytes, bytes | None] = {}
        """By the row of a key, in the order in which they were first written: what it was."""
        self.get = view.get
        self.scan = view.scan
        self.publish = view.publish
        self.require_write = view.require_write
        self.savepoint = view.savepoint
        self.undo = view.undo

    @property
    def request(self) -> int:
        return self._view.request

    def put(self, key: bytes, value: bytes) -> None:
        self._note(key)
        self._view.put(key, value)

    def delete(self, key: bytes) -> None:
        self._note(key)
        self._view.delete(key)

    def clear(self) -> None:
        self.before.clear()
        self._view.clear()

    def _note(self, key: bytes) -> None:
        if key[:1] == ROW and key not in self.before:
            self.before[key] = self._view.get(key)


def run_watched(run: Run, view: View, args: list[bytes], proto: int, group: Callable[[str], str]) -> bytes:
    """Run a command, and publish what it has done; `group` tells that of a command."""
    witness = Witness(view)
    reply = run(witness, args, proto)
    if witness.before and not reply.startswith(b"-"):
        number = view.entity - REDIS_BASE
        database = bytes((number if 0 <= number < DATABASES else 0,))
        name = args[0].lower().decode("latin-1")
        for kind, event, key in _events(name, _BY_GROUP.get(group(name), "g"), args, reply, witness, view):
            if kind in interest.classes:
                view.publish(kind.encode() + event.encode(), database + key, KEY_EVENT)
    return reply


def _events(
    name: str, kind: str, args: list[bytes], reply: bytes, witness: Witness, view: View
) -> Iterator[tuple[str, str, bytes]]:
    """(class, event, key), in order."""
    silent = name in _SILENT or (name in _SILENT_AT_ZERO and reply == ZERO)
    if name in _MOVES:
        yield from _moved(name, args, witness, view)
    for at, (where, old) in enumerate(witness.before.items()):
        row, key = view.get(where), where[5:]
        was = None if old is None else key_in(where, old)
        if was is not None and was.expires_ms and was.expires_ms < view.now_ms:
            yield "x", "expired", key
            was = None
        if row == old or silent:
            continue
        if row is None and was is None:
            continue
        if name in _MOVES:
            continue
        if name in ("rename", "renamenx", "move-in", "move-out"):
            stem = name.removesuffix("nx").partition("-")[0]
            if name == "move-in":
                yield "n", "new", key
            yield "g", f"{stem}_{'from' if row is None else 'to'}", key
            continue
        if row is not None and was is None:
            yield "n", "new", key
        if row is None and (name in _DELETE or kind == "g" or _event(name, args, at).endswith("store")):
            yield "g", "del", key  # EXPIRE in the past as well, and what stores nothing
            continue
        yield kind, _event(name, args, at), key
        if row is None:
            yield "g", "del", key
        elif name in ("setex", "psetex") or (name == "set" and not _ENDS.isdisjoint([word.upper() for word in args[3:]])):
            yield "g", "expire", key


def _moved(name: str, args: list[bytes], witness: Witness, view: View) -> Iterator[tuple[str, str, bytes]]:
    """From one list to another, or the same."""
    sides = [b"RIGHT", b"LEFT"] if name.endswith("push") else [args[3].upper(), args[4].upper()]
    taken, put = ["l" if side == b"LEFT" else "r" for side in sides]
    source, target = args[1], args[2]
    if witness.before.get(row_key(target), b"") is None:
        yield "n", "new", target
    yield "l", put + "push", target
    yield "l", taken + "pop", source
    if view.get(row_key(source)) is None:
        yield "g", "del", source


def _event(name: str, args: list[bytes], at: int) -> str:
    """The name of what a command has done to the key that it has written as the `at`-th."""
    if name in ("lmpop", "blmpop", "zmpop", "bzmpop"):
        number_at = 2 if name[0] == "b" else 1
        which = args[number_at + 1 + int(args[number_at])].upper()  # behind the keys
        return {b"LEFT": "lpop", b"RIGHT": "rpop", b"MIN": "zpopmin", b"MAX": "zpopmax"}[which]
    if name == "smove":
        return ("srem", "sadd")[at]
    if name == "zadd" and b"INCR" in split_options(args)[0]:
        return "zincr"
    if name == "getex":
        return "persist" if b"PERSIST" in [word.upper() for word in args[2:]] else "expire"
    if name == "xgroup":
        return "xgroup-" + args[1].lower().decode("latin-1")
    return _NAMES.get(name, name)
