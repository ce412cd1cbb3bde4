"""The checks of a round: on what clients wrote down, and on what the nodes said of themselves."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from paxosstore.sim.collections import BLOCKING, with_unseen
from paxosstore.sim.linearizability import Undecided, shrink
from paxosstore.sim.linearizability import check as check_history

from . import accounts, kinds
from .clients import ABANDONED, CHANGED, READS
from .faults import Struck
from .journal import Operation, Outcome
from .models import MODELS, for_checker
from .nodes import MEMBER
from .run import Record
from .schedule import Kind

AFTERMATH_S = 0.5
"""A gap that begins so soon after a fault still belongs to it."""
SHRINKING_BUDGET = 1_000
"""Steps per attempt to make a bad history smaller: lists with unknown pushes would take minutes."""
SHOWN = 5
"""Violations of one check that are told in full."""


@dataclass(slots=True)
class Check:
    """What one check found."""

    name: str
    detail: str
    violations: list[str]
    seconds: float = 0.0


class Gap(NamedTuple):
    """Time without a successful write."""

    began_s: float
    ended_s: float

    @property
    def seconds(self) -> float:
        return self.ended_s - self.began_s


def check(record: Record, operations: Sequence[Operation]) -> list[Check]:
    """All checks."""
    checks: list[Callable[[Record, Sequence[Operation]], Check]] = [
        linearizable,
        accounts_hold,
        nodes_agree,
        all_are_members,
        nothing_fails_after_healing,
        nothing_is_wrong,
    ]
    found = []
    for run in checks:
        started = time.monotonic()
        result = run(record, operations)
        result.seconds = time.monotonic() - started
        found.append(result)
    return found


def linearizable(record: Record, operations: Sequence[Operation]) -> Check:
    """There is one order of each key's operations that explains every reply."""
    keys = by_key(operations)
    violations = []
    for key, ones in keys.items():
        history, model = [for_checker(one, record.started_s) for one in ones], MODELS[ones[0].kind]
        if ones[0].kind in kinds.MODELS:
            history = with_unseen(history)  # clocks jump: an end may come at any time
        try:
            verdict = check_history(history, model)
        except Undecided as undecided:
            violations.append(f"{key}: {undecided}")
            continue
        if not verdict.good:
            smallest = [f"  {operation}" for operation in shrink(history, model, SHRINKING_BUDGET)]
            violations.append("\n".join([verdict.explanation, "A part of it that is bad by itself:", *smallest]))
    longest = max(map(len, keys.values()), default=0)
    return Check("linearizable", f"{len(keys):,} keys, up to {longest} operations each", violations)


def accounts_hold(record: Record, operations: Sequence[Operation]) -> Check:
    """Nothing acknowledged is lost, nothing refused is there, nothing happened twice: by plain sums, without the checker."""
    keys = by_key(operations)
    violations = [problem for key, ones in keys.items() for problem in accounts.problems(key, ones, record.first_reader)]
    changes = sum(map(has_changed, operations))
    return Check("nothing lost, nothing twice", f"{changes:,} acknowledged changes", violations)


def nodes_agree(record: Record, operations: Sequence[Operation]) -> Check:
    """At the end all nodes hold the same."""
    violations = []
    if len(record.hashes) != record.nodes or len(set(record.hashes)) != 1:
        violations.append(f"the nodes' content hashes differ: {record.hashes}")
    finals: dict[str, set[object]] = defaultdict(set)
    for operation in operations:
        if operation.client >= record.first_reader and not may_end(operation.kind):  # between two looks
            finals[operation.key].add(operation.reply)
    violations += [f"{key}: the nodes say {said}" for key, said in finals.items() if len(said) != 1]
    return Check("the nodes agree", f"content hash {record.hashes[0][:12] if record.hashes else '–'}", violations)


def all_are_members(record: Record, operations: Sequence[Operation]) -> Check:
    """Whoever lost its disk, or came with an old one, has come back by a disk of its own (rule 19)."""
    said = record.standings or [""] * record.nodes
    violations = [
        f"node {node} is no member: {standing or 'it is silent'}" for node, standing in enumerate(said) if standing != MEMBER
    ]
    lost = [struck for struck in record.struck if struck.kind.loses_disk and not struck.skipped]
    violations += [f"after {struck.text}, nobody saw the node come back" for struck in lost if not struck.returned_s]
    longest = max((struck.way_back_s for struck in lost), default=0.0)
    absences = sum(1 for struck in record.struck if struck.kind is Kind.LONG_ABSENCE)
    detail = f"{len(lost)} disks lost, back after {longest:.2f} s at most; {absences} long absences"
    return Check("all are members again", detail, violations)


def nothing_fails_after_healing(record: Record, operations: Sequence[Operation]) -> Check:
    late = [operation for operation in operations if operation.called_s >= record.calm_s]
    failed = [
        operation for operation in late if operation.outcome is not Outcome.DONE and operation.error not in (ABANDONED, CHANGED)
    ]
    violations = [f"after healing: {operation}" for operation in failed]
    if not late:
        violations.append("nothing was asked after healing")
    settled = record.settled_s - record.healed_s
    return Check("nothing fails after healing", f"{len(late):,} operations, settled after {settled:.2f} s", violations)


def nothing_is_wrong(record: Record, operations: Sequence[Operation]) -> Check:
    """No answer that the store must not give; no node or client that ended, or complained, without a reason."""
    violations = [str(operation) for operation in operations if operation.outcome is Outcome.WRONG]
    return Check("no wrong answer, no crash", f"{len(record.struck)} faults", violations + record.complaints)


def may_end(kind: str) -> bool:
    """Whether keys of this kind are gone after a time."""
    return kind == "lease" or kind.startswith(kinds.BRIEF)


def has_changed(operation: Operation) -> bool:
    """Whether it was acknowledged, and is no read, nor a wait that was over."""
    waited_in_vain = operation.name in BLOCKING and operation.reply is None
    return operation.outcome is Outcome.DONE and operation.name not in READS and not waited_in_vain


def by_key(operations: Iterable[Operation]) -> Mapping[str, list[Operation]]:
    keys: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        keys[operation.key].append(operation)
    return keys


def gaps(operations: Iterable[Operation]) -> list[Gap]:
    """The times between one successful write and the next."""
    ends = sorted(operation.returned_s for operation in operations if has_changed(operation) and operation.returned_s is not None)
    return [Gap(*pair) for pair in pairwise(ends)]


def longest_gap(all_gaps: Iterable[Gap], struck: Struck) -> float:
    """The longest gap that a fault may have to do with, in seconds."""
    until_s = struck.ended_s + AFTERMATH_S
    return max((gap.seconds for gap in all_gaps if gap.ended_s >= struck.began_s and gap.began_s <= until_s), default=0.0)
