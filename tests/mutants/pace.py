"""Mistakes where applying lags behind choosing: what rests on the DB has to wait for it (rules 12, 14 and 17)."""

from __future__ import annotations

from .mutant import mutant

EXPIRY = "storage/expiry.py"
LOG = "core/log/log.py"
PACE = "core/log/pace.py"
SERVE = "core/log/serve.py"
WRITE = "core/log/write.py"

PACING = (
    mutant(
        "evaluated on a DB that lags",
        14,
        "a batch is evaluated when all before it is chosen, not when it is applied",
        (
            WRITE,
            "        if entity.log.committed != entity.log.max_chosen:\n            return  # there",
            "        if entity.log.contiguous_chosen != entity.log.max_chosen:\n            return  # there",
        ),
        (
            WRITE,
            "        if not context.may_vote(entity, entry):\n            return  # rule 19",
            "        entry = entity.log.max_chosen + 1\n"
            "        if not context.may_vote(entity, entry):\n            return  # rule 19",
        ),
    ),
    mutant(
        "read served before its entry is applied",
        12,
        "a read is served when its entry is chosen",
        (
            SERVE,
            "        reads.applied(entity.log.applied)\n",
            "        reads.applied(max(entity.log.applied, entity.log.contiguous_chosen))\n",
        ),
    ),
    mutant(
        "who lags is forgotten",
        10,
        "what is left over after a turn is not applied until something else happens",
        (PACE, "            self._new[entity.id] = entity\n", ""),
        shown_by="tests/core/test_pace.py::test_those_that_lag_take_turns",
    ),
    mutant(
        "what lags is bounded without an exception",
        11,
        "beyond the bound not even the next entry to be applied is taken in",
        (LOG, "        if ahead == 1 or (\n", "        if (\n"),
        shown_by="tests/core/test_pace.py::test_the_next_entry_is_taken_in_however_much_others_hold",
    ),
    mutant(
        "expiry deletes an unapplied row",
        17,
        "a row that is chosen and not applied yet expires with those before it",
        (EXPIRY, "min(last, self._committed(entity) - 1)", "last + 1"),
        shown_by="tests/storage/test_expiry.py::test_rows_that_are_chosen_and_not_applied_stay",
    ),
)
