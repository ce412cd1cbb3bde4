"""The pages of a node; what they show comes in as callables.

/healthz                                     200 while it serves, else 503: is the process alive?
/readyz                                      200 if it serves and reaches a majority, else 503 and why: send it requests?
/status                                      JSON: peers, entities, committed entries, queues
/inspect?entity=ID[&entries=A-B]             JSON: pointers and rows of one entity
/hash                                        JSON: hash of all applied data. Reads everything, in a thread: one at a time
/metrics                                     for Prometheus
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any

from ...core.entry.ids import FIRST_ENTRY, MAX_ENTITY
from ...errors import InvalidRequest
from .server import Page, Response, SlowPage, as_json, text

if TYPE_CHECKING:
    from ...runtime.node import NodeStatistics

MAX_COMMITTED = 10_000
"""Entities whose committed entry /status lists."""
DEFAULT_ROWS = 20
"""Rows that an inspection shows if no entries are named: the latest ones."""
MAX_ROWS = 1_000
MAX_ENTRY = 2**64 - 1
HASH_RETRY_S = 1

ContentHash = Callable[[Callable[[], bool]], str]
"""Runs in a thread. Raises NotServing when what it is given says that nobody waits any more."""
Inspect = Callable[[int, int, int], Mapping[str, Any]]
"""(entity, first entry, last entry) -> what `Node.inspect` returns."""


def node_pages(
    *,
    health: Callable[[], str],
    statistics: Callable[[], NodeStatistics],
    status: Callable[[], Mapping[str, Any]],
    inspect: Inspect,
    content_hash: ContentHash,
    metrics: Callable[[], bytes],
) -> dict[str, Page | SlowPage]:
    """Pages by path. `health` returns why the node does not serve, or nothing; `metrics` the text Prometheus reads.

    `statistics` raises NotServing before the start. `content_hash` takes long, and runs in a thread.
    """

    def healthz(query: Mapping[str, str]) -> Response:
        reason = health()
        return text(HTTPStatus.SERVICE_UNAVAILABLE, reason) if reason else text(HTTPStatus.OK, "ok")

    def inspection(query: Mapping[str, str]) -> Response:
        entity = query.get("entity", "")
        if not (entity.isascii() and entity.isdigit() and len(entity) <= 20):
            raise InvalidRequest("an entity's number is needed: /inspect?entity=ID[&entries=A-B]")
        return as_json(inspect_entries(inspect, int(entity), query.get("entries")))

    return {
        "/healthz": healthz,
        "/readyz": lambda query: readiness(statistics()),
        "/status": lambda query: as_json(status()),
        "/inspect": inspection,
        "/hash": _Hash(content_hash),
        "/metrics": lambda query: Response(HTTPStatus.OK, metrics(), "text/plain; version=0.0.4; charset=utf-8"),
    }


class _Hash:
    """The page of the content hash: computed in a thread, for one asker at a time, and as long as that one waits."""

    def __init__(self, content_hash: ContentHash) -> None:
        self._content_hash = content_hash
        self._under_way: asyncio.Future[str] | None = None

    async def __call__(self, query: Mapping[str, str]) -> Response:
        if self._under_way is not None and not self._under_way.done():
            busy = text(HTTPStatus.SERVICE_UNAVAILABLE, "a hash is being computed already: ask again later")
            return busy._replace(retry_after_s=HASH_RETRY_S)
        gone = threading.Event()
        self._under_way = asyncio.get_running_loop().run_in_executor(None, self._content_hash, lambda: not gone.is_set())
        self._under_way.add_done_callback(lambda done: done.cancelled() or done.exception())  # it may have no other reader
        try:
            return as_json({"content_hash": await asyncio.shield(self._under_way)})
        finally:
            gone.set()


def readiness(now: NodeStatistics) -> Response:
    """503 if no request can be served. A node that refuses writes serves reads, and one that is a member again after it lost its
    disk hands over what it must not propose yet: they are ready, and say so."""
    if now.not_ready_because:
        return text(HTTPStatus.SERVICE_UNAVAILABLE, now.not_ready_because)
    refuses = f"it refuses writes: {now.writes_refused_because}" if now.writes_refused_because else ""
    remarks = "; ".join(filter(None, (refuses, now.comes_back)))
    return text(HTTPStatus.OK, f"ok, but {remarks}" if remarks else "ok")


def describe(now: NodeStatistics, cluster: str, committed: Iterable[tuple[int, int]]) -> dict[str, Any]:
    """A node's status as plain data. `committed` are (entity, committed entry); MAX_COMMITTED of them are listed."""
    listed = list(islice(committed, MAX_COMMITTED + 1))
    return {
        "node": now.node,
        "cluster": cluster,
        "build": now.build,
        "serving": now.serving,
        "no_quorum_because": now.no_quorum_because,
        "writes_refused_because": now.writes_refused_because,
        "disk_silent_ms": round(now.disk_silent_ms),
        "entities_in_memory": now.memory.entities,
        "entries_in_memory": now.memory.entries,
        "entities_bytes": now.memory.bytes,
        "lag": now.lag._asdict(),
        "waiting_requests": now.waiting_requests,
        "waiting_events": now.waiting_events,
        "waiting_bytes": now.waiting_bytes,
        "in_flight_bytes": now.in_flight_bytes,
        "stopped": {str(entity): why for entity, why in now.stopped.items()},
        "differing": {str(entity): how for entity, how in now.differing.items()},
        "differing_entities": now.differing_entities,
        "not_ready_because": now.not_ready_because,
        "learns_only": now.learns_only,
        "doing": now.doing,
        "reentry": _reentry(now),
        "log_kept": now.log_kept._asdict(),
        "background": _background(now),
        "damage": _damage(now),
        "clock": _clock(now),
        "transfers": [{**transfer._asdict(), "bytes_per_second": round(transfer.bytes_per_second)} for transfer in now.transfers],
        "reconciliation": _reconciliation(now),
        "committed": {str(entity): entry for entity, entry in listed[:MAX_COMMITTED]},
        "committed_complete": len(listed) <= MAX_COMMITTED,
        "peers": {str(peer): {**asdict(link), "disk_id": link.disk_id.hex()} for peer, link in now.peers.items()},
        "counters": dict(now.counters),
    }


