"""Replicas that differ and are not noticed, or not stopped. They do not differ in the simulator, so tests make them."""

from __future__ import annotations

from .mutant import Mutant, mutant

AGREEMENT = "core/log/agreement.py"
MACHINE = "core/entry/machine.py"
TESTS = "tests/core/test_divergence.py"


_MISTAKES: tuple[Mutant, ...] = (
    mutant(
        "two chosen values are taken as they come",
        3,
        "what a peer calls chosen is not compared with what is known",
        (AGREEMENT, "            if known and known != value_id:\n", "            if False:\n"),
    ),
    mutant(
        "two values under one ballot go together",
        1,
        "only rows that say chosen exclude each other",
        (MACHINE, "if row.accepted == ballot or (row.chosen and theirs.chosen):", "if row.chosen and theirs.chosen:"),
    ),
    mutant(
        "a majority for another value is not counted",
        3,
        "rows that are not marked chosen do not contradict the chosen value",
        (MACHINE, "        if mine.chosen and alike >= majority(len(self.rows)):\n", "        if False:\n"),
    ),
    mutant(
        "a stopped entity goes on after a restart",
        3,
        "that replicas differ is kept in memory only",
        (AGREEMENT, "            context.ready.changes.append(StopEntity(entity, found.encode()))\n", "            pass\n"),
    ),
    mutant(
        "whoever sees that replicas differ keeps it to itself",
        3,
        "the peers are not told which value is known here",
        (
            AGREEMENT,
            "        for peer in context.peers:\n            self._tell",
            "        for peer in ():\n            self._tell",
        ),
    ),
    mutant(
        "what is older than memory is not compared",
        3,
        "a peer that asks for what it has missed is taught, whatever it knows of the entry before",
        (AGREEMENT, "        if entry < 1 or not value_id or entity.log.chosen_id(entry):\n", "        if True:\n"),
    ),
)

DIVERGENCE = tuple([one._replace(shown_by=TESTS) for one in _MISTAKES])
