"""Nodes without their disk, or with an old one: how they are made, and how long they take to be members again (rule 19)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from paxosstore.cli.cluster import READY_S

from .nodes import MEMBER, Nodes

POLL_S = 0.02
RETURN_S = 15.0
"""How long a loss waits for the node that lost its disk before; the network may be down meanwhile, or a peer."""
SEEN_S = 5.0


class Losses:
    """One disk at a time: of what two had acknowledged together, nothing would be left."""

    def __init__(self, nodes: Nodes, ending: threading.Event) -> None:
        self._nodes = nodes
        self._ending = ending
        self._watching: list[threading.Thread] = []
        self._former: set[str] = set()
        """Ids of disks that are lost. Nobody may go by one of them again."""

    def why_not(self) -> str:
        """Why no disk may be lost now; empty: every node is a member. Waits for that for a while."""
        return self._within(RETURN_S, self.not_members)

    def not_members(self) -> str:
        """Who is none, in its own words, or goes by a disk that is lost; empty: nobody."""
        said = {node: self._nodes.standing(node) for node in range(self._nodes.nodes)}
        wrong = [f"node {node} is no member: {words or 'it is silent'}" for node, words in said.items() if words != MEMBER]
        wrong += [f"node {node} goes by a disk that was lost" for node in said if self._is_heard_by_former(node)]
        return ", ".join(wrong)

    def empty(self, node: int) -> None:
        """A node ends, and its disk is gone."""
        self._nodes.kill(node)
        self._former.add(self._nodes.disk_id(node))
        self._nodes.lose_disk(node)

    def age(self, node: int) -> str:
        """A node ends, and the copy of its disk takes the disk's place. Returns why this may not be done now."""
        if problem := self._within(SEEN_S, lambda: self._unseen(node)):
            return problem
        self.empty(node)
        self._nodes.restore_copy(node)
        return ""

    def wait_on_its_way(self, node: int) -> None:
        """Until a node that was launched says what it is: seldom a member already."""
        self._within(READY_S, lambda: "" if self._nodes.standing(node) else "it does not answer yet")

    def watch(self, node: int, returned: Callable[[float], None]) -> None:
        """Call `returned` with the time when a node is a member again, by a disk that was never lost, unless all ends first."""
        thread = threading.Thread(target=self._watch, args=(node, returned), name=f"chaos-return-{node}", daemon=True)
        self._watching.append(thread)
        thread.start()

    def join(self) -> None:
        """When all ends: until everybody who is watched has been looked at once more."""
        for thread in self._watching:
            thread.join()

    def _watch(self, node: int, returned: Callable[[float], None]) -> None:
        ending = False
        while not ending:
            ending = self._ending.wait(POLL_S)
            if self._nodes.standing(node) == MEMBER and not self._is_heard_by_former(node):
                return returned(time.monotonic())

    def _is_heard_by_former(self, node: int) -> bool:
        return not self._former.isdisjoint(self._nodes.disks_heard(node).values())

    def _unseen(self, node: int) -> str:
        """Which peers may not have noted that a node has started: one that has will find an older copy of it out."""
        deaf = [peer for peer, disk in self._nodes.disks_heard(node).items() if not disk]
        return f"node {', '.join(map(str, deaf))} may not know of its last start" if deaf else ""

    def _within(self, seconds: float, problem: Callable[[], str]) -> str:
        deadline = time.monotonic() + seconds
        while (found := problem()) and time.monotonic() < deadline and not self._ending.wait(POLL_S):
            pass
        return found
