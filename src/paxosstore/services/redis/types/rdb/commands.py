"""DUMP, RESTORE, and why there is no MIGRATE."""

from __future__ import annotations

from collections.abc import Callable

from .....core.batch.overlay import View
from .....errors import TooLarge
from ...layout.keys import Key, check_name
from ...meter import charge
from ...portable.pieces import Piece, Words, put_piece
from ...reply import NOT_AN_INTEGER, OK, SYNTAX_ERROR, ReplyError, bulk, error, nil
from ...resp import integer
from ...run import Run
from .loading import load
from .reading import BadData
from .saving import dump_work, save
from .sealing import WRONG_PAYLOAD, sealed, unsealed

PREPARE_BYTES = 16_384
"""A value that is larger is read before it is proposed, in a thread (`prepared_restore`)."""
_MAX_MS = 2**63 - 1
_BAD_DATA = error("Bad data format")
_BUSY = b"-BUSYKEY Target key name already exists.\r\n"
_NO_MIGRATE = error(
    "MIGRATE is not possible: a node connects to no other server; use DUMP and RESTORE, or paxosstore export --redis"
)


def dump(view: View, args: list[bytes], proto: int) -> bytes:
    key = Key(view, args[1])
    if not key.exists:
        return nil(proto)
    charge(view, dump_work(len(key.body)))
    return bulk(dumped(view, key))


def dumped(view: View, key: Key) -> bytes:
    """What DUMP says of a key that exists."""
    return sealed(save(view, key))


Found = tuple[str, bytes, list[Words]] | bytes
"""A value that was read (loading.py), or the error that it is none."""


def restore(view: View, args: list[bytes], proto: int) -> bytes:
    return _restore(view, args, lambda: _read(args[3]))


def prepared_restore(args: list[bytes]) -> Run:
    """RESTORE with these words, its payload checked and read before."""
    found: Found | TooLarge
    try:
        found = _read(args[3])
    except TooLarge as error:
        found = error

    def read() -> Found:
        if isinstance(found, TooLarge):
            raise TooLarge(str(found))
        return found

    return lambda view, args, proto: _restore(view, args, read)


def _restore(view: View, args: list[bytes], read: Callable[[], Found]) -> bytes:
    replace, absolute = _options(args[4:])
    name = args[1]
    key = Key(view, name)
    if key.exists and not replace:
        return _BUSY
    ttl = integer(args[2])
    if ttl is None:
        return NOT_AN_INTEGER
    if ttl < 0:
        return error("Invalid TTL value, must be >= 0")
    found = read()
    if isinstance(found, bytes):
        return found
    kind, value, members = found
    check_name(name)
    expires_ms = 0 if not ttl else ttl if absolute else min(ttl + view.now_ms, _MAX_MS)
    if 0 < expires_ms <= view.now_ms:
        key.delete()
    elif kind == "string":
        key.set(value, expires_ms)
    else:
        before = view.savepoint()
        try:
            put_piece(view, Piece(name, kind, 0, False, expires_ms, members))
        except ReplyError:
            view.undo(before)
            return _BAD_DATA
    return OK


def _read(payload: bytes) -> Found:
    """Raises TooLarge."""
    content = unsealed(payload)
    if content is None:
        return WRONG_PAYLOAD
    try:
        return load(content)
    except BadData:
        return _BAD_DATA


def _options(words: list[bytes]) -> tuple[bool, bool]:
    """REPLACE and ABSTTL; how idle or how often used a key is nobody keeps here. Raises ReplyError."""
    replace = absolute = False
    idle = frequency = False
    at = 0
    while at < len(words):
        name, has_more = words[at].upper(), at + 1 < len(words)
        if name == b"REPLACE":
            replace = True
        elif name == b"ABSTTL":
            absolute = True
        elif name == b"IDLETIME" and has_more and not frequency:
            _check(words[at + 1], _MAX_MS, "Invalid IDLETIME value, must be >= 0")
            idle, at = True, at + 1
        elif name == b"FREQ" and has_more and not idle:
            _check(words[at + 1], 255, "Invalid FREQ value, must be >= 0 and <= 255")
            frequency, at = True, at + 1
        else:
            raise ReplyError(SYNTAX_ERROR)
        at += 1
    return replace, absolute


def _check(word: bytes, most: int, otherwise: str) -> None:
    number = integer(word)
    if number is None:
        raise ReplyError(NOT_AN_INTEGER)
    if not 0 <= number <= most:
        raise ReplyError(error(otherwise))


def migrate(view: View, args: list[bytes], proto: int) -> bytes:
    return _NO_MIGRATE
