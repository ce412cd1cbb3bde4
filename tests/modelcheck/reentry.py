"""Rule 19 by itself: every order of events in a small model, written from the rule alone and sharing nothing with production.

Acceptors are plain records, and one entry, E, is played out; of the entry before it only who has a row there is known (it is
chosen from the beginning: rule 11). Whatever was ever shown or said may be delivered to anybody, at any time, any number of
times, or never. A row is durable the moment it changes: what a crash forgets is the other model's part (`explorer.py`). A
node that loses its disk comes back as another life of the same number. Each clause of the rule has a switch (`Clauses`).

What is checked in each state, all of it a step that some node could take:
- whoever may count a majority of rows accepted under one ballot concludes what is chosen: always the same value;
- once something is chosen, no majority answers a read question with "nothing accepted at E";
- with a founding to play out: the members that are there have begun in the same cluster.

Where this is coarser than production it allows more: rows that were shown may be counted at any time, not only while they are in
memory, and without raising the own promise; nobody learns that E is chosen, so that all go on voting.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from time import perf_counter
from typing import NamedTuple, TypeVar

BEYOND = 9
"""The floor of who has none yet: it only learns."""
E = 2
"""The entry that is played out. The one before it is chosen; below that all have everything."""


class Row(NamedTuple):
    prepared: int = 0
    promised: int = 0
    accepted: int = 0
    value: int = 0


EMPTY = Row()


class Clauses(NamedTuple):
    """The clauses of rule 19; each can be taken away."""

    know: bool = True
    """a. Who has lost its disk does not vote at once."""
    retire: bool = True
    """a. A directory that is an older copy is found out by its peers, and draws another disk id."""
    intact: bool = True
    """c. Only who has a floor itself is asked."""
    fence: bool = True
    """b. A peer has noted the new disk before it answers, and takes in nothing of the old one from then on."""
    note_first: bool = True
    """b. The note comes before the answer."""
    enough: bool = True
    """c. n - majority + 1 peers are asked, not one less."""
    floor: bool = True
    """c. The floor is above G, the highest entry at which they have anything."""
    two_above: bool = True
    """c. G+2 while a peer has not answered."""
    default_two: bool = True
    """c. So too for an entity that none of them knows."""
    floor_counts: bool = True
    """c. Who has a floor answers with what is below it, although it has nothing there."""
    silent_below: bool = True
    """c. Below the floor nothing is voted for."""
    no_preauth: bool = True
    """d. Nothing is proposed below the floor either, although learning has made the node the origin of the last value."""
    reads: bool = True
    """c. A read answer counts once everything below the floor is known to be chosen."""
    all_agree: bool = True
    """A new cluster begins when all n say that they are new and see the same n disks; else: when two of them do."""
    same_tables: bool = True
    """That all n are new is not enough: they see the same disks."""
    remember: bool = True
    """Who is new and has seen the disks of a majority replaced begins no cluster, nor does anybody on its word."""
    same_disk: bool = True
    """Who is new and hears of a cluster is a member by its disk, not by its number."""
    live: bool = True
    """A link is made only with who is alive: once another disk was seen, the one before it is not seen any more."""
    inherit: bool = True
    """Forced: who comes back takes over the rows of those intact nodes that it reaches."""
    inherit_from_all: bool = True
    """Forced: all of them, not the first to answer."""
    fence_all: bool = True
    """Forced: nobody who is there takes in anything more of any disk that is lost, not only of the asker's: time has passed."""


ALL = Clauses()


class Plan(NamedTuple):
    """What is explored."""

    n: int = 3
    rounds: tuple[int, ...] = (1, 0, 1)
    """How many prepare phases each node may begin in its first life."""
    later: tuple[int, ...] = ()
    """And in each one after it; (): as many."""
    origin: int = -1
    """Where the value before E originated: it holds pre-auth at E; -1: nobody."""
    losses: tuple[int, ...] = (1, 0, 0)
    """How often each node may lose its disk."""
    in_all: int = 2
    before: tuple[int, ...] = (0, 1, 2)
    """Who has a row at the entry before; all of n: it may stand for E = 1, which has none before it."""
    founding: bool = False
    """The nodes begin with empty disks (E = 1)."""
    copies: tuple[int, ...] = ()
    """Whose directory may be replaced, once, by a copy that was made before its last start."""
    reads: bool = True
    """Whether read answers are checked."""
    alike: tuple[int, ...] = ()
    """Nodes that differ in nothing that is explored: neither rounds nor losses. States are the same but for their order."""
    away: tuple[int, ...] = ()
    """Who does not come to know of any lost disk; where others are forced, who is down all the time."""
    damaged: tuple[int, ...] = ()
    """With a founding: whose lost disks are damaged stores, which re-enter, and are new if all others are (rule 19f)."""
    at_once: bool = False
    """Those are new whatever the others say: as an empty disk is, which rule 19f asks more of for people's sake."""
    force: bool = False
    """A majority is lost, and goes on with those that are left: what one of them has accepted stays."""


