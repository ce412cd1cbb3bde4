"""Breadth-first exploration of three replicas with two entries: every state is reached, none is skipped.

The network is a set that only grows: every row ever shown may be delivered to anybody, at any time, any number of times, or
never. That is loss, duplication, delay and reordering at once. Of a replica, every row that was ever durable counts as
shown. Replicas begin rounds when they like, and crash when they like (`replica.py`: what they do then is production code).

What a replica does depends on its own state alone, so each distinct (state of a replica, event) is run once and remembered
by number. A state of the cluster is one integer: three such numbers and how many crashes there were.

Symmetry, all of it by construction rather than by search:
- Values are interchangeable: no transition looks into them or compares them but for equality. Each round of a replica brings a
  value of its own, named by its count; a replica that proposes one value twice is the same run with two names made one.
- Ballots are compared and never counted. Two proposers of three relabel to 0 and 1 in the order of their numbers, and so do
  their ballots, without changing any comparison: the pairs (0, 2) and (1, 2) have the same states as (0, 1).
- A replica whose own row is chosen keeps nothing else of that entry: production drops the entry when it applies it.

Settling (plans that are not `joint`). Interleavings of the two entries multiply. They are independent but for three things:
SECOND is proposed at only by who knows that FIRST is chosen (rule 11), pre-auth there depends on the value at FIRST, and a
crash strikes both. So such a plan explores FIRST to its end; from each state in which all know that it is chosen and no turn
is under way, it forgets FIRST but for what production has concluded from it (`Replica.settle`) and explores SECOND. No run
is lost that could break anything:
1. Nothing at FIRST depends on SECOND. Of any run, the steps at FIRST and the crash alone are a run as well, and explored.
2. Take a run with a step at SECOND, and stop before the first such step, made by a replica k that knows FIRST to be chosen. Who
   is in the middle of a turn then does nothing before it ends, by a sync or a crash: either may as well come first. Let
   everybody else learn from k's row. That state is explored. What the run does at SECOND from here it still can: knowing more
   about FIRST allows more, and changes nothing else.
3. Except by a crash: of what was learned too early, the row at FIRST is durable now, and may not have been in the run. It
   counts for max plog, so pre-auth at SECOND is off. It is off in the run as well: only the origin of the value at FIRST
   could hold it, and its own row there was durable in the run, unless it was lost in the crash; and there is only one.
   A chosen mark that the crash would have lost is kept: knowing allows more, and the row without it counts for max plog too.
`test_modelcheck.py` compares both ways of exploring, state by state.

Lost disks (`losing`). What a node has shown on a lost disk stays in the network, and a peer takes it in until it notes the
new one: in one step with its answer, for until all have answered the new life shows nothing. The fence and the sum G+1 are the
model's own here; what is done below a floor, and what is forgotten of a peer, is production's.
"""

from __future__ import annotations

from itertools import filterfalse, pairwise
from time import perf_counter
from typing import NamedTuple

from paxosstore.core.entry.record import Record

from .replica import EXPLORED, FIRST, SECOND, N, Node, Part, Replica
from .story import tell

BITS = 17
MASK = (1 << BITS) - 1
SHIFT = (0, BITS, 2 * BITS)
"""Where the numbers of the three replicas stand in the number of the cluster's state."""
CRASH = 1 << 3 * BITS
"""Counts the crashes, above them."""

Votes = frozenset[tuple[int, bytes]]
"""(ballot, value id) of everything a replica has ever accepted at an entry."""


Shown = tuple[tuple[tuple[int, Record], ...], ...]
"""(entry, row) of all that a node has ever shown, by the disk that it had then."""


class Rounds(NamedTuple):
    """How many rounds may be begun at one entry, pre-auth or full."""

    by: tuple[int, int, int] = (0, 0, 0)
    """By each replica."""
    in_all: int = 0
    """Each has a ballot of its own: so many ballots."""


class Plan(NamedTuple):
    """What is explored."""

    before: tuple[int, ...]
    """Where the value at BEFORE originated: who holds pre-auth at FIRST. Each is a start."""
    first: Rounds
    second: Rounds = Rounds()
    crashes: int = 0
    crashing: tuple[int, ...] = (0, 1, 2)
    """Who may crash."""
    joint: bool = False
    """All interleavings of both entries, instead of settling FIRST before SECOND."""
    hasty: tuple[int, ...] = ()
    """Who takes in events before the last ones are durable: several of one turn, and then some."""
    losing: int = -1
    """Who may lose its disk, and comes back by fence and floor (rule 19); -1: nobody."""
    losses: int = 0
    """How often."""
    copies: bool = False
    """Data may be copied from who has applied FIRST, and rows of what is applied expire (rules 16 and 17)."""


