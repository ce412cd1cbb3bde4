"""Mistakes in rule 18: what leaves memory while something is in flight, or before the disk has it."""

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
        "evicted while it is copied",
        18,
        "an entity leaves memory while its data is being copied from a peer",
        (ENTITY, "            or self.install is not None\n", ""),
    ),
    mutant(
        "evicted with requests",
        18,
        "an entity leaves memory with the requests and the proposal that are under way there",
        (ENTITY, "            or self.busy\n", ""),
    ),
    mutant(
        "evicted with a timer",
        18,
        "an entity leaves memory though it is to be looked at again",
        (ENTITY, "            or self.wake_ms != NEVER\n", ""),
    ),
    mutant(
        "evicted while handed over",
        18,
        "an entity leaves memory while its requests are at a peer",
        (ENTITY, "            or self.handover.count\n", ""),
    ),
    mutant(
        "evicted with news",
        18,
        "an entity leaves memory before the peers have been told what was chosen",
        (ENTITY, "            or self.news.untold\n", ""),
    ),
    mutant(
        "evicted ahead of the disk",
        18,
        "an entity leaves memory with what is applied in memory only",
        (ENTITY, "            or self.log.ahead is not None\n", ""),
    ),
    mutant(
        "evicted before its turn is durable",
        18,
        "an entity leaves memory before the disk has what the turn changed",
        (ENTITIES, " or log.changed_turn > context.durable_turn:", ":"),
    ),
    mutant(
        "evicted while behind",
        18,
        "an entity leaves memory before it has learned what it knows to be chosen",
        (ENTITIES, "log.is_caught_up and not entity.catchup.wanted", "not entity.catchup.wanted"),
    ),
    mutant(
        "evicted while told to catch up",
        18,
        "an entity leaves memory before it has learned what an inventory has shown",
        (ENTITIES, "log.is_caught_up and not entity.catchup.wanted", "log.is_caught_up"),
    ),
    mutant(
        "evicted while it waits to ask",
        18,
        "an entity leaves memory while it waits for others to have learned",
        (ENTITY, "            or self.catchup.waits\n", ""),
    ),
)
