"""MOVE and COPY from one database to another: what each of the two does, in a request of its own (connection/across.py).

read_out   at the source: the key's stamp, its value as DUMP has it, when it expires
put_in     at the target: as RESTORE does; the stamp that it has then, or that its time is over
take_away  at either: the key goes, if nobody has changed it since; or whether there is none
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from ....core.batch.overlay import View
from ..layout.keys import Key, kind_of, stamp_of
from ..layout.keyspace import DATABASES
from ..meter import charge
from ..reply import ONE, ZERO, integer_reply
from ..resp import integer
from ..run import Run
from .rdb import commands as rdb
from .rdb.saving import dump_work

READ_OUT: Final = b"across"
MOVE_IN: Final = b"move-in"
COPY_IN: Final = b"copy-in"
TAKE_AWAY: Final = b"move-out"

IS_OVER: Final = integer_reply(-1)
"""The key's time is over, or there is none."""
_STAMP: Final = b"="

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[bytes, bytes, int] | None).decode


class Way(NamedTuple):
    """Where a key is to come."""

    database: int
    key: bytes
    moves: bool
    replace: bool


def way_of(args: list[bytes], database: int) -> Way | None:
    """Where a MOVE or COPY that was sent to this database leads, if that is another one and its words are right."""
    moves, replace = args[0].lower() == b"move", False
    number = _database(args[2]) if moves else None
    options = iter(() if moves else args[3:])
    for option in options:
        if option.upper() == b"REPLACE":
            replace = True
        elif option.upper() != b"DB" or (number := _database(next(options, b""))) is None:
            return None
    if number is None or number == database:
        return None
    return Way(number, args[1] if moves else args[2], moves, replace)


def _database(word: bytes) -> int | None:
    number = integer(word)
    return number if number is not None and 0 <= number < DATABASES else None


class Found(NamedTuple):
    stamp: bytes
    value: bytes
    expires_ms: int
    """0: never."""


def read_out(view: View, args: list[bytes], proto: int) -> bytes:
    """The key that is named behind; see `found`."""
    key = Key(view, args[1])
    if not key.exists:
        return _encode(None)
    charge(view, dump_work(len(key.body)))
    return _encode((stamp_of(view, args[1]), rdb.dumped(view, key), key.expires_ms))


def found(reply: bytes) -> Found | None:
    """What `read_out` has found."""
    key = _decode(reply)
    return None if key is None else Found(*key)


def words_in(way: Way, key: Found) -> list[bytes]:
    """Those of `put_in`."""
    name = MOVE_IN if way.moves else COPY_IN
    return [name, way.key, b"%d" % key.expires_ms, key.value, b"ABSTTL", *([b"REPLACE"] if way.replace else [])]


def put_in(view: View, args: list[bytes], proto: int) -> bytes:
    """`stamp_in` finds the stamp that the key has then; `IS_OVER`, or an error of RESTORE's."""
    return _stamped(rdb.restore, view, args, proto)


def prepared_put_in(args: list[bytes]) -> Run:
    """The same, with these words and their value read before."""
    run = rdb.prepared_restore(args)
    return lambda view, args, proto: _stamped(run, view, args, proto)


def _stamped(restore: Run, view: View, args: list[bytes], proto: int) -> bytes:
    if 0 < int(args[2]) <= view.now_ms:
        return IS_OVER
    reply = restore(view, args, proto)
    return reply if reply.startswith(b"-") else _STAMP + stamp_of(view, args[1])


def stamp_in(reply: bytes) -> bytes:
    """What `put_in` has put in; empty: nothing."""
    return reply[1:] if reply.startswith(_STAMP) else b""


def take_away(view: View, args: list[bytes], proto: int) -> bytes:
    """Whether the key had the stamp that is named behind it: it is gone then. `IS_OVER`: it was not there."""
    if stamp_of(view, args[1]) != args[2]:
        return ZERO if kind_of(view, args[1]) else IS_OVER
    Key(view, args[1]).delete()
    return ONE
