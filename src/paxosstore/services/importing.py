"""The handlers by which an export is written: the rows of any entity, as they stand there (Redis keys go by the Redis service),
and a request of either kind as one of a certain run of an import."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from ..core.batch.overlay import View
from ..errors import InvalidRequest

HANDLER = "import"
"""The name under which every node knows `handle`."""
OF_A_RUN = "import-run"
"""The name under which every node knows what `of_a_run` makes."""
RUN_BYTES = 16

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[bytes, bytes]]).decode
_decode_of_a_run = msgspec.msgpack.Decoder(tuple[bytes, str, bytes]).decode
Handler = Callable[[View, bytes], bytes]


def encode_of_a_run(run: bytes, handler: str, payload: bytes) -> bytes:
    """What a handler is to do in this run, as the payload of what `of_a_run` makes."""
    return _encode((run, handler, payload))


def of_a_run(handlers: Mapping[str, Handler]) -> Handler:
    """A handler that replies with the run, and behind it what one of these does.

    The reply is kept under the request's uuid: so a later run learns that an earlier one has done it.
    """

    def handle(view: View, payload: bytes) -> bytes:
        try:
            run, name, rest = _decode_of_a_run(payload)
            handler = handlers[name]
        except (msgspec.DecodeError, LookupError) as error:
            raise InvalidRequest(f"no request of an import: {error}") from error
        if len(run) != RUN_BYTES:
            raise InvalidRequest(f"a run of an import has {RUN_BYTES} bytes, not {len(run)}")
        return run + handler(view, rest)

    return handle


def encode(rows: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Keys and values as the payload of `handle`."""
    return _encode(rows)


def handle(view: View, payload: bytes) -> bytes:
    """Write all of them, whatever was there before; a key that is not named stays. Raises InvalidRequest."""
    try:
        rows = _decode(payload)
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"no rows that can be written: {error}") from error
    for key, value in rows:
        view.put(key, value)
    return b"%d" % len(rows)
