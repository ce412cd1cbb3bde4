"""The pages of comparing replicas. It takes long: a job is begun, and looked at until it is done.

POST /verify?entities=5,7,100-200  begin a job for these entities, and for those of the ranges that this node has: {"job": 1}
GET  /verify?job=1                 how it stands, and what it has found. A job that nobody looks at for long ends
POST /verify?job=1&cancel=1        end it, and forget it
POST /verify?renew=5&from=0        have this node's data of an entity copied from a peer, for it is wrong here
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ...core.entry.ids import MAX_ENTITY
from ...errors import InvalidRequest
from .server import Page, Response, as_json

MAX_RANGES = 1_000


class Job(Protocol):
    @property
    def number(self) -> int: ...


class Verifier(Protocol):
    """What a node can compare. Raises InvalidRequest, Overloaded, NotServing."""

    def start(self, wanted: Sequence[tuple[int, int]]) -> Job: ...

    def look(self, number: int) -> Mapping[str, Any]: ...

    def cancel(self, number: int) -> Mapping[str, Any]: ...

    def renew(self, entity: int, peer: int) -> None: ...


def verify_pages(verifier: Verifier) -> dict[str, Page]:
    return {"/verify": lambda query: as_json(verifier.look(_number(query.get("job", ""), "job")))}


def verify_actions(verifier: Verifier) -> dict[str, Page]:
    def act(query: Mapping[str, str]) -> Response:
        if "job" in query and "cancel" in query:
            return as_json(verifier.cancel(_number(query["job"], "job")))
        if "renew" in query:
            verifier.renew(_number(query["renew"], "renew"), _number(query.get("from", ""), "from"))
            return as_json({"renews": True})
        return as_json({"job": verifier.start(parse_entities(query.get("entities", ""))).number})

    return {"/verify": act}


def parse_entities(text: str) -> list[tuple[int, int]]:
    """(first, last) of each part of "5,7,100-200". Raises InvalidRequest."""
    parts = text.split(",")
    if len(parts) > MAX_RANGES:
        raise InvalidRequest(f"{len(parts)} entities: {MAX_RANGES} can be named at a time, or a range: 100-200")
    found = []
    for part in parts:
        first, dash, last = part.partition("-")
        range_ = _number(first, "entities"), _number(last if dash else first, "entities")
        if not range_[0] <= range_[1]:
            raise InvalidRequest(f"entities {part!r:.100}: the first must not be above the last")
        found.append(range_)
    return found


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) <= MAX_ENTITY):
        raise InvalidRequest(f"{name}: numbers from 0 to {MAX_ENTITY} are needed, not {text!r:.100}")
    return int(text)
