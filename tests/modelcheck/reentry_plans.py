"""What is explored of rule 19, in tests and by `python -m tests.modelcheck`; and what shows that each clause is needed."""

from __future__ import annotations

from typing import NamedTuple

from .reentry import ALL, Model, Plan, Result

ONE = Plan(rounds=(1, 0, 1), losses=(1, 0, 0), in_all=1)
PREAUTH = Plan(rounds=(0, 0, 1), origin=0, losses=(1, 0, 0), in_all=1)
TWO_NODES = Plan(rounds=(0, 0, 1), origin=0, losses=(1, 1, 0), in_all=2)
FIVE = Plan(
    n=5,
    rounds=(0, 0, 0, 0, 1),
    later=(1, 0, 0, 0, 0),
    losses=(1, 0, 0, 0, 0),
    in_all=1,
    before=(0, 1, 2, 3, 4),
    alike=(1, 2, 3),
    away=(4,),
    reads=False,
)
"""0 votes, loses its disk and proposes in its second life; 4 does not come to know of it, and has 0's old promise."""
FIVE_BEHIND = FIVE._replace(before=(0, 1, 4), alike=(2, 3))
"""So too, where two of those who are asked know nothing of the entry before."""
FOUNDING = Plan(rounds=(0, 0, 1), origin=0, losses=(1, 1, 1), in_all=1, founding=True)
FOUNDING_LOST = FOUNDING._replace(rounds=(0, 0, 0), losses=(1, 1, 0), in_all=2)
FOUNDING_LOST_TWICE = FOUNDING._replace(rounds=(0, 0, 0), losses=(0, 0, 2), in_all=2)
"""A majority is lost, and the third node has not heard that the cluster has begun."""
FOUNDING_DAMAGED = FOUNDING._replace(rounds=(0, 0, 0), damaged=(0, 1, 2))
"""A store is damaged before the cluster has begun, or while not all know that it has."""
COPY = Plan(rounds=(1, 0, 1), losses=(1, 0, 0), in_all=1, copies=(0,))
FORCED = Plan(rounds=(1, 0, 0), losses=(1, 1, 0), in_all=2, force=True)
"""A majority is lost, and 2 is left."""
FORCED_FIVE = Plan(
    n=5,
    rounds=(0, 0, 0, 0, 0),
    later=(1, 0, 0, 0, 0),
    origin=0,
    losses=(1, 1, 0, 0, 0),
    in_all=2,
    before=(0, 1, 2, 3, 4),
    away=(2,),
    reads=False,
    force=True,
)
"""Two of five are lost and one is down: 3 and 4 are left."""

SMALL = {
    "a lost disk": ONE,
    "a lost disk, who lost it knows more than one peer": ONE._replace(before=(0, 1)),
    "a lost disk, pre-auth": PREAUTH._replace(rounds=(1, 0, 1)),
    "the same disk lost twice": PREAUTH._replace(losses=(2, 0, 0), in_all=2),
    "two disks lost": TWO_NODES,
    "five nodes, one away": FIVE,
    "five nodes, one away, some behind": FIVE_BEHIND,
    "an older copy of a directory": COPY,
    "a cluster begins, a store is damaged": FOUNDING_DAMAGED,
    "a cluster begins, a store is damaged, and new at once": FOUNDING_DAMAGED._replace(at_once=True),
    "a majority lost, forced": FORCED,
    "a majority of five lost, forced": FORCED_FIVE,
}

