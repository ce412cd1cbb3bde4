"""Mistakes in the background budget: who is not held back, who is and must not be, who stands still."""

from __future__ import annotations

from .mutant import mutant

BUDGET = "core/turn/budget.py"
LEARN = "core/log/learn.py"
BUDGET_TESTS = "tests/core/test_budget.py"
PACING_TESTS = "tests/core/test_pacing.py"
WAITS = "return 0.0 if entity.reads or entity.writes.queue else context.budget.wait_ms(Job.CATCH_UP, context.now_ms)"

BACKGROUND = (
    mutant(
        "catch-up at any rate",
        11,
        "what is learned is booked, and waits for nothing",
        (LEARN, WAITS, "return 0.0"),
        shown_by=PACING_TESTS,
    ),
    mutant(
        "requests wait for the budget",
        12,
        "a read waits for an entry that is learned in the background",
        (LEARN, WAITS, "return context.budget.wait_ms(Job.CATCH_UP, context.now_ms)"),
        shown_by=PACING_TESTS,
    ),
    mutant(
        "a debt for ever",
        11,
        "who owes much waits for as long as it takes",
        (BUDGET, ", account.paid_at_ms + LONGEST_WAIT_MS - now_ms)", ", NEVER)"),
        (BUDGET, "FLOOR = 0.125\n", "FLOOR = 0.125\nNEVER = 1e18\n"),
        shown_by=BUDGET_TESTS,
    ),
    mutant(
        "nothing is left under load",
        11,
        "while requests keep the node busy nothing goes on behind them",
        (BUDGET, "return 1.0 - over * (1.0 - FLOOR)", "return 1.0 - over * 0.999999"),
        shown_by=BUDGET_TESTS,
    ),
    mutant(
        "all are alike",
        11,
        "what safety waits for gets no more than the rest",
        (BUDGET, "return URGENT_WEIGHT if job in self.urgent else 1.0", "return 1.0"),
        shown_by=BUDGET_TESTS,
    ),
    mutant(
        "back in time",
        11,
        "a clock that goes back has everybody wait until it is there again",
        (
            BUDGET,
            "self._settled_ms = self._window_began_ms = now_ms\n            for",
            "self._window_began_ms = now_ms\n            for",
        ),
        shown_by=BUDGET_TESTS,
    ),
)
