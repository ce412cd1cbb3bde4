"""When copies and catch-up are what safety waits for: requests do not slow them down then (core/turn/budget.py)."""

from __future__ import annotations

from .budget import Job
from .context import Context
from .standing import State

COPIES = frozenset((Job.CATCH_UP, Job.SNAPSHOTS))


def judge(context: Context) -> None:
    """The cluster is short of a node: one more failure, and what that node has not learned yet keeps a majority from being one.

    That is so while a peer is down or only learns, and while this node itself comes back.
    """
    row, budget = context.standing.row, context.budget
    comes_back = row.state is not State.MEMBER or row.passed < row.floors
    if comes_back or context.reach.is_anybody_missing:
        budget.urgent |= COPIES
    else:
        budget.urgent -= COPIES
