"""Getting an entity's data from a peer, when its log does not reach back far enough, or copying is cheaper (rules 16 and 17).

The copy grows beside the old data, under a mark. The pieces follow one by one: the next is asked for when the last is durable, so
a disk that is slow slows the peer down. The last piece, the change to the copy, the end of the mark and the new committed entry
are one write; the pointers jump after it. Until then the old data is whole and in force: peers may have it, and whatever ends
the copy before, a crash as well, leaves it so.

What this replica has promised and accepted above the view's entry stays: a snapshot replaces data, never votes.
"""

from __future__ import annotations

from ..entity.entity import Entity
from ..entity.install import Install, Transfer
from ..interface.message import SnapshotPiece, SnapshotRequest
from ..interface.ready import BeginInstall, DropInstall, EndInstall, InstallRows
from ..turn.agenda import Part
from ..turn.budget import Job
from ..turn.context import Context
from ..turn.entities import Entities
from .log import Log
from .write import Proposer

MAX_DOUBLINGS = 4
MAX_RENEWALS = 64
"""Entities whose data is to be renewed and that are not in memory yet; more are forgotten."""
MAX_OUTDATED = 20
"""Views of an entity that is to be renewed that may be older than what is applied here by then: it is written meanwhile."""
NO_ROOM_PAUSE_MS, LONGEST_PAUSE_MS = 5_000.0, 60_000.0
"""After a copy was given up because the disk was almost full, it is not begun again for so long, and for twice as long each time:
it may have been the copy that filled it."""


