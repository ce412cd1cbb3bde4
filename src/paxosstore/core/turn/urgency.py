"""When copies and catch-up are what safety waits for: requests do not slow them down then (core/turn/budget.py)."""

from __future__ import annotations

from .budget import Job
from .context import Context
from .standing import StandingRow, State

COPIES = frozenset((Job.CATCH_UP, Job.SNAPSHOTS))


class Urgency:
    """Tells the budget, whenever it has become another."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._judged: tuple[StandingRow, bool] | None = None

    def judge(self) -> None:
        """Whether the cluster is short of a node: one more failure, and what that node has not learned yet keeps a majority from
        being one.

        That is so while a peer is down or only learns, and while this node itself comes back.
        """
        row, missing = self._context.standing.row, self._context.reach.is_anybody_missing
        if self._judged is not None and self._judged[0] is row and self._judged[1] is missing:
            return  # as in nearly every turn
        self._judged = row, missing
        budget = self._context.budget
        comes_back = row.state is not State.MEMBER or row.passed < row.floors
        if comes_back or missing:
            budget.urgent |= COPIES
        else:
            budget.urgent -= COPIES