FULL = {
    **SMALL,
    "three proposers": Plan(rounds=(1, 1, 1), losses=(1, 1, 1), in_all=1),
    "any two disks, or one twice": Plan(rounds=(1, 0, 1), origin=0, losses=(2, 2, 2), in_all=2),
    "any two disks, or one twice, one node behind": Plan(rounds=(1, 0, 1), origin=0, losses=(2, 2, 2), in_all=2, before=(0, 1)),
    "two rounds": Plan(rounds=(2, 0, 1), losses=(1, 0, 1), in_all=1),
    "a copy of either proposer": COPY._replace(copies=(0, 2), losses=(0, 0, 0), in_all=0),
    "a copy, and another disk is lost": COPY._replace(losses=(0, 1, 1)),
    "a majority lost, forced, pre-auth": FORCED._replace(origin=0),
    "a majority lost, forced, who is left proposes": FORCED._replace(rounds=(1, 0, 1)),
    "five nodes": FIVE._replace(away=(), reads=True),
    "five nodes, one away, pre-auth": FIVE._replace(origin=0),
    "five nodes, one away, two disks lost": FIVE._replace(alike=(2, 3), losses=(1, 1, 0, 0, 0), in_all=2),
    "five nodes, one away, some behind, two disks lost": FIVE_BEHIND._replace(losses=(1, 1, 0, 0, 0), in_all=2),
    "a cluster begins, a disk is lost": FOUNDING,
    "a cluster begins, two disks are lost": FOUNDING._replace(rounds=(0, 0, 0), losses=(2, 2, 2), in_all=2),
    "a cluster begins, a store is damaged, with a proposer": FOUNDING_DAMAGED._replace(rounds=(0, 0, 1)),
    "a cluster begins, two stores are damaged": FOUNDING_DAMAGED._replace(losses=(2, 2, 2), in_all=2),
    "a cluster begins, a store is damaged, and new at once, another disk is lost": FOUNDING_DAMAGED._replace(
        damaged=(0,), losses=(1, 1, 0), in_all=2, at_once=True
    ),
    "a cluster begins, a store is damaged, another disk is lost": FOUNDING_DAMAGED._replace(
        damaged=(0,), losses=(2, 2, 2), in_all=2
    ),
}


class Removed(NamedTuple):
    """A clause of the rule taken away, and a least plan in which that shows."""

    clause: str
    plan: Plan
    found: str

    def run(self, limit: int) -> Result:
        return Model(self.plan, ALL._replace(**{self.clause: False})).run(limit)

    @property
    def name(self) -> str:
        return f"19 without {self.clause}: {self.found}"


CHOSEN = "two values chosen"
STALE = "a stale read"
CLUSTERS = "two clusters"

REMOVED = [
    Removed("know", ONE._replace(reads=False), CHOSEN),
    Removed("know", ONE, STALE),
    Removed("know", FOUNDING, STALE),
    Removed("retire", COPY._replace(reads=False), CHOSEN),
    Removed("retire", COPY, STALE),
    Removed("intact", TWO_NODES._replace(reads=False), CHOSEN),
    Removed("fence", PREAUTH._replace(reads=False), CHOSEN),
    Removed("note_first", PREAUTH._replace(reads=False), CHOSEN),
    Removed("enough", ONE._replace(reads=False, before=(0, 1)), CHOSEN),
    Removed("floor", ONE._replace(reads=False), CHOSEN),
    Removed("two_above", FIVE_BEHIND, CHOSEN),
    Removed("default_two", FIVE, CHOSEN),
    Removed("floor_counts", TWO_NODES._replace(reads=False), CHOSEN),
    Removed("silent_below", ONE._replace(reads=False), CHOSEN),
    Removed("no_preauth", PREAUTH._replace(reads=False), CHOSEN),
    Removed("reads", ONE, STALE),
    Removed("all_agree", FOUNDING, CLUSTERS),
    Removed("same_tables", FOUNDING, CLUSTERS),
    Removed("remember", FOUNDING_LOST, STALE),
    Removed("same_disk", FOUNDING, STALE),
    Removed("live", FOUNDING_LOST_TWICE, CLUSTERS),
    Removed("inherit", FORCED, STALE),
    Removed("inherit", FORCED._replace(reads=False), CHOSEN),
    Removed("fence_all", FORCED, CHOSEN),
    Removed("inherit_from_all", FORCED_FIVE, CHOSEN),
]
