"""What is explored: in every test run, and by `python -m tests.modelcheck`.

In all of them the proposers are replicas 0 and 1. `before` says who holds pre-auth at the first entry: 2 is nobody.
"""

from __future__ import annotations

from .explorer import Plan, Rounds

ANY = (0, 1, 2)

LOST = Plan((0,), Rounds((1, 0, 1), 2), joint=True, losing=0, losses=1)
"""Node 0 holds pre-auth and may lose its disk, node 2 begins a full round."""
COPIED = Plan((0,), Rounds((0, 0, 1), 1), Rounds((1, 0, 1), 1), joint=True, copies=True)
"""The entry before was node 0's, FIRST is node 2's. Data may be copied, rows expire."""

SMALL = {
    "one entry, rounds 2 : 1": Plan((2,), Rounds((2, 1, 0), 3)),
    "two entries, two ballots each, a crash": Plan((0,), Rounds((1, 1, 0), 2), Rounds((1, 1, 0), 2), crashes=1),
    "both at once, one ballot each, a crash": Plan((0,), Rounds((1, 1, 0), 1), Rounds((1, 1, 0), 1), crashes=1, joint=True),
    "both at once, hasty": Plan((0,), Rounds((1, 0, 0), 1), Rounds((1, 0, 0), 1), crashes=1, joint=True, hasty=(0,)),
    "a lost disk": LOST,
    "copied data, expired rows": COPIED,
}

FULL = {
    "one entry, rounds 2 : 1": SMALL["one entry, rounds 2 : 1"],
    "one entry, rounds 2 : 2": Plan(ANY, Rounds((2, 2, 0), 4)),
    "one entry, rounds 2 : 2, no pre-auth, 0 may crash": Plan((2,), Rounds((2, 2, 0), 4), crashes=1, crashing=(0,)),
    "one entry, rounds 2 : 2, with pre-auth, 0 may crash": Plan((0,), Rounds((2, 2, 0), 4), crashes=1, crashing=(0,)),
    "two entries, three ballots each, a crash": Plan(ANY, Rounds((3, 3, 0), 3), Rounds((3, 3, 0), 3), crashes=1),
    "both at once, two ballots each, a crash": Plan((0,), Rounds((1, 1, 0), 2), Rounds((1, 1, 0), 2), crashes=1, joint=True),
    "both at once, hasty, a crash": Plan((0,), Rounds((1, 1, 0), 1), Rounds((1, 1, 0), 1), crashes=1, joint=True, hasty=ANY),
    "both at once, 0 is hasty and crashes twice": Plan(
        (0,), Rounds((1, 0, 0), 1), Rounds((2, 0, 0), 2), crashes=2, crashing=(0,), joint=True, hasty=(0,)
    ),
    "a disk is lost twice": LOST._replace(losses=2),
    "a disk is lost, no pre-auth": LOST._replace(before=(1,)),
    "a disk is lost, and a crash": LOST._replace(crashes=1, crashing=(0,)),
    "a disk is lost, two entries": LOST._replace(first=Rounds((1, 0, 1), 1), second=Rounds((1, 0, 1), 1)),
    "copied data, expired rows, by pre-auth": COPIED._replace(first=Rounds((1, 0, 0), 1)),
    "copied data, expired rows, a lost disk": COPIED._replace(second=Rounds((0, 0, 1), 1), losing=0, losses=1),
    "copied data, expired rows, a crash": COPIED._replace(second=Rounds((1, 0, 0), 1), crashes=1, crashing=(0,)),
}
