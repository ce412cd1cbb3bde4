"""What is taken for clients that wait: given to them, or given back.

    begin ─► nothing was taken ─────────────────────────────────────────────► crossed out
          ─► its reply is about to be written ──────────────────────────────► crossed out
          ─► its client has gone ─────────────────────────────► given back ─► crossed out
          ─► not known ───────────────────────► asked again ─┘
          ─► this process is killed ─► the next one begins ─┘

To ask again is to repeat it under its uuid: what it took at first is its reply, or it takes something now. Both go back, under
a uuid of their own, however often that is tried (rule 15).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from ....core.batch.overlay import View
from ....core.batch.request import Request, digest_of
from ....errors import PaxosStoreError
from ..again import Again
from ..commands.handler import HANDLER, TRY, encode, handle
from ..commands.waits import found_nothing
from ..reply import nil_array
from .giveback import GiveBack, undo
from .in_doubt import InDoubt, Note

log = logging.getLogger(__name__)

UUID_BYTES = 16
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Between two attempts to find out."""


class Takings(Protocol):
    """What a command that waits tells of what it takes. A uuid that is empty says nothing."""

    def begin(self, entity: int, proto: int, words: list[bytes], floor: int, uuid: bytes) -> bytes:
        """It may take something from now on, behind the entry `floor`. Returns the uuid it has to run under, this one if there
        is one; empty: none."""
        ...

    def settle(self, uuid: bytes) -> None:
        """Nothing was taken, or the client is about to have it."""
        ...

    def give_back(self, entity: int, words: list[bytes], reply: bytes, uuid: bytes) -> None:
        """It has taken what its client does not get."""
        ...

    def find_out(self, uuid: bytes) -> None:
        """Whether it has taken something is not known, and its client was told so."""
        ...


class NodeTakings:
    """The takings of one node."""

    tries = 20
    """To find out what a command has taken."""

    def __init__(self, submit: Callable[[Request], None], later: Callable[[float, Callable[[], None]], object]) -> None:
        self.given_back = 0
        """What was taken for clients which had gone, and is where it was."""
        self.lost_back = 0
        """That of which this is not known."""
        self.asking = 0
        """Commands of which it is being found out what they have taken."""
        self._in_doubt = InDoubt(None)
        self._submit = submit
        self._later = later

    def open(self, directory: Path | None) -> None:
        """From now on it is noted there. Nothing has begun yet, and no other process uses the directory."""
        self._in_doubt = InDoubt(directory)

    def draw(self) -> bytes:
        """A uuid that nobody has."""
        return os.urandom(UUID_BYTES)

    def begin(self, entity: int, proto: int, words: list[bytes], floor: int, uuid: bytes) -> bytes:
        note = Note(uuid or self.draw(), entity, proto, words, max(1, floor))
        return note.uuid if self._in_doubt.note(note) else uuid

    def settle(self, uuid: bytes) -> None:
        self._in_doubt.cross_out(uuid)

    def give_back(self, entity: int, words: list[bytes], reply: bytes, uuid: bytes) -> None:
        back = undo(words, reply)
        if back is None:
            self.settle(uuid)
        else:
            its_own = digest_of(HANDLER, uuid) if uuid else self.draw()  # always the same, and nobody else's
            self._return(entity, back, its_own, partial(self._gave_back, uuid))

    def _return(self, entity: int, words: list[bytes], uuid: bytes, done: Callable[[bool], None]) -> None:
        self._submit(GiveBack(entity, words, uuid, self._submit, self._later, done))

    def _gave_back(self, uuid: bytes, known: bool) -> None:
        self.given_back += known
        self.lost_back += not known
        if known:
            self.settle(uuid)  # else the process after this one tries it again

    def find_out(self, uuid: bytes) -> None:
        note = self._in_doubt.notes.get(uuid)
        if note is not None:
            self._ask(note)

    def go_on(self) -> None:
        """Ask about everything that the process before this one has left."""
        left = list(self._in_doubt.notes.values())
        for note in left:
            self._ask(note)
        if left:
            log.info(
                "the process before this one was taking something for %d clients: what they did not get goes back", len(left)
            )

    def _ask(self, note: Note) -> None:
        self.asking += 1
        self._submit(Asked(note, self.tries, self._submit, self._later, self._found_out))

    def _found_out(self, note: Note, reply: bytes | None) -> None:
        self.asking -= 1
        if reply is None:
            return  # the process after this one asks again
        if found_nothing(reply) is not None:
            self.settle(note.uuid)
        else:
            self.give_back(note.entity, note.words, reply, note.uuid)

    def close(self) -> None:
        self._in_doubt.close()


class Asked(Request):
    """Repeats a command until what it took is known."""

    __slots__ = ("_found", "_later", "_note", "_pause_s", "_submit", "_tries")

    handler = HANDLER

    def __init__(
        self,
        note: Note,
        tries: int,
        submit: Callable[[Request], None],
        later: Callable[[float, Callable[[], None]], object],
        found: Callable[[Note, bytes | None], None],
    ) -> None:
        """`found` is told its reply; None: that is not known after so many tries."""
        super().__init__(note.entity, uuid=note.uuid, floor=note.floor)
        self._note = note
        self._submit = submit
        self._later = later
        self._found = found
        self._tries = tries
        self._pause_s = FIRST_PAUSE_S
        self.size = sum(map(len, note.words))

    def evaluate(self, view: View) -> bytes:
        return handle(view, self.payload())

    def payload(self) -> bytes:
        return encode(self._note.proto, [TRY, *self._note.words])

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        self._tries -= 1
        if error is None:
            self._found(self._note, reply)
        elif error.outcome_known and not error.retry:
            self._found(self._note, nil_array(self._note.proto))  # nothing was taken
        elif self._tries:
            self._later(self._pause_s, self._again)
            self._pause_s = min(2.0 * self._pause_s, LONGEST_PAUSE_S)
        else:
            log.warning("what was taken for a client that did not get it is not known: %s", error)
            self._found(self._note, None)

    def _again(self) -> None:
        self._submit(Again(self, read_only=False, handler=self.handler, uuid=self.uuid))
