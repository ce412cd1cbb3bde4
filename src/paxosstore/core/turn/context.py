"""What the parts of a shard share: who and when we are, what this turn has produced, and how anything leaves it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple

from mypy_extensions import mypyc_attr

from ...errors import OutcomeUnknown, PaxosStoreError, UuidReused
from ...settings import ClusterSettings, TuningSettings
from ..batch.overlay import BodyCodec, DataReader, Overlay, View, one_thread
from ..batch.request import REQUEST_BYTES, Request
from ..entity.divergence import Stop
from ..entity.entity import Entity
from ..entry.ids import majority, value_id
from ..interface.message import HandedBack, Message
from ..interface.ready import DigestRead, FloorRead, InventoryRead, LogRead, LostRead, Outcome, Ready, Release
from .agenda import Agenda
from .budget import Budget, Job
from .rate import Rate
from .reach import Reach
from .silence import Silence
from .standing import OwnStanding, StandingRow
from .voters import Voters

MAX_LOG_READS = 1_024
"""Answers to catch-up that may wait for their turn."""

MAX_REFUSED_COPIES = 1_000
"""Requests of peers that were refused because of their uuid, of which late copies are known."""

WORK_PER_MS = 1_000
"""Units of `Context.work` in a millisecond, about."""

Handler = Callable[[View, bytes], bytes]
"""Runs a request that came as bytes: (view, payload) -> reply."""


@dataclass(slots=True)
class Counters:
    """What happened since the start. Every rare branch of the protocol has one, so that tests can see it reached."""

    writes: int = 0
    reads: int = 0
    entries_proposed: int = 0
    requests_proposed: int = 0
    rounds_preauth: int = 0
    rounds_full: int = 0
    rounds_widened: int = 0
    values_adopted: int = 0
    noops_proposed: int = 0
    proposals_lost: int = 0
    proposals_repeated: int = 0
    races_lost: int = 0
    preauth_lost: int = 0
    lease_waits: int = 0
    values_asked_for: int = 0
    read_questions: int = 0
    reads_served: int = 0
    reads_made_writes: int = 0
    read_drives: int = 0
    handed_over: int = 0
    handed_over_late: int = 0
    reads_handed_over: int = 0
    handed_over_taken_back: int = 0
    handed_over_received: int = 0
    taken_over: int = 0
    way_asked: int = 0
    way_given: int = 0
    way_given_in_vain: int = 0
    settled_by_uuid: int = 0
    uuids_reused: int = 0
    batches_unwritable: int = 0
    catchup_requests: int = 0
    comparisons: int = 0
    comparisons_repeated: int = 0
    digests_differed: int = 0
    digests_late: int = 0
    digests_not_ready: int = 0
    buckets_listed: int = 0
    entities_behind: int = 0
    answers_paced: int = 0
    entries_learned: int = 0
    entries_applied: int = 0
    applies_held: int = 0
    entries_held: int = 0
    entries_read_ahead: int = 0
    entries_gone: int = 0
    snapshots_wanted: int = 0
    snapshots_cheaper: int = 0
    snapshots_to_renew: int = 0
    snapshots_held: int = 0
    snapshots_not_needed: int = 0
    snapshots_outdated: int = 0
    snapshots_refused: int = 0
    snapshots_timed_out: int = 0
    snapshots_recovered: int = 0
    snapshots_without_room: int = 0
    snapshots_installed: int = 0
    snapshots_given: int = 0
    snapshots_not_given: int = 0
    snapshots_abandoned: int = 0
    snapshot_pieces: int = 0
    snapshot_pieces_late: int = 0
    snapshot_bytes_installed: int = 0
    snapshot_bytes_sent: int = 0
    loads: int = 0
    evictions: int = 0
    evictions_held: int = 0
    refused_while_loading: int = 0
    requests_refused: int = 0
    requests_unknown: int = 0
    refused_without_majority: int = 0
    messages_dropped: int = 0
    proposals_held: int = 0
    catchups_held: int = 0
    catchups_paced: int = 0
    catchups_in_vain: int = 0
    turns_cut: int = 0
    gulps: int = 0
    overdue_for_the_disk: int = 0
    dropped_for_the_disk: int = 0
    divergences_seen: int = 0
    values_unreadable: int = 0
    claims_refuted: int = 0
    founded: int = 0
    peers_fenced: int = 0
    messages_fenced: int = 0
    copies_found_out: int = 0
    reentries: int = 0
    new_again: int = 0
    floors_set: int = 0
    floors_passed: int = 0
    defaults_settled: int = 0
    rows_inherited: int = 0
    votes_withheld: int = 0
    learn_only_switches: int = 0
    refused_learning: int = 0
    answers_withheld: int = 0
    fills_asked: int = 0
    entries_filled: int = 0
    bytes_learned: int = 0
    entities_compared: int = 0
    entities_differing: int = 0
    entities_compared_in_part: int = 0
    pieces_listed: int = 0
    compare_attempts: int = 0
    compared_bytes: int = 0
    views_refused: int = 0
    views_missed: int = 0
    views_paused: int = 0
    views_abandoned: int = 0
    entities_damaged: int = 0

    def as_dict(self) -> dict[str, int]:
        return {f.name: getattr(self, f.name) for f in fields(self)}


class Identity(NamedTuple):
    """Which shard of which cluster this is."""

    cluster: ClusterSettings
    tuning: TuningSettings
    me: int
    incarnation: int
    """64 random bits drawn at each start (rule 4)."""
    standing: StandingRow | None = None
    """What the disk says of this node, this start counted; None: rule 19 is not in force (tests of a part)."""
    starts: int = 0
    """How often it has started on its disk."""
    cannot_write: str = ""
    """Why the start could not be counted: the disk took no writes then."""
    forced: bool = False
    """The operator vouches for this disk: no peer is left that could say whether it is the one they know (--force)."""
    caller: Callable[[], int] = one_thread
    """Tells the thread that calls: a view is its function's own, in the node's thread only."""
    budget: Budget | None = None
    """What it shares with the work of other threads; None: one of its own."""


class HandedOverRequest(Request):
    """A request that a peer handed over to this node; its outcome goes back as a message."""

    __slots__ = ("_handler", "_payload", "peer")

    def __init__(
        self,
        entity: int,
        peer: int,
        handler: Handler,
        payload: bytes,
        *,
        uuid: bytes,
        digest: bytes,
        floor: int,
        deadline_ms: float,
        read_only: bool = False,
    ) -> None:
        super().__init__(entity, read_only=read_only, uuid=uuid, floor=floor, deadline_ms=deadline_ms)
        self.digest = digest
        self.peer = peer
        self._handler = handler
        self._payload = payload
        self.size = len(payload)

    def evaluate(self, view: View) -> bytes:
        return self._handler(view, self._payload)


@mypyc_attr(allow_interpreted_subclasses=True)  # by the model checker, which names values
class Context:
    """The turn under way. Time and entropy come in from outside: the core has neither."""

    def __init__(self, identity: Identity, reader: DataReader, codec: BodyCodec, handlers: Mapping[str, Handler]) -> None:
        self.identity = identity
        self.cluster = identity.cluster
        self.tuning = identity.tuning
        self.n = identity.cluster.nodes
        self.me = identity.me
        self.quorum = majority(self.n)
        self.peers = [peer for peer in range(self.n) if peer != self.me]
        self.voters = Voters(self.peers, self.quorum - 1, self.tuning.widen_margin_ms)
        self.answerers = Voters(self.peers, self.quorum - 1, self.tuning.widen_margin_ms)
        """The same of those who are asked for what is chosen: they answer without their disk."""
        self.reach = Reach(self.n, self.quorum)
        self.silence = Silence(self.tuning.max_silent_bytes)
        self.standing = OwnStanding(self.me, self.quorum, identity.standing, forced=identity.forced)
        self.standing.learning = int(self.tuning.learn_only)
        self.elsewhere: dict[int, str] = {}
        """Where the peers' services are reached, for errors; unknown: nothing."""
        self.reader = reader
        self.codec = codec
        self.handlers = handlers
        self.counters = Counters()
        self.agenda = Agenda()
        """What goes on over several turns."""
        self.now_ms = 0.0
        self.wall_ms = 0
        """What the clocks say that this node goes by (rule 20): only requests are shown it."""
        self.durable_turn = 0
        self.cannot_write = identity.cannot_write
        """Why the disk takes no writes, not even a vote; empty: it does (rule 8)."""
        self.no_new_writes = ""
        """The disk is almost full: requests are refused, but what is under way is still voted on and ended."""
        self.ready = Ready(1)
        self.work = 0
        """What this turn has done so far, in units of a row (read or written) or a KiB: about a microsecond each."""
        self.background_work = 0
        """The same of jobs in the background, since the start."""
        self.budget = identity.budget or Budget(self.tuning.background_bytes_per_second, self.tuning.background_ms_per_second)
        self.loads: deque[int] = deque()
        """Entities to load, as the turns' work allows."""
        self.loading = 0
        """How many are being loaded."""
        self.waiting_bytes = 0
        """What requests that have not ended hold of memory, and messages to entities that are being loaded."""
        self.in_flight_bytes = 0
        """Of the values under proposal here."""
        self.unapplied_bytes = 0
        """What entities hold of memory that have more than one entry open: written by core/turn/entities.py."""
        self.log_reads: dict[tuple[int, int], LogRead] = {}
        """(entity, peer) -> the latest it asked for; done as the turns' work allows."""
        self.patient_reads: dict[tuple[int, int], LogRead] = {}
        """The same for entities that nobody waits for: done at the rate of catch-up."""
        self.catch_up_rate = Rate()
        self.digest_reads: dict[tuple[int, int, bool], DigestRead] = {}
        """(peer, level, own) -> the latest of this kind."""
        self.inventory_reads: dict[int, InventoryRead] = {}
        """Peer -> the page it asked for."""
        self.stopped: dict[int, Stop] = {}
        """Entities that are known to be stopped here: core/log/agreement.py."""
        self.pauses: dict[int, int] = {}
        """Entity -> the entry at which its applying waits for a view: core/verify/views.py."""
        self.floor_reads: dict[int, FloorRead] = {}
        """Peer, or this node -> the page it asked for last."""
        self.lost_reads: dict[tuple[int, int], LostRead] = {}
        """(peer, first entity of what it has lost) -> the page it asked for last."""
        self.refused_copies: dict[tuple[int, int, bytes, bytes], None] = {}
        """(peer, entity, uuid, digest) of what peers handed over and was refused because of its uuid: a copy that comes late
        over the same link would run, once the other request under the uuid is remembered no longer."""
        self._ids = 0
        self._entropy = identity.incarnation or 1

    def tune(self, tuning: TuningSettings) -> None:
        """These hold from now on. What is read at each use need not be told."""
        self.tuning = tuning
        self.identity = self.identity._replace(tuning=tuning)
        self.voters.tune(tuning.widen_margin_ms)
        self.answerers.tune(tuning.widen_margin_ms)
        self.silence.most_bytes = tuning.max_silent_bytes
        self.budget.tune(tuning.background_bytes_per_second, tuning.background_ms_per_second)

    # -- peers

    def ask_last(self, peer: int) -> None:
        """It does not answer, or its answer counts for nothing."""
        self.voters.lost(peer)
        self.answerers.lost(peer)

    def ask_as_any(self, peer: int) -> None:
        """It answers again."""
        self.voters.back(peer)
        self.answerers.back(peer)

    # -- numbers

    def new_id(self) -> bytes:
        """16 bytes that no value and no request has had (rule 4)."""
        self._ids += 1
        return value_id(self.me, self.identity.incarnation, self._ids)

    def new_number(self) -> int:
        """A number for a read question: 64 bits, not used before this start either (rule 12)."""
        self._ids += 1
        return ((self.identity.incarnation & 0x7FFFFFFF) << 32) | (self._ids & 0xFFFFFFFF)

    def jitter(self) -> float:
        """Between 0.5 and 1.5, from the entropy that came with the incarnation (xorshift)."""
        x = self._entropy
        x ^= (x << 13) & 0xFFFFFFFFFFFFFFFF
        x ^= x >> 7
        x ^= (x << 17) & 0xFFFFFFFFFFFFFFFF
        self._entropy = x
        return 0.5 + (x >> 11) / (1 << 53)

    @property
    def writes_refused_because(self) -> str:
        """Why this node does not write now; empty if it does."""
        return self.cannot_write or self.no_new_writes

    def new_disk(self) -> int:
        """An id that no disk has had: 63 bits (rule 19a)."""
        self.jitter()
        return self._entropy >> 1 | 1

    # -- votes

    def may_vote(self, entity: Entity, entry: int) -> bool:
        """Rules 19a and 19c: whether this replica may promise, accept and propose there, and show its row.

        Who learns only gives no votes; those that it has given stand.
        """
        return entry >= entity.log.floor and self.standing.votes and not self.tuning.learn_only

    def may_answer(self, entity: Entity) -> bool:
        """Rule 19c: whether this replica's word on what was accepted there counts: it has learned all that it may forget."""
        return self.standing.votes and not entity.log.learns_only and not self.tuning.learn_only

    # -- work

    @property
    def spent(self) -> bool:
        """Whether this turn has done so much that what is left waits for the next one."""
        return self.work >= self.tuning.max_turn_work

    def pay(self, job: Job, size: int, work: int) -> None:
        """Book what was done for a job in the background: bytes, and units of work, which `work` counts as well."""
        self.background_work += work
        self.budget.pay(job, size, work / WORK_PER_MS, self.now_ms)

    def read_log(self, read: LogRead) -> None:
        """Have chosen entries sent to a peer. Too many of these are dropped: it asks again."""
        place = read.entity, read.peer
        reads = self.patient_reads if read.patient else self.log_reads
        if len(reads) >= MAX_LOG_READS and place not in reads:
            self.counters.messages_dropped += 1
        else:
            reads[place] = read

    @property
    def patient_wait_ms(self) -> float:
        """Until more may be read of what nobody waits for; 0: it may."""
        return max(self.catch_up_rate.wait_ms(self.now_ms), self.budget.wait_ms(Job.CATCH_UP, self.now_ms))

    # -- the view

    def overlay(self, entity: Entity, *, read_only: bool = False) -> Overlay:
        """The DB as applied through `applied`, including what this turn applied and has not written yet."""
        return Overlay(
            self.reader,
            entity.id,
            self.wall_ms,
            entity.log.unwritten if entity.log.ahead is None else entity.log.ahead.batch,
            entry=entity.log.applied + (0 if read_only else 1),
            read_only=read_only,
            max_request_bytes=self.tuning.max_request_bytes,
            max_request_rows=self.tuning.max_request_rows,
            max_reply_bytes=self.tuning.max_reply_bytes,
            caller=self.identity.caller,
        )

    # -- what leaves

    def release(self, entity: Entity) -> Release:
        """Where something that shows this entity's rows belongs (rule 7): late if a row is not durable yet."""
        return self.ready.early if entity.log.row_turn <= self.durable_turn else self.ready.late

    def release_told(self, entity: Entity) -> Release:
        """Where an outcome belongs: it shows the DB through `committed`, so it may leave as well if peers vouch for all that."""
        return self.ready.early if entity.log.committed <= entity.log.vouched else self.release(entity)

    def send(self, entity: Entity, peer: int, message: Message) -> None:
        """A message that shows this entity's rows."""
        self.release(entity).messages.append((peer, message))

    def send_early(self, peer: int, message: Message) -> None:
        """A message that shows no row, or a pre-auth proposal (rule 6)."""
        self.ready.early.messages.append((peer, message))

    def finish(self, request: Request, reply: bytes, error: PaxosStoreError | None, release: Release) -> None:
        """End a request. Only the first end counts."""
        if request.settled:
            return
        request.settled = True
        self.waiting_bytes -= request.size + REQUEST_BYTES
        if type(error) is UuidReused and request.taken_back:
            # the copy may run later than the other request under this uuid is remembered
            error = OutcomeUnknown(f"a copy of it was handed over and got no answer, then: {error}")
        if error is not None:
            if error.outcome_known:
                self.counters.requests_refused += 1
                self.counters.uuids_reused += type(error) is UuidReused
            else:
                self.counters.requests_unknown += 1
        if isinstance(request, HandedOverRequest):
            if type(error) is UuidReused:
                self.refused_copies[request.peer, request.entity, request.uuid, request.digest] = None
                if len(self.refused_copies) > MAX_REFUSED_COPIES:
                    del self.refused_copies[next(iter(self.refused_copies))]
            code, content = ("", reply) if error is None else (error.code, str(error).encode("utf-8", "backslashreplace"))
            published = tuple(request.published) if error is None else ()
            back = HandedBack(request.entity, request.uuid, code, content, request.digest, published)
            release.messages.append((request.peer, back))
        else:
            if request.published and error is None:
                release.published += request.published
            release.outcomes.append(Outcome(request, reply, error))

    def refuse(self, request: Request, error: PaxosStoreError) -> None:
        """End a request of which nothing has happened, or nothing is known: it shows no row."""
        self.finish(request, b"", error, self.ready.early)

    def refuse_here(self, request: Request, error: PaxosStoreError) -> None:
        """Refuse what this node does not run; unknown if it was shown in a way that may make it happen elsewhere."""
        unknown = OutcomeUnknown(f"handed over without an answer, then: {error}")
        self.refuse(request, unknown if request.exposed else error)