def _clock(now: NodeStatistics) -> dict[str, Any]:
    """How far the clocks are from what this node goes by, in ms."""
    clock = now.clock
    peers = {str(peer): round(offset_ms, 1) for peer, offset_ms in clock.peers.items()}
    return {"offset_ms": round(clock.offset_ms, 1), "peers": peers, "expires": clock.expires, "trouble": clock.trouble}


def _damage(now: NodeStatistics) -> dict[str, Any]:
    latest = [{"at_s": round(at_s, 3), "what": what} for at_s, what in now.damage.latest]
    return {**now.damage._asdict(), "latest": latest}


def _reentry(now: NodeStatistics) -> dict[str, Any]:
    one = now.reentry
    return {
        **one._asdict(),
        "described": now.comes_back,
        "forced_without": list(one.forced_without),
        "done": one.done,
        "entities_per_s": round(one.entities_per_s, 1),
        "bytes_per_s": round(one.bytes_per_s),
        "eta_s": round(one.eta_s, 1),
    }


def _reconciliation(now: NodeStatistics) -> dict[str, Any]:
    """Which peers it compares itself with, and what is behind here."""
    seen = now.reconciliation
    return {**seen._asdict(), "comparisons": {str(one.peer): one._asdict() for one in seen.comparisons}}


def _background(now: NodeStatistics) -> dict[str, Any]:
    """What goes on behind the requests: the budget, and each job's part of it."""
    used = now.background
    return {**used._asdict(), "jobs": {job: usage._asdict() for job, usage in used.jobs.items()}}


def inspect_entries(inspect: Inspect, entity: int, entries: str | None) -> Mapping[str, Any]:
    """The rows of `entries` ("A-B" or "A"), or the latest DEFAULT_ROWS. Raises InvalidRequest."""
    if not 0 <= entity <= MAX_ENTITY:
        raise InvalidRequest(f"an entity id is 0 to {MAX_ENTITY}, not {entity}")
    if entries is not None:
        first, last = parse_range(entries)
    else:
        pointers = inspect(entity, FIRST_ENTRY, FIRST_ENTRY)["pointers"]
        last = max(FIRST_ENTRY, *(pointer or 0 for pointer in pointers.values()))
        first = max(FIRST_ENTRY, last - DEFAULT_ROWS + 1)
    found = inspect(entity, first, last)
    return {**found, "cut_off": _cut_off(found, last)}


def _cut_off(found: Mapping[str, Any], last: int) -> str:
    """Why rows up to `last` are missing, and how to get them; empty if none is. Rows are read up to a number of bytes."""
    rows = found["rows"]
    last = min(last, found["pointers"].get("max_plog") or last)
    if not rows or rows[-1]["entry"] >= last:
        return ""
    shown = rows[-1]["entry"]
    return f"the values are large: the rows end at {shown}, ask for the others with entries {shown + 1}-{last}"


def parse_range(entries: str) -> tuple[int, int]:
    """(first, last) of "A-B" or "A". Raises InvalidRequest."""
    first, dash, last = entries.partition("-")
    last = last if dash else first
    for end in (first, last):
        if not (end.isascii() and end.isdigit() and len(end) <= 20):
            raise InvalidRequest(f"entries {entries!r}: two entries are needed, as in 1-20")
    if not FIRST_ENTRY <= int(first) <= int(last) <= MAX_ENTRY:
        raise InvalidRequest(f"entries {entries!r}: they count from {FIRST_ENTRY}, the first must not be above the last")
    if int(last) - int(first) >= MAX_ROWS:
        raise InvalidRequest(f"entries {entries!r}: {MAX_ROWS} at a time at most")
    return int(first), int(last)
