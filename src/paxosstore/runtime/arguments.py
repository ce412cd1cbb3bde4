"""What `Node` is made with and called with, made exact (boundary.py) or refused."""

from __future__ import annotations

import os
from pathlib import Path

from ..boundary import MAX_HOST, exact_bytes, exact_function, exact_int, exact_list, exact_pairs, exact_text, is_host, shown
from ..core.batch.overlay import DATA, MAX_KEY_BYTES, WriteBatch
from ..core.turn.context import Handler
from ..errors import InvalidRequest, TooLarge

MAX_ENTRY = 2**63 - 1
MAX_HANDLERS = 10_000
MAX_HANDLER_NAME = 255
MAX_UUIDS = 4_096
"""Of one run_paxos; as many requests go into one entry."""


def exact_peers(peers: object, nodes: int) -> list[tuple[str, int]]:
    """One address per node. Raises InvalidRequest."""
    found = exact_list("peers", peers, 100)
    if len(found) != nodes:
        raise InvalidRequest(f"peers: {len(found)} addresses for {nodes} nodes")
    return [_address(f"peers[{number}]", address) for number, address in enumerate(found)]


def _address(name: str, address: object) -> tuple[str, int]:
    pair = exact_list(name, address, 2)
    if len(pair) != 2:
        raise InvalidRequest(f"{name} must be (host, port)")
    host = exact_text(f"{name}: the host", pair[0], MAX_HOST)
    if not is_host(host):
        raise InvalidRequest(f"{name}: {shown(host)} is no host name or address")
    return host, exact_int(f"{name}: the port", pair[1], 1, 65_535)


def exact_handlers(handlers: object) -> dict[str, Handler]:
    """Functions by name. Raises InvalidRequest."""
    found: dict[str, Handler] = {}
    for name, function in exact_pairs("handlers", {} if handlers is None else handlers, MAX_HANDLERS):
        exact = exact_text("a handler's name", name, MAX_HANDLER_NAME)
        if not exact:
            raise InvalidRequest("a handler's name must not be empty")
        found[exact] = exact_function(f"handler {shown(exact)}", function)
    return found


def exact_path(name: str, path: object) -> Path:
    try:
        text = os.fsdecode(os.fspath(path))  # type: ignore[call-overload]  # it raises for what is no path
        valid = bool(text) and b"\0" not in os.fsencode(text)
    except Exception:
        valid = False
    if not valid:
        raise InvalidRequest(f"{name} must be a path, not {shown(path)}")
    return Path(str.__str__(text))


def exact_writes(value: object, limit: int) -> tuple[dict[bytes, bytes | None], bool]:
    """A caller's writes by their own keys, and whether all others go first; of a WriteBatch (as from get_write_batch) those that
    are a caller's. Raises InvalidRequest, or TooLarge."""
    cleared = False
    own = issubclass(type(value), WriteBatch)
    if own:
        try:
            value, cleared = value.writes, value.cleared is True  # type: ignore[attr-defined]  # narrowed by `own`
        except Exception:
            raise InvalidRequest("value: a WriteBatch that cannot be read") from None
    writes: dict[bytes, bytes | None] = {}
    size = 0
    for key, data in exact_pairs("value", value, limit):
        exact = exact_bytes("a key", key, MAX_KEY_BYTES)
        if own:
            if not exact.startswith(DATA):
                continue
            exact = exact[1:]
        writes[exact] = None if data is None else exact_bytes("a value", data, limit)
        size += len(exact) + 1 + len(writes[exact] or b"")
        if size > limit:
            raise TooLarge(f"a request may write {limit} bytes at most (max_request_bytes)")
    return writes, cleared
