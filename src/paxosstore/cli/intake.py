"""The node's end of `paxosstore import`: requests that lie in a place of its data directory, which the command has made.

POST /import?name=NAME&number=N      200 when request N is done: its writes are chosen ("ok"), or were by an earlier run of the
                                     import ("earlier"); 400 if they never can be; 503: repeat it

So who may write into the data directory may import, and nobody over the network (storage/places.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

import msgspec

from ..core.batch.request import digest_of
from ..errors import InvalidRequest, TooLarge
from ..runtime.disk import beside
from ..runtime.node import Node
from ..services import importing
from ..services.http.server import Response, text
from ..services.redis.commands import handler as redis_commands
from ..storage.places import IMPORT, place_of

TIMEOUT_MS = 10_000.0
HANDLERS = (importing.HANDLER, redis_commands.HANDLER)
DONE, DONE_EARLIER = "ok", "earlier"


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """One request, as a file holds it."""

    entity: int
    handler: str
    payload: bytes
    uuid: bytes
    run: bytes
    """Random hex digits, of this run of the import: its repetitions get a reply with the same, those of others do not."""


class Intake:
    """The page."""

    def __init__(self, node: Node, data_dir: Path) -> None:
        self._node = node
        self._data_dir = data_dir

    async def __call__(self, query: Mapping[str, str]) -> Response:
        number = query.get("number", "")
        place = place_of(self._data_dir, IMPORT, query.get("name", ""))
        if not (number.isascii() and number.isdigit() and len(number) <= 20):
            raise InvalidRequest("a number is needed: /import?name=NAME&number=N")
        batch = await beside(lambda: self._read(place / number))
        if batch.handler not in HANDLERS:
            raise InvalidRequest(f"{batch.handler!r:.100} imports nothing: {' or '.join(HANDLERS)} does")
        payload = importing.encode_of_a_run(batch.run, batch.handler, batch.payload)
        digest = digest_of(batch.handler, batch.payload)  # whichever run it is of, it is the same request
        reply = await self._node.call(
            batch.entity, importing.OF_A_RUN, payload, uuid=batch.uuid, timeout_ms=TIMEOUT_MS, digest=digest
        )
        run, reply = reply[: importing.RUN_BYTES], reply[importing.RUN_BYTES :]
        for said in (reply, run):  # that one if it was done by a version that replied without the run
            if said.startswith(b"-"):  # an error as a Redis client gets it
                raise InvalidRequest(said[1:].decode(errors="replace").strip())
        return text(HTTPStatus.OK, DONE if run == batch.run else DONE_EARLIER)

    def _read(self, path: Path) -> Batch:
        most = self._node.tuning.max_request_bytes + 4_096
        try:
            with path.open("rb") as file:
                content = file.read(most + 1)
            if len(content) > most:
                raise TooLarge(f"more than max_request_bytes ({self._node.tuning.max_request_bytes}) of the node: raise it")
            return msgspec.msgpack.decode(content, type=Batch)
        except (OSError, msgspec.DecodeError) as error:
            raise InvalidRequest(f"there is no such request: {error}") from error
