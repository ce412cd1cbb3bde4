"""A load may have missed the floor that was written meanwhile (rules 19c, 19e; seed 80004185)."""

from __future__ import annotations

from paxosstore.core.reentry.unseen import UnseenFloors
from paxosstore.core.shard.shard import Shard

from .test_lost_entities import OTHER, two_entities
from .test_reentry import ENTITY


def one_loads() -> tuple[Shard, UnseenFloors]:
    """A shard that loads ENTITY, and not OTHER."""
    shard = two_entities().nodes[2].shard
    for entity in (ENTITY, OTHER):
        if shard._entities.find(entity) is not None:
            shard._entities.forget(entity)
    assert shard._entities.get(ENTITY).mailbox is not None
    return shard, UnseenFloors(shard.context, shard._entities)


def durable_turn_over(shard: Shard) -> None:
    shard.context.durable_turn = shard.context.ready.turn
    shard.context.ready.turn += 1


def test_of_two_floors_the_one_that_was_set_last_counts_whoever_set_it() -> None:
    shard, unseen = one_loads()
    unseen.note({ENTITY: 6, OTHER: 6})
    durable_turn_over(shard)
    unseen.note({ENTITY: 7, OTHER: 7})
    assert (unseen.take(ENTITY), unseen.take(OTHER)) == (7, 7)


def test_what_is_loaded_later_goes_by_the_disk() -> None:
    shard, unseen = one_loads()
    unseen.note({ENTITY: 6, OTHER: 6})
    durable_turn_over(shard)
    unseen.note({})
    assert unseen.take(OTHER) is None
    assert unseen.take(ENTITY) == 6, "it is being loaded: who knows when its rows were read"
    assert unseen.take(ENTITY) is None


def test_before_the_floor_is_durable_any_load_may_miss_it() -> None:
    _, unseen = one_loads()
    unseen.note({OTHER: 6})
    unseen.note({})
    assert unseen.take(OTHER) == 6


def test_a_floor_that_could_not_be_written_is_none() -> None:
    shard, unseen = one_loads()
    unseen.note({ENTITY: 6})
    durable_turn_over(shard)
    unseen.note({ENTITY: 7, OTHER: 7})
    unseen.forget()
    assert (unseen.take(ENTITY), unseen.take(OTHER)) == (6, None)