class Result(NamedTuple):
    states: int
    node_states: int
    seconds: float
    chosen: tuple[frozenset[bytes], frozenset[bytes]]
    """Every value that was chosen in some state, at FIRST and SECOND."""
    violation: str
    """What went wrong in some state, and how it came to it; empty: nothing."""


class Kind(NamedTuple):
    """All that the checks look at, of one entry at one replica."""

    votes: Votes = frozenset()
    said: bytes = b""
    """The value it calls chosen."""
    preauth: bool = False
    """Whether it has proposed by pre-auth."""


class Explorer:
    """One exploration."""

    def __init__(self, plan: Plan, *, holders: bool = True) -> None:
        assert plan.joint or (plan.crashes <= 1 and not plan.hasty and not plan.losses and not plan.copies), (
            "settling needs one crash at most"
        )
        self._plan = plan
        self._holders = holders
        """Whether two holders of pre-auth are a violation by themselves."""
        self._replicas = [Replica(me, hasty=me in plan.hasty) for me in range(N)]
        self._numbers: dict[Node, int] = {}
        self._nodes: list[Node] = []
        # by number of a node:
        self._proposes_at: list[int] = []
        """Index of the entry at which it may begin a round, as far as its own budget goes; -1: none."""
        self._rounds: list[tuple[int, ...]] = []
        self._shown: list[int] = []
        self._settled: list[int | None] = []
        """What settling adds to the number of the cluster's state; 0: not known yet; None: not to be settled."""
        self._kinds: tuple[list[int], list[int]] = ([], [])
        # interned:
        self._shown_numbers: dict[tuple[int, Shown], int] = {}
        self._rows: list[tuple[int, Shown]] = []
        """Number of what a node has shown -> who it is, and that."""
        self._kind_numbers: dict[Kind, int] = {}
        # remembered, as differences of the number of the cluster's state:
        self._heard: dict[int, tuple[int, ...]] = {}
        self._heard_row: dict[tuple[int, int, int, Record], int] = {}
        self._syncs: dict[int, tuple[int, ...]] = {}
        self._proposals: dict[int, tuple[int, ...]] = {}
        self._crashes: dict[int, tuple[int, ...]] = {}
        self._losses: dict[int, tuple[int, ...]] = {}
        self._answers: dict[tuple[int, int], tuple[int, ...]] = {}
        self._copies: dict[int, tuple[int, ...]] = {}
        self._verdicts: dict[tuple[int, int, int], tuple[frozenset[bytes], str]] = {}
        self.seen: set[int] = set()
        self.chosen = [frozenset[bytes](), frozenset[bytes]()]

    def run(self, limit: int) -> Result:
        """Visit every state; stop at the first violation. More than `limit` states are an error."""
        began = perf_counter()
        levels = [self._starts()]
        self.seen = set(levels[0])
        violation = ""
        while levels[-1] and not violation:
            assert len(self.seen) <= limit, f"more than {limit:,} states"
            violation = self._level(levels)
        first, second = self.chosen
        return Result(len(self.seen), len(self._nodes), perf_counter() - began, (first, second), violation)

    def _starts(self) -> list[int]:
        numbers = ([self._number(replica.first(before)) for replica in self._replicas] for before in self._plan.before)
        return [sum(number << shift for number, shift in zip(three, SHIFT, strict=True)) for three in numbers]

    def _level(self, levels: list[list[int]]) -> str:
        """All that is one step further than the last level."""
        seen, found = self.seen, list[int]()
        add, append, check, known = seen.add, found.append, self._check, seen.__contains__
        for state in levels[-1]:
            try:
                ways = self._ways_from(state)
            except AssertionError as error:
                return self._story(levels[:-1], state) + f"\nassertion: {error}"
            for one in filterfalse(known, map(state.__add__, ways)):
                add(one)
                append(one)
                if violation := check(one):
                    return self._story(levels, one) + f"\n{violation}"
        levels.append(found)
        return ""

    # -- states of the cluster

    def _ways_from(self, state: int) -> tuple[int, ...]:
        """What may happen next, as differences."""
        a, b, c = state & MASK, state >> BITS & MASK, state >> 2 * BITS & MASK
        shown, heard = self._shown, self._heard
        by_a, by_b, by_c = shown[a], shown[b], shown[c]
        ways = self._sync(a) + self._sync(b) + self._sync(c)
        hears = a << 20 | by_b, a << 20 | by_c, b << 20 | by_a, b << 20 | by_c, c << 20 | by_a, c << 20 | by_b
        for key in hears:
            after = heard.get(key)
            ways += self._hears(key) if after is None else after
        for number in (a, b, c):
            at = self._proposes_at[number]
            if at >= 0:
                rounds, plan = self._rounds, (self._plan.first, self._plan.second)
                if rounds[a][at] + rounds[b][at] + rounds[c][at] < plan[at].in_all:
                    ways += self._proposes(number)
        if self._plan.losses:
            ways += self._losing_ways((a, b, c))
        if self._plan.copies:
            ways += self._copying_ways((a, b, c))
        if state >> 3 * BITS < self._plan.crashes:
            ways += self._crash(a) + self._crash(b) + self._crash(c)
        if self._settled[a] is not None and self._settled[b] is not None and self._settled[c] is not None:
            settled = self._settle(a) + self._settle(b) + self._settle(c) + (state >> 3 * BITS) * CRASH
            ways += (settled - state,)
        return ways

    def _check(self, state: int) -> str:
        a, b, c = state & MASK, state >> BITS & MASK, state >> 2 * BITS & MASK
        for at, kinds in enumerate(self._kinds):
            key = kinds[a], kinds[b], kinds[c]
            verdict = self._verdicts.get(key)
            if verdict is None:
                known = list(self._kind_numbers)
                verdict = self._verdicts[key] = self._verdict([known[kind] for kind in key])
            values, violation = verdict
            if not values <= self.chosen[at]:
                self.chosen[at] |= values
            if violation:
                return f"{violation} at entry {EXPLORED[at]}"
        return ""

    def _verdict(self, kinds: list[Kind]) -> tuple[frozenset[bytes], str]:
        """What is chosen: what a majority has accepted under one ballot at some time, and what a replica calls chosen."""
        one, two, three = (kind.votes for kind in kinds)
        voted = {value for _, value in (one & two) | (one & three) | (two & three)}
        values = frozenset(voted | {kind.said for kind in kinds if kind.said})
        if len(values) > 1:
            return values, "two values chosen"
        if self._holders and sum(kind.preauth for kind in kinds) > 1:
            return values, "two holders of pre-auth"
        return values, ""

    def seconds(self) -> set[tuple[Part, ...]]:
        """What the three replicas have at SECOND, in each state that was visited.

        Whether a crash may still lose a chosen mark is left out: it may keep every mark, whatever else happens.
        """
        numbers: dict[Part, int] = {}
        number = []
        for node in self._nodes:
            part, mine = node.parts[1], node.mine(SECOND)
            part = part._replace(durable=mine) if mine.chosen else part
            number.append(numbers.setdefault(part, len(numbers)))
        threes = {tuple([number[state >> shift & MASK] for shift in SHIFT]) for state in self.seen}
        parts = list(numbers)
        return {tuple(parts[one] for one in three) for three in threes}

    def _story(self, levels: list[list[int]], last: int) -> str:
        """How it came to a state, found backwards: a line for each step."""
        path = [last]
        for level in reversed(levels):
            path.append(next(state for state in level if path[-1] - state in self._ways_from(state)))
        path.reverse()
        lines = []
        for before, after in pairwise(path):
            crashed = before >> 3 * BITS != after >> 3 * BITS
            pairs = [(self._nodes[before >> shift & MASK], self._nodes[after >> shift & MASK]) for shift in SHIFT]
            lines += [tell(one, other, crashed=crashed) for one, other in pairs if one != other]
        return "\n".join(lines)

    # -- states of one node

    def _number(self, node: Node) -> int:
        number = self._numbers.get(node)
        if number is not None:
            return number
        number = self._numbers[node] = len(self._nodes)
        assert number <= MASK, "more states of a node than fit"
        self._nodes.append(node)
        self._rounds.append(tuple(part.rounds for part in node.parts))
        at = node.committed + 1 - FIRST
        last = SECOND if self._plan.joint or node.settled else FIRST
        budget = (self._plan.first, self._plan.second)
        may = FIRST + at <= last and node.parts[at].rounds < budget[at].by[node.me]
        self._proposes_at.append(at if may else -1)
        self._settled.append(0 if not self._plan.joint and not node.settled and node.committed >= FIRST else None)
        key = node.me, node.lives
        shown = self._shown_numbers.setdefault(key, len(self._rows))
        if shown == len(self._rows):
            self._rows.append(key)
        self._shown.append(shown)
        for kinds, entry, part in zip(self._kinds, EXPLORED, node.parts, strict=True):
            kind = Kind() if node.settled and entry == FIRST else _kind(node, entry, part)
            kinds.append(self._kind_numbers.setdefault(kind, len(self._kind_numbers)))
        return number

    def _ways(self, number: int, after: set[int]) -> tuple[int, ...]:
        shift = SHIFT[self._nodes[number].me]
        return tuple((other - number) << shift for other in after if other != number)

    def _hears(self, key: int) -> tuple[int, ...]:
        number, shown = key >> 20, key & (1 << 20) - 1
        node = self._nodes[number]
        peer, lives = self._rows[shown]
        life = node.life if peer == self._plan.losing else 0
        rows = lives[life] if life < len(lives) else ()  # what an older disk has shown does not count (rule 19b)
        after = {self._hears_row(number, peer, entry, row) for entry, row in rows if entry > node.committed}
        ways = self._heard[key] = self._ways(number, after)
        return ways

    def _hears_row(self, number: int, peer: int, entry: int, row: Record) -> int:
        key = number, peer, entry, row
        after = self._heard_row.get(key)
        if after is None:
            node = self._nodes[number]
            after = self._heard_row[key] = self._number(self._replicas[node.me].hear(node, peer, entry, row))
        return after

    def _sync(self, number: int) -> tuple[int, ...]:
        ways = self._syncs.get(number)
        if ways is None:
            node = self._nodes[number]
            after = {self._number(self._replicas[node.me].synced(node))} if node.syncing else set()
            ways = self._syncs[number] = self._ways(number, after)
        return ways

    def _proposes(self, number: int) -> tuple[int, ...]:
        ways = self._proposals.get(number)
        if ways is None:
            node = self._nodes[number]
            after = {self._number(one) for one in self._replicas[node.me].proposals(node)}
            ways = self._proposals[number] = self._ways(number, after)
        return ways

    def _crash(self, number: int) -> tuple[int, ...]:
        ways = self._crashes.get(number)
        if ways is None:
            node = self._nodes[number]
            after = (
                {self._number(one) for one in self._replicas[node.me].crashes(node)} if node.me in self._plan.crashing else set()
            )
            ways = self._crashes[number] = tuple(way + CRASH for way in self._ways(number, after))
        return ways

    def _losing_ways(self, numbers: tuple[int, int, int]) -> tuple[int, ...]:
        """What a lost disk brings: it is lost, a peer answers, the floor is set."""
        losing, replicas = self._plan.losing, self._replicas
        number = numbers[losing]
        alone = self._losses.get(number)
        if alone is None:
            node, after = self._nodes[number], set()
            if node.life < self._plan.losses:
                after.add(self._number(replicas[losing].loses_disk(node)))
            if node.answered.bit_count() == N - 1:
                after.add(self._number(replicas[losing].has_floor(node)))
            alone = self._losses[number] = self._ways(number, after)
        for peer, other in enumerate(numbers):
            if peer != losing:
                way = self._answers.get((number, other))
                if way is None:
                    both = replicas[peer].answers(self._nodes[other], self._nodes[number])
                    way = ()
                    if both is not None:
                        noted, asking = map(self._number, both)
                        way = (((noted - other) << SHIFT[peer]) + ((asking - number) << SHIFT[losing]),)
                    self._answers[number, other] = way
                alone += way
        return alone

    def _copying_ways(self, numbers: tuple[int, int, int]) -> tuple[int, ...]:
        ways: tuple[int, ...] = ()
        ahead = any(self._nodes[number].committed >= FIRST for number in numbers)
        for number in numbers if ahead else ():
            copying = self._copies.get(number)
            if copying is None:
                node = self._nodes[number]
                replica = self._replicas[node.me]
                after = {self._number(one) for one in (replica.copies(node), replica.expires(node)) if one is not None}
                copying = self._copies[number] = self._ways(number, after)
            ways += copying
        return ways

    def _settle(self, number: int) -> int:
        after = self._settled[number]
        if not after:
            node = self._nodes[number]
            after = self._settled[number] = self._number(self._replicas[node.me].settle(node)) << SHIFT[node.me]
        return after


def _kind(node: Node, entry: int, part: Part) -> Kind:
    mine = part.rows[node.me]
    shown = [row for life in node.past for at, row in life if at == entry] + list(part.shown)
    return Kind(
        frozenset((row.accepted, row.value.id) for row in shown if row.accepted and row.value),
        mine.value.id if mine.chosen and mine.value is not None else b"",
        any(0 < row.prepared <= N for row in shown),
    )
