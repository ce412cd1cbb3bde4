"""The entities of one shard: `step(event)` takes in what happened, `ready()` says what has to be done about it.

A step only changes rows and queues; `ready` then looks once at every entity that was touched: applies what is chosen,
ends what is decided, serves reads, proposes the next batch, asks the next question. So whatever arrived in one turn
becomes one batch, one question and one write.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import (
    CommitLimitReached,
    DiskFull,
    Fault,
    InvalidRequest,
    NoQuorum,
    OutcomeUnknown,
    Overloaded,
    PaxosStoreError,
    RequestFailed,
)
from .catchup import ENTRIES_PER_REQUEST, learned_from
from .context import Context, HandedOverRequest, Handler, Identity
from .entity import NEVER, NOBODY, Entity
from .event import (
    CatchUp,
    Durable,
    Event,
    InventoryLoaded,
    Loaded,
    LogLoaded,
    PeerDown,
    PeerUp,
    Received,
    Tick,
    WriteFailed,
    WritesAllowed,
)
from .handover import HandOvers
from .log import Log
from .message import (
    CatchUpReply,
    CatchUpRequest,
    HandedBack,
    HandOver,
    InventoryReply,
    InventoryRequest,
    Message,
    PaxosMessage,
    ReadAnswer,
    ReadQuestion,
)
from .overlay import BodyCodec, DataReader
from .ready import InventoryRead, LogRead, Outcome, Ready
from .record import Value
from .request import Request
from .write import Proposer

SWEEP_MS = 50.0
"""How often deadlines of requests are looked at."""
INVENTORY_PAGE = 1_000


class Shard:
    """A single-threaded owner of entities. Pure: time, entropy and the disk come in as arguments and events."""

    def __init__(self, identity: Identity, reader: DataReader, codec: BodyCodec, handlers: Mapping[str, Handler]) -> None:
        self._context = context = Context(identity, reader, codec, handlers)
        self._log = Log(context)
        self._proposer = Proposer(context, self._log)
        self._handovers = HandOvers(context)
        self._entities: dict[int, Entity] = {}
        self._touched: list[Entity] = []
        self._timers: list[tuple[float, int]] = []
        self._busy: dict[int, Entity] = {}
        self._sweep_at_ms = 0.0
        self._released = context.ready
        self._no_writes = ""
        self._on_event: dict[type, Callable[[Any], None]] = {
            Received: self._on_received,
            PeerUp: self._on_peer_up,
            PeerDown: self._on_peer_down,
            Loaded: self._on_loaded,
            LogLoaded: self._on_log_loaded,
            InventoryLoaded: self._on_inventory_loaded,
            Durable: self._on_durable,
            WriteFailed: self._on_write_failed,
            WritesAllowed: self._on_writes_allowed,
            Tick: self._on_tick,
            CatchUp: self._on_catch_up,
        }
        self._on_message: dict[type, Callable[[Entity, int, Any], None]] = {
            PaxosMessage: self._on_paxos,
            ReadQuestion: self._on_question,
            ReadAnswer: self._on_answer,
            CatchUpRequest: self._on_catch_up_request,
            CatchUpReply: self._on_catch_up_reply,
            HandOver: self._on_hand_over,
        }

    # -- the interface

    def step(self, event: Event | Request, now_ms: float, wall_ms: int) -> None:
        """Take in one event, at a monotonic and a wall-clock time. The wall clock is only shown to requests."""
        self._context.now_ms = now_ms
        self._context.wall_ms = wall_ms
        handler = self._on_event.get(type(event))
        if handler is not None:
            handler(event)
        else:
            assert isinstance(event, Request)
            self._on_request(event)

    def ready(self) -> Ready:
        """Decide on everything that was touched, and hand out what the turn produced."""
        context = self._context
        while self._touched:
            touched, self._touched = self._touched, []
            for entity in touched:
                entity.touched = False
                if entity.mailbox is None:
                    self._attend(entity)
        ready = self._released = context.ready
        context.ready = Ready(ready.turn + 1)
        for apply in ready.applies:
            entity = self._entities[apply.entity]
            entity.unwritten = None  # the driver writes it before it steps again
        return ready

    @property
    def next_deadline_ms(self) -> float:
        """When to step a Tick at the latest, on the monotonic clock."""
        due = self._timers[0][0] if self._timers else NEVER
        if self._busy:
            due = min(due, self._sweep_at_ms)
        return min(due, self._handovers.next_deadline_ms)

    def entity(self, entity: int) -> Entity | None:
        """The state of an entity that is in memory, for inspection only."""
        return self._entities.get(entity)

    @property
    def context(self) -> Context:
        """Counters and identity, for inspection only."""
        return self._context

    @property
    def entities_in_memory(self) -> int:
        return len(self._entities)

    @property
    def waiting_requests(self) -> int:
        """Requests that wait here or at a peer."""
        pending = sum(len(peer.pending) for peer in self._handovers.peers)
        return pending + sum(len(entity.requests()) for entity in self._busy.values())

    @property
    def writes_refused_because(self) -> str:
        """Why this node does not write now; empty if it does."""
        return self._no_writes

    # -- entities

    def _get(self, entity: int) -> Entity:
        found = self._entities.get(entity)
        if found is None:
            found = self._entities[entity] = Entity(entity)
            self._context.ready.loads.append(entity)
        return found

    def _touch(self, entity: Entity) -> None:
        if not entity.touched:
            entity.touched = True
            self._touched.append(entity)

    def _attend(self, entity: Entity) -> None:
        """Everything an entity can do now, in the one order that is right."""
        context, proposer = self._context, self._proposer
        entity.wake_ms = NEVER
        release = context.release(entity)  # before this turn's own proposal: what is chosen by now rests on durable rows
        before = entity.committed
        decided = self._log.advance(entity)
        if decided is not None:
            proposer.finish(entity, *decided, release)
        if entity.committed != before:
            entity.lease_until_ms = 0.0
        if entity.reads:
            self._serve_reads(entity)
        if not self._no_writes:
            proposer.start(entity, release)
            self._drive(entity)
        self._learn(entity)
        if entity.untold is not None:
            due = entity.untold_since_ms + context.tuning.notice_ms
            if context.now_ms >= due:
                self._log.tell_chosen(entity)
            else:
                entity.wake_ms = min(entity.wake_ms, due)
        if entity.busy:
            self._busy[entity.id] = entity
        else:
            self._busy.pop(entity.id, None)
        follow_up = entity.opened.get(entity.committed + 1)
        if follow_up is not None and follow_up.machine.mine.chosen:
            entity.wake_ms = context.now_ms  # the commit limit was reached
        if entity.wake_ms < entity.timer_ms:
            entity.timer_ms = entity.wake_ms
            heapq.heappush(self._timers, (entity.wake_ms, entity.id))
        entity.validate()

    def _drive(self, entity: Entity) -> None:
        """See that the open entry is decided, if anybody here waits for that."""
        context = self._context
        if entity.committed != entity.max_chosen:
            return
        entry = entity.committed + 1
        opened = entity.opened.get(entry)
        if entity.in_flight is not None or (opened is not None and opened.driving):
            self._proposer.drive(entity, entry)
        elif entity.reads.needs_entry >= entry:
            since = min(blocked.since_ms for blocked in entity.reads.blocked)
            if context.now_ms >= since + context.tuning.drive_after_ms:
                context.counters.read_drives += 1
                self._proposer.drive(entity, entry)
            else:
                entity.wake_ms = min(entity.wake_ms, since + context.tuning.drive_after_ms)

    # -- requests

    def _on_request(self, request: Request) -> None:
        context = self._context
        if not request.deadline_ms:
            request.deadline_ms = context.now_ms + context.tuning.request_timeout_ms
        if request.uuid and len(request.uuid) != 16:
            context.refuse(request, InvalidRequest(f"a uuid has 16 bytes, not {len(request.uuid)}"))
            return
        entity = self._get(request.entity)
        if entity.mailbox is not None:
            if len(entity.mailbox) >= context.tuning.max_mailbox:
                context.refuse(request, Overloaded("too many requests wait for this entity to be loaded"))
            else:
                entity.mailbox.append(request)
                self._busy[entity.id] = entity
            return
        if request.read_only:
            context.counters.reads += 1
            if request.commit_limit:
                request.commit_limit = entity.committed + context.tuning.max_commit_num
            entity.reads.gathering.append(request)
            self._touch(entity)
            return
        context.counters.writes += 1
        peer = NOBODY if isinstance(request, HandedOverRequest) else self._handovers.target(entity, request)
        if peer != NOBODY:
            self._handovers.send(entity, peer, request)
        else:
            self._enqueue(entity, request)

    def _enqueue(self, entity: Entity, request: Request) -> None:
        """Let a write wait for this node's next batch."""
        context = self._context
        if self._no_writes:
            error: PaxosStoreError = DiskFull(self._no_writes)
        elif len(entity.queue) >= context.tuning.max_queue_requests:
            error = Overloaded(f"{len(entity.queue)} requests wait for this entity")
        else:
            entity.queue.append(request)
            self._touch(entity)
            return
        if request.exposed:
            error = OutcomeUnknown(f"handed over without an answer, then: {error}")
        context.refuse(request, error)

    def _serve_reads(self, entity: Entity) -> None:
        context, reads = self._context, entity.reads
        release = context.release(entity)
        for request in reads.take_served(entity.committed):
            if request.settled:
                continue
            try:
                reply = request.evaluate(context.overlay(entity, read_only=True))
            except PaxosStoreError as error:
                context.finish(request, b"", error, release)
            except Exception as error:  # the caller's function, not ours
                failed = RequestFailed(f"the request raised {type(error).__name__}: {error}")
                failed.__cause__ = error
                context.finish(request, b"", failed, release)
            else:
                context.counters.reads_served += 1
                context.finish(request, reply, None, release)
        for request in reads.all():
            if request.commit_limit and entity.committed >= request.commit_limit:
                text = f"{context.tuning.max_commit_num} entries were applied and there are more: call again"
                context.finish(request, b"", CommitLimitReached(text), release)
        interval = context.tuning.retry_ms
        if reads.may_ask:
            reads.ask(context.new_number(), entity.highest, context.now_ms)
            context.counters.read_questions += 1
            question = ReadQuestion(entity.id, reads.number)
            for peer in context.peers:
                context.send_early(peer, question)
        elif reads.number and context.now_ms >= reads.asked_at_ms + interval:
            reads.asked_at_ms = context.now_ms
            for peer in reads.unanswered(context.n, context.me):
                context.send_early(peer, ReadQuestion(entity.id, reads.number))
        if reads.number:
            entity.wake_ms = min(entity.wake_ms, reads.asked_at_ms + interval)

    # -- messages

    def _on_received(self, event: Received) -> None:
        peer = event.peer
        for message in event.messages:
            kind = type(message)
            if kind is HandedBack:
                self._on_handed_back(peer, message)  # type: ignore[arg-type]  # narrowed by `kind`
            elif kind is InventoryRequest or kind is InventoryReply:
                self._on_inventory(peer, message)  # type: ignore[arg-type]  # narrowed by `kind`
            else:
                self._deliver(peer, message)

    def _deliver(self, peer: int, message: Message) -> None:
        entity = self._get(message.entity)  # type: ignore[union-attr]  # inventories do not come here
        if entity.mailbox is not None:
            if len(entity.mailbox) < self._context.tuning.max_mailbox:
                entity.mailbox.append((peer, message))
            else:
                self._context.counters.messages_dropped += 1
            return
        self._on_message[type(message)](entity, peer, message)

    def _on_paxos(self, entity: Entity, peer: int, message: PaxosMessage) -> None:
        if self._no_writes:
            return  # a vote could not be kept
        opened = self._log.receive(entity, peer, message)
        if opened is not None:
            self._proposer.answered(entity, message.entry, opened)
        self._touch(entity)

    def _on_question(self, entity: Entity, peer: int, message: ReadQuestion) -> None:
        self._log.tell_chosen(entity)  # the reader waits for it
        answer = ReadAnswer(entity.id, message.number, entity.highest, entity.contiguous_chosen)
        self._context.send(entity, peer, answer)

    def _on_answer(self, entity: Entity, peer: int, message: ReadAnswer) -> None:
        entity.raise_max_chosen(max(message.max_chosen, message.highest - 1), peer)
        context = self._context
        entity.reads.answer(peer, message.number, message.highest, context.quorum, context.now_ms)
        self._touch(entity)

    def _on_catch_up_request(self, entity: Entity, peer: int, message: CatchUpRequest) -> None:
        first = message.first
        last = min(entity.contiguous_chosen, first + min(message.limit, ENTRIES_PER_REQUEST) - 1)
        if first <= last:
            self._context.ready.log_reads.append(LogRead(entity.id, first, last, peer))
        else:
            self._context.send(entity, peer, CatchUpReply(entity.id, entity.contiguous_chosen, []))

    def _on_log_loaded(self, event: LogLoaded) -> None:
        entity = self._get(event.entity)
        entries = learned_from(list(event.records))
        known = entity.contiguous_chosen
        self._context.send(entity, event.peer, CatchUpReply(entity.id, known, entries))

    def _on_catch_up_reply(self, entity: Entity, peer: int, message: CatchUpReply) -> None:
        if self._no_writes:
            return
        entity.raise_max_chosen(message.max_chosen, peer)
        for learned in message.entries:
            entity.raise_max_chosen(learned.entry, peer)
            self._log.learn(entity, learned.entry, learned.ballot, Value(learned.value_id, learned.body))
        if message.entries:
            entity.catchup.restart()
        else:
            entity.catchup.had_nothing(self._context.n - 1)
        self._touch(entity)

    def _learn(self, entity: Entity) -> None:
        """Ask for what is missing: known to be chosen, or accepted here and never heard of again."""
        context, catchup = self._context, entity.catchup
        goal = max(entity.max_chosen, entity.wanted)
        first = entity.contiguous_chosen + 1
        if goal < first:
            entity.wanted = 0
            opened = entity.opened.get(first)
            if opened is None or opened.driving or opened.machine.mine.is_empty or catchup.attempts >= 4:
                if opened is None:
                    catchup.restart()
                return
            if catchup.asked_at_ms < 0.0:
                catchup.asked_at_ms = context.now_ms  # give its proposer the time to say so first
        elif catchup.attempts >= context.n - 1 and not self._no_writes:
            self._proposer.drive(entity, first)  # chosen, but nobody reachable knows it: a full round finds the value
        interval = context.tuning.retry_ms * (1 << min(catchup.attempts, 4))
        if not catchup.due(context.now_ms, interval):
            entity.wake_ms = min(entity.wake_ms, catchup.asked_at_ms + interval)
            return
        peer = catchup.next_peer(context.n, context.me)
        catchup.asked(context.now_ms)
        context.counters.catchup_requests += 1
        context.send_early(peer, CatchUpRequest(entity.id, first, ENTRIES_PER_REQUEST))
        entity.wake_ms = min(entity.wake_ms, context.now_ms + interval)

    def _on_catch_up(self, event: CatchUp) -> None:
        entity = self._get(event.entity)
        entity.wanted = max(entity.wanted, event.entry)
        self._touch(entity)

    # -- hand-over

    def _on_hand_over(self, entity: Entity, peer: int, message: HandOver) -> None:
        context = self._context
        context.counters.handed_over_received += 1
        handler = context.handlers.get(message.handler)
        if handler is None:
            error = InvalidRequest(f"node {context.me} has no handler {message.handler!r}: run the same services on all nodes")
            context.send_early(peer, HandedBack(entity.id, message.uuid, error.code, str(error).encode()))
            return
        deadline = context.now_ms + message.budget_ms
        request = HandedOverRequest(
            entity.id, peer, handler, message.payload, uuid=message.uuid, floor=message.floor, deadline_ms=deadline
        )
        self._on_request(request)

    def _on_handed_back(self, peer: int, message: HandedBack) -> None:
        context = self._context
        found = self._handovers.handed_back(peer, message)
        if found is None:
            return
        request, error = found
        entity = self._get(request.entity)
        self._count_back(entity, peer)
        if error is not None and error.fault is Fault.NODE and error.retry and entity.mailbox is None:
            # that node cannot, this one may: the uuid keeps it from running twice
            self._handovers.peers[peer].suspect_until_ms = context.now_ms + context.tuning.suspect_ms
            self._enqueue(entity, request)
            return
        context.finish(request, message.reply if error is None else b"", error, context.ready.early)

    def _take_back(self, peer: int) -> None:
        for request in self._handovers.take_back(peer):
            entity = self._get(request.entity)
            if entity.mailbox is not None:
                entity.mailbox.append(request)
            else:
                self._enqueue(entity, request)
        for entity in self._entities.values():
            if entity.handed_to == peer:
                entity.handed_count = 0

    def _count_back(self, entity: Entity, peer: int) -> None:
        if entity.handed_to == peer and entity.handed_count:
            entity.handed_count -= 1

    def _on_peer_up(self, event: PeerUp) -> None:
        peer = self._handovers.peers[event.peer]
        peer.up = True
        peer.suspect_until_ms = 0.0
        self._context.send_early(event.peer, InventoryRequest(-1, INVENTORY_PAGE))
        for entity in self._busy.values():
            opened = entity.opened.get(entity.committed + 1)
            if opened is not None and opened.driving and opened.machine.leads:
                opened.retry_at_ms = self._context.now_ms  # it missed what was sent while it was away
            self._touch(entity)

    def _on_peer_down(self, event: PeerDown) -> None:
        self._handovers.peers[event.peer].up = False
        self._take_back(event.peer)

    def _on_inventory(self, peer: int, message: InventoryRequest | InventoryReply) -> None:
        context = self._context
        if isinstance(message, InventoryRequest):
            limit = min(max(message.limit, 1), INVENTORY_PAGE)
            context.ready.inventory_reads.append(InventoryRead(message.after, limit, peer))
            return
        for number, committed in message.entities:
            if context.reader.committed_entry(number) < committed:
                entity = self._get(number)
                entity.catchup.peer = peer
                entity.wanted = max(entity.wanted, committed)
                self._touch(entity)
        if message.more and message.entities:
            context.send_early(peer, InventoryRequest(message.entities[-1][0], INVENTORY_PAGE))

    def _on_inventory_loaded(self, event: InventoryLoaded) -> None:
        # the DB may run ahead of the sync, but a committed entry is chosen, whatever this replica forgets
        self._context.send_early(event.peer, InventoryReply(list(event.entities), event.more))

    # -- the disk

    def _on_loaded(self, event: Loaded) -> None:
        entity = self._entities[event.entity]
        context = self._context
        mailbox, wanted = entity.mailbox, entity.wanted
        assert mailbox is not None
        entity.load(event, context.n, context.me)
        entity.wanted = wanted
        entity.mailbox = None
        context.counters.loads += 1
        self._touch(entity)
        for item in mailbox:
            if isinstance(item, Request):
                if not item.settled:
                    self._on_request(item)
            else:
                self._deliver(*item)

    def _on_durable(self, event: Durable) -> None:
        assert self._context.durable_turn <= event.turn < self._context.ready.turn
        self._context.durable_turn = event.turn

    def _on_write_failed(self, event: WriteFailed) -> None:
        """Forget the entities of the turn: the disk has kept all earlier promises, memory has run ahead (rule 8)."""
        failed, context = self._released, self._context
        self._no_writes = event.reason
        for release in (failed.early, failed.late):
            for request, _, error in release.outcomes:
                if error is None or not error.outcome_known:
                    error = OutcomeUnknown(f"this node cannot write: {event.reason}")
                context.ready.early.outcomes.append(Outcome(request, b"", error))
        dirty = {entity for entity, _ in failed.records} | {apply.entity for apply in failed.applies}
        for number in dirty:
            entity = self._entities.pop(number)
            self._busy.pop(number, None)
            entity.touched = True  # it is not to be looked at again
            proposed = {id(r) for r, _ in entity.in_flight.evaluated.proposed} if entity.in_flight else set()
            revealed = entity.in_flight is not None and (number, entity.in_flight.evaluated.entry) not in failed.records
            for request in entity.requests():
                if request.exposed or (revealed and id(request) in proposed):
                    context.refuse(request, OutcomeUnknown(f"proposed, then this node could not write: {event.reason}"))
                else:
                    context.refuse(request, DiskFull(event.reason))
        for number in failed.loads:
            if number in self._entities:
                context.ready.loads.append(number)
        context.durable_turn = failed.turn  # it left no row behind that could be missing

    def _on_writes_allowed(self, event: WritesAllowed) -> None:
        self._no_writes = event.reason
        if event.reason:
            for entity in self._busy.values():
                while entity.queue:
                    request = entity.queue.popleft()
                    error = DiskFull(event.reason) if not request.exposed else OutcomeUnknown(event.reason)
                    self._context.refuse(request, error)

    # -- time

    def _on_tick(self, event: Tick) -> None:
        context = self._context
        now = context.now_ms
        while self._timers and self._timers[0][0] <= now:
            at, number = heapq.heappop(self._timers)
            entity = self._entities.get(number)
            if entity is None or entity.timer_ms != at:
                continue
            entity.timer_ms = NEVER
            if entity.wake_ms <= now:
                self._touch(entity)
            elif entity.wake_ms != NEVER:
                entity.timer_ms = entity.wake_ms
                heapq.heappush(self._timers, (entity.wake_ms, number))
        for peer in self._handovers.overdue():
            self._handovers.peers[peer].suspect_until_ms = now + context.tuning.suspect_ms
            self._take_back(peer)
        if now >= self._sweep_at_ms:
            self._sweep_at_ms = now + SWEEP_MS
            self._sweep(now)

    def _sweep(self, now: float) -> None:
        """End requests whose deadline has passed. Those proposed or handed over may still happen: that is said."""
        context = self._context
        unknown = "not decided before the deadline: it may have happened, or may yet happen"
        for entity in list(self._busy.values()):
            proposed = entity.in_flight.evaluated.proposed if entity.in_flight else []
            for request, _ in proposed:
                if now >= request.deadline_ms:
                    context.refuse(request, OutcomeUnknown(unknown))
            for request in entity.requests():
                if now >= request.deadline_ms and not request.settled:
                    if request.exposed:
                        context.refuse(request, OutcomeUnknown(unknown))
                    else:
                        context.refuse(request, NoQuorum("no majority answered before the deadline: nothing happened"))
            entity.reads.drop_settled()
            while entity.queue and entity.queue[0].settled:
                entity.queue.popleft()
            self._touch(entity)
        for peer in self._handovers.peers:
            for pending in list(peer.pending.values()):
                if now >= pending.request.deadline_ms:
                    context.refuse(pending.request, OutcomeUnknown(unknown))
