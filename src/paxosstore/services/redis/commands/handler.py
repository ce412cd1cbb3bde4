"""The handler by which every node runs commands, and their form on the way there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from ....core.batch.overlay import View
from ....errors import InvalidRequest
from ..reply import ReplyError
from ..types import generic
from .spec import Run
from .table import TABLE

_DROP_EXPIRED = b"drop-expired"
_IMPORT = b"import-keys"
HANDLER = "redis"
"""The name under which every node knows `handle`."""

_HANDLED: dict[bytes, Run] = {name: spec.run for name, spec in TABLE.items() if spec.run is not None}
_HANDLED[_DROP_EXPIRED] = generic.drop_expired
_HANDLED[_IMPORT] = generic.import_keys

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, list[bytes]]).decode


def encode(proto: int, args: list[bytes]) -> bytes:
    """A command as the payload of `handle`."""
    return _encode((proto, args))


def drop_expired_payload(limit: int, from_ms: int = 0) -> bytes:
    """The payload that drops up to `limit` keys of an entity that have expired since `from_ms`, and as many members of keys
    that are gone; see `dropped`."""
    return encode(2, [_DROP_EXPIRED, b"%d" % limit, b"%d" % from_ms])


def import_payload(keys: Iterable[tuple[bytes, bytes, int]]) -> bytes:
    """The payload that sets keys of an entity: name, value, and when it expires in ms since 1970 (0: never)."""
    return encode(2, [_IMPORT, *(word for name, value, at_ms in keys for word in (name, value, b"%d" % at_ms))])


def dropped(reply: bytes) -> tuple[int, int, int]:
    """How many keys were dropped, when the last of them expired, and how many members of keys that are gone:
    what `drop_expired_payload` was answered."""
    _, count, last_ms, members, _ = reply.split(b"\r\n")
    return int(count[1:]), int(last_ms[1:]), int(members[1:])


def handle(view: View, payload: bytes) -> bytes:
    """The handler: run a command that came as bytes. Raises InvalidRequest for what no node of this version sends."""
    try:
        proto, args = _decode(payload)
        name: Any = args[0]
        run = _HANDLED.get(name) or _HANDLED[name.lower()]
    except (msgspec.DecodeError, LookupError) as error:
        raise InvalidRequest(f"no Redis command that this node knows: {error}") from error
    return call(run, view, args, proto)


def call(run: Run, view: View, args: list[bytes], proto: int) -> bytes:
    """Run a command; an error reply is as good as any."""
    try:
        return run(view, args, proto)
    except ReplyError as refused:
        return refused.reply
