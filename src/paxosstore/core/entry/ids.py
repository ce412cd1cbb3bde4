"""Entities, entries, acceptors, ballots and value ids: the numbers everything else is made of.

An entity is an unsigned 64-bit id, an entry counts from 1, an acceptor from 0 to n-1.
"""

from __future__ import annotations

from ...boundary import MAX_ENTITY as MAX_ENTITY
from ...boundary import UUID_BYTES as UUID_BYTES

FIRST_ENTRY = 1
NO_BALLOT = 0
NOBODY = -1
"""No acceptor."""
VALUE_ID_BYTES = 16


def majority(n: int) -> int:
    """How many of n acceptors any two of whose groups share one."""
    return n // 2 + 1


def preauth_ballot(acceptor: int) -> int:
    """The one ballot an acceptor may use without a prepare phase (rules 1 and 5)."""
    return acceptor + 1


def next_ballot(acceptor: int, n: int, above: int) -> int:
    """The smallest own prepare-phase ballot above `above`; ballots 1..n are never returned (rule 1)."""
    floor = max(above, n)
    rounds = (floor - acceptor - 1) // n + 1
    ballot = acceptor + 1 + rounds * n
    assert ballot > floor
    assert owner(ballot, n) == acceptor
    return ballot


def owner(ballot: int, n: int) -> int:
    """The only acceptor that may propose under this ballot (rule 1)."""
    assert ballot > NO_BALLOT
    return (ballot - 1) % n


def is_uuid(uuid: object) -> bool:
    """Whether this can name a request (rule 15): 16 bytes."""
    return isinstance(uuid, bytes) and len(uuid) == UUID_BYTES


def value_id(proposer: int, incarnation: int, counter: int) -> bytes:
    """A 16-byte id no other value has, across restarts and machines (rule 4).

    `incarnation` is 64 random bits drawn at each start, `counter` counts within it.
    """
    return bytes((proposer,)) + incarnation.to_bytes(8, "big") + counter.to_bytes(7, "big")


def origin(value_id: bytes) -> int:
    """The acceptor at which a value originated, whoever's ballot got it chosen (rule 5)."""
    return value_id[0]
