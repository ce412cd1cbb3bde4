"""Production code with one rule of docs/PROTOCOL.md broken, and a least plan in which that shows.

A mutant patches live production code; the exploration itself is not touched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from paxosstore.core.entity.entity import Entity
from paxosstore.core.entity.logstate import OpenEntry
from paxosstore.core.entity.writes import InFlight
from paxosstore.core.entry import machine as entry
from paxosstore.core.entry.ids import NO_BALLOT, next_ballot, owner
from paxosstore.core.entry.machine import EntryMachine
from paxosstore.core.entry.record import Record, Value
from paxosstore.core.interface.event import Loaded
from paxosstore.core.interface.message import Message, PaxosMessage
from paxosstore.core.interface.ready import Release
from paxosstore.core.log import log
from paxosstore.core.log.log import Log
from paxosstore.core.log.write import Proposer
from paxosstore.core.turn.context import Context

from .explorer import Explorer, Plan, Result, Rounds
from .plans import COPIED, LOST

CHOSEN = "two values chosen"
HOLDERS = "two holders of pre-auth"
TWICE = "the replicas differ"
"""What production itself says when it is shown two values under one ballot: core/log/agreement.py."""

Patch = pytest.MonkeyPatch


class Mutant(NamedTuple):
    """One way to break a rule."""

    rule: str
    breaks: Callable[[Patch], None]
    """Its name and docstring say how."""
    plan: Plan
    found: str

    def run(self, limit: int) -> Result:
        """Explore the plan with production broken. Two holders of pre-auth count only where they are the point."""
        with pytest.MonkeyPatch.context() as patch:
            self.breaks(patch)
            return Explorer(self.plan, holders=self.found == HOLDERS).run(limit)

    @property
    def name(self) -> str:
        return f"{self.rule} {self.breaks.__name__}{'' if self.plan.joint or not self.plan.second.in_all else ' (settled)'}"


# -- rule 1


def shares_ballots(patch: Patch) -> None:
    """The next ballot is the next number, whoever prepares."""
    patch.setattr(entry, "next_ballot", lambda acceptor, n, above: max(above, n) + 1)


def reuses_preauth_ballots(patch: Patch) -> None:
    """A full round may take a ballot of 1..n: after a crash, the one that pre-auth has used."""

    def mutated(acceptor: int, n: int, above: int) -> int:
        return acceptor + 1 if above <= acceptor else next_ballot(acceptor, n, above)

    patch.setattr(entry, "next_ballot", mutated)


# -- rule 2


def adopts_nothing(patch: Patch) -> None:
    """Proposes its own value, whatever was accepted before."""
    patch.setattr(EntryMachine, "found", property(lambda self: None))


def adopts_the_lowest(patch: Patch) -> None:
    """Takes a value that was accepted, but not under the highest ballot."""

    def mutated(self: EntryMachine) -> Value | None:
        return min((row for row in self.rows if row.accepted), key=lambda row: row.accepted, default=Record()).value

    patch.setattr(EntryMachine, "found", property(mutated))


def ignores_its_promise(patch: Patch) -> None:
    """Accepts below what it has promised."""
    update = EntryMachine.update

    def mutated(self: EntryMachine, peer: int, theirs: Record) -> None:
        mine = self.mine
        if not mine.chosen and mine.accepted < theirs.accepted < mine.promised:
            self.rows[self.me] = mine._replace(prepared=min(mine.prepared, mine.accepted), promised=mine.accepted)
        update(self, peer, theirs)

    patch.setattr(EntryMachine, "update", mutated)


def proposes_without_majority(patch: Patch) -> None:
    """The own promise is enough."""
    patch.setattr(EntryMachine, "has_promises", property(lambda self: self.mine.promised == self.mine.prepared))


# -- rule 3


def counts_any_ballot(patch: Patch) -> None:
    """A majority that accepted anything passes for a majority under one ballot."""

    def mutated(self: EntryMachine) -> None:
        rows = [row for row in self.rows if row.accepted and row.value is not None]
        if len(rows) >= 2 and not self.mine.chosen:
            last = max(rows, key=lambda row: row.accepted)
            assert last.value is not None
            self.learn(last.accepted, last.value)

    patch.setattr(EntryMachine, "_conclude", mutated)


def calls_leftovers_chosen(patch: Patch) -> None:
    """An accepted row passes for chosen once the next entry is open."""
    receive = Log.receive

    def mutated(self: Log, entity: Entity, peer: int, message: PaxosMessage) -> OpenEntry | None:
        opened = entity.log.opened.get(message.entry - 1)
        if opened is not None and opened.machine.mine.accepted and not opened.machine.mine.chosen:
            before = opened.machine.mine
            assert before.value is not None
            opened.machine.learn(before.accepted, before.value)
            self.changed(entity, message.entry - 1, before, opened.machine.mine)
        return receive(self, entity, peer, message)

    patch.setattr(Log, "receive", mutated)


# -- rule 5


def preauth_by_ballot(patch: Patch) -> None:
    """Whose ballot got the value chosen holds pre-auth, not where it originated."""
    advance = Log.advance

    def mutated(self: Log, entity: Entity) -> tuple[InFlight, bool] | None:
        rows = {entry: opened.machine.mine for entry, opened in entity.log.opened.items()}
        before = entity.log.committed
        decided = advance(self, entity)
        if entity.log.committed > before:
            entity.log.last_origin = owner(rows[entity.log.committed].accepted, self._context.n)
        return decided

    patch.setattr(Log, "advance", mutated)


def anybody_holds_preauth(patch: Patch) -> None:
    """5a: whoever knows the last entry."""

    def mutated(self: Proposer, entity: Entity, opened: OpenEntry | None) -> bool:
        return opened is None or opened.machine.mine.is_empty

    patch.setattr(Proposer, "_holds_preauth", mutated)


def preauth_over_a_row(patch: Patch) -> None:
    """5b: pre-auth is used although the own row is not empty."""
    holds = Proposer._holds_preauth
    patch.setattr(Proposer, "_holds_preauth", lambda self, entity, opened: holds(self, entity, None))


def preauth_before_durable(patch: Patch) -> None:
    """5c: pre-auth does not wait for the own row at the entry before."""
    start = Proposer.start

    def mutated(self: Proposer, entity: Entity, release: Release) -> None:
        turn, entity.log.row_turn = entity.log.row_turn, 0
        start(self, entity, release)
        entity.log.row_turn = max(turn, entity.log.row_turn)

    patch.setattr(Proposer, "start", mutated)


# -- rule 6


def preauth_after_a_load(patch: Patch) -> None:
    """Nothing switches pre-auth off."""
    load = Entity.load

    def mutated(self: Entity, loaded: Loaded, n: int, me: int) -> None:
        load(self, loaded, n, me)
        self.log.no_preauth_through = 0

    patch.setattr(Entity, "load", mutated)


def preauth_above_committed(patch: Patch) -> None:
    """After a load it is off through committed + 1, whatever max plog says."""
    load = Entity.load

    def mutated(self: Entity, loaded: Loaded, n: int, me: int) -> None:
        load(self, loaded, n, me)
        self.log.no_preauth_through = loaded.committed + 1

    patch.setattr(Entity, "load", mutated)


def shows_preauth_as_accepted(patch: Patch) -> None:
    """The early message shows the row as it will be."""
    send_early = Context.send_early

    def mutated(self: Context, peer: int, message: Message) -> None:
        if isinstance(message, PaxosMessage) and message.accepted == NO_BALLOT and message.value_id:
            message = message._replace(accepted=message.promised)
        send_early(self, peer, message)

    patch.setattr(Context, "send_early", mutated)


def counts_the_early_sender(patch: Patch) -> None:
    """A pre-auth proposal passes for a durable row of its sender."""
    update = EntryMachine.update

    def mutated(self: EntryMachine, peer: int, theirs: Record) -> None:
        if theirs.accepted == NO_BALLOT and theirs.value is not None:
            theirs = theirs._replace(accepted=theirs.promised)
        update(self, peer, theirs)

    patch.setattr(EntryMachine, "update", mutated)


# -- rule 7


def shows_rows_before_durable(patch: Patch) -> None:
    """Everything leaves early."""
    patch.setattr(Context, "release", lambda self, entity: self.ready.early)


def syncs_no_promise(patch: Patch) -> None:
    """Only what is accepted is made durable."""
    patch.setattr(log, "needs_sync", lambda old, new: old.accepted != new.accepted)


# -- rule 16


def snapshot_replaces_votes(patch: Patch) -> None:
    """What was promised and accepted above the copied data is forgotten."""
    jump = Log.jump

    def mutated(self: Log, entity: Entity, entry: int) -> None:
        jump(self, entity, entry)
        entity.log.opened = {}

    patch.setattr(Log, "jump", mutated)


def preauth_after_a_snapshot(patch: Patch) -> None:
    """Whoever held pre-auth before its data was replaced holds it after that."""
    jump = Log.jump

    def mutated(self: Log, entity: Entity, entry: int) -> None:
        origin, through = entity.log.last_origin, entity.log.no_preauth_through
        jump(self, entity, entry)
        entity.log.last_origin, entity.log.no_preauth_through = origin, through

    patch.setattr(Log, "jump", mutated)


# -- rule 19


def votes_below_the_floor(patch: Patch) -> None:
    """Whoever has lost its disk votes at once."""
    patch.setattr(Context, "may_vote", lambda self, entity, entry, peer=None: True)


NOBODY = (2,)
"""Replica 2 never proposes."""
AGAIN = Plan((0,), Rounds((2, 0, 0), 2), crashes=1)
ONE = Plan((0,), Rounds((1, 1, 0), 2), crashes=1)
ONE_FULL = ONE._replace(before=NOBODY)
TWO = Plan((0,), Rounds((1, 1, 0), 2), Rounds((1, 1, 0), 2), crashes=1, joint=True)
TWO_AGAIN = Plan((0,), Rounds((1, 0, 0), 1), Rounds((2, 0, 0), 2), crashes=1, joint=True)

MUTANTS = [
    Mutant("1", shares_ballots, ONE_FULL, TWICE),
    Mutant("1", reuses_preauth_ballots, AGAIN, TWICE),
    Mutant("2", adopts_nothing, ONE_FULL, CHOSEN),
    Mutant("2", adopts_the_lowest, Plan(NOBODY, Rounds((2, 1, 0), 3)), CHOSEN),
    Mutant("2", ignores_its_promise, ONE_FULL, CHOSEN),
    Mutant("2", proposes_without_majority, ONE_FULL, CHOSEN),
    Mutant("3", counts_any_ballot, Plan((0,), Rounds((2, 1, 0), 3)), CHOSEN),
    Mutant("3", calls_leftovers_chosen, TWO, CHOSEN),
    Mutant("5a", anybody_holds_preauth, ONE, CHOSEN),
    Mutant("5a", preauth_by_ballot, TWO, HOLDERS),
    Mutant("5a", preauth_by_ballot, TWO._replace(joint=False), CHOSEN),
    Mutant("5b", preauth_over_a_row, TWO, "rule 5b"),
    Mutant("5c", preauth_before_durable, TWO_AGAIN._replace(hasty=(0,)), TWICE),
    Mutant("6", preauth_after_a_load, AGAIN, TWICE),
    Mutant("6", preauth_above_committed, TWO_AGAIN, TWICE),
    Mutant("6", shows_preauth_as_accepted, ONE, CHOSEN),
    Mutant("6", counts_the_early_sender, ONE, CHOSEN),
    Mutant("7", shows_rows_before_durable, ONE, CHOSEN),
    Mutant("7", syncs_no_promise, ONE_FULL, CHOSEN),
    Mutant("16", snapshot_replaces_votes, COPIED, "never votes"),
    Mutant("16", preauth_after_a_snapshot, COPIED._replace(second=Rounds((1, 0, 1), 2)), CHOSEN),
    Mutant("19", votes_below_the_floor, LOST, CHOSEN),
]
