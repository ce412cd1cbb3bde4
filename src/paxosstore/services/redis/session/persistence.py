"""SAVE and its kind, ROLE, MODULE: what Redis has and a node has no need of, answered so that tools go on."""

from __future__ import annotations

import time

from ..reply import OK, SYNTAX_ERROR, array, error, integer_reply, simple, text
from .session import Session

NO_MODULES = error("modules cannot be loaded here")
REPLICATES_ITSELF = error(
    "the nodes replicate by themselves, and every one is a master: for a copy of everything use `paxosstore backup`,"
    " or `paxosstore export --redis`"
)
"""To Redis's way of copying everything to another server, redis-cli --rdb, or another master."""


def save(session: Session, args: list[bytes]) -> bytes:
    """Whatever was answered is on a majority of the nodes' disks already."""
    return OK


def bgsave(session: Session, args: list[bytes]) -> bytes:
    if len(args) > 2 or (len(args) == 2 and args[1].upper() != b"SCHEDULE"):
        return SYNTAX_ERROR
    return simple("Background saving started")


def bgrewriteaof(session: Session, args: list[bytes]) -> bytes:
    return simple("Background append only file rewriting started")


def lastsave(session: Session, args: list[bytes]) -> bytes:
    """Now."""
    return integer_reply(int(time.time()))


def role(session: Session, args: list[bytes]) -> bytes:
    """Every node takes writes, and has no replicas in Redis's sense."""
    return array([text("master"), integer_reply(0), array([])])


def replicaof(session: Session, args: list[bytes]) -> bytes:
    """NO ONE: it is a master already."""
    if args[1].lower() == b"no" and args[2].lower() == b"one":
        return OK
    return REPLICATES_ITSELF
