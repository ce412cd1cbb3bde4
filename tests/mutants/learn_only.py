"""Mistakes in learning only: votes and answers that go on, what is chosen dropped, requests that wait, words that are lost."""

from __future__ import annotations

from .mutant import mutant

CONTEXT = "core/turn/context.py"
MEMBERSHIP = "core/reentry/membership.py"
TESTS = "tests/core/test_learn_only.py"
NOT_LEARNING = " and not self.tuning.learn_only"

LEARN_ONLY = (
    mutant(
        "votes while it learns only",
        19,
        "who is told to learn only goes on promising and accepting",
        (CONTEXT, f"and self.standing.votes{NOT_LEARNING}", "and self.standing.votes"),
    ),
    mutant(
        "answers while it learns only",
        19,
        "who is told to learn only answers read questions",
        (CONTEXT, f"and not entity.log.learns_only{NOT_LEARNING}", "and not entity.log.learns_only"),
        shown_by=TESTS,
    ),
    mutant(
        "drops what is chosen",
        19,
        "the switch drops all messages on entries, those that tell what was chosen too (a mistake of the original)",
        (
            "core/log/log.py",
            "        context, entry = self._context, message.entry\n",
            "        context, entry = self._context, message.entry\n"
            "        if context.tuning.learn_only:\n            return None\n",
        ),
        shown_by=TESTS,
    ),
    mutant(
        "what waits is not refused",
        19,
        "requests that wait when it is told to learn only wait for their deadline",
        (
            "core/shard/attendance.py",
            "if context.tuning.learn_only and entity.busy:",
            "if False:",
        ),
        shown_by=TESTS,
    ),
    mutant(
        "its proposals are called refused",
        19,
        "what it has proposed is ended as if nothing had happened",
        (
            "core/shard/undecided.py",
            "proposed = {id(request) for request in writes.proposed}\n        if writes.lost_turn",
            "proposed: set[int] = set()\n        for request in writes.proposed:\n"
            "            self._context.refuse(request, refusal)\n        if writes.lost_turn",
        ),
    ),
    mutant(
        "its peers are not told",
        19,
        "peers count the vote of a node that learns only",
        (MEMBERSHIP, "            self._rests(peer, word.learns_only)\n", ""),
        shown_by=TESTS,
    ),
    mutant(
        "told once",
        19,
        "whether it learns only is said once, and the word may be lost",
        (MEMBERSHIP, "self._again_at_ms = context.now_ms + AGAIN_MS", "self._again_at_ms = NEVER"),
        shown_by=TESTS,
    ),
    mutant(
        "a late word counts",
        19,
        "an earlier word that comes later undoes the one after it",
        (MEMBERSHIP, "learning=max(known.learning, word.learning)", "learning=word.learning"),
        shown_by=TESTS,
    ),
)
