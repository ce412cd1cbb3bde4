"""Compares the replicas of an entity: all show digests of the same pieces, of views at the same entry.

    which entry?   everybody is asked for a view at the entry that is applied here; who has passed it names a later one, and all
                   are asked again, for one a little above that: an entity that is written all the time comes by there
    which pieces?  each reads the next so many bytes behind the same key, so equal replicas cut equal pieces: one digest each
    where?         pieces that are not equal are listed row by row, as far as all of them reach, and compared there

So nothing is called different but rows that are, at one entry, wherever the pieces were cut. Whoever cannot take part is left
out, and named. A large entity is compared at several entries, one after the other, so that no view grows old.
"""

from __future__ import annotations

from ...settings import PIECES_IN_TIME
from ..interface.comparison import Compared, Comparison, DifferingKey, RowDigest
from ..interface.message import BEHIND, BUSY, GONE, PASSED, STOPPED, CompareReply, CompareRequest
from ..turn.agenda import Part
from ..turn.budget import Job
from ..turn.context import Context
from ..turn.entities import Entities
from .digest import common_end, differing_keys
from .views import WAIT_MS, ComparedViews

NEVER = float("inf")
MAX_RUNS = 16
"""Entities that are compared at one time; the others wait."""
MAX_KEYS = 16
"""Differing keys that are named."""
MAX_DIFFERING = 1_000
"""Entities whose replicas differ that are remembered; more are only counted."""
RENEW_MS = 10_000.0
"""After so long the rest is compared with new views."""
MAX_ATTEMPTS = 60
"""After so many entries that were missed it is given up: the entity moves too fast."""
MAX_LAGS = 10
"""So often a node that lags behind is waited for."""
MAX_MARGIN = 4_096
MAX_DOUBLINGS = 4
WORDS = {
    BEHIND: "has not applied all that others have: entry {entry} so far",
    BUSY: "compares too much at once",
    STOPPED: "has stopped it: two values were seen chosen",
    GONE: "closes its view again and again",
    PASSED: "is written so quickly that no entry could be caught",
}


class Run:
    """One comparison under way."""

    __slots__ = (
        "after",
        "asked_at_ms",
        "attempts",
        "comparison",
        "differing",
        "due_ms",
        "entry",
        "keys",
        "known",
        "lags",
        "lists",
        "margin",
        "missing",
        "nodes",
        "number",
        "opened_ms",
        "pause_ms",
        "repeats",
        "replies",
        "rows",
    )

    def __init__(self, comparison: Comparison, now_ms: float) -> None:
        self.comparison = comparison
        self.nodes: list[int] = []
        """Those that take part, this one included."""
        self.missing: dict[int, str] = {}
        self.number = 0
        self.entry = 0
        """At which all are asked for a view."""
        self.known = 0
        """Highest entry that any of them has applied."""
        self.margin = 0
        """How far above that a view is asked for."""
        self.attempts = 0
        """How many entries were asked for since a view was open everywhere."""
        self.lags: dict[int, int] = {}
        """Node -> how often it was behind what others have applied."""
        self.after = b""
        """All rows up to this key are compared."""
        self.lists = False
        """The piece behind it is not equal: its rows are asked for."""
        self.replies: dict[int, CompareReply] = {}
        self.asked_at_ms = self.opened_ms = now_ms
        """When the piece was asked for at first; when these views were."""
        self.due_ms = now_ms
        """When to ask, or ask again."""
        self.repeats = 0
        self.pause_ms = 0.0
        """Until when nothing is asked, for the rate's sake."""
        self.rows = 0
        self.differing = 0
        self.keys: list[DifferingKey] = []

    def expects(self, peer: int, reply: CompareReply) -> bool:
        """Whether this is an answer to the question under way, and the first that counts."""
        if peer not in self.nodes or (reply.number, reply.after) != (self.number, self.after):
            return False
        return bool(reply.why_not) or (reply.entry == self.entry and (reply.rows is not None or not self.lists))


