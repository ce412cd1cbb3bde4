"""What a simulated link carries."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from paxosstore.core.interface.event import Received
from paxosstore.core.interface.message import Fill, HandOver, Message
from paxosstore.sim.cluster import SimCluster

OVER = HandOver(1, bytes(16), "handler", b"", 0, 1_000, b"")
FILL = Fill(1, 2)


def arrived(lives: tuple[int, int], messages: list[Message]) -> list[list[Message]]:
    """What node 1, in its third life, takes in of what node 0, in its second, sent when their lives were these."""
    taken: list[list[Message]] = []

    def step(event: Received) -> None:
        taken.append(list(event.messages))

    nodes = [SimpleNamespace(life=2, up=True), SimpleNamespace(life=3, up=True, step=step)]
    cluster = SimpleNamespace(nodes=nodes, trace=None, _links={}, _mark=lambda *numbers: None)
    SimCluster._arrive(cast(SimCluster, cluster), 0, 1, 0, 7, lives, messages)
    return taken


def test_only_a_hand_over_ends_with_the_lives_of_both_ends() -> None:
    assert arrived((2, 3), [OVER, FILL]) == [[OVER, FILL]]
    for earlier in ((1, 3), (2, 2)):
        assert arrived(earlier, [OVER, FILL]) == [[FILL]]
        assert arrived(earlier, [OVER]) == []