T = TypeVar("T")
NEW, MEMBER, REENTERING = 0, 1, 2
Table = tuple[int, ...]
"""The life of each node."""


class Node(NamedTuple):
    life: int
    base: bool
    """Knows the entry before E."""
    row: Row
    floor: int
    asked: int
    """G as far as its peers have answered, when it comes back."""
    answers: int
    """How many have."""
    rounds: int
    known: Table
    """Of each node the life whose disk it has noted; -1: not heard of."""
    answered: Table
    """To which life of each node it has answered about re-entry; -1: to none."""
    shown: tuple[frozenset[Row], ...]
    """Of each of its lives, every row it ever had."""
    standing: int = MEMBER
    founded: Table = ()
    news: frozenset[tuple[int, Table]] = frozenset()
    """Each (life, what it saw) with which it said that it is new."""
    joined: frozenset[tuple[int, Table]] = frozenset()
    """Each (life, founding table) with which it said that it is a member."""
    copy: tuple[Row, bool, int, Table] | None = None
    replaced: frozenset[int] = frozenset()
    """Nodes that it has seen on more than one disk."""
    left: Row = EMPTY
    """Forced: the best of what those that have answered hold."""
    said: int = 0
    """Forced: a bit for each of them."""
    forced: bool = False
    damaged: bool = False
    """It re-enters because its store was damaged, and has heard of no cluster."""
    told: Table = ()
    """The founding that it has been told of, when it re-enters with an empty disk."""


State = tuple[int, ...]
"""What anybody has been able to conclude (0: nothing), and the number of each node's state."""


class Result(NamedTuple):
    states: int
    seconds: float
    violation: str