class Installer(Part):
    """Acts on the `install` of entities."""

    minds_disk = True

    def __init__(self, context: Context, entities: Entities, log: Log, proposer: Proposer) -> None:
        self._context = context
        self._entities = entities
        self._log = log
        self._proposer = proposer
        self._active: dict[int, Entity] = {}
        """Those that copy, `max_snapshots` at most."""
        self._waiting: dict[int, Entity] = {}
        """Those that would, the one that has waited for longest first."""
        self._written: dict[int, Entity] = {}
        """Those that have written a piece which is not durable yet."""
        self._left: set[int] = set()
        """Entities with some of a copy on the disk that nobody goes on with; they are many only after a crash."""
        self._renewals: dict[int, int] = {}
        """Entity -> the peer whose data is to take the place of what is here, when it is in memory."""

    # -- begin and end

    @property
    def has_room(self) -> bool:
        """Whether another copy may begin now."""
        return len(self._active) < self._context.tuning.max_snapshots

    @property
    def transfers(self) -> list[Transfer]:
        """What is copied to this node now."""
        now = self._context.now_ms
        return [entity.install.transfer(entity.id, now) for entity in self._active.values() if entity.install is not None]

    def renew(self, entity: int, peer: int) -> None:
        """An operator has found the data of an entity wrong here, and right at this peer."""
        if len(self._renewals) < MAX_RENEWALS:
            self._renewals[entity] = peer
            self._entities.touch(self._entities.get(entity))

    def look(self, entity: Entity) -> None:
        """Begin to renew its data, if that is wanted."""
        if entity.install is None and self._renewals and (peer := self._renewals.pop(entity.id, None)) is not None:
            self._context.counters.snapshots_to_renew += 1
            self.start(entity, peer, renews=True)

    def start(self, entity: Entity, peer: int, *, renews: bool = False) -> None:
        """Have the data copied, from this peer first. From now on the entity is not served here."""
        context = self._context
        assert entity.install is None
        entity.install = Install(peer, context.now_ms, renews=renews)
        context.counters.snapshots_wanted += 1
        in_flight = entity.writes.in_flight
        if in_flight is not None and in_flight.evaluated.entry > entity.log.contiguous_chosen:
            self._proposer.overtaken(entity)  # decided, for it is below what the peer has applied
        self._entities.touch(entity)

    def loaded(self, entity: Entity) -> None:
        """The disk says that a copy has begun here and not ended. What there is of it goes.

        What is missing is asked for anew, and comes as entries or as another copy.
        """
        self._context.counters.snapshots_recovered += 1
        self._left.add(entity.id)
        self._drop_left()

    def forget(self) -> None:
        """Entities were dropped from memory: those that come back say themselves what is to be done."""
        for waiting in (self._active, self._waiting, self._written):
            for number in [number for number, entity in waiting.items() if self._entities.find(number) is not entity]:
                del waiting[number]
        self._next()

    def go_on(self) -> None:
        """The disk takes writes again, or a peer is back: all that copy are looked at."""
        self._drop_left()
        for entity in (*self._active.values(), *self._waiting.values()):
            self._entities.touch(entity)

    def _drop_left(self) -> None:
        """Have deleted what there is of copies that nobody goes on with."""
        context = self._context
        if self._left and not context.cannot_write:
            context.ready.changes += [DropInstall(number) for number in sorted(self._left)]
            self._left.clear()

    def give_up(self, entity: Entity) -> None:
        """Nothing is done for it any more."""
        if entity.install is not None:
            self._stop(entity)

    def _stop(self, entity: Entity) -> None:
        install = entity.install
        assert install is not None
        self._let_go(entity, install)
        self._drop(entity, install)
        entity.install = None
        for waiting in (self._active, self._waiting, self._written):
            waiting.pop(entity.id, None)
        entity.catchup.restart()
        self._entities.touch(entity)
        self._next()

    def _drop(self, entity: Entity, install: Install) -> None:
        """If there is some of a copy, and it has not become the data, it goes."""
        if install.begun and not install.ended:
            self._left.add(entity.id)
            self._drop_left()
        install.begun = False

    def _let_go(self, entity: Entity, install: Install) -> None:
        """No more is read of the view: the peer may close it. It may be open again, for a question that was repeated."""
        if install.number:
            self._context.send_early(install.peer, SnapshotRequest(entity.id, install.number, b"", 0))

    def _turn_to_next(self, entity: Entity, install: Install) -> None:
        """Begin again with another peer; where one was named, it is given up."""
        if install.renews:
            self._stop(entity)
            return
        self._let_go(entity, install)
        install.turn_to(self._after(install.peer), self._context.now_ms)

    def _next(self) -> None:
        """Let those that wait have the room that there is."""
        for _, entity in zip(range(self._context.tuning.max_snapshots - len(self._active)), self._waiting.values(), strict=False):
            self._entities.touch(entity)

    def _has_place(self, entity: Entity, install: Install) -> bool:
        """Whether this one's turn has come; else it waits, behind those that wait already."""
        if entity.id in self._active:
            return True
        if not self.has_room:
            self._context.counters.snapshots_held += entity.id not in self._waiting
            self._waiting[entity.id] = entity
            return False
        self._waiting.pop(entity.id, None)
        self._active[entity.id] = entity
        install.heard_at_ms = self._context.now_ms
        return True

    # -- asking

    def attend(self, entity: Entity) -> None:
        """Ask for the piece that is due."""
        install, context = entity.install, self._context
        assert install is not None
        if install.turn:
            return
        if context.writes_refused_because:
            self._wait_for_room(entity, install)
            return
        if not install.renews and entity.log.contiguous_chosen >= max(entity.log.max_chosen, entity.catchup.wanted):
            context.counters.snapshots_not_needed += 1
            self._stop(entity)
            return
        now = context.now_ms
        if not install.begun and now < install.resumes_at_ms:  # others may copy meanwhile
            self._waiting.pop(entity.id, None)
            entity.wake_at(install.resumes_at_ms)
            return
        if not self._has_place(entity, install):
            return
        if install.attempts and now - install.heard_at_ms >= context.tuning.snapshot_timeout_ms:
            context.counters.snapshots_timed_out += 1
            self._turn_to_next(entity, install)
        elif not install.committed and self._is_better_asked_elsewhere(install.peer):
            self._turn_to_next(entity, install)  # there is no view to go on with when the link is back
        if entity.install is None:
            return
        interval = context.tuning.retry_ms * (1 << min(install.attempts + install.refusals, MAX_DOUBLINGS))
        due = max(install.asked_at_ms + interval, install.resumes_at_ms)
        if now < due:
            entity.wake_at(due)
            return
        if not install.number:
            install.number = context.new_number()
        if not install.attempts:
            install.heard_at_ms = now  # nobody is late who has not been asked
        install.asked_at_ms = now
        install.attempts += 1
        limit = context.tuning.snapshot_piece_bytes
        context.send_early(install.peer, SnapshotRequest(entity.id, install.number, install.after, limit))
        entity.wake_at(now + interval)

    def _wait_for_room(self, entity: Entity, install: Install) -> None:
        """The disk is full, or almost: a copy takes as much again as the data. While there is room for that, it is given up."""
        context = self._context
        if install.begun and not context.cannot_write:
            context.counters.snapshots_without_room += 1
            self._drop(entity, install)
            self._let_go(entity, install)
            install.turn_to(install.peer, context.now_ms)
            install.resumes_at_ms = context.now_ms + min(
                NO_ROOM_PAUSE_MS * (1 << min(install.pauses, MAX_DOUBLINGS)), LONGEST_PAUSE_MS
            )
            install.pauses += 1
            self._active.pop(entity.id, None)
        if entity.id not in self._active:
            self._waiting[entity.id] = entity

    def _is_better_asked_elsewhere(self, peer: int) -> bool:
        """Whether there is no link to this peer, and one to another."""
        reach = self._context.reach
        return reach.is_down(peer) and not reach.is_down(self._after(peer))

    def _after(self, peer: int) -> int:
        """The peer to turn to after this one: the next in turn to which there is a link."""
        context = self._context
        others = [number % context.n for number in range(peer + 1, peer + 1 + context.n) if number % context.n != context.me]
        return next((other for other in others if not context.reach.is_down(other)), others[0])

    # -- what comes in

    def piece(self, entity: Entity, peer: int, message: SnapshotPiece) -> None:
        """A piece from a peer: written by this turn, if it is the one that is due."""
        install, context = entity.install, self._context
        if install is None or context.writes_refused_because or not install.expects(peer, message.number, message.after):
            context.counters.snapshot_pieces_late += 1
            return
        self._entities.touch(entity)
        if not message.found or (install.committed and message.committed != install.committed):
            self._refused(entity, install)
            return
        if not install.committed and not self._begin(entity, install, peer, message):
            return
        assert install.committed >= entity.log.committed, "nothing is applied meanwhile"
        changes = context.ready.changes
        if message.rows:
            changes.append(InstallRows(entity.id, message.rows))
        if not message.more:
            changes.append(EndInstall(entity.id, install.committed))
        context.ready.needs_sync = True  # one piece after the other: the disk is never owed more than one
        install.take(message.rows, context.ready.turn, context.now_ms, more=message.more)
        self._written[entity.id] = entity
        context.agenda.add(self)
        context.counters.snapshot_pieces += 1
        size = sum(len(value) for _, value in message.rows)
        work = len(message.rows) + (size >> 10)
        context.work += work
        context.pay(Job.SNAPSHOTS, size, work)

    def _refused(self, entity: Entity, install: Install) -> None:
        """The peer has no view to read, or not this one any more: another one is asked, after a round of them a little later."""
        context = self._context
        context.counters.snapshots_refused += 1
        self._turn_to_next(entity, install)
        install.refusals += 1
        if install.refusals >= context.n - 1:
            install.asked_at_ms = context.now_ms

    def _begin(self, entity: Entity, install: Install, peer: int, message: SnapshotPiece) -> bool:
        """The first piece of a view: whether it is newer than what is here (rule 16). Then it is written beside that."""
        context, log = self._context, entity.log
        if message.committed < log.committed + (not install.renews):
            context.counters.snapshots_outdated += 1
            if install.renews and install.refusals < MAX_OUTDATED:
                self._let_go(entity, install)
                install.turn_to(peer, context.now_ms)
                install.refusals += 1
                return False
            self._stop(entity)  # the log is asked again: peers may have it by now, or have to be helped to decide it
            entity.catchup.asked_at_ms = context.now_ms
            return False
        if log.unwritten is not None:
            return False  # this turn applies an entry, after what it copies: the piece is asked for again
        if entity.writes.in_flight is not None:
            self._proposer.overtaken(entity)
        install.begun = True
        install.committed = message.committed
        entity.raise_max_chosen(message.committed, peer)
        self._log.list_entity(entity)
        self._left.discard(entity.id)
        context.ready.changes.append(BeginInstall(entity.id))
        return True

    @property
    def at_work(self) -> bool:
        return bool(self._written)

    def durable(self, turn: int) -> bool:
        """All writes up to this turn are durable: go on with what they were waited for; whether there is anything."""
        done = [entity for entity in self._written.values() if entity.install is not None and entity.install.turn <= turn]
        for entity in done:
            self._written.pop(entity.id)
            install = entity.install
            assert install is not None
            install.written(self._context.now_ms)
            if install.ended:
                self._end(entity, install)
            self._entities.touch(entity)
        return bool(done)

    def _end(self, entity: Entity, install: Install) -> None:
        """All of it is in the DB: the pointers jump."""
        self._log.jump(entity, install.committed)
        self._context.counters.snapshots_installed += 1
        self._context.counters.snapshot_bytes_installed += install.size
        entity.catchup.peer = install.peer  # it keeps what has come since (storage/pins.py), and is asked first
        entity.catchup.weighs = False
        self._stop(entity)
