"""The pages of a node: /healthz, /status, /inspect, /metrics. What they show comes in as callables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from ...core.ids import FIRST_ENTRY, MAX_ENTITY
from ...errors import InvalidRequest
from .server import Page, Response, as_json, text

DEFAULT_ROWS = 20
"""Rows that an inspection shows if no entries are named: the latest ones."""
MAX_ROWS = 1_000
MAX_ENTRY = 2**64 - 1

Inspect = Callable[[int, int, int], Mapping[str, Any]]
"""(entity, first entry, last entry) -> what `Node.inspect` returns."""


def node_pages(
    *,
    health: Callable[[], str],
    status: Callable[[], Mapping[str, Any]],
    inspect: Inspect,
    metrics: Callable[[], bytes],
) -> dict[str, Page]:
    """Pages by path. `health` returns why the node does not serve, or nothing; `metrics` the text Prometheus reads."""

    def healthz(query: Mapping[str, str]) -> Response:
        reason = health()
        return text(HTTPStatus.SERVICE_UNAVAILABLE, reason) if reason else text(HTTPStatus.OK, "ok")

    def inspection(query: Mapping[str, str]) -> Response:
        entity = _number(query, "entity")
        if entity is None:
            raise InvalidRequest("entity is missing: /inspect?entity=ID[&first=A&last=B]")
        return as_json(inspect_entries(inspect, entity, _number(query, "first"), _number(query, "last")))

    return {
        "/healthz": healthz,
        "/status": lambda query: as_json(status()),
        "/inspect": inspection,
        "/metrics": lambda query: Response(HTTPStatus.OK, metrics(), "text/plain; version=0.0.4; charset=utf-8"),
    }


def inspect_entries(inspect: Inspect, entity: int, first: int | None, last: int | None) -> Mapping[str, Any]:
    """Rows first..last of an entity; with an end missing, the latest DEFAULT_ROWS on that side. Raises InvalidRequest."""
    if not 0 <= entity <= MAX_ENTITY:
        raise InvalidRequest(f"an entity id is 0 to {MAX_ENTITY}, not {entity}")
    if last is None and first is None:
        pointers = inspect(entity, FIRST_ENTRY, FIRST_ENTRY)["pointers"]
        last = max((pointer for pointer in pointers.values() if pointer is not None), default=FIRST_ENTRY)
    if last is None:
        assert first is not None
        last = first + DEFAULT_ROWS - 1
    if first is None:
        first = max(FIRST_ENTRY, last - DEFAULT_ROWS + 1)
    last = max(last, FIRST_ENTRY)
    if not FIRST_ENTRY <= first <= last <= MAX_ENTRY:
        raise InvalidRequest(f"entries {first} to {last} are no range: entries count from {FIRST_ENTRY}")
    if last - first >= MAX_ROWS:
        raise InvalidRequest(f"{last - first + 1} entries are too many: {MAX_ROWS} at a time")
    return inspect(entity, first, last)


def _number(query: Mapping[str, str], name: str) -> int | None:
    given = query.get(name)
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= 20):
        raise InvalidRequest(f"{name}: {given!r} is not a number")
    return int(given)
