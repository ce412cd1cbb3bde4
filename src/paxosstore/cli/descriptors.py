"""Who may have how many of a node's file descriptors: the store and the peers come first, clients get what is left."""

from __future__ import annotations

import logging
from typing import NamedTuple

from ..errors import NodeError
from ..runtime.connection import LinkOptions
from ..services.card.server import MAX_CONNECTIONS as MAX_GRPC
from ..services.http.server import MAX_CONNECTIONS as MAX_HTTP
from ..storage.descriptors import LEAST, OTHER_FILES, limit, raise_limit, table_files

log = logging.getLogger(__name__)

PEERS = LinkOptions().max_unknown + 16
"""Strangers at the peer port, and four connections a peer: one each way, and those that replace them."""
OWN = 32
"""Listening sockets, what the loop and gRPC use, and clients in the moment in which they are refused."""


class Shares(NamedTuple):
    """Connections that each service may have."""

    redis: int
    grpc: int
    http: int


def shares(descriptors: int, max_clients: int) -> Shares:
    """Of so many descriptors in all. Raises NodeError if they do not suffice for a node."""
    if descriptors < LEAST:
        raise NodeError(f"{descriptors} open files are allowed, a node needs {LEAST} at least: raise the limit (ulimit -n)")
    http, grpc = min(MAX_HTTP, descriptors // 16), min(MAX_GRPC, descriptors // 16)
    reserved = table_files(descriptors) + OTHER_FILES + PEERS + OWN + http + grpc
    return Shares(min(max_clients, descriptors - reserved), grpc, http)


def needed(max_clients: int) -> int:
    """So many that every service may have all connections of its settings."""
    most = 16 * max(MAX_HTTP, MAX_GRPC)
    return most + max_clients


def share_out(max_clients: int) -> Shares:
    """Raise the limit as far as it goes, and say who gets what of it. Raises NodeError."""
    wanted = needed(max_clients)
    found = shares(raise_limit(wanted), max_clients)
    if found.redis < max_clients:
        log.warning(
            "only %d files may be open, so there is room for %d clients, not for the %d of redis.max_clients: "
            "raise the limit to %d (ulimit -n, or LimitNOFILE of a systemd service), or lower redis.max_clients",
            limit(),
            found.redis,
            max_clients,
            wanted,
        )
    return found
