"""What is explored: in every test run, and by `python -m tests.modelcheck`.

In all of them the proposers are replicas 0 and 1. `before` says who holds pre-auth at the first entry: 2 is nobody.
"""

from __future__ import annotations

from .explorer import Plan, Rounds

ANY = (0, 1, 2)

SMALL = {
    "one entry, rounds 2 : 1": Plan((2,), Rounds((2, 1, 0), 3)),
    "two entries, two ballots each, a crash": Plan((0,), Rounds((1, 1, 0), 2), Rounds((1, 1, 0), 2), crashes=1),
    "both at once, one ballot each, a crash": Plan((0,), Rounds((1, 1, 0), 1), Rounds((1, 1, 0), 1), crashes=1, joint=True),
    "both at once, hasty": Plan((0,), Rounds((1, 0, 0), 1), Rounds((1, 0, 0), 1), crashes=1, joint=True, hasty=(0,)),
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
}
