"""Mistakes in finding out what differs, and in whom to believe: digests of what is not applied, wrong numbers."""

from __future__ import annotations

from .mutant import mutant

LOGSTATE = "core/entity/logstate.py"
MEMORY = "storage/memory.py"
OPENED = "storage/opened.py"
RECONCILE = "core/log/reconcile.py"
ROCKS = "storage/rocks.py"
APPLIED = "self._digests.applied(spans_of(applies, changes, self.committed_entry))"

STORE_TESTS = "tests/storage/test_digests.py"
CORE_TESTS = "tests/core/test_reconcile.py"
CLAIM_TESTS = "tests/core/test_false_claim.py"

CATCH_UP = (
    mutant(
        "applies not in the digests",
        10,
        "an entry that is applied adds nothing to the digests",
        (MEMORY, APPLIED, APPLIED.replace("applies,", "(),")),
    ),
    mutant(
        "installs not in the digests",
        16,
        "the committed entry jumps with a copy, and the digests stay",
        (MEMORY, APPLIED, APPLIED.replace("changes,", "(),")),
    ),
    mutant(
        "digests begin with nothing",
        18,
        "after a start they hold what was applied since",
        (MEMORY, "found._digests.build(found.committed())", "found._digests.build(())"),
    ),
    mutant(
        "the store's digests stay",
        10,
        "writes to the durable store add nothing to its digests",
        (OPENED, "            self.digests.applied(spans)\n", ""),
        shown_by=STORE_TESTS,
    ),
    mutant(
        "told before they are built",
        18,
        "digests are told while what lies on the disk is still being added",
        ("storage/digests.py", "        if not self.ready:\n            return None\n", ""),
        shown_by=STORE_TESTS,
    ),
    mutant(
        "replayed entities not listed",
        18,
        "an entity whose first entry the journal alone had is in the digests, and under no place",
        (
            ROCKS,
            "epochs.applied(spans, size)\n                operations += place_operations(spans)",
            "epochs.applied(spans, size)",
        ),
        shown_by=STORE_TESTS,
    ),
    mutant(
        "an entity counts once",
        10,
        "the second entry of an entity adds nothing",
        ("storage/digests.py", "self._add(entity, last + 1 - first)", "self._add(entity, int(first == 1))"),
    ),
    mutant(
        "the last child passed over",
        11,
        "of each node the last child counts as equal",
        (
            "core/interface/digest.py",
            "            if mine[at : at + NODE_BYTES] !=",
            "            if child % CHILDREN != CHILDREN - 1 and mine[at : at + NODE_BYTES] !=",
        ),
    ),
    mutant(
        "one question a level",
        11,
        "of the nodes that differ only as many are looked at as one question holds",
        (RECONCILE, "self.parts += reversed(pieces)", "self.parts += pieces[:1]"),
        shown_by=CORE_TESTS,
    ),
    mutant(
        "one page an inventory",
        11,
        "of crowded buckets only the first entities are looked at",
        (RECONCILE, "        if message.more:\n", "        if False:\n"),
        shown_by=CORE_TESTS,
    ),
    mutant(
        "a lost answer is not asked for again",
        11,
        "a walk ends where a question or its answer is lost",
        (
            RECONCILE,
            "        return walk.asked_at_ms + self._context.tuning.retry_ms * (1 << doublings)\n",
            "        return NEVER\n",
        ),
        shown_by=CORE_TESTS,
    ),
    mutant(
        "told only when asked",
        11,
        "a link that comes up at one end only tells nothing",
        (RECONCILE, "        self._read(peer, 0, [0], own=False)\n        self.ask(peer)\n", "        self.ask(peer)\n"),
        shown_by=CORE_TESTS,
    ),
    mutant(
        "not told when they are built",
        11,
        "who was asked too early tells its digests to nobody",
        (RECONCILE, "                self._untold.add(event.peer)\n", "                pass\n"),
        shown_by=CORE_TESTS,
    ),
    mutant(
        "a full list of those behind loses the rest",
        11,
        "a walk that waits because much is behind never goes on",
        (RECONCILE, "        if held and len(self._found) < MAX_FOUND:\n", "        if False:\n"),
        shown_by=CORE_TESTS,
    ),
    mutant(
        "a wrong number is believed for ever",
        11,
        "an entry that a full round has found empty, and all up to the number that somebody has named, counts as chosen",
        ("core/log/write.py", "entity.log.doubt_chosen(entry)", "False"),
        shown_by=CLAIM_TESTS,
    ),
    mutant(
        "a row is doubted like a number",
        11,
        "what peers have shown above the empty entry is forgotten with the number",
        (LOGSTATE, "if not self.max_plog == entry <= self.max_chosen:", "if entry > self.max_chosen:"),
        shown_by=CLAIM_TESTS,
    ),
    mutant(
        "a wrong number still vouches",
        11,
        "replies leave before the own row is durable, on the word of a number that was refuted",
        (LOGSTATE, "        self.vouched = min(self.vouched, self.max_chosen)\n", ""),
        shown_by=CLAIM_TESTS,
    ),
)
