"""Mistakes in rule 18: what leaves memory while something is in flight, or before the disk has it.

A timer, news, a place in the queue of those that ask, a hand-over or a copy under way that is forgotten: all of these cost time,
and the protocol makes up for them, so the simulator does not notice. tests/core/test_memory.py holds them, each by itself.
"""

from __future__ import annotations

from .mutant import mutant

ENTITIES = "core/turn/entities.py"
ENTITY = "core/entity/entity.py"

MEMORY = (
    mutant(
        "evicted while it is loaded",
        18,
        "an entity leaves memory with its mailbox, before it is loaded",
        (ENTITY, "            self.mailbox is not None\n            or self.install", "            self.install"),
        (ENTITY, "            or self.busy\n", "            or self.writes\n            or self.reads\n"),
    ),
    mutant(
        "evicted with requests",
        18,
        "an entity leaves memory with the requests and the proposal that are under way there",
        (ENTITY, "            or self.busy\n", ""),
    ),
    mutant(
        "evicted before its turn is durable",
        18,
        "an entity leaves memory before the disk has what the turn changed",
        (ENTITIES, " or log.changed_turn > context.durable_turn:", ":"),
    ),
)
