"""What a session has between MULTI and EXEC, and the keys it watches. Nothing of it has happened: EXEC makes it happen.

A transaction is one request on one entity. So all its keys, watched ones included, are of one database (or slot).
"""

from __future__ import annotations

from collections.abc import Callable

from ..layout.keyspace import REDIS_BASE, SLOT_BASE
from ..reply import error

STEP_BYTES = 128
"""What a queued command or a watched key takes of memory, besides its bytes."""
Step = bytes | Callable[[], bytes]
"""A queued command: a payload of the handler, or what the session does itself to answer it."""


class Transaction:
    """The state of one session's transaction."""

    __slots__ = ("broken", "db", "entity", "held", "names", "open", "proto", "steps", "uuid", "watched", "writes")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """None is open, and nothing is watched."""
        self.open = False
        """Commands are queued."""
        self.broken = False
        """A command could not be queued: EXEC does nothing."""
        self.steps: list[Step] = []
        self.names: list[bytes] = []
        """Of the commands among them that are requests, in order."""
        self.writes = False
        """EXEC writes."""
        self.db, self.proto = 0, 2
        """What the session will be set to where the next step runs."""
        self.watched: dict[bytes, bytes] = {}
        """Names of keys, and the stamps that they had."""
        self.entity: int | None = None
        """Where its keys are, the watched ones included; None: it has none yet."""
        self.held = 0
        """Bytes that it takes."""
        self.uuid = b""
        """Under which EXEC takes effect once; empty: none was given."""

    def begin(self, db: int, proto: int, uuid: bytes = b"") -> None:
        """MULTI."""
        self.open, self.db, self.proto, self.uuid = True, db, proto, uuid
        self.writes = bool(uuid)  # what is remembered under it is written, whatever the commands do

    def refuse(self) -> None:
        """A command was refused: if it should have been queued, what was queued is of no use, and nothing more is kept."""
        if not self.open:
            return
        self.broken = True
        self.steps, self.names = [], []
        self.held = sum([_size(name) for name in self.watched])

    def add(self, step: Step, size: int, name: bytes = b"") -> None:
        """Queue a command of so many bytes; with its name, if it is a request."""
        if not self.broken:
            if name:
                self.names.append(name)
            self.steps.append(step)
            self.held += size + STEP_BYTES

    def watch(self, entity: int, stamps: dict[bytes, bytes]) -> None:
        """Watch these keys; one that is watched already keeps the stamp that it had."""
        self.entity = entity
        for name, stamp in stamps.items():
            if name not in self.watched:
                self.watched[name] = stamp
                self.held += _size(name)

    def elsewhere(self, entity: int) -> bytes | None:
        """The error for keys of this entity, where those before them are of another one."""
        if self.entity is None or self.entity == entity:
            return None
        if entity >= SLOT_BASE:
            return error("Keys of a transaction, watched ones included, don't hash to the same slot", "CROSSSLOT")
        both = f"{self.entity - REDIS_BASE} and {entity - REDIS_BASE}"
        return error(f"a transaction is of one database, watched keys included: not of {both}", "CROSSDB")


def _size(name: bytes) -> int:
    return len(name) + STEP_BYTES
