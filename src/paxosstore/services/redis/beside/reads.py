"""Long reads, one after the other, but for those that are very long: each in a thread, so that the loop goes on.

    try on the loop ─► too long ─► its outcome ─► freeze the entity, not before the entry that the try saw ─► run in a thread
                                                        └─► a second read, of nothing, confirms ─► both done: reply

The try was an ordinary read, so whatever was done before it was asked for is in the entry that it saw, and in what is frozen
later. What is frozen may have entries in it that are not durable yet (rule 7): a second read that begins after it is answered
when those are. A read that meets a key that is due is tried again, in one go, and becomes a write.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

from ....core.batch.overlay import NeedsWrite, View
from ....core.batch.request import Request
from ....errors import NotServing, Overloaded, PaxosStoreError, RequestFailed, TooLarge
from ..layout.keys import LOOKUPS, Lookups
from ..reply import ReplyError
from ..run import Run
from .view import MAX_ROWS, Frozen, LongView

log = logging.getLogger(__name__)

MAX_WAITING = 256
"""Long reads of one node that wait for their turn."""
MAX_REPLY_BYTES = 16_777_216
"""As of a node, unless it is tuned (max_reply_bytes)."""
MAX_OTHER_ROWS = 32_768
"""Of a read that sorts or compares what it reads: that does not let the loop go on."""
LISTING = frozenset(
    b"hgetall hkeys hvals smembers lrange zrange zrevrange zrangebyscore zrevrangebyscore zrangebylex zrevrangebylex xrange"
    b" xrevrange keys".split()
)
"""What lists what it reads, so that it may be more."""
_NO_THREAD = "no thread can be started on this node: ask for less, or again later"
SLOW_S, MAX_SLOW = 0.25, 3
"""One that goes on for so long lets the next one begin, unless so many do so already."""
TRIES = 64
"""Passes of the loop in which what is applied gets to the store."""


Outcome = tuple[bytes, PaxosStoreError | None, bool, Lookups]
"""Reply, error, whether it is to be tried in one go, and what it has looked up."""


class Reader(Protocol):
    """A command that was given up as too long."""

    entity: int
    saw_entry: int
    """The last entry in what its try saw."""
    saw_ms: int
    """The time at which it did."""

    @property
    def words(self) -> list[bytes]: ...

    def read(self, view: View) -> bytes:
        """What it replies. In any thread."""
        ...

    @property
    def wanted(self) -> bool:
        """Its client is still there."""
        ...

    def finish(self, reply: bytes, error: PaxosStoreError | None) -> None:
        """That is its outcome."""
        ...

    def in_one_go(self) -> None:
        """It is to be tried again, however long it takes."""
        ...


class Confirm(Request):
    """A read of nothing: it is answered when what was there before it may be told."""

    __slots__ = ("_told",)

    def __init__(self, entity: int, told: Callable[[PaxosStoreError | None], None]) -> None:
        super().__init__(entity, read_only=True)
        self._told = told

    def evaluate(self, view: View) -> bytes:
        return b""

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        self._told(error)


class Preparing(Protocol):
    """A command of which something is done before it is proposed."""

    @property
    def wanted(self) -> bool: ...

    def finish(self, reply: bytes, error: PaxosStoreError | None) -> None: ...

    def run_by(self, run: Run) -> None:
        """That is what it does from now on."""
        ...


class _Prepare:
    """What is done of a command before that."""

    def __init__(self, command: Preparing, read: Callable[[], Run], submit: Callable[[], object]) -> None:
        self._command = command
        self._read = read
        self._submit = submit
        self._run: Run | None = None
        self.slow = self.ended = False
        self.finish = command.finish

    @property
    def wanted(self) -> bool:
        return self._command.wanted

    def read(self) -> None:
        """In the thread."""
        try:
            self._run = self._read()
        except BaseException:
            log.exception("what is done before a command has failed: it is done with it")

    def submit(self) -> None:
        """On the loop."""
        if not self.wanted:
            self.finish(b"", NotServing("its client has gone: nothing happened"))
            return
        if self._run is not None:
            self._command.run_by(self._run)
        self._submit()


class LongReads:
    """Those of one node."""

    def __init__(
        self,
        freeze: Callable[[int], Frozen],
        submit: Callable[[Request], None],
        call_soon: Callable[[Callable[[], object]], object],
        from_thread: Callable[[Callable[[], object]], object],
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        """`freeze` opens an entity; `call_soon` calls in the next pass of the loop, `from_thread` the same from another thread,
        `later` after so many seconds."""
        self._freeze = freeze
        self.submit = submit
        self._call_soon = call_soon
        self._from_thread = from_thread
        self._waiting: deque[Reader | _Prepare] = deque()
        self._later = later
        self._busy = False
        """The next one has to wait."""
        self._slow = 0
        """So many go on for long, and nobody waits for them."""
        self.done = 0
        """So many have been run."""

    def begin(self, reader: Reader | _Prepare) -> None:
        """Run it when its turn comes."""
        if len(self._waiting) >= MAX_WAITING:
            reader.finish(b"", Overloaded(f"{MAX_WAITING} long reads wait on this node: ask for less, or again later"))
            return
        self._waiting.append(reader)
        if not self._busy:
            self._busy = True
            self._next(0)

    def prepare(self, command: Preparing, read: Callable[[], Run], submit: Callable[[], object]) -> None:
        """Have `read` called in a thread when its turn comes; then it is submitted, to be run by what that has returned."""
        self.begin(_Prepare(command, read, submit))

    def _next(self, tried: int) -> None:
        """Start the first one that waits."""
        while self._waiting:
            reader = self._waiting.popleft()
            if not reader.wanted:
                reader.finish(b"", NotServing("its client has gone: nothing happened"))
                continue
            if isinstance(reader, _Prepare):
                if _started(partial(self._work, reader)):
                    self._later(SLOW_S, partial(self._look, reader))
                    return
                reader.finish(b"", Overloaded(_NO_THREAD))
                continue
            try:
                frozen = self._freeze(reader.entity)
            except PaxosStoreError as error:
                reader.finish(b"", error)
                continue
            if frozen.entry >= reader.saw_entry:
                run = _Run(reader, frozen, self._from_thread, self._ended)
                if _started(run.work):
                    self._later(SLOW_S, partial(self._look, run))
                    self.submit(run.confirming)
                    return
                frozen.close()
                reader.finish(b"", Overloaded(_NO_THREAD))
                continue
            frozen.close()
            if tried < TRIES:
                self._waiting.appendleft(reader)
                self._call_soon(partial(self._next, tried + 1))  # what is applied is written when this pass ends
                return
            tried = 0
            reader.in_one_go()  # the disk is full: what is applied stays in memory
        self._busy = False

    def _work(self, work: _Prepare) -> None:
        """In the thread."""
        work.read()
        with suppress(RuntimeError):  # the loop is closed
            self._from_thread(partial(self._worked, work))

    def _worked(self, work: _Prepare) -> None:
        work.submit()
        self._ended(work)

    def _look(self, job: _Run | _Prepare) -> None:
        """One that goes on for long lets the next one begin."""
        if job.ended:
            return
        if self._slow == MAX_SLOW:
            self._later(SLOW_S, partial(self._look, job))
            return
        self._slow += 1
        job.slow = True
        self._next(0)

    def _ended(self, job: _Run | _Prepare) -> None:
        """The thread has ended."""
        job.ended = True
        self.done += 1
        if job.slow:
            self._slow -= 1
        else:
            self._next(0)


def _started(work: Callable[[], None]) -> bool:
    """Whether there is a thread that does it."""
    try:
        threading.Thread(target=work, name="paxosstore-beside", daemon=True).start()
    except RuntimeError:  # the system gives no more
        log.warning("no thread can be started for what takes long")
        return False
    return True


class _Run:
    """One long read, from when it is begun until its thread has ended and its outcome is confirmed."""

    def __init__(
        self,
        reader: Reader,
        frozen: Frozen,
        from_thread: Callable[[Callable[[], object]], object],
        ended: Callable[[_Run], None],
    ) -> None:
        self.confirming = Confirm(reader.entity, self._confirm)
        """To be submitted once the thread has been started."""
        self._reader = reader
        self._frozen = frozen
        self._from_thread = from_thread
        self._ended = ended
        self.slow = self.ended = False
        self._confirmed = False
        self._refused: PaxosStoreError | None = None
        """Why its outcome must not be told."""
        self._outcome: Outcome | None = None

    def work(self) -> None:
        """In the thread."""
        try:
            outcome = self._read(self._frozen)
        finally:
            self._frozen.close()
        with suppress(RuntimeError):  # the loop is closed
            self._from_thread(partial(self._done, outcome))

    def _read(self, frozen: Frozen) -> Outcome:
        reader = self._reader
        most = MAX_ROWS if reader.words[0].lower() in LISTING else MAX_OTHER_ROWS
        view = LongView(reader.entity, frozen, reader.saw_ms, most, lambda: reader.wanted)
        try:
            reply = reader.read(view)
            if len(reply) > MAX_REPLY_BYTES:
                raise TooLarge(f"a reply of {len(reply)} bytes: {MAX_REPLY_BYTES} are possible")
        except ReplyError as refused:
            return refused.reply, None, False, view.lookups
        except NeedsWrite:
            return b"", None, True, view.lookups
        except PaxosStoreError as error:
            return b"", error, False, view.lookups
        except BaseException as error:
            log.exception("a long read failed: %r", reader.words[0][:64])
            return b"", RequestFailed(f"the request raised {type(error).__name__}: {str(error)[:200]}"), False, view.lookups
        return reply, None, False, view.lookups

    def _done(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._finish()
        self._ended(self)

    def _confirm(self, error: PaxosStoreError | None) -> None:
        self._confirmed, self._refused = True, error
        self._finish()

    def _finish(self) -> None:
        if not self._confirmed or self._outcome is None:
            return
        reply, error, in_one_go, lookups = self._outcome
        if self._refused is not None:
            self._reader.finish(b"", self._refused)
        elif in_one_go:
            self._reader.in_one_go()
        else:
            LOOKUPS.add(lookups)
            self._reader.finish(reply, error)