class Model:
    """One exploration, breadth first."""

    def __init__(self, plan: Plan, clauses: Clauses = ALL) -> None:
        self._plan = plan
        self._clauses = clauses
        self._majority = plan.n // 2 + 1
        self._came: dict[State, State] = {}
        """Each state, and one that it came from."""
        self._numbers: dict[Node, int] = {}
        self._nodes: list[Node] = []
        self._alone: dict[tuple[int, int], list[tuple[str, int]]] = {}
        """What a node may do by itself, and what becomes of it: the same in each state of the cluster."""
        self._pairs: dict[tuple[int, int, int, int], list[tuple[str, int, int]]] = {}
        """What may happen between it and a peer, and what becomes of both."""

    def run(self, limit: int) -> Result:
        """Visit every state; stop at the first violation. More than `limit` states are an error."""
        began = perf_counter()
        came = self._came
        first = (0, *map(self._number, self._first()))
        came[first] = ()
        level = [first]
        while level:
            found = []
            for state in level:
                for _, changed in self._ways(state):
                    after = self._sorted(changed)
                    if after in came:
                        continue
                    chosen, violation = self._judge(after)
                    after = (chosen, *after[1:])
                    if after not in came:
                        came[after] = state
                        found.append(after)
                    if violation:
                        return Result(len(came), perf_counter() - began, f"{self._story(after)}\n{violation}")
            level = found
            assert len(came) <= limit, f"more than {limit:,} states"
        return Result(len(came), perf_counter() - began, "")

    def _number(self, node: Node) -> int:
        number = self._numbers.setdefault(node, len(self._nodes))
        if number == len(self._nodes):
            self._nodes.append(node)
        return number

    def _sorted(self, state: State) -> State:
        if not self._plan.alike:
            return state
        row = iter(sorted([state[1 + at] for at in self._plan.alike]))
        return tuple([next(row) if at - 1 in self._plan.alike else number for at, number in enumerate(state)])

    def _first(self) -> list[Node]:
        plan, nodes = self._plan, []
        for me in range(plan.n):
            known = tuple([0 if not plan.founding or other == me else -1 for other in range(plan.n)])
            node = Node(0, me in plan.before, EMPTY, 0, 0, 0, 0, known, (-1,) * plan.n, (frozenset(),))
            if plan.founding:
                node = node._replace(floor=BEYOND, standing=NEW, base=True)
            nodes.append(node)
        return nodes

    # -- what may happen

    def _ways(self, state: State) -> Iterator[tuple[str, State]]:
        nodes = tuple([self._nodes[number] for number in state[1:]])
        for me, node in enumerate(nodes):
            if self._plan.force and me in self._plan.away:
                continue
            number = state[1 + me]
            alone = self._alone.get((me, number))
            if alone is None:
                ways = [(f"{me} {what}", self._number(after)) for what, after in self._by_itself(me, node) if after != node]
                alone = self._alone[me, number] = ways
            for what, after in alone:
                yield what, (*state[: 1 + me], after, *state[2 + me :])
            for peer, other in enumerate(nodes):
                if peer != me:
                    key = me, number, peer, state[1 + peer]
                    pairs = self._pairs.get(key)
                    if pairs is None:
                        pairs = self._pairs[key] = [
                            (f"{me} {what}", self._number(after), self._number(then))
                            for what, after, then in self._with_peer(me, node, peer, other)
                            if after != node or then != other
                        ]
                    for what, after, then in pairs:
                        changed = list(state)
                        changed[1 + me], changed[1 + peer] = after, then
                        yield what, tuple(changed)
            for what, done in self._with_all(nodes, me, node):
                yield f"{me} {what}", (*state[: 1 + me], self._number(done), *state[2 + me :])
            if self._plan.force:
                for what, all_of_them in self._forces(nodes, me, node):
                    yield what, (state[0], *map(self._number, all_of_them))

    def _by_itself(self, me: int, node: Node) -> Iterator[tuple[str, Node]]:
        plan, clauses, row = self._plan, self._clauses, node.row
        rounds = plan.rounds[me] if node.life == 0 or not plan.later else plan.later[me]
        if self._votes(node) and node.rounds < rounds:
            ballot = (max(row.promised, plan.n) - me - 1) // plan.n * plan.n + plan.n + me + 1
            begun = row._replace(prepared=ballot, promised=ballot)
            yield f"prepares {ballot}", self._becomes(node, begun)._replace(rounds=node.rounds + 1)
        if plan.origin == me and node.base and row == EMPTY:
            held = node.life == 0 or bool(node.founded) or not clauses.no_preauth
            if held and (node.floor <= E or not clauses.no_preauth):
                yield from self._preauth(me, node)
        if node.floor == BEYOND and node.standing == REENTERING:
            yield from self._reenters(node)
        if me in plan.copies and node.standing == MEMBER:
            if node.copy is None and row != EMPTY:
                yield "is copied, and starts again", node._replace(copy=(row, node.base, node.floor, node.known))
            elif node.copy is not None and node.copy[0] != EMPTY:
                yield "is replaced by the copy", self._copied(me, node)

    def _with_peer(self, me: int, node: Node, peer: int, other: Node) -> Iterator[tuple[str, Node, Node]]:
        if self._votes(node):
            for theirs in self._shown(node, peer, other):
                yield f"hears {peer}: {_tell(theirs)}", self._becomes(node, _heard(node.row, theirs)), other
        if not node.base and other.base:
            yield "learns the entry before", node._replace(base=True), other
        if me in self._plan.away:
            return
        clauses, waits = self._clauses, other.standing == REENTERING and other.floor == BEYOND
        unnoted = waits and not other.damaged  # that one may be new again
        if node.known[peer] != other.life and not (unnoted and clauses.fence and clauses.note_first):
            for life in [other.life] if clauses.live else range(other.life + 1):
                noted = node._replace(known=_with(node.known, peer, life))
                if node.standing == NEW and node.known[peer] >= 0:
                    noted = noted._replace(replaced=node.replaced | {peer})
                yield f"notes disk {life} of {peer}", noted, other
        if waits and node.answered[peer] != other.life and (node.standing == MEMBER or not clauses.intact):
            answered = node._replace(answered=_with(node.answered, peer, other.life))
            if clauses.fence and clauses.note_first:  # nothing is lost by noting it no earlier: until then it shows nothing
                answered = answered._replace(known=_with(node.known, peer, other.life))
            highest = self._highest(node)
            asking = other._replace(asked=max(other.asked, highest), answers=other.answers + 1)
            if self._plan.force:  # over a link of the disk that it is on
                asking = asking._replace(known=_with(other.known, me, node.life))
            yield f"answers {peer}: it has something at {highest}", answered, asking

    def _with_all(self, nodes: tuple[Node, ...], me: int, node: Node) -> Iterator[tuple[str, Node]]:
        row, plan = node.row, self._plan
        if self._votes(node) and row.prepared == row.promised > row.accepted:
            for value in self._found(nodes, me, node, _own(me, plan.n, node.life, row.prepared)):
                yield f"proposes {value}", self._becomes(node, row._replace(accepted=row.prepared, value=value))
        if node.standing == NEW:
            yield from self._founds(nodes, me, node)
        if (node.damaged or node.told) and node.standing == REENTERING:
            yield from self._is_new_again(nodes, me, node)
        if node.life < plan.losses[me] and sum(other.life for other in nodes) < plan.in_all:
            yield "loses its disk", self._lost(me, node, [other.life for other in nodes])

    def _is_new_again(self, nodes: tuple[Node, ...], me: int, node: Node) -> Iterator[tuple[str, Node]]:
        peers = [(peer, node.known[peer], other) for peer, other in enumerate(nodes) if peer != me]
        new = -1 not in node.known and all((life, node.known) in other.news for _, life, other in peers)
        there = sum(node.told[peer] == life for peer, life, _ in peers) if node.told else self._majority
        if (self._plan.at_once and node.damaged) or (new and there >= self._majority):
            after = node._replace(standing=NEW, damaged=False, told=(), asked=0, answers=0)
            yield "is new again: all others are new", after
        if node.damaged:
            for peer, life, other in peers:
                for table in [table for said, table in other.joined if said == life]:
                    yield f"hears from {peer} that a cluster has begun", node._replace(damaged=False, told=table)

    # -- Paxos

    def _votes(self, node: Node) -> bool:
        return node.base and (node.floor <= E or not self._clauses.silent_below)

    def _preauth(self, me: int, node: Node) -> Iterator[tuple[str, Node]]:
        ballot = me + 1
        row = Row(ballot, ballot, ballot, _own(me, self._plan.n, node.life, ballot))
        if node.floor <= E:
            yield f"proposes {row.value} by pre-auth", self._becomes(node, row)
        else:  # its vote does not count, so it only asks for others
            shown = (*node.shown[:-1], node.shown[-1] | {Row(ballot, ballot, 0, row.value)})
            yield f"proposes {row.value} by pre-auth, below its floor", node._replace(shown=shown)

    def _shown(self, node: Node, peer: int, other: Node) -> Iterator[Row]:
        """Rows of a peer that a node may take in."""
        if self._clauses.fence:
            if 0 <= node.known[peer] < len(other.shown):
                yield from other.shown[node.known[peer]]
        else:
            for shown in other.shown:
                yield from shown

    def _found(self, nodes: tuple[Node, ...], me: int, node: Node, own: int) -> set[int]:
        """What may be proposed under the prepared ballot: a value for each choice of rows that make a majority of promises."""
        ballot = node.row.prepared
        choices: list[list[Row]] = []
        for peer, other in enumerate(nodes):
            rows = [row for row in self._shown(node, peer, other) if row.promised <= ballot]
            choices.append([node.row] if peer == me else [EMPTY, *rows])
        values = set()
        for picked in product(*choices):
            if sum(row.promised == ballot for row in picked) >= self._majority:
                best = max(picked, key=lambda row: row.accepted)
                values.add(best.value if best.accepted else own)
        return values

    def _becomes(self, node: Node, row: Row) -> Node:
        return node._replace(row=row, shown=(*node.shown[:-1], node.shown[-1] | {row}))

    # -- lost disks

    def _lost(self, me: int, node: Node, lives: list[int]) -> Node:
        """It comes back with an empty directory, and hears of those who are there."""
        founding, life = self._plan.founding, node.life + 1
        known = tuple([life if at == me else -1 if founding else other for at, other in enumerate(lives)])
        floor = BEYOND if self._clauses.know else 0
        standing = NEW if founding else REENTERING if self._clauses.know else MEMBER
        base = founding or self._plan.force  # it has learned what is applied by the time at which it is forced
        after = Node(life, base, EMPTY, floor, 0, 0, 0, known, (-1,) * len(lives), (*node.shown, frozenset()), standing)
        if me in self._plan.damaged:
            after = after._replace(standing=REENTERING, damaged=True)
        return after._replace(news=node.news, joined=node.joined)

    def _copied(self, me: int, node: Node) -> Node:
        """It comes back with an old directory: unless it is found out, as if nothing had been."""
        assert node.copy is not None
        row, base, floor, known = node.copy
        after = node._replace(row=row, base=base, floor=floor, known=known, copy=(EMPTY, False, 0, ()))
        if self._clauses.retire:
            life = node.life + 1
            after = after._replace(
                life=life, floor=BEYOND, known=_with(known, me, life), shown=(*node.shown, frozenset({row})), standing=REENTERING
            )
        return after

    def _highest(self, node: Node) -> int:
        has = E if node.row != EMPTY else E - 1 if node.base else E - 2
        if self._clauses.floor_counts and node.floor != BEYOND:
            return max(has, node.floor - 1)
        return has

    def _reenters(self, node: Node) -> Iterator[tuple[str, Node]]:
        clauses, plan = self._clauses, self._plan
        if node.answers >= plan.n - self._majority + (1 if clauses.enough else 0):
            floor = node.asked + (1 if clauses.floor else 0)
            first = len(plan.before) == plan.n and node.asked == E - 1  # E may be 1, of an entity that nobody knows
            if node.answers < plan.n - 1 and clauses.two_above and (clauses.default_two or not first):
                floor += 1
            yield f"has the floor {floor}", node._replace(floor=floor, standing=MEMBER, asked=0, answers=0)

    def _forces(self, nodes: tuple[Node, ...], me: int, node: Node) -> Iterator[tuple[str, tuple[Node, ...]]]:
        """A majority is lost: who is left says what it has, and who comes back goes on from that. (What they have applied is
        all before E.)"""
        clauses, lives = self._clauses, tuple([other.life for other in nodes])
        away = self._plan.away  # and who is forced at the same time need not be known
        left = [peer for peer, other in enumerate(nodes) if other.standing == MEMBER and not other.forced and peer not in away]
        if node.standing != REENTERING or not left or len(left) > self._plan.n - self._majority:
            return
        for peer in left:
            if not node.said >> peer & 1:
                other = nodes[peer]
                known = lives if clauses.fence_all else _with(other.known, me, node.life)
                best = _best(node.left, other.row)
                asking = node._replace(left=best, said=node.said | 1 << peer, known=_with(node.known, peer, other.life))
                answering = other._replace(known=known, answered=_with(other.answered, me, node.life))
                yield f"{peer} tells {me} what it has: {_tell(other.row)}", _with(_with(nodes, me, asking), peer, answering)
        heard = sum(node.said >> peer & 1 for peer in left)
        if heard == len(left) or (heard and not clauses.inherit_from_all):
            forced = node._replace(floor=E, standing=MEMBER, asked=0, answers=0, left=EMPTY, said=0, forced=True)
            row = node.left if clauses.inherit else EMPTY
            after = _with(nodes, me, self._becomes(forced, row) if row != EMPTY else forced)
            if clauses.fence_all:
                after = tuple([other if at in self._plan.away else other._replace(known=lives) for at, other in enumerate(after)])
            yield f"{me} is forced, with {_tell(row)}", after

    # -- founding

    def _founds(self, nodes: tuple[Node, ...], me: int, node: Node) -> Iterator[tuple[str, Node]]:
        sees, clauses = node.known, self._clauses
        doubts = clauses.remember and len(node.replaced) >= self._majority
        if -1 not in sees and not doubts:
            yield f"is new and sees {sees}", node._replace(news=node.news | {(node.life, sees)})
        agree = 1
        for peer, other in enumerate(nodes):
            if peer != me:
                said = [table for life, table in other.news if life == sees[peer]]
                agree += sees in said if clauses.same_tables else bool(said)
                for life, table in other.joined:
                    if life == sees[peer]:
                        if table[me] == node.life or not clauses.same_disk:
                            yield f"joins {peer}", self._member(node, table)
                        else:
                            yield f"re-enters: {peer} knew another disk", node._replace(standing=REENTERING, told=table)
        if -1 not in sees and not doubts and agree >= (self._plan.n if clauses.all_agree else self._majority):
            yield "founds the cluster", self._member(node, sees)

    def _member(self, node: Node, table: Table) -> Node:
        return node._replace(
            standing=MEMBER, floor=0, founded=table, replaced=frozenset(), joined=node.joined | {(node.life, table)}
        )

    # -- what must hold

    def _judge(self, state: State) -> tuple[int, str]:
        before, *numbers = state
        nodes = [self._nodes[number] for number in numbers]
        values = {before} if before else set()
        if sum(any(row.accepted for rows in node.shown for row in rows) for node in nodes) >= self._majority:
            values |= self._conclusions(nodes)
        if before and self._is_given_up(nodes, before):
            values.discard(before)
        chosen = max(values, default=0)
        if len(values) > 1:
            return chosen, f"two values chosen: {sorted(values)}"
        if chosen and self._plan.reads:
            deny = [me for me, node in enumerate(nodes) if not node.row.accepted and self._answers(node)]
            if len(deny) >= self._majority:
                return chosen, f"a stale read: {deny} have accepted nothing, {chosen} is chosen"
        if self._plan.founding:
            tables = {node.founded for node in nodes if node.founded}
            if len(tables) > 1:
                return chosen, f"two clusters: {sorted(tables)}"
        return chosen, ""

    def _is_given_up(self, nodes: list[Node], value: int) -> bool:
        """Whether a value that was chosen was known to none of those that were left when the others were forced."""
        left = [node for me, node in enumerate(nodes) if not node.life and me not in self._plan.away]
        known = any(row.accepted and row.value == value for node in left for row in node.shown[0])
        return not known and any(node.forced for node in nodes)

    def _answers(self, node: Node) -> bool:
        if not self._clauses.reads:
            return node.standing != NEW
        return node.floor < E or (node.floor == E and node.base)

    def _conclusions(self, nodes: list[Node]) -> set[int]:
        values: set[int] = set()
        forced = any(node.forced for node in nodes)
        for me, node in enumerate(nodes):
            if forced and me in self._plan.away:
                continue  # what it knows is given up
            voted: dict[int, set[int]] = {}
            found: dict[int, set[int]] = {}
            for peer, other in enumerate(nodes):
                for row in other.shown[-1] if peer == me else self._shown(node, peer, other):
                    if row.accepted:
                        voted.setdefault(row.accepted, set()).add(peer)
                        found.setdefault(row.accepted, set()).add(row.value)
            for ballot, peers in voted.items():
                if len(peers) >= self._majority:
                    values |= found[ballot]
        return values

    def _story(self, state: State) -> str:
        lines: list[str] = []
        while before := self._came[state]:
            ways = self._ways(before)
            lines.append(next(what for what, after in ways if self._sorted(after)[1:] == state[1:]))
            state = before
        return "\n".join(reversed(lines))


def _with(table: tuple[T, ...], at: int, one: T) -> tuple[T, ...]:
    return (*table[:at], one, *table[at + 1 :])


def _heard(mine: Row, theirs: Row) -> Row:
    """Rule 2: the promise first, then what is accepted at no less; a value under a mere promise asks to be accepted there."""
    promised = max(mine.promised, theirs.promised)
    offered = theirs.promised if theirs.value and not theirs.accepted else theirs.accepted
    if offered >= promised and offered > mine.accepted:
        return Row(mine.prepared, promised, offered, theirs.value)
    return mine._replace(promised=promised)


def _best(one: Row, other: Row) -> Row:
    """What a node that is forced makes of the rows of two that are intact."""
    best = max(one, other, key=lambda row: row.accepted)
    return Row(0, max(one.promised, other.promised), best.accepted, best.value)


def _own(me: int, n: int, life: int, ballot: int) -> int:
    """The value that a node brings."""
    return me + n * life + 100 * ballot


def _tell(row: Row) -> str:
    return f"{row.prepared}/{row.promised}/{row.accepted}" + (f" {row.value}" if row.value else "")
