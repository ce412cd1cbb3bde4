"""Evaluating a batch: the waiting requests of one entity become one value (rules 14 and 15). Deciding only."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from ..errors import DuplicateUuid, OutcomeUnknown, PaxosStoreError, RequestFailed, WrongEntry
from .overlay import UUID, WINDOW, Overlay, WriteBatch
from .request import Request


class Evaluated(NamedTuple):
    """A batch evaluated on the DB exactly at entry - 1."""

    entry: int
    batch: WriteBatch
    proposed: list[tuple[Request, bytes]]
    """Requests that take effect, and have this reply, if and only if the batch is chosen at `entry`."""
    decided: list[tuple[Request, bytes, PaxosStoreError | None]]
    """Requests that end without the batch: refused, or already applied under their uuid."""


def evaluate(
    queue: deque[Request], overlay: Overlay, entry: int, uuid_window_entries: int, max_requests: int, max_bytes: int
) -> Evaluated:
    """Take requests off the queue, in order, until a limit is reached, and run them on the overlay one after another."""
    proposed: list[tuple[Request, bytes]] = []
    decided: list[tuple[Request, bytes, PaxosStoreError | None]] = []
    uuids: list[bytes] = []
    while queue and len(proposed) < max_requests and overlay.size < max_bytes:
        request = queue[0]
        if request.settled:
            queue.popleft()
            continue
        if request.at_entry and proposed:
            break  # it was computed on the DB as it stands, so nothing may come before it
        queue.popleft()
        twin = overlay.batch.writes.get(UUID + request.uuid) if request.uuid else None
        if twin is not None and not request.at_entry:
            proposed.append((request, twin))  # the same request twice in one batch: it ends as its twin does
            continue
        outcome = _known_outcome(request, overlay, entry, uuid_window_entries)
        if outcome is not None:
            decided.append((request, *outcome))
            continue
        overlay.begin()
        try:
            reply = request.evaluate(overlay)
        except PaxosStoreError as error:
            overlay.rollback()
            decided.append((request, b"", error))
            continue
        except Exception as error:  # the caller's function, not ours
            overlay.rollback()
            failed = RequestFailed(f"the request raised {type(error).__name__}: {error}")
            failed.__cause__ = error
            decided.append((request, b"", failed))
            continue
        for uuid in _uuids(request):
            overlay.put_raw(UUID + uuid, reply)
            uuids.append(uuid)
        proposed.append((request, reply))
        if request.at_entry:
            break
    if uuids:
        overlay.put_raw(WINDOW + entry.to_bytes(8, "big"), b"".join(uuids))
    if proposed:
        _forget_uuids(overlay, entry - uuid_window_entries)
    return Evaluated(entry, overlay.batch, proposed, decided)


def _uuids(request: Request) -> tuple[bytes, ...]:
    return (request.uuid, *request.more_uuids) if request.uuid else request.more_uuids


def _known_outcome(
    request: Request, overlay: Overlay, entry: int, uuid_window_entries: int
) -> tuple[bytes, PaxosStoreError | None] | None:
    for uuid in _uuids(request):
        first = overlay.get_raw(UUID + uuid)
        if first is not None:
            if request.at_entry:
                return b"", DuplicateUuid(f"the uuid {uuid.hex()} was applied before")
            return first, None
        if request.floor and entry - request.floor > uuid_window_entries:
            return b"", OutcomeUnknown("the request is older than the window in which its uuid would be remembered")
    if request.at_entry and request.at_entry != entry:
        return b"", WrongEntry(f"entry {request.at_entry} is not the next one, {entry} is")
    return None


def _forget_uuids(overlay: Overlay, expired: int) -> None:
    """Drop the uuids that entry `expired` carried. The pruning is part of the batch, so every replica does the same."""
    if expired < 1:
        return
    key = WINDOW + expired.to_bytes(8, "big")
    uuids = overlay.get_raw(key)
    if uuids is None:
        return
    for at in range(0, len(uuids), 16):
        overlay.put_raw(UUID + uuids[at : at + 16], None)
    overlay.put_raw(key, None)
