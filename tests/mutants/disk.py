"""Mistakes in rules 7-10: what is durable before it shows, failed writes, loads, atomic writes."""

from __future__ import annotations

from .mutant import mutant

CONTEXT = "core/turn/context.py"
LOGSTATE = "core/entity/logstate.py"
LOG = "core/log/log.py"
MEMORY = "storage/memory.py"
RECORD = "core/entry/record.py"
SHARD = "core/shard/shard.py"
UNDECIDED = "core/shard/undecided.py"
TURN = "storage/turn.py"
OUTCOMES = "tests/core/test_outcomes.py"
SCENARIOS = "tests/core/test_scenarios.py"

DISK = (
    # -- rule 7: durable before it shows
    mutant(
        "everything early",
        7,
        "what shows a row leaves before the row is written",
        (
            CONTEXT,
            "return self.ready.early if entity.log.row_turn <= self.durable_turn else self.ready.late",
            "return self.ready.early",
        ),
    ),
    mutant(
        "replies early",
        7,
        "reads are answered before the rows they rest on are durable",
        ("core/log/serve.py", "        release = context.release_told(entity)\n", "        release = context.ready.early\n"),
    ),
    mutant(
        "promises not synced",
        7,
        "a promise to a peer is written, and not synced before it shows",
        (RECORD, "        old.promised != new.promised\n        or old.accepted", "        old.accepted"),
    ),
    mutant(
        "votes not synced",
        7,
        "what a row accepts is written, and not synced before it shows",
        (RECORD, "        or old.accepted != new.accepted\n        or old.prepared", "        or old.prepared"),
        (RECORD, "        or (old.value is None) != (new.value is None)\n", ""),
    ),
    mutant(
        "written is called durable",
        7,
        "no turn waits for its sync",
        (TURN, "        return ready.needs_sync\n", "        return False\n"),
    ),
    mutant(
        "released before the sync",
        7,
        "what waits for the sync leaves after the write",
        (
            TURN,
            "        self._under_way = ready\n",
            "        self._under_way = ready\n        self._release(ready.late)\n        ready.late = Release()\n",
        ),
    ),
    mutant(
        "one peer is waited for",
        12,
        "a question goes to no other peer before all questions are repeated",
        (
            "core/log/serve.py",
            "interval = context.tuning.retry_ms if asked.asked_all else patience_ms",
            "interval = context.tuning.retry_ms",
        ),
        shown_by="tests/core/test_few_asked.py",
    ),
    mutant(
        "a lost link is waited for",
        12,
        "who was asked alone is gone, and the others are asked when their time comes",
        (SHARD, "        self._reads.ask_the_others()\n", ""),
        shown_by="tests/core/test_few_asked.py",
    ),
    mutant(
        "a node vouches for itself",
        7,
        "what this node has found to be chosen, by its own vote that is not durable, counts like what peers say",
        (
            LOG,
            "            entity.log.max_chosen = max(entity.log.max_chosen, entry)\n        if needs_sync",
            "            entity.log.vouched = entity.log.max_chosen = max(entity.log.max_chosen, entry)\n        if needs_sync",
        ),
    ),
    mutant(
        "a gulp releases all",
        7,
        "while a sync takes long, what shows rows that are not durable leaves as well",
        (
            SHARD,
            "        early, ready.early = ready.early, Release()\n",
            """\
        early, ready.early = ready.early, Release()
        early.messages += ready.late.messages
        early.outcomes += ready.late.outcomes
        ready.late = Release()
""",
        ),
    ),
    mutant(
        "a gulp forgets what it has shown",
        8,
        "requests whose proposal has left in a gulp are told that nothing happened when the turn's write fails",
        (SHARD, "        ready.shown |= values_shown(early)\n", ""),
        shown_by="tests/core/test_silence.py",
    ),
    mutant(
        "an outcome that waits for the disk called refused",
        7,
        "whose deadline passes while the disk is silent is told that nothing happened",
        (UNDECIDED, 'if request.read_only else OutcomeUnknown(f"{why}: it may have happened")', ""),
        shown_by=SCENARIOS,
    ),
    mutant(
        "deadlines wait for the disk",
        7,
        "while a sync takes long, an outcome that waits for it is told no earlier",
        (
            SHARD,
            "            if context.silence:\n                self._undecided.end_unsynced(",
            "            if False:\n                self._undecided.end_unsynced(",
        ),
        shown_by=SCENARIOS,
    ),
    # -- rule 8: failed writes
    mutant(
        "failed write shown",
        8,
        "what a turn was to show after its write leaves though the write failed",
        (
            TURN,
            "                # no row of the turn has been shown: the shard forgets them, and answers for them\n",
            "                self._release(ready.late)\n",
        ),
    ),
    mutant(
        "failed write remembered",
        8,
        "memory keeps the rows that could not be written",
        (UNDECIDED, "        for number in dirty:\n", "        for number in ():\n"),
    ),
    mutant(
        "shown proposal called refused",
        8,
        "after a failed write, requests whose proposal has left are told that nothing happened",
        (UNDECIDED, "elif request.exposed or lost or (revealed and id(request) in proposed):", "elif request.exposed or lost:"),
        shown_by=OUTCOMES,
    ),
    mutant(
        "failed write acknowledged",
        8,
        "what a turn was to tell after its write is told though the write failed",
        (
            UNDECIDED,
            "        for request, _, _ in failed.late.outcomes:",
            "        context.ready.early.outcomes += failed.late.outcomes\n        for request, _, _ in ():",
        ),
        shown_by=OUTCOMES,
    ),
    mutant(
        "loss on forgotten rows called refused",
        8,
        "a batch that lost on rows that could not be written is told that nothing happened",
        (UNDECIDED, "lost = entity.writes.lost_turn == failed.turn  # found", "lost = False  # found"),
        shown_by=OUTCOMES,
    ),
    mutant(
        "votes in memory",
        8,
        "a node whose disk takes no writes accepts what it sees, in memory, and shows that",
        (
            "core/log/onlooker.py",
            "        decided = opened.machine.witness(peer, row)\n",
            """\
        opened.machine.update(peer, row)
        mine = opened.machine.mine
        decided = (mine.accepted, mine.value) if mine.chosen else None
""",
        ),
    ),
    mutant(
        "any vote taken for the choice",
        8,
        "a node whose disk takes no writes reads what one peer has accepted",
        (
            "core/entry/machine.py",
            "        if theirs.chosen:\n            assert theirs.value is not None\n            return theirs.accepted",
            "        if theirs.accepted:\n            assert theirs.value is not None\n            return theirs.accepted",
        ),
    ),
    mutant(
        "memory kept",
        8,
        "what was applied in memory only stays there when the disk takes writes again",
        (
            "core/log/onlooker.py",
            "            self._drop(entity)\n            entity.reads.ask_again()\n",
            "            entity.reads.ask_again()\n",
        ),
    ),
    mutant(
        "started without room, and deaf",
        8,
        "a member whose start could not be counted hears of nothing that is chosen: it reads nothing while there is no room",
        (
            "core/turn/standing.py",
            "self.votes or (self.row.state is State.MEMBER and not self.disk.starts)",
            "self.votes",
        ),
        shown_by="tests/core/test_onlooker.py::test_who_was_started_without_room_learns_for_reads_as_who_ran_out_of_it_does",
    ),
    # -- rule 9: loads
    mutant(
        "handled before the load",
        9,
        "rows of peers are taken in before the own rows are loaded",
        (
            "core/shard/delivery.py",
            "inventories do not come here\n        if entity.mailbox is not None:\n",
            "inventories do not come here\n        if entity.mailbox is not None and type(message) is not PaxosMessage:\n",
        ),
    ),
    mutant(
        "answered before the load",
        9,
        "a read question is answered before the own rows are loaded",
        (
            "core/shard/delivery.py",
            "inventories do not come here\n        if entity.mailbox is not None:\n",
            "inventories do not come here\n        if entity.mailbox is not None and type(message) is not ReadQuestion:\n",
        ),
        (
            "core/shard/delivery.py",
            "import HandOver, Message, PaxosMessage, Standing",
            "import HandOver, Message, PaxosMessage, ReadQuestion, Standing",
        ),
    ),
    mutant(
        "max plog not raised",
        9,
        "a new row does not raise max plog",
        (LOG, "        entity.log.max_plog = max(entity.log.max_plog, entry)  # rule 9\n", ""),
    ),
    mutant(
        "load stops at committed",
        9,
        "rows above the committed entry are not loaded",
        ("storage/loading.py", "        if entry > committed:\n", "        if entry > committed and record.chosen:\n"),
    ),
    mutant(
        "max plog not loaded",
        9,
        "after a load, max plog is the committed entry",
        (LOGSTATE, "self.max_plog = max(loaded.max_plog, loaded.committed)", "self.max_plog = loaded.committed"),
    ),
    # -- rule 10: one atomic write
    mutant(
        "committed before its writes",
        10,
        "a power cut may keep the new committed entry without the entry's writes",
        (
            MEMORY,
            "        found._now = found._durable.copy()\n",
            """\
        for batch in self._unsynced[keep : keep + 1]:
            found._durable.add(_Batch([], [(entity, entry, False, []) for entity, entry, _, _ in batch.applies]))
        found._now = found._durable.copy()
""",
        ),
    ),
    mutant(
        "uuids apart",
        10,
        "a power cut may keep an entry's writes without its uuids",
        (
            MEMORY,
            "        found._now = found._durable.copy()\n",
            """\
        for batch in self._unsynced[keep : keep + 1]:
            found._durable.add(
                _Batch([], [(e, entry, c, [w for w in ws if w[0][:1] == DATA]) for e, entry, c, ws in batch.applies])
            )
        found._now = found._durable.copy()
""",
        ),
    ),
    mutant(
        "applied over a gap",
        10,
        "the next entry that is known to be chosen is applied, whatever is missing before it",
        (
            LOG,
            "            log.contiguous_chosen = entry = log.contiguous_chosen + 1\n",
            "            log.contiguous_chosen = entry = min(at for at, one in log.opened.items() if one is opened)\n",
        ),
        (
            LOG,
            "(opened := log.opened.get(log.contiguous_chosen + 1)) is not None and opened.machine.mine.chosen:\n",
            """\
opened := next(
            (one for at, one in sorted(log.opened.items()) if at > log.contiguous_chosen and one.machine.mine.chosen), None
        ):
""",
        ),
        (
            LOG,
            "            entry = log.committed + 1\n            value",
            "            entry = min(at for at, one in log.opened.items() if one.machine.mine.chosen)\n            value",
        ),
        (LOG, "        assert entry == log.committed + 1\n", ""),
    ),
    mutant(
        "applied twice",
        10,
        "a load begins one entry too low",
        (
            LOGSTATE,
            "self.contiguous_chosen = self.max_chosen = loaded.committed\n",
            "self.contiguous_chosen = self.max_chosen = max(0, loaded.committed - 1)\n",
        ),
    ),
)
