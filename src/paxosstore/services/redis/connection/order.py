"""The order of one client's commands: it cannot tell it from one by one, though they do not wait for each other.

They take effect in the order in which they were sent, per entity:

- writes to one entity are queued in order;
- a read after a write that is not settled yet is queued behind it, as if it were a write;
- a write after reads that are not settled yet waits for them, and so does everything after it.

A command that changes what the following ones mean is started *alone*: nothing is, until it has its reply.

A read's reply is as large as what is stored, so how many may be under way is found out: one that would be evaluated while
its client has not read the last ones, is not; it starts again when there is room, with fewer of its kind beside it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Final, Protocol

from ....core.batch.request import Request
from ....errors import Overloaded
from ..room import Share
from ..settings import RedisSettings
from .naps import Nap
from .requests import LARGE_REPLY_BYTES, SMALL_BYTES, Answer, Command, Leaving, Slot, Spread

READ_FLOOR: Final = 1
"""So many reads may be under way whatever the size of their replies."""
CROWDED_BYTES: Final = 1_048_576
"""Replies unread or in the making from which on no more of them are made."""
QUEUED_READS: Final = 8
"""Reads queued behind a write, at first: they cannot be put off when their replies turn out to be large …"""
MAX_QUEUED_READS: Final = 64
"""… so there may be more only while they are not."""
MAX_UNDER_WAY_BYTES: Final = 16 * 1024 * 1024
"""Of commands under way from one client."""


class Listener(Protocol):
    """What an order tells its connection."""

    @property
    def is_closing(self) -> bool:
        """Whether what is written from now on reaches nobody."""
        ...

    def look_soon(self) -> None:
        """There is something to do in the next pass of the loop: replies are complete, or held up commands may start."""
        ...

    def starve(self) -> None:
        """Something could be started if there were room: `tell` when there is."""
        ...


class Order:
    """Starts commands, and gives their replies in the commands' order."""

    __slots__ = (
        "_alone",
        "_confirmed_at",
        "_connection",
        "_deferred",
        "_leaving",
        "_max_pipelined",
        "_max_unread_bytes",
        "_out",
        "_places",
        "_queued_reads",
        "_queued_window",
        "_read_window",
        "_silence",
        "_silent",
        "_spread",
        "_submit",
        "_taken",
        "_told",
        "_waiting",
        "_writes",
        "buffered",
        "crowded",
        "gone",
        "held_up",
        "note",
        "owed",
        "reads",
        "room",
        "share",
        "under_way",
    )

    def __init__(self, submit: Callable[[Request], None], share: Share, settings: RedisSettings, connection: Listener) -> None:
        self._submit = submit
        self._connection = connection
        self.share = share
        self.room = share.room
        self._max_pipelined = settings.max_pipelined
        self._max_unread_bytes = settings.max_unread_bytes
        self._waiting: deque[Slot | Nap] = deque()
        """Places of replies that have not left, in order."""
        self._out: list[bytes] = []
        """Replies whose turn it is."""
        self._leaving: list[tuple[Command, Leaving]] = []
        """Who is to be told when replies leave."""
        self._told = False
        """The connection knows that there is something to do."""
        self._places = 0
        self._taken = 0
        """So many places have been answered, of all there ever were."""
        self.note: Callable[[Command], None] = lambda command: None
        """Told of each command that has its reply, if it says when it came."""
        self._silence = 0
        """Of how many commands to come the client wants no reply."""
        self._silent: set[int] = set()
        """The places, counted as `_taken` is, whose replies are not sent."""
        self._confirmed_at = 0
        """When so many have been, the client knows what it listens to."""
        self.reads = 0
        """Reads under way, those that were put off included."""
        self._read_window = settings.max_pipelined
        """How many reads may be under way."""
        self._deferred: list[tuple[int, Command]] = []
        """Reads that were put off: a heap, by their places."""
        self._queued_reads = 0
        self._queued_window = QUEUED_READS
        """How many reads may be queued behind writes."""
        self._writes: dict[int, int] = {}
        """Entity -> writes under way, and reads that were queued behind one."""
        self._spread: Spread | None = None
        """A command on several entities that is not under way at all of them yet."""
        self._alone: Command | Nap | None = None
        """Nothing is started until this one has its reply."""
        self.under_way = 0
        """Bytes of the commands under way, as far as they are not small."""
        self.owed = 0
        """Bytes of replies that are made and have not been written, as far as they are not small."""
        self.buffered = 0
        """Bytes written that the client has not taken; it may be fewer by now."""
        self.gone = True
        """There is nobody to reply to."""
        self.crowded = False
        """The client has so many replies to read that no more are made."""
        self.held_up = False
        """Nothing is started: there are too many replies, or something else has to be started or answered first."""

    @property
    def lost(self) -> bool:
        """There is nobody to reply to, though the connection may still have to be told so."""
        return self.gone or self._connection.is_closing

    @property
    def waiting(self) -> int:
        """Commands that are started and whose replies have not been taken."""
        return len(self._waiting)

    @property
    def settled_all(self) -> bool:
        """Every reply has been taken."""
        return not self._waiting and not self._out

    @property
    def full(self) -> bool:
        """As much is under way as may be."""
        return len(self._waiting) >= self._max_pipelined or self.under_way > MAX_UNDER_WAY_BYTES

    @property
    def roomy(self) -> bool:
        """So little waits that the client may send more, if it was held back."""
        return len(self._waiting) <= self._max_pipelined // 2

    @property
    def unread(self) -> int:
        """Bytes of replies that the client has not read."""
        return self.owed + self.buffered

    @property
    def held(self) -> int:
        """Bytes that are held for the client's commands under way and their replies."""
        return self.owed + self.buffered + self.under_way

    @property
    def unfinished(self) -> bool:
        """There is a command that has to go on though its client has gone."""
        return self._spread is not None

    def tune(self, settings: RedisSettings) -> None:
        """The settings are others now."""
        self._max_pipelined = settings.max_pipelined
        self._max_unread_bytes = settings.max_unread_bytes
        self._read_window = min(self._read_window, self._max_pipelined)

    def open(self) -> None:
        """There is a client."""
        self.gone = False

    def end(self) -> None:
        """There is nobody any more: what is under way ends without a reply."""
        self.gone = True
        self._out.clear()
        self._waiting.clear()
        leaving, self._leaving = self._leaving, []
        for _, told in leaving:
            told.is_lost()
        alone, self._alone = self._alone, None
        while self._deferred:
            self._forget(self._deferred.pop()[1])
        self.owed = self.buffered = 0
        self._look()
        if alone is not None:
            alone.abandon()

    # -- starting commands

    def blocked(self) -> bool:
        """Whether nothing may be started."""
        return self.held_up or len(self._waiting) >= self._max_pipelined or self.under_way > MAX_UNDER_WAY_BYTES

    def may_read(self, entity: int) -> bool:
        """Whether a read of this entity may be started, where nothing is blocked. A write may while there are no `reads`."""
        return self._queued_reads < self._queued_window if entity in self._writes else self.reads < self._read_window

    def start(self, command: Command, *, alone: bool = False) -> None:
        """Start a command that may be; alone: nothing after it until it has its reply."""
        if command.read_only and command.entity in self._writes:
            command.read_only = False
            command.queued_read = True
            self._queued_reads += 1
        self._places += 1
        command.place = self._places
        if command.size > SMALL_BYTES:
            self.under_way += command.size
        if self._silence:
            self._hush()
        self._waiting.append(command)
        if alone:
            self._alone = command
            self.held_up = True
        self._send(command)

    def hold(self, command: Command) -> None:
        """Start a command that submits itself, as often as it has to; nothing after it until it has its reply."""
        command.read_only = command.counts_as_read and command.entity not in self._writes
        command.counts_as_read = False
        self._places += 1
        command.place = self._places
        if command.size > SMALL_BYTES:
            self.under_way += command.size
        if self._silence:
            self._hush()
        self._waiting.append(command)
        self._writes[command.entity] = self._writes.get(command.entity, 0) + 1
        self._alone = command
        self.held_up = True

    def rest(self, nap: Nap) -> None:
        """Start nothing until it is over."""
        if self._silence:
            self._hush()
        self._waiting.append(nap)
        self._alone = nap
        self.held_up = True

    def rested(self, nap: Nap) -> None:
        """A nap is over."""
        if nap is self._alone:
            self._alone = None
            self._look()
            self.tell()

    def unblock(self, as_error: bool) -> bool:
        """End the wait of the command that waits; whether there is one."""
        return self._alone is not None and self._alone.unblock(as_error)

    @property
    def parked(self) -> bool:
        """Nothing is started until there is something for a command that waits for it."""
        return self._alone is not None and self._alone.waits

    def hang_up(self) -> None:
        """The client sends nothing more. Safe to repeat."""
        if self._alone is not None:
            self._alone.hang_up()

    def spread(self, spread: Spread) -> None:
        """Start a command on many entities."""
        if self._silence:
            self._hush()
        self._waiting.append(spread.whole)
        self._spread = spread
        self._send_parts()
        self._look()

    def silence(self, commands: int) -> None:
        """Send no reply to so many commands to come, the one under way included; 0: to all of them again."""
        self._silence = commands

    def _hush(self) -> None:
        """The place that is taken now is one whose reply is not sent."""
        self._silence -= 1
        self._silent.add(self._taken + len(self._waiting))

    def answer(self, reply: bytes, *, anyway: bool = False) -> None:
        """A command was answered at once; `anyway`: to a client that wants no replies as well."""
        if self._silence:
            if anyway:
                self._silence -= 1
            elif self._waiting:
                self._hush()
            else:
                self._silence -= 1
                return
        self._say(reply)

    def _say(self, reply: bytes) -> None:
        if len(reply) > SMALL_BYTES:
            self.built(len(reply))
        if self._waiting:
            self._waiting.append(Answer(reply))
        else:
            self._out.append(reply)
        if not self._told:
            self.tell()

    def confirm(self) -> None:
        """The answer under way, or the next one, tells the client what it listens to."""
        if self._waiting:
            self._confirmed_at = self._taken + len(self._waiting) + 1

    def push(self, message: bytes) -> None:
        """Send what answers no command: at once, or behind the answer that tells the client to expect it."""
        if self._taken < self._confirmed_at:
            self._say(message)
            return
        if len(message) > SMALL_BYTES:
            self.built(len(message))
        self._out.append(message)
        if not self._told:
            self.tell()

    def go_on(self) -> None:
        """Start what has to be started before anything else, as far as there is room."""
        if self._spread is not None:
            self._send_parts()
        deferred = self._deferred
        while deferred and self.reads - len(deferred) < self._read_window:
            if self.crowded and not self.is_next(deferred[0][1]):
                break
            if self.room.full:
                self._connection.starve()
                break
            _, command = heappop(deferred)
            self.reads -= 1
            self._send(command, command.again())
        self._look()

    def _send(self, command: Command, request: Request | None = None) -> None:
        """Have it done: by itself, or by this request, which is another try of it."""
        command.counts_as_read = command.read_only
        if command.read_only:
            self.reads += 1
        else:
            self._writes[command.entity] = self._writes.get(command.entity, 0) + 1
        self._submit(command if request is None else request)

    def _send_parts(self) -> None:
        """Start a command at further entities: not at all at once, and at none after one has failed."""
        spread = self._spread
        assert spread is not None
        while (entity := spread.next()) is not None:
            part = spread.part(self, entity, entity in self._writes)
            if part.size > SMALL_BYTES:
                self.under_way += part.size
            self._send(part)
        if spread.over:
            self._spread = None

    def _forget(self, command: Command) -> None:
        """It is under way no more."""
        if command.size > SMALL_BYTES:
            self.under_way -= command.size
        if command.counts_as_read:  # though it may have become a write meanwhile, for what it met is due
            self.reads -= 1
            if self._read_window < self._max_pipelined:
                self._read_window += 1
            return
        if command.queued_read:
            self._queued_reads -= 1
            if command.reply is not None and len(command.reply) > LARGE_REPLY_BYTES:
                self._queued_window = max(1, self._queued_window // 2)
            elif self._queued_window < MAX_QUEUED_READS:
                self._queued_window += 1
        entity = command.entity
        left = self._writes[entity] - 1
        if left:
            self._writes[entity] = left
        else:
            del self._writes[entity]

    # -- replies

    def take_replies(self) -> list[bytes]:
        """The replies whose turn it is; they are the caller's to write. It has to be told again of what comes after them."""
        self._told = False
        waiting, out = self._waiting, self._out
        before = len(waiting)
        first = len(out)
        while waiting and (reply := waiting[0].reply) is not None:
            out.append(reply)
            waiting.popleft()
        if out:
            if self._leaving:
                self._let_leave()
            self._taken += before - len(waiting)
            self._out = []
            if self.owed:
                self.owed -= sum([len(reply) for reply in out if len(reply) > SMALL_BYTES])
            if self._silent:
                out = self._without_silent(out, first)
            if self.held_up or self.buffered:
                self._look()
        return out

    def _let_leave(self) -> None:
        """Tell whose replies were taken."""
        leaving, self._leaving = self._leaving, []
        for command, told in leaving:
            if any(slot is command for slot in self._waiting):
                self._leaving.append((command, told))
            else:
                told.leaves()

    def _without_silent(self, out: list[bytes], first: int) -> list[bytes]:
        """Replies without those that are not sent; from the `first` on they are those of the places before `_taken`."""
        place = self._taken - (len(out) - first)
        kept = out[:first] + [reply for number, reply in enumerate(out[first:], place) if number not in self._silent]
        self._silent = {number for number in self._silent if number >= self._taken}
        return kept

    def note_buffered(self, size: int) -> None:
        """So many bytes that were written have not been taken by the client."""
        self.buffered = size
        self._look()

    def tell(self) -> None:
        """See that the connection looks at what there is to do."""
        if not self._told:
            self._told = not self.gone or self._spread is not None
            self._connection.look_soon()

    def _look(self) -> None:
        """See what holds commands up."""
        self.crowded = self.gone or self.owed + self.buffered > CROWDED_BYTES
        self.held_up = self.crowded or bool(self._deferred) or self._spread is not None or self._alone is not None

    # -- what its commands say

    def settled(self, command: Command) -> None:
        """A command has its reply."""
        self._forget(command)
        if command is self._alone:
            self._alone = None
            self._look()
        if command.began_s:
            self.note(command)
        if not self._told:
            self.tell()

    def deferred(self, command: Command) -> None:
        """A read was not evaluated, for want of room: it starts again later."""
        self._read_window = max(READ_FLOOR, self._read_window // 2)
        if self.gone:
            self._forget(command)
            return
        heappush(self._deferred, (command.place, command))
        self._look()
        self.tell()

    def is_next(self, command: Command) -> bool:
        """Whether the client waits for the reply to this command alone: it has to be made, however much else there is."""
        return self.buffered <= CROWDED_BYTES and bool(self._waiting) and self._waiting[0] is command

    def built(self, size: int) -> None:
        """Replies of so many bytes are there, or are there no more."""
        if self.gone:
            return
        self.owed += size
        self.share.add(size)
        self._look()

    def answered(self, reply: bytes) -> None:
        """A reply that is made of several has come together."""
        if len(reply) > SMALL_BYTES:
            self.built(len(reply))
        self.tell()

    def leaves_with(self, command: Command, leaving: Leaving) -> None:
        """This is to be told what becomes of the reply of a command, which has it next."""
        self._leaving.append((command, leaving))

    def check_unread(self) -> None:
        """Raises Overloaded if the client has left so much unread that nothing may be made for it."""
        unread, limit = self.owed + self.buffered, self._max_unread_bytes
        if unread > limit:
            raise Overloaded(f"{unread} bytes of replies are unread, {limit} may be: read, or raise redis.max_unread_bytes")
