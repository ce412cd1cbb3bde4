"""The handler by which every node runs commands, and their form on the way there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from time import thread_time
from typing import Any, Final

import msgspec

from ....core.batch.overlay import NeedsWrite, View
from ....errors import InvalidRequest, TooLarge
from ..layout.keys import LOOKUPS, stamp_of
from ..meter import TooLong
from ..portable.importing import IMPORT, import_keys
from ..pubsub.events import COMPOSED, interest, run_watched
from ..reply import ReplyError
from ..run import Run
from ..scripting import commands as scripts
from ..types import generic
from ..types.across import COPY_IN, MOVE_IN, READ_OUT, TAKE_AWAY, put_in, read_out, take_away
from .once import ONCE, Window
from .spec import Spec
from .table import READING, TABLE
from .waits import attempt, look

_WATCH: Final = b"watch"
_EXEC: Final = b"exec"
TRY: Final = b"try"
"""In front of a command that waits where there is nothing for it."""
LOOK: Final = b"look"
"""The same, as a read."""
_DROP_EXPIRED: Final = b"drop-expired"
HANDLER: Final = "redis"
"""The name under which every node knows `handle`."""
MAX_REPLIES_BYTES = 16_777_216
"""Of the replies of one transaction together."""
MAX_TRANSACTION_S = 0.5
"""Of time on the processor: rows do not count what scripts and LCS do, and the node serves nobody meanwhile."""

_COMMANDS: Final[dict[bytes, Run]] = {name: spec.run for name, spec in TABLE.items() if spec.run is not None}
_HANDLED: Final = dict(_COMMANDS)
_HANDLED[_DROP_EXPIRED] = generic.drop_expired
_HANDLED[IMPORT] = import_keys

_READING: Final = READING
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[int, list[bytes]]).decode
_decode_words: Final = msgspec.msgpack.Decoder(list[bytes]).decode
_decode_replies: Final = msgspec.msgpack.Decoder(list[bytes] | None).decode


def encode(proto: int, args: list[bytes]) -> bytes:
    """A command as the payload of `handle`."""
    return _encode((proto, args))


def drop_expired_payload(limit: int, from_ms: int = 0) -> bytes:
    """The payload that drops up to `limit` keys of an entity that have expired since `from_ms`, and as many members of keys
    that are gone; see `dropped`."""
    return encode(2, [_DROP_EXPIRED, b"%d" % limit, b"%d" % from_ms])


def dropped(reply: bytes) -> tuple[int, int, int]:
    """How many keys were dropped, when the last of them expired, and how many members of keys that are gone:
    what `drop_expired_payload` was answered."""
    _, count, last_ms, members, _ = reply.split(b"\r\n")
    return int(count[1:]), int(last_ms[1:]), int(members[1:])


def _handle(view: View, payload: bytes, known: Mapping[bytes, Run]) -> bytes:
    try:
        proto, args = _decode(payload)
        name: Any = args[0]
        run = known.get(name) or known[name.lower()]
    except (msgspec.DecodeError, LookupError) as error:
        raise InvalidRequest(f"no Redis command that this node knows: {error}") from error
    return call(run, view, args, proto)


def call(run: Run, view: View, args: list[bytes], proto: int) -> bytes:
    """Run a command; an error reply is as good as any."""
    hits, misses = LOOKUPS.hits, LOOKUPS.misses
    LOOKUPS.reading = run in _READING
    try:
        if interest.classes and args[0].lower() not in COMPOSED:
            return run_watched(run, view, args, proto, _group)
        return run(view, args, proto)
    except ReplyError as refused:
        return refused.reply
    except (NeedsWrite, TooLong):
        LOOKUPS.hits, LOOKUPS.misses = hits, misses  # it begins anew
        raise
    finally:
        LOOKUPS.reading = False


scripts.use(TABLE, call)


def _group(name: str) -> str:
    spec = TABLE.get(name.encode("latin-1"))
    return "" if spec is None else spec.group


# -- transactions


def pack_transaction(watched: Mapping[bytes, bytes], payloads: Iterable[bytes]) -> list[bytes]:
    """The words of `run_transaction`: names and stamps that have to be found, and payloads of commands."""
    return [_EXEC, _encode([word for pair in watched.items() for word in pair]), *payloads]


def unpack_replies(reply: bytes) -> list[bytes] | None:
    """What `stamps` found, or what each command of a transaction answers; None: a watched key was another one."""
    found: list[bytes] | None = _decode_replies(reply)
    return found


def run_transaction(view: View, args: list[bytes], proto: int) -> bytes:
    """All of it, or nothing where a key has changed. Raises TooLarge; an error reply of a command stops nothing."""
    try:
        watched = _decode_words(args[1])
        pairs = list(zip(watched[::2], watched[1::2], strict=True))
    except (msgspec.DecodeError, LookupError, ValueError) as error:
        raise InvalidRequest(f"no transaction that this node can read: {error}") from error
    if any(stamp_of(view, name) != stamp for name, stamp in pairs):
        return _encode(None)
    replies, size = list[bytes](), 0
    until_s = thread_time() + MAX_TRANSACTION_S
    for payload in args[2:]:
        if thread_time() > until_s:
            raise TooLarge(f"a transaction may take {MAX_TRANSACTION_S * 1000:g} ms: put less into one")
        reply = _handle(view, payload, _COMMANDS)
        size += len(reply)
        if size > MAX_REPLIES_BYTES:
            raise TooLarge(
                f"the replies of a transaction are over the limit of {MAX_REPLIES_BYTES} bytes: ask for less at a time"
            )
        replies.append(reply)
    return _encode(replies)


def stamps(view: View, args: list[bytes], proto: int) -> bytes:
    """The stamps of keys."""
    return _encode([stamp_of(view, name) for name in args[1:]])


_HANDLED[_EXEC] = run_transaction
_HANDLED[_WATCH] = stamps
_HANDLED.update({READ_OUT: read_out, MOVE_IN: put_in, COPY_IN: put_in, TAKE_AWAY: take_away})


# -- under a uuid


def run_once(window: Window, view: View, args: list[bytes], proto: int) -> bytes:
    """ONCE, a uuid, and the words of a command or transaction."""
    try:
        uuid, words = args[1], args[2:]
        run = run_transaction if words[0] == _EXEC else (_COMMANDS.get(words[0]) or _COMMANDS[words[0].lower()])
    except LookupError as error:
        raise InvalidRequest(f"no Redis command that this node knows: {error}") from error
    return call(partial(window.run, run, uuid), view, words, proto)


# -- waiting


def _once_by(way: Callable[[Spec, View, list[bytes], int], bytes]) -> Run:
    """A command that may wait is tried once, in one of two ways (waits.py)."""

    def run(view: View, args: list[bytes], proto: int) -> bytes:
        spec = TABLE.get(args[1]) or TABLE[args[1].lower()]
        return call(partial(way, spec), view, args[1:], proto)

    return run


_HANDLED[TRY] = _once_by(attempt)
_HANDLED[LOOK] = _once_by(look)


# -- all of it


def handler_of(window: Window) -> Callable[[View, bytes], bytes]:
    """The handler of a cluster: it runs a command that came as bytes. It raises InvalidRequest for what no node of this version
    sends."""
    known: dict[bytes, Run] = {**_HANDLED, ONCE: partial(run_once, window)}
    return lambda view, payload: _handle(view, payload, known)


handle = handler_of(Window())
"""That of a cluster whose settings are the defaults."""
