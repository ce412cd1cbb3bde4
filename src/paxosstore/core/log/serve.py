"""Serving linearizable reads: asking the question, answering the peers', evaluating (rule 12).

A read that meets what only an entry may change (a key that is due, rule 20) becomes a write: it waits with those from then on.
"""

from __future__ import annotations

from collections.abc import Callable

from ...errors import CommitLimitReached, DiskFull, NotServing
from ..batch.evaluate import run
from ..batch.overlay import NeedsWrite
from ..batch.request import WAS_READ, Request
from ..entity.entity import NEVER, Entity
from ..entity.read import Question
from ..interface.message import ReadAnswer, ReadQuestion
from ..interface.ready import Release
from ..turn.context import Context, HandedOverRequest
from ..turn.entities import Entities
from ..turn.waiting import describe_floor
from .log import Log


class ReadServer:
    """Acts on the waiting reads (read.py) of entities."""

    def __init__(self, context: Context, entities: Entities, log: Log, write_instead: Callable[[Entity, Request], None]) -> None:
        """`write_instead` puts a request that is no read any more where it waits."""
        self._context = context
        self._entities = entities
        self._log = log
        self._write_instead = write_instead

    def serve(self, entity: Entity) -> None:
        """End the reads whose entry is applied, as far as the turn's work goes, and ask the next question."""
        context, reads = self._context, entity.reads
        release = context.release_told(entity)
        reads.applied(entity.log.applied)
        if reads.answerable:
            self._answer(entity, release)
        if reads.limited:
            self._end_at_limit(entity, release)
        counts = context.may_answer(entity)
        if counts and reads.asked is not None and reads.asked.own is None:
            reads.ask_anew()
        if reads.may_ask and context.standing.learns:
            self._ask(entity, reads.ask(context.new_number(), entity.log.highest if counts else None, context.now_ms))
        if reads.asked is not None:
            self._repeat(entity, reads.asked, context.answerers.patience_ms)
        for blocked in reads.blocked:
            if blocked.needed > entity.log.max_chosen:  # the answers that are missing may show that it need not be waited for
                self._repeat(entity, blocked, 0.0)

    def _ask(self, entity: Entity, asked: Question) -> None:
        """For many reads as few as make a majority with this node: the others' work would be in the way of theirs. All for a few,
        which are told by the quicker one, and where what is accepted here may not have been chosen: the more answers, the sooner
        that shows."""
        context = self._context
        context.counters.read_questions += 1
        decided = asked.own is not None and asked.own <= entity.log.contiguous_chosen
        few = decided and len(asked.requests) >= context.tuning.many_reads
        peers = context.answerers.first(context.now_ms) if few else context.peers
        asked.asked_all = len(peers) == len(context.peers)
        question = ReadQuestion(entity.id, asked.number)
        for peer in peers:
            context.send_early(peer, question)

    def _repeat(self, entity: Entity, asked: Question, patience_ms: float) -> None:
        """Ask those who have not answered: those that were not asked yet when the others have been waited for so long, and all of
        them now and then."""
        context = self._context
        unanswered = asked.unanswered(context.n, context.me)
        if not unanswered:
            return
        interval = context.tuning.retry_ms if asked.asked_all else patience_ms
        if context.now_ms >= asked.asked_at_ms + interval:
            asked.asked_at_ms, asked.asked_all, interval = context.now_ms, True, context.tuning.retry_ms
            for peer in unanswered:
                context.send_early(peer, ReadQuestion(entity.id, asked.number))
        entity.wake_at(asked.asked_at_ms + interval)

    def ask_the_others(self) -> None:
        """Somebody is not there any more who may have been asked alone."""
        for entity in self._entities.busy.values():
            asked = entity.reads.asked
            if asked is not None and not asked.asked_all:
                asked.asked_at_ms = -NEVER
                self._entities.touch(entity)

    def _answer(self, entity: Entity, release: Release) -> None:
        """Evaluate what the DB may answer, one request at least."""
        context, waiting = self._context, entity.reads.answerable
        overlay = context.overlay(entity, read_only=True)
        served = 0
        for request in waiting:
            served += 1
            if request.settled:
                continue
            if request.commit_limit and entity.log.ahead is not None:
                context.refuse(request, DiskFull(context.cannot_write))  # it is to be applied on the disk
                continue
            context.counters.reads_served += 1
            before = overlay.work
            try:
                reply = run(request, overlay)
            except NeedsWrite:
                self._becomes_write(entity, request)
            else:
                context.finish(request, reply.content, reply.error, release)
                context.work += len(reply.content) >> 10
            context.work += 2 + overlay.work - before
            if context.spent and served < len(waiting):
                entity.wake_at(context.now_ms)
                break
        del waiting[:served]

    def _becomes_write(self, entity: Entity, request: Request) -> None:
        """For good: it is judged anew, at whatever node and entry it is proposed."""
        context = self._context
        context.counters.reads_made_writes += 1
        request.read_only, request.was_read = False, True
        if request.hand_over:
            request.digest = WAS_READ
        if isinstance(request, HandedOverRequest) and not context.may_vote(entity, entity.log.committed + 1):
            context.refuse(request, NotServing(describe_floor(context, entity)))  # its node finds another one
        else:
            self._write_instead(entity, request)

    def _end_at_limit(self, entity: Entity, release: Release) -> None:
        context, reads = self._context, entity.reads
        text = f"{context.tuning.max_commit_num} entries were applied and there are more: call again"
        for request in reads.limited:
            if entity.log.committed >= request.commit_limit:
                context.finish(request, b"", CommitLimitReached(text), release)
        reads.limited = [request for request in reads.limited if not request.settled]

    def question(self, entity: Entity, peer: int, message: ReadQuestion) -> None:
        self._log.tell_chosen(entity, [peer])  # the reader waits for it
        if entity.writes.in_flight is not None:
            entity.news.add_reader(peer)
        if not self._context.may_answer(entity):
            self._context.counters.answers_withheld += 1
            return
        answer = ReadAnswer(
            entity.id,
            message.number,
            entity.log.highest,
            entity.log.contiguous_chosen,
            entity.log.chosen_id(entity.log.contiguous_chosen),
        )
        self._context.send(entity, peer, answer)

    def answer(self, entity: Entity, peer: int, message: ReadAnswer) -> None:
        self._entities.touch(entity)
        if not self._log.agreement.holds(entity, peer, message.max_chosen, message.chosen_id):
            return
        entity.raise_max_chosen(max(message.max_chosen, message.highest - 1), peer)
        context, asked = self._context, entity.reads.asked
        asked_ms = context.now_ms if asked is None else asked.since_ms  # for the first time: it may have been repeated
        if entity.reads.answer(peer, message.number, message.highest, context.quorum, context.now_ms) and asked is not None:
            context.answerers.completed(asked.answered, context.now_ms - asked_ms)
