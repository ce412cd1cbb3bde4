"""Makes a failing plan small: without clients, requests, rivals, faults and bad weather that the failure does not need."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple, TypeVar

from ..errors import ConfigError
from ..settings import TuningSettings
from .plan import Plan
from .simulation import Simulation
from .workload import Workload

Item = TypeVar("Item", int, tuple[int, int])


class Selection(NamedTuple):
    """What is left of a seed's plan. As text: `faults=0,2 asks=0.1,3.0 calm plain alone`."""

    faults: frozenset[int]
    asks: frozenset[tuple[int, int]]
    """(client, number)"""
    calm: bool = False
    """No loss, no duplication, no long delays."""
    plain: bool = False
    """Default settings."""
    alone: bool = False
    """Without rivals."""

    def __str__(self) -> str:
        words = [
            "faults=" + ",".join(map(str, sorted(self.faults))),
            "asks=" + ",".join(f"{client}.{number}" for client, number in sorted(self.asks)),
        ]
        return " ".join(words + ["calm"] * self.calm + ["plain"] * self.plain + ["alone"] * self.alone)


def everything(plan: Plan) -> Selection:
    asks = {(client, number) for client, asks in enumerate(plan.clients) for number in range(len(asks))}
    return Selection(frozenset(range(len(plan.faults))), frozenset(asks))


def parse(text: str, plan: Plan) -> Selection:
    """A selection from its text. Raises ConfigError."""
    selection = everything(plan)
    try:
        for word in text.split():
            name, _, values = word.partition("=")
            items = [value for value in values.split(",") if value]
            if name == "faults":
                selection = selection._replace(faults=frozenset(map(int, items)))
            elif name == "asks":
                pairs = (item.split(".") for item in items)
                selection = selection._replace(asks=frozenset((int(client), int(number)) for client, number in pairs))
            elif word == "calm":
                selection = selection._replace(calm=True)
            elif word == "plain":
                selection = selection._replace(plain=True)
            elif word == "alone":
                selection = selection._replace(alone=True)
            else:
                raise ValueError(word)
    except ValueError as error:
        raise ConfigError(f"--only {text!r}: not understood: {error}") from None
    if not (selection.faults <= everything(plan).faults and selection.asks <= everything(plan).asks):
        raise ConfigError(f"--only {text!r}: the plan of seed {plan.seed} has no such faults or asks")
    return selection


def select(plan: Plan, selection: Selection) -> Plan:
    """The plan with only what was selected."""
    clients = (
        tuple(ask for number, ask in enumerate(asks) if (client, number) in selection.asks)
        for client, asks in enumerate(plan.clients)
    )
    plan = replace(
        plan,
        faults=tuple(fault for number, fault in enumerate(plan.faults) if number in selection.faults),
        clients=tuple(asks for asks in clients if asks),
    )
    if selection.alone:
        plan = replace(plan, rivals=())
    if selection.calm:
        plan = replace(plan, loss=0.0, duplication=0.0, long_delay=0.0, sync_ms=(0.1, 0.5), delay_ms=(0.1, 1.0))
    return replace(plan, tuning=TuningSettings()) if selection.plain else plan


def failure(plan: Plan, workload: Workload) -> str:
    """What a plan breaks; empty: nothing."""
    try:
        Simulation(plan, workload).run()
    except Exception as error:  # whatever it is, it is the plan's finding
        return f"{type(error).__name__}: {error}"
    return ""


def shrink(plan: Plan, workload: Workload, progress: Callable[[Selection], None] = lambda selection: None) -> Selection:
    """The least selection found that still fails, by whichever check: half of it is tried without, then quarters, and so on."""

    def fails(selection: Selection) -> bool:
        return bool(failure(select(plan, selection), workload))

    best = everything(plan)
    size = len(best.faults) + len(best.asks) + 1
    while len(best.faults) + len(best.asks) < size:
        size = len(best.faults) + len(best.asks)
        for simpler in (
            best._replace(alone=True),
            best._replace(calm=True),
            best._replace(plain=True),
            best._replace(calm=True, plain=True),
        ):
            if simpler != best and fails(simpler):
                best = simpler
        best = _with_fewer_faults(best, fails)
        best = _with_fewer_asks(best, fails)
        progress(best)
    return best


def _with_fewer_faults(best: Selection, fails: Callable[[Selection], bool]) -> Selection:
    return best._replace(faults=_fewer(best.faults, lambda some: fails(best._replace(faults=some))))


def _with_fewer_asks(best: Selection, fails: Callable[[Selection], bool]) -> Selection:
    return best._replace(asks=_fewer(best.asks, lambda some: fails(best._replace(asks=some))))


def _fewer(items: Iterable[Item], fails: Callable[[frozenset[Item]], bool]) -> frozenset[Item]:
    """The items without those that it fails without: pieces of them are left out, large ones first."""
    kept = sorted(items)
    size = len(kept)
    while size:
        at = 0
        while at < len(kept):
            without = kept[:at] + kept[at + size :]
            if fails(frozenset(without)):
                kept = without
            else:
                at += size
        size //= 2
    return frozenset(kept)
