"""What an import asks of an entity: to set strings, and to add pieces to other keys."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ....core.batch.overlay import View
from ....errors import InvalidRequest
from ..layout.keys import Key
from ..reply import OK, ReplyError
from .pieces import Piece, put_piece

IMPORT = b"import-pieces"
_encode = msgspec.msgpack.Encoder().encode
_PROTO = 2

String = tuple[bytes, bytes, int]
"""Name, value, and when it expires in ms since 1970 (0: never)."""


def import_payload(keys: Iterable[String | Piece]) -> bytes:
    """The payload of the handler that writes them over what is there, in this order; of one that has expired nothing is left."""
    words: list[bytes] = [IMPORT]
    for key in keys:
        if isinstance(key, Piece):
            words += (key.name, b"%d" % key.expires_ms, _encode(key[1:4]), _encode(key.members))
        else:
            words += (key[0], b"%d" % key[2], b"", key[1])
    return _encode((_PROTO, words))


_decode_head = msgspec.msgpack.Decoder(tuple[str, int, bool]).decode
_decode_members = msgspec.msgpack.Decoder(list[list[bytes]]).decode


def import_keys(view: View, args: list[bytes], proto: int) -> bytes:
    """Raises InvalidRequest for what no key of its kind holds, TooLarge."""
    for name, at, head, value in zip(args[1::4], args[2::4], args[3::4], args[4::4], strict=True):
        at_ms = int(at)
        if not head:
            if 0 < at_ms < view.now_ms:
                Key(view, name).delete()
            else:
                Key(view, name).set(value, at_ms)
            continue
        try:
            put_piece(view, Piece(name, *_decode_head(head), at_ms, _decode_members(value)))
        except msgspec.DecodeError as error:
            raise InvalidRequest(f"no piece of a key that this node can read: {error}") from None
        except ReplyError as refused:
            raise InvalidRequest(f"the key {name[:128]!r}: {refused.reply[1:].decode(errors='replace').strip()}") from None
    return OK
