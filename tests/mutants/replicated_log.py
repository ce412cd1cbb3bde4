"""Mistakes in rules 11-15, and in what clients are told: the log, reads, leases, batches, uuids."""

from __future__ import annotations

from .mutant import mutant

BATCH = "core/batch/evaluate.py"
CONTEXT = "core/turn/context.py"
LOG = "core/log/log.py"
READ = "core/entity/read.py"
SERVE = "core/log/serve.py"
SHARD = "core/shard/shard.py"
WRITE = "core/log/write.py"
OUTCOMES = "tests/core/test_outcomes.py"

REPLICATED_LOG = (
    # -- rule 11: one entry after the other
    mutant(
        "next entry opened early",
        11,
        "where somebody else is active, the entry after that is proposed",
        (
            WRITE,
            "        if opened is not None and not opened.machine.mine.is_empty and not self._may_compete(entity, opened):\n",
            """\
        if opened is not None and not opened.machine.mine.is_empty:
            entry += 1
            opened = entity.log.opened.get(entry)
        if opened is not None and not opened.machine.mine.is_empty and not self._may_compete(entity, opened):
""",
        ),
    ),
    mutant(
        "values compared at the wrong entry",
        11,
        "what was chosen at an entry is compared with what was chosen before it",
        ("core/entity/divergence.py", "return self._ids[-1 - back] if", "return self._ids[-2 - back] if"),
        ("core/entity/divergence.py", "0 <= back < len(self._ids) else", "0 <= back < len(self._ids) - 1 else"),
    ),
    # -- rule 12: reads
    mutant(
        "read asks nobody",
        12,
        "a read waits for what this replica knows, and for no answer",
        (
            READ,
            "        self.gathering = []\n        return self.asked\n",
            """\
        self.gathering = []
        asked = self.asked
        self.answer(0, number, 0, 1, now_ms)
        return asked
""",
        ),
    ),
    mutant(
        "read asks too few",
        12,
        "one answer less than a majority is enough where there is more than one",
        (READ, "if len(answers) < quorum:", "if len(answers) + 1 < quorum:"),
        (READ, "sorted(answers)[quorum - 1]", "sorted(answers)[min(len(answers) - 1, quorum - 1)]"),
    ),
    mutant(
        "late answers counted",
        12,
        "answers to any question count",
        (READ, "if question is not None and number == question.number:", "if question is not None:"),
    ),
    mutant(
        "question numbers start again",
        12,
        "after a restart the numbers of questions repeat",
        (CONTEXT, "return ((self.identity.incarnation & 0x7FFFFFFF) << 32) | (self._ids & 0xFFFFFFFF)", "return self._ids"),
    ),
    mutant(
        "highest without votes",
        12,
        "an answer shows what is chosen, not what is accepted",
        (
            "core/entity/logstate.py",
            "            if opened is None or opened.machine.mine.accepted:\n                return self.max_plog\n",
            "            pass\n",
        ),
    ),
    mutant(
        "silence taken for denial",
        12,
        "who has not answered yet counts as not having accepted anything",
        (
            READ,
            "sorted(answers)[quorum - 1]",
            "sorted((*[0] * (2 * quorum - 1 - len(answers)), *answers))[quorum - 1]",
        ),
    ),
    mutant(
        "one denial is enough",
        12,
        "what one replica has not accepted is not waited for",
        (READ, "sorted(answers)[quorum - 1]", "sorted(answers)[0]"),
    ),
    mutant(
        "denials of one peer counted twice",
        12,
        "an answer to a later question counts for an earlier one too, and the other way round",
        (
            READ,
            "            if number == question.number:\n                question.answer(peer, highest, quorum)\n",
            "            question.answer(peer, highest, quorum)\n",
        ),
        shown_by="tests/core/test_read.py",
    ),
    mutant(
        "served before applied",
        12,
        "a read is served when a majority has answered, whatever is applied",
        (READ, "if blocked.needed <= committed for r in", "for r in"),
        (READ, "for blocked in self.blocked if blocked.needed > committed]", "for blocked in ()]"),
    ),
    mutant(
        "own answer forgotten",
        12,
        "a read waits for what the others have",
        (READ, "        self.own = own\n", "        self.own = 0\n"),
    ),
    # -- rule 13: the lease
    mutant(
        "reads within the lease",
        13,
        "who has just accepted or applied an entry reads without asking for as long as the lease lasts",
        (
            SERVE,
            "        if reads.may_ask and context.standing.learns:\n",
            """\
        if reads.may_ask and context.now_ms < entity.log.lease_until_ms:
            reads.ask(context.new_number(), entity.log.highest, context.now_ms)
            reads.answer(0, reads.asked.number, 0, 1, context.now_ms)
            entity.wake_at(context.now_ms)
        elif reads.may_ask:
""",
        ),
        ("core/shard/attendance.py", "            entity.log.lease_until_ms = 0.0\n", "            pass\n"),
    ),
    mutant(
        "lease by the wall clock",
        13,
        "the lease ends at a time of the wall clock",
        (
            LOG,
            "entity.log.lease_until_ms = context.now_ms + context.tuning.lease_ms",
            "entity.log.lease_until_ms = context.wall_ms + context.tuning.lease_ms",
        ),
        (
            WRITE,
            "max(entity.log.lease_until_ms, opened.retry_at_ms",
            "max(entity.log.lease_until_ms - self._context.wall_ms + self._context.now_ms, opened.retry_at_ms",
        ),
        (WRITE, "context.now_ms < entity.log.lease_until_ms:", "context.wall_ms < entity.log.lease_until_ms:"),
        (
            WRITE,
            "entity.wake_at(entity.log.lease_until_ms)",
            "entity.wake_at(entity.log.lease_until_ms - context.wall_ms + context.now_ms)",
        ),
        # what a shard is shown is the median of the clocks: in the simulator it seldom jumps
        shown_by="tests/core/test_check_db_status.py::test_lease_wait",
    ),
    # -- who proposes where several compete: a hint as well
    mutant(
        "gives way to nobody",
        13,
        "who has lost asks the others to give way, and they do not",
        (
            "core/log/giveway.py",
            "        if entity.way.in_vain:\n            return\n",
            "        if True:\n            return\n",
        ),
    ),
    mutant(
        "asks nobody to give way",
        13,
        "who has lost evaluates again at once, and lets the others go on",
        (
            "core/log/giveway.py",
            "        elif entity.writes.queue and not entity.writes.queue[0].at_entry:",
            "        elif False:",
        ),
    ),
    mutant(
        "gives way for ever",
        13,
        "who gives way waits for a value of the asker, however long that takes",
        (
            "core/log/giveway.py",
            "        if context.now_ms < given.until_ms and not context.reach.is_down(given.peer):\n"
            "            entity.wake_at(given.until_ms)\n",
            "        if True:\n",
        ),
        shown_by="tests/core/test_giveway.py",
    ),
    # -- rule 14: batches
    mutant(
        "stale view",
        14,
        "a batch is evaluated on the DB without what this turn has applied",
        (
            CONTEXT,
            "            entity.log.unwritten if entity.log.ahead is None else",
            "            None if entity.log.ahead is None else",
        ),
    ),
    mutant(
        "proposed at a later entry",
        14,
        "a batch that lost its entry is proposed at the next one as it is",
        (
            WRITE,
            "            entity.writes.queue.extendleft(request for request, _ in reversed(proposed) if not request.settled)\n",
            "            later = in_flight.evaluated._replace(entry=entity.log.committed + 1)\n"
            "            entity.writes.in_flight = in_flight._replace(evaluated=later)\n",
        ),
    ),
    mutant(
        "at any entry",
        14,
        "a request for exactly one entry is proposed at another",
        (BATCH, "if request.at_entry and request.at_entry != entry:", "if False:"),
    ),
    mutant(
        "at an entry, behind others",
        14,
        "a request for exactly one entry is evaluated after others of its batch",
        (BATCH, "        if request.at_entry and proposed:\n", "        if False:\n"),
    ),
    # -- rule 15: uuids, and what clients are told
    mutant(
        "uuids not looked up",
        15,
        "a repetition runs again",
        (BATCH, "first = overlay.get_raw(UUID + uuid)", "first = None"),
    ),
    mutant(
        "late copies run that were refused for their uuid",
        15,
        "a copy that comes when the other request is remembered no longer is run, though it was told that it did not happen",
        (
            "core/handover/handover.py",
            "if (peer, message.entity, message.uuid, message.digest) in context.refused_copies:",
            "if False:",
        ),
        shown_by=OUTCOMES,
    ),
    mutant(
        "what came back is refused for its uuid",
        15,
        "a request that a peer did not take is told that it did not happen, and a copy of it runs there later",
        ("core/handover/handover.py", "            request.taken_back = True\n", ""),
        shown_by=OUTCOMES,
    ),
    mutant(
        "uuids not in the entry",
        15,
        "the uuids of a batch's requests are not applied with it",
        (BATCH, "        for uuid in _uuids(request):\n            overlay", "        for uuid in ():\n            overlay"),
    ),
    mutant(
        "uuids only in memory",
        15,
        "a restart forgets the uuids that were applied before",
        (
            LOG,
            "        log.unwritten.merge(batch)\n",
            "        log.unwritten.merge(batch)\n        vars(context.reader).setdefault('seen', set()).update(batch.writes)\n",
        ),
        (
            BATCH,
            "first = overlay.get_raw(UUID + uuid)",
            "first = overlay.get_raw(UUID + uuid) if UUID + uuid in vars(overlay._reader).get('seen', ()) else None",
        ),
        shown_by="tests/core/test_batch.py",
    ),
    mutant(
        "floor ignored",
        15,
        "a request that is older than the window of uuids runs all the same",
        (BATCH, "if request.floor and entry - request.floor > uuid_window_entries:", "if False:"),
        shown_by="tests/core/test_batch.py",
    ),
    mutant(
        "uuids forgotten early",
        15,
        "the window of uuids is half as long as requests are told",
        (BATCH, "forget_uuids(overlay, entry - uuid_window_entries)", "forget_uuids(overlay, entry - uuid_window_entries // 2)"),
    ),
    mutant(
        "refusals not remembered",
        15,
        "a request that was refused runs again under its uuid",
        (
            BATCH,
            "        for uuid in _uuids(request):\n            overlay",
            "        for uuid in () if reply.error else _uuids(request):\n            overlay",
        ),
        shown_by="tests/core/test_batch.py",
    ),
    mutant(
        "refused at once",
        15,
        "a refusal is told before its batch is chosen",
        (
            BATCH,
            "            overlay.rollback()\n",
            "            overlay.rollback()\n            decided.append((request, reply))\n            continue\n",
        ),
    ),
    mutant(
        "digests not compared",
        15,
        "another request under a known uuid gets the outcome of the first",
        (BATCH, "request.digest and stored[1 : 1 + DIGEST_BYTES] != request.digest:", "False:"),
    ),
    mutant(
        "digest not handed over",
        15,
        "a request that is handed over cannot be told from another one under its uuid",
        (
            "core/handover/handover.py",
            "            request.digest,\n            request.read_only,",
            '            b"",\n            request.read_only,',
        ),
    ),
    mutant(
        "twin told at once",
        15,
        "the second of two requests with one uuid in a batch is told before the batch is chosen",
        (BATCH, "        if twin is not None and not request.at_entry:\n", "        if False:\n"),
    ),
    mutant(
        "taken back under a new uuid",
        15,
        "a request that was handed over is proposed here as another one",
        (
            "core/handover/handover.py",
            "            if request.settled:\n                continue\n",
            "            if request.settled:\n                continue\n            request.uuid = self._context.new_id()\n",
        ),
    ),
    mutant(
        "handed over before the loss is durable",
        15,
        "what has lost is handed over under another uuid before a crash can no longer undo the loss",
        (
            "core/handover/handover.py",
            "        if entity.writes.lost_turn > context.durable_turn:\n            entity",
            "        if False:\n            entity",
        ),
        shown_by="tests/core/test_giveway.py::test_not_before_the_loss_is_durable",
    ),
    mutant(
        "a read's answer for the write that it became",
        15,
        "what a peer says of a read ends the write that it has become: whoever asks anew has it done twice",
        ("core/log/serve.py", "            request.digest = WAS_READ\n", "            pass\n"),
        shown_by="tests/core/test_install.py::test_what_a_peer_says_of_a_read_is_no_outcome_of_the_write_that_it_became",
    ),
    mutant(
        "any outcome handed back",
        15,
        "an outcome that comes back ends the oldest request that was handed over",
        (
            "core/handover/peer.py",
            "pending = self.pending.pop(copy, None)",
            "pending = self.pending.pop(next(iter(self.pending), copy), None)",
        ),
    ),
    mutant(
        "lost batch told done",
        15,
        "requests are done when their entry is decided, whatever was chosen",
        (WRITE, "        if chosen:\n", "        if True:\n"),
    ),
    mutant(
        "timeout called a failure",
        15,
        "a request that was proposed and not decided before its deadline is told that nothing happened",
        (
            "core/shard/undecided.py",
            "not request.read_only and (request.exposed or lost or id(request) in proposed)",
            "not request.read_only and request.exposed",
        ),
    ),
    mutant(
        "exposed request called refused",
        15,
        "a request that was handed over and taken back is told that nothing happened when the queue is full",
        (
            "core/turn/context.py",
            "unknown if request.exposed else error",
            "error",
        ),
    ),
    # -- the last mistake on the list: learning
    mutant(
        "refuses to learn",
        8,
        "a node that takes no new writes takes no news of chosen entries either",
        (
            "core/shard/delivery.py",
            "        if self._context.cannot_write:  # a vote could not be kept\n",
            "        if self._context.no_new_writes:\n            return\n        if self._context.cannot_write:\n",
        ),
        (
            SHARD,
            "lambda *reply: (self._onlooker if context.cannot_write else self._learner).replied(*reply)",
            "lambda *reply: None if self.writes_refused_because else self._learner.replied(*reply)",
        ),
    ),
)
