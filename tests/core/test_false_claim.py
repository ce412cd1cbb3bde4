"""A peer names an entry as chosen that is not (a wrong number in a row, an answer or a reply): what that costs, and what not."""

from __future__ import annotations

import pytest

from paxosstore.core.entity.entity import Entity
from paxosstore.core.entity.logstate import LogState
from paxosstore.core.interface.event import Received
from paxosstore.core.interface.message import CatchUpReply, Message, PaxosMessage, ReadAnswer
from paxosstore.wire.codec import MAX_ENTRY

from .test_reentry import ENTITY, Cluster, expect_equal

CLAIMS: dict[str, Message] = {
    "a row": PaxosMessage(ENTITY, 1, 0, 0, 0, False, b"", None, MAX_ENTRY, False, False, b""),
    "a row far above": PaxosMessage(ENTITY, MAX_ENTRY, 0, 0, 0, False, b"", None, 0, False, False, b""),
    "an answer": ReadAnswer(ENTITY, 1, MAX_ENTRY, MAX_ENTRY, b""),
    "a reply": CatchUpReply(ENTITY, MAX_ENTRY, []),
}


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_entries_are_not_filled_for_ever_and_the_entity_goes_on(claim: Message) -> None:
    """Before, three hundred entries a second were, and this node took no write of that entity any more."""
    cluster = Cluster()
    assert cluster.do(0, b"put a 1").reply == b"done"
    cluster.wait()
    cluster.nodes[0].step(Received(1, [claim], 0, cluster.nodes[1].disk.id))
    cluster.wait(2_000.0)
    assert cluster.nodes[0].shard.context.counters.claims_refuted == 1
    for node in range(3):
        assert cluster.do(node, b"put b 2").reply == b"done"
    expect_equal(cluster)
    entity = cluster.nodes[0].shard.entity(ENTITY)
    assert entity is not None
    assert entity.log.max_chosen == entity.log.committed < 10


def test_what_a_row_shows_or_nobody_has_claimed_is_not_doubted() -> None:
    log = LogState()
    log.max_plog, log.max_chosen, log.vouched = 3, 7, 7
    assert not log.doubt_chosen(2), "there is a row above"
    assert log.doubt_chosen(3)
    assert (log.max_chosen, log.vouched) == (2, 2)
    assert not log.doubt_chosen(3)


def test_who_says_it_again_is_believed_again() -> None:
    """The claim may have come true by a higher ballot while the promises were on their way."""
    entity = Entity(ENTITY)
    entity.log.max_plog = 1
    entity.raise_max_chosen(1, 1)
    assert entity.log.doubt_chosen(1)
    entity.raise_max_chosen(1, 1)
    assert (entity.log.max_chosen, entity.log.vouched) == (1, 1)
