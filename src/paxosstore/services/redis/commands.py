"""The commands on data, as one table, and the handler by which every node runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ...core.batch.overlay import View
from ...errors import InvalidRequest
from . import generic, strings
from .expiry import expire_command, persist, ttl_command

HANDLER = "redis"
"""The name under which every node knows `handle`."""

Run = Callable[[View, list[bytes], int], bytes]


@dataclass(frozen=True, slots=True)
class Spec:
    """What is known of a command."""

    name: str
    arity: int
    """Number of words, the name included; negative: at least so many."""
    group: str
    summary: str
    flags: tuple[str, ...]
    run: Run | None = None
    """What it does to an entity; None: it concerns the connection alone."""
    keys: tuple[int, int, int] = (0, 0, 0)
    """First and last word that is a key (-1: the last word), and the step between them; 0: none is."""
    everywhere: bool = False
    """It concerns every entity of the database, not that of its keys."""
    writes: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "writes", "write" in self.flags)

    def key_names(self, args: list[bytes]) -> list[bytes]:
        """The words that are keys."""
        first, last, step = self.keys
        return args[first : (last if last > 0 else len(args) + last) + 1 : step] if first else []

    def fits(self, words: int) -> bool:
        """Whether a command of so many words has all its arguments, and none too many."""
        return words == self.arity if self.arity > 0 else words >= -self.arity


_ONE = (1, 1, 1)
_ALL = (1, -1, 1)
_PAIRS = (1, -1, 2)
_READ = ("readonly",)
_FAST_READ = ("readonly", "fast")
_WRITE = ("write",)
_FAST_WRITE = ("write", "fast")
_GROWING = ("write", "denyoom")
_FAST_GROWING = ("write", "denyoom", "fast")


def index(specs: Iterable[Spec]) -> dict[bytes, Spec]:
    """Specs by name, in lower and in upper case: the two ways in which clients send them."""
    table: dict[bytes, Spec] = {}
    for spec in specs:
        table[spec.name.encode()] = table[spec.name.upper().encode()] = spec
    return table


DATA_COMMANDS = (
    Spec("get", 2, "string", "The value of a key.", _FAST_READ, strings.get, _ONE),
    Spec("set", -3, "string", "Set a key, whatever it was before.", _GROWING, strings.set_, _ONE),
    Spec("setnx", 3, "string", "Set a key that does not exist.", _FAST_GROWING, strings.setnx, _ONE),
    Spec("getset", 3, "string", "Set a key and return what it was.", _FAST_GROWING, strings.getset, _ONE),
    Spec("getdel", 2, "string", "Delete a key and return what it was.", _FAST_WRITE, strings.getdel, _ONE),
    Spec("mget", -2, "string", "The values of several keys.", _FAST_READ, strings.mget, _ALL),
    Spec("mset", -3, "string", "Set several keys.", _GROWING, strings.mset, _PAIRS),
    Spec("append", 3, "string", "Add to the end of a value.", _FAST_GROWING, strings.append, _ONE),
    Spec("strlen", 2, "string", "The length of a value.", _FAST_READ, strings.strlen, _ONE),
    Spec("incr", 2, "string", "Add one to a number.", _FAST_GROWING, strings.incr, _ONE),
    Spec("decr", 2, "string", "Subtract one from a number.", _FAST_GROWING, strings.decr, _ONE),
    Spec("incrby", 3, "string", "Add to a number.", _FAST_GROWING, strings.incrby, _ONE),
    Spec("decrby", 3, "string", "Subtract from a number.", _FAST_GROWING, strings.decrby, _ONE),
    Spec("del", -2, "generic", "Delete keys.", _WRITE, generic.delete, _ALL),
    Spec("unlink", -2, "generic", "Delete keys.", _FAST_WRITE, generic.delete, _ALL),
    Spec("exists", -2, "generic", "How many of these keys exist.", _FAST_READ, generic.exists, _ALL),
    Spec("type", 2, "generic", "The type of a key.", _FAST_READ, generic.type_, _ONE),
    Spec("ttl", 2, "generic", "Seconds until a key expires.", _FAST_READ, ttl_command(1000), _ONE),
    Spec("pttl", 2, "generic", "Milliseconds until a key expires.", _FAST_READ, ttl_command(1), _ONE),
    Spec("persist", 2, "generic", "Let a key live for ever.", _FAST_WRITE, persist, _ONE),
    Spec("expire", -3, "generic", "Expire a key in seconds.", _FAST_WRITE, expire_command("expire", 1000, True), _ONE),
    Spec("pexpire", -3, "generic", "Expire a key in milliseconds.", _FAST_WRITE, expire_command("pexpire", 1, True), _ONE),
    Spec("expireat", -3, "generic", "Expire a key at a second.", _FAST_WRITE, expire_command("expireat", 1000, False), _ONE),
    Spec("pexpireat", -3, "generic", "Expire a key at a millisecond.", _FAST_WRITE, expire_command("pexpireat", 1, False), _ONE),
    Spec("scan", -2, "generic", "The keys of a database, page by page.", _READ, generic.scan, everywhere=True),
    Spec("dbsize", 1, "server", "The number of keys of a database.", _FAST_READ, generic.dbsize, everywhere=True),
    Spec("flushdb", -1, "server", "Delete every key of a database.", _WRITE, generic.flush, everywhere=True),
    Spec("flushall", -1, "server", "Delete every key of every database.", _WRITE, generic.flush, everywhere=True),
)
TABLE = index(DATA_COMMANDS)

_DROP_EXPIRED = b"drop-expired"
_IMPORT = b"import-keys"
_HANDLED: dict[bytes, Run] = {name: spec.run for name, spec in TABLE.items() if spec.run is not None}
_HANDLED[_DROP_EXPIRED] = generic.drop_expired
_HANDLED[_IMPORT] = generic.import_keys

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, list[bytes]]).decode


def encode(proto: int, args: list[bytes]) -> bytes:
    """A command as the payload of `handle`."""
    return _encode((proto, args))


def drop_expired_payload(limit: int, from_ms: int = 0) -> bytes:
    """The payload that drops up to `limit` keys of an entity that have expired since `from_ms`; see `dropped`."""
    return encode(2, [_DROP_EXPIRED, b"%d" % limit, b"%d" % from_ms])


def import_payload(keys: Iterable[tuple[bytes, bytes, int]]) -> bytes:
    """The payload that sets keys of an entity: name, value, and when it expires in ms since 1970 (0: never)."""
    return encode(2, [_IMPORT, *(word for name, value, at_ms in keys for word in (name, value, b"%d" % at_ms))])


def dropped(reply: bytes) -> tuple[int, int]:
    """How many keys were dropped, and when the last of them expired: what `drop_expired_payload` was answered."""
    _, count, last_ms, _ = reply.split(b"\r\n")
    return int(count[1:]), int(last_ms[1:])


def handle(view: View, payload: bytes) -> bytes:
    """The handler: run a command that came as bytes. Raises InvalidRequest for what no node of this version sends."""
    try:
        proto, args = _decode(payload)
        name: Any = args[0]
        run = _HANDLED.get(name) or _HANDLED[name.lower()]
    except (msgspec.DecodeError, LookupError) as error:
        raise InvalidRequest(f"no Redis command that this node knows: {error}") from error
    return run(view, args, proto)