class Comparer(Part):
    """Runs the comparisons that this node was asked for."""

    def __init__(self, context: Context, entities: Entities) -> None:
        self._context = context
        self._entities = entities
        self.views = ComparedViews(context, entities)
        self._runs: dict[int, Run] = {}
        """By entity."""
        self._waiting: list[Comparison] = []
        self._begin_at_ms = 0.0
        """When the budget allows the next one."""
        self._touched: dict[int, None] = {}
        """Entities whose comparison may go on."""
        self.differing: dict[int, Compared] = {}
        """Entity -> the last comparison that found a difference; until one finds none."""

    # -- begin and end

    def start(self, comparison: Comparison) -> None:
        """Compare an entity, when its turn comes."""
        self._waiting.append(comparison)
        self._context.agenda.add(self)

    def _begin(self, comparison: Comparison) -> None:
        context = self._context
        run = self._runs[comparison.entity] = Run(comparison, context.now_ms)
        context.counters.entities_compared += 1
        run.nodes = [context.me, *context.peers]
        for peer in context.peers:
            if context.reach.is_down(peer):
                self._leave_out(run, peer, "is down")
        run.known = context.reader.committed_entry(comparison.entity)
        if len(run.nodes) > 1:
            self._open(run)
        else:
            self._end(run)

    def _end(self, run: Run) -> None:
        context, comparison = self._context, run.comparison
        for node in run.nodes:
            self._close(run, node)
        del self._runs[comparison.entity]
        self._touched.pop(comparison.entity, None)
        if comparison.cancelled:
            return
        nodes = tuple(sorted(run.nodes)) if len(run.nodes) > 1 else ()
        if not nodes:
            run.missing.setdefault(context.me, "has nobody to compare with")
        result = Compared(
            comparison.entity,
            run.entry if nodes or run.keys else 0,
            nodes,
            dict(run.missing),
            run.rows,
            comparison.size,
            run.differing,
            tuple(run.keys),
        )
        comparison.result = result
        self._note(result)
        context.ready.early.compared.append(comparison)

    def _note(self, result: Compared) -> None:
        counters = self._context.counters
        if result.differing:
            counters.entities_differing += 1
            if len(self.differing) < MAX_DIFFERING or result.entity in self.differing:
                self.differing[result.entity] = result
            return
        counters.entities_compared_in_part += bool(result.missing)
        before = self.differing.get(result.entity)
        if before is not None and set(result.nodes) >= {node for key in before.keys for node in key.values}:
            del self.differing[result.entity]

    def _leave_out(self, run: Run, node: int, why: str) -> None:
        """Go on without this node."""
        self._close(run, node)
        run.nodes.remove(node)
        run.missing[node] = why

    def _close(self, run: Run, node: int) -> None:
        if run.number:
            self._ask(node, CompareRequest(run.comparison.entity, run.number, run.entry, b"", 0))

    # -- questions

    def _open(self, run: Run) -> None:
        """Ask all for views at one entry, for what is not compared yet."""
        context = self._context
        for node in run.nodes:
            self._close(run, node)
        run.number = context.new_number()
        run.entry = run.known + run.margin
        run.attempts += 1
        context.counters.compare_attempts += 1
        run.opened_ms = context.now_ms
        self._next_piece(run)

    def _next_piece(self, run: Run) -> None:
        run.replies.clear()
        run.lists = False
        run.repeats = 0
        run.asked_at_ms = max(self._context.now_ms, run.pause_ms)
        run.due_ms = run.asked_at_ms
        self._touched[run.comparison.entity] = None

    def _ask_all(self, run: Run) -> None:
        """Ask those that have not answered."""
        context = self._context
        limit = context.tuning.snapshot_piece_bytes
        message = CompareRequest(run.comparison.entity, run.number, run.entry, run.after, limit, run.known, run.lists)
        for node in run.nodes:
            if node not in run.replies:
                self._ask(node, message)
        interval = max(context.tuning.retry_ms, WAIT_MS) * (1 << min(run.repeats, MAX_DOUBLINGS))
        run.repeats += 1
        run.due_ms = context.now_ms + interval

    def _ask(self, node: int, message: CompareRequest) -> None:
        if node == self._context.me:
            self.views.requested(node, message)
        else:
            self._entities.send_applied(message.entity, node, message)

    # -- answers

    def answered(self, peer: int, reply: CompareReply) -> None:
        """A node shows a piece of its view, or says that it has none."""
        run = self._runs.get(reply.entity)
        if run is not None and run.expects(peer, reply):
            run.replies[peer] = reply
            self._touched[reply.entity] = None

    def forget(self) -> None:
        """A turn was not written. What this node has shown itself of it never was: begin at what the disk knows."""
        self.views.forget()
        for entity, run in self._runs.items():
            run.known = self._context.reader.committed_entry(entity)
            self._open(run)

    def go_on(self) -> None:
        """Do what can be done now. Called when the turn is about to end: what is applied in it stays as it is."""
        if not (self._waiting or self._runs or self.views.own_replies):
            return
        self._hear_own()
        now = self._context.now_ms
        while len(self._runs) < MAX_RUNS and now >= self._begin_at_ms and (comparison := self._next_waiting()) is not None:
            self._begin(comparison)
            self._begin_at_ms = now + self._context.budget.wait_ms(Job.VERIFY, now)
        for entity, run in self._runs.items():
            if run.comparison.cancelled or now >= max(run.due_ms, run.pause_ms):
                self._touched[entity] = None
        while self._touched:
            run = self._runs[self._touched.popitem()[0]]
            self._look(run)
            self._hear_own()

    def _hear_own(self) -> None:
        """What this node's own views have shown, now or since the last turn: their pieces are read between turns."""
        replies, self.views.own_replies = self.views.own_replies, []
        for reply in replies:
            self.answered(self._context.me, reply)

    def _next_waiting(self) -> Comparison | None:
        """The next that waits, and whose entity is not being compared already."""
        for comparison in [waiting for waiting in self._waiting if waiting.entity not in self._runs]:
            self._waiting.remove(comparison)
            if not comparison.cancelled:
                return comparison
        return None

    def _look(self, run: Run) -> None:
        """Go on with one comparison."""
        context = self._context
        if run.comparison.cancelled:
            self._end(run)
            return
        self._leave_out_silent(run)
        if len(run.nodes) < 2:
            self._end(run)
        elif any(reply.why_not for reply in run.replies.values()):
            self._rearrange(run)
        elif len(run.replies) == len(run.nodes):
            self._compare(run)
        elif context.now_ms >= max(run.due_ms, run.pause_ms):
            self._ask_all(run)

    def _leave_out_silent(self, run: Run) -> None:
        context = self._context
        too_long = context.now_ms >= run.asked_at_ms + context.tuning.snapshot_timeout_ms
        for node in [node for node in run.nodes if node not in run.replies]:
            if context.reach.is_down(node):
                self._leave_out(run, node, "is down")
            elif too_long:
                self._leave_out(run, node, "does not answer")

    def _rearrange(self, run: Run) -> None:
        """Somebody has no view at this entry: ask for another one, or go on without."""
        for reply in run.replies.values():
            if reply.why_not in (PASSED, BEHIND):
                run.known = max(run.known, reply.entry)
        passed = any(reply.why_not == PASSED for reply in run.replies.values())
        if passed and run.attempts < MAX_ATTEMPTS:
            run.margin = min(MAX_MARGIN, max(1, 2 * run.margin)) if run.attempts > 2 else 0
        else:
            for node, reply in list(run.replies.items()):
                if reply.why_not and not self._is_waited_for(run, node, reply):
                    self._leave_out(run, node, WORDS[reply.why_not].format(entry=reply.entry))
            run.margin //= 4
        if len(run.nodes) < 2:
            self._end(run)
        else:
            self._open(run)

    def _is_waited_for(self, run: Run, node: int, reply: CompareReply) -> bool:
        """Whether this node may have a view the next time."""
        if run.attempts >= MAX_ATTEMPTS:
            return False
        if reply.why_not == BEHIND and reply.entry >= run.known:
            return True  # nobody is further: the entity does not move any more
        if reply.why_not in (BEHIND, BUSY, GONE):
            run.lags[node] = run.lags.get(node, 0) + 1
            run.pause_ms = max(run.pause_ms, self._context.now_ms + (WAIT_MS if reply.why_not == BUSY else 0.0))
            return run.lags[node] < MAX_LAGS
        return False

    # -- comparing

    def _compare(self, run: Run) -> None:
        """All have shown the same piece."""
        replies = run.replies
        if len({(reply.digest, reply.last, reply.more) for reply in replies.values()}) == 1:
            reply = next(iter(replies.values()))
            self._took(run, reply.row_count, reply.size)
            self._advance(run, reply.last, more=reply.more)
        elif not run.lists:
            self._context.counters.pieces_listed += 1
            self._next_piece(run)
            run.lists = True
        else:
            self._compare_rows(run)

    def _compare_rows(self, run: Run) -> None:
        rows = {node: [RowDigest(*row) for row in reply.rows or ()] for node, reply in run.replies.items()}
        through, more = common_end((reply.last, reply.more) for reply in run.replies.values())
        found = differing_keys(rows, through, run.entry)
        run.differing += len(found)
        run.keys += found[: MAX_KEYS - len(run.keys)]
        self._took(run, max(map(len, rows.values())), max(reply.size for reply in run.replies.values()))
        self._advance(run, through, more=more)

    def _took(self, run: Run, rows: int, size: int) -> None:
        context, comparison = self._context, run.comparison
        run.rows += rows
        comparison.size += size
        context.counters.compared_bytes += size
        pause_ms = max(size * 1000.0 / comparison.bytes_per_second, context.budget.wait_ms(Job.VERIFY, context.now_ms))
        pause_ms = min(pause_ms, context.tuning.snapshot_timeout_ms / PIECES_IN_TIME)  # the peers close what nobody reads
        run.pause_ms = max(run.pause_ms, context.now_ms) + pause_ms

    def _advance(self, run: Run, through: bytes, *, more: bool) -> None:
        """All rows up to this key are compared."""
        run.attempts = 0
        run.lags.clear()
        if not more:
            self._end(run)
            return
        run.after = through
        if self._context.now_ms >= run.opened_ms + RENEW_MS:
            run.margin = 0
            run.known = max(run.known, self._context.reader.committed_entry(run.comparison.entity))
            self._open(run)
        else:
            self._next_piece(run)

    # -- time

    @property
    def at_work(self) -> bool:
        return bool(self._waiting or self._runs)

    @property
    def next_ms(self) -> float:
        if self._touched:
            return self._context.now_ms
        due = min((max(run.due_ms, run.pause_ms) for run in self._runs.values()), default=NEVER)
        if len(self._runs) < MAX_RUNS and any(waiting.entity not in self._runs for waiting in self._waiting):
            due = min(due, self._begin_at_ms)
        return due
