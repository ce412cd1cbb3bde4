"""The agenda: who has something to do is on it, and a shard at rest looks at nobody."""

from __future__ import annotations

from typing import Any

import pytest

from paxosstore.core.entity.logstate import NEVER
from paxosstore.core.turn.agenda import Agenda, Part
from paxosstore.sim.plan import draw_plan
from paxosstore.sim.simulation import Simulation
from paxosstore.sim.workload import STANDARD

from ..pure import PURE_ONLY


class Work(Part):
    """Due at a time, until it is done; or busy with the disk."""

    minds_disk = True

    def __init__(self, told: list[str], name: str) -> None:
        self.due_ms = NEVER
        self.writes = False
        self.adds: Any = None
        self._told = told
        self._name = name

    @property
    def at_work(self) -> bool:
        return self.writes or self.due_ms != NEVER

    @property
    def next_ms(self) -> float:
        return self.due_ms

    def tick(self) -> None:
        self._told.append(self._name)
        if self.adds is not None:
            self.adds()

    def durable(self, turn: int) -> bool:
        self._told.append(f"{self._name} {turn}")
        return self.writes


def agenda_of(names: str) -> tuple[Agenda, list[Work], list[str]]:
    told: list[str] = []
    agenda, works = Agenda(), [Work(told, name) for name in names]
    agenda.begin(*works)
    return agenda, works, told


@PURE_ONLY
def test_who_has_nothing_to_do_is_not_looked_at() -> None:
    agenda, (first, second, third), told = agenda_of("abc")
    agenda.tick()
    assert told == ["a", "b", "c"], "at the start anybody may have something to do"
    second.due_ms, third.writes = 5.0, True
    told.clear()
    assert agenda.look() == 5.0
    agenda.tick()
    assert agenda.durable(7)
    assert told == ["b", "c", "b 7", "c 7"]
    second.due_ms, third.writes = NEVER, False
    assert agenda.look() == NEVER
    told.clear()
    agenda.tick()
    assert not agenda.durable(8)
    assert told == []
    first.due_ms = 3.0
    agenda.add(first)
    assert agenda.look() == 3.0


@PURE_ONLY
def test_all_are_ticked_in_their_order_and_whoever_is_added_meanwhile() -> None:
    agenda, (first, _, third), told = agenda_of("abc")
    agenda.look()
    first.due_ms = 1.0
    first.adds = lambda: agenda.add(third)
    agenda.add(first)
    agenda.tick()
    assert told == ["a", "c"]
    told.clear()
    agenda.add_all()
    agenda.tick()
    assert told == ["a", "b", "c"]


@PURE_ONLY
@pytest.mark.parametrize("seed", [1, 2, 17, 23])
def test_nobody_else_has_anything_to_do(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    look = Agenda.look
    left = 0

    def look_closely(agenda: Agenda) -> float:
        nonlocal left
        due = look(agenda)
        for part in agenda._all:
            if not part.on_agenda:
                left += 1
                assert not part.at_work, part
                assert part.next_ms == NEVER, part
        return due

    monkeypatch.setattr(Agenda, "look", look_closely)
    Simulation(draw_plan(seed, STANDARD), STANDARD).run()
    assert left
