"""Disks that are lost, and copies of disks that are taken for the disk: what no node mends by itself (rule 19).

So many are lost at a time that the others can make good for it: each loss first looks whether that is so, and does nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from ..core.entry.ids import majority
from ..core.interface.ready import BeginInstall, EndInstall, InstallRows, SetFloor, SetStanding
from ..core.turn.standing import State, reentering
from ..errors import Damaged
from .cluster import SimCluster
from .disk import SimDisk
from .node import CutAt, SimNode
from .plan import Fault

INSTALLING = (BeginInstall, InstallRows, EndInstall)
REENTERING = (SetFloor, SetStanding)
ENTITIES = range(1, 4)
"""Those that clients write."""
PROMISE_LOOKS = 300
WHOLE_LOOKS, LOOK_MS = 100, 10.0
HEARS_LATER_MS = 300.0


class Losses:
    """Loses disks of one cluster."""

    def __init__(self, cluster: SimCluster) -> None:
        self._cluster = cluster
        self.done: Counter[str] = Counter()
        """What has come of faults that are more than one event."""
        self.peace = False
        """No disk is replaced any more."""
        self._copies: dict[Fault, SimDisk] = {}
        self._stale: dict[int, int] = {}
        """Node -> the id of a copy that was put in the place of its disk: until it has another one, it is not found out."""

    # -- what a cluster can bear

    def whole(self, node: SimNode) -> bool:
        """Whether this node's disk, as a power cut would leave it, has all that it must vouch for."""
        return not self.lacks(node)

    def lacks(self, node: SimNode) -> str:
        """What keeps it from that, as a person reads it; empty: nothing."""
        row = node.store.durable_standing
        if row is None:
            return "does not know what it is"
        if node.store.owes:
            return f"has entities below a floor or damaged {sorted(node.store.durably_damaged)} {row.damaged}"
        if row.disks[node.number].id == self._stale.get(node.number):
            return "is on a copy that is not found out"
        if row.state is State.MEMBER:  # the default floor is one of what was not written yet (seed 86005743)
            below = [entity for entity in ENTITIES if node.store.durable_floor(entity)]
            return f"has the default floor {row.default} above entities {below}" if below else ""
        return "" if row.state is State.NEW and not self._cluster.losses[node.number] else "has not come back"

    def bearable(self, node: SimNode) -> bool:
        """Whether the disk of this node may be lost now."""
        nodes = self._cluster.nodes
        gone = [other for other in nodes if other is not node and (other.loses_disk is not None or not self.whole(other))]
        return len(gone) + 1 <= len(nodes) - majority(len(nodes))

    # -- faults; False: it cannot strike now

    def lose(self, fault: Fault, node: SimNode) -> bool:
        """The machine burns down; another one comes in its place, later."""
        if not self.bearable(node):
            return False
        self._replace(node, self._cluster.new_disk())
        return True

    def lose_half_way(self, fault: Fault, node: SimNode) -> bool:
        """The same, and again while the new one re-enters."""
        if not self.lose(fault, node):
            return False
        self._cluster.start(node.number)
        node.crash_in_steps = int(fault.value)
        node.loses_disk = self._cluster.new_disk
        return True

    def cut_power_in_reentry(self, fault: Fault, node: SimNode) -> bool:
        if not self.lose(fault, node):
            return False
        self._cluster.start(node.number)
        node.cut_at = CutAt(REENTERING, int(fault.value))
        return True

    def lose_while_one_is_away(self, fault: Fault, node: SimNode) -> bool:
        """With five nodes the others are enough, and set floors that allow for what the absent one may know."""
        other = self._cluster.nodes[int(fault.value)]
        if other is node or not self.lose(fault, node):
            return False
        self._down(other)
        self._cluster.start(node.number)
        return True

    def lose_while_one_hears_nothing(self, fault: Fault, node: SimNode) -> bool:
        """With five nodes: one that has prepared with a promise of this node hears nothing of anybody, then of all others but the
        new disk. It takes the old promise for good; what it decides with it must not meet what the new disk votes for."""
        cluster, other = self._cluster, self._cluster.nodes[int(fault.value)]
        if other is node or len(cluster.nodes) < 5 or not (node.up and other.up):
            return False
        self._when_promised(node, other, PROMISE_LOOKS)
        return True

    def _when_promised(self, node: SimNode, other: SimNode, looks: int) -> None:
        cluster = self._cluster
        if self.peace or not looks or not (node.up and other.up):
            return
        if not _has_promise(other, node.number):
            cluster.after(0.2, lambda: self._when_promised(node, other, looks - 1))
        elif self.bearable(node):
            self.done["a disk lost that somebody has a promise of"] += 1
            for each in cluster.nodes:
                if each is not other:
                    cluster.weather.cuts |= {(each.number, other.number), (other.number, each.number)}
            cluster.lose_connection(node.number, other.number)
            self._replace(node, cluster.new_disk())
            cluster.start(node.number)

    def lose_then_a_peer(self, fault: Fault, node: SimNode) -> bool:
        """With three nodes: the disk is lost, later that of a peer, and then the first one turns up again, in its old place. That
        peer has never met it, and the third, which has, is not there at first."""
        peer = self._cluster.nodes[int(fault.value)]
        if peer is node or len(self._cluster.nodes) != 3 or not node.store.is_members:
            return False
        old = node.store.copy()
        if not self.lose(fault, node):
            return False
        self._cluster.start(node.number)
        self._when_whole(WHOLE_LOOKS, lambda: self._lose_peer(node, peer, old))
        return True

    def _lose_peer(self, node: SimNode, peer: SimNode, old: SimDisk) -> None:
        self._replace(peer, self._cluster.new_disk())
        self._cluster.start(peer.number)
        self._when_whole(WHOLE_LOOKS, lambda: self._put_old_back(node, peer, old))

    def _put_old_back(self, node: SimNode, peer: SimNode, old: SimDisk) -> None:
        cluster = self._cluster
        self.done["a disk came back after a peer's was lost"] += 1
        (third,) = {0, 1, 2} - {node.number, peer.number}
        cluster.weather.cuts |= {(node.number, third), (third, node.number)}
        self._replace(node, old)
        cluster.start(node.number)
        cluster.after(HEARS_LATER_MS, lambda: self._let_meet(node.number, third))

    def _let_meet(self, node: int, third: int) -> None:
        self._cluster.weather.cuts -= {(node, third), (third, node)}
        self._cluster.connect(node, third)

    def _when_whole(self, looks: int, then: Callable[[], None]) -> None:
        if self.peace or not looks:
            return
        if all(map(self.whole, self._cluster.nodes)):
            then()
        else:
            self._cluster.after(LOOK_MS, lambda: self._when_whole(looks - 1, then))

    def let_hear(self, fault: Fault, node: SimNode) -> None:
        """All others first."""
        cluster, other = self._cluster, int(fault.value)
        cluster.weather.cuts = {pair for pair in cluster.weather.cuts if other not in pair}
        cluster.after(HEARS_LATER_MS, lambda: cluster.connect(node.number, other))

    def damage_entity(self, fault: Fault, node: SimNode) -> bool:
        """What is kept of one entity cannot be read any more: it is found out when it is read next."""
        entities = [entity for entity, _, _ in node.store.entities(-1, 1_000)]
        others = [other for other in self._cluster.nodes if other is not node]
        if not entities or not self.bearable(node) or any(other.store.owes for other in others):
            return False
        node.store.damage(entities[int(fault.value * len(entities))])
        return True

    def damage_entity_and_start(self, fault: Fault, node: SimNode) -> bool:
        """The same, and memory does not know it either."""
        if not self.damage_entity(fault, node):
            return False
        self._down(node)
        self._cluster.start(node.number)
        return True

    def scrub(self, node: SimNode) -> None:
        """Whoever reads everything finds what is damaged, and the node begins anew without it."""
        if node.store.damaged:
            self._down(node)
            node.lost_ranges += [(entity, entity) for entity in sorted(node.store.damaged)]
            self._cluster.start(node.number)

    def damage_disk(self, fault: Fault, node: SimNode) -> bool:
        """Damage that cannot be pinned on entities: the node puts an empty disk in the place of this one (storage/replace.py)."""
        if not self.bearable(node) or not node.store.is_members:
            return False
        before = node.store.durable_standing
        assert before is not None
        disk = self._cluster.new_disk()
        row = reentering(node.number, len(self._cluster.nodes), disk.id, before.disks[node.number].id)
        disk.write({}, (), [SetStanding(row.encode())])
        disk.sync()
        self._replace(node, disk)
        self._stale.pop(node.number, None)
        self._cluster.start(node.number)
        return True

    def cut_power_in_installation(self, fault: Fault, node: SimNode) -> None:
        """It misses something, and loses power while that is copied to it, whenever that is."""
        self._down(node)
        node.cut_at = CutAt(INSTALLING, int(fault.value))

    def copy(self, fault: Fault, node: SimNode) -> None:
        """Somebody copies the directory; the node goes on, and is started again now and then."""
        self._copies[fault] = node.store.copy()
        self._down(node)
        self._cluster.start(node.number)

    def put_copy_back(self, fault: Fault, node: SimNode) -> bool:
        """The copy comes in the place of the directory; where peers can know that it is one, and the original could be lost."""
        copy = self._copies.pop(fault, None)
        if copy is None or self.peace or not self.bearable(node) or not self._can_be_found_out(node, copy):
            return False
        self.done["a copy was put back"] += 1
        original = node.store.copy()
        self._replace(node, copy)
        self._cluster.start(node.number)
        if fault.value:
            self._cluster.after(100.0, lambda: self._put_original_back(node, original))
        return True

    def back_up(self, fault: Fault, node: SimNode) -> None:
        """Somebody makes a backup of one of the nodes."""
        self._copies[fault] = self._cluster.nodes[int(fault.value)].store.copy()

    def restore(self, fault: Fault, node: SimNode) -> bool:
        """The disk is lost, and another one is made from that backup."""
        backup = self._copies.pop(fault, None)
        if backup is None or self.peace or not self.bearable(node):
            return False
        row = backup.durable_standing
        if row is None or not row.founding:
            return False  # there was no cluster yet
        try:
            restored = backup.restored(node.number, len(self._cluster.nodes), self._cluster.new_disk().id)
        except Damaged:
            return False  # a backup of damage is refused
        self.done["a disk was restored"] += 1
        self._replace(node, restored, stale=False)
        self._cluster.start(node.number)
        return True

    def _put_original_back(self, node: SimNode, original: SimDisk) -> None:
        if not self.peace and self.bearable(node) and self._can_be_found_out(node, original):
            self.done["the original came after its copy"] += 1
            self._replace(node, original)
            self._cluster.start(node.number)

    def _can_be_found_out(self, node: SimNode, copy: SimDisk) -> bool:
        """Whether all others have noted another disk of this node, or a later start of this one."""
        row = copy.durable_standing
        if row is None:
            return False
        for other in self._cluster.nodes:
            if other is not node:
                theirs = other.store.durable_standing
                if theirs is None:
                    return False
                noted = theirs.disks[node.number]
                if not noted.id or (noted.id == row.disks[node.number].id and noted.starts <= row.disks[node.number].starts):
                    return False
        return True

    def _replace(self, node: SimNode, disk: SimDisk, *, stale: bool = True) -> None:
        if stale and self._was_met(node, disk):
            row = disk.durable_standing
            assert row is not None
            self._stale[node.number] = row.disks[node.number].id
        self._down(node)
        self._cluster.change_disk(node.number, disk)

    def _was_met(self, node: SimNode, disk: SimDisk) -> bool:
        """Whether any peer has noted this disk. A copy of one that has shown itself to nobody is as good as the original: it is
        not found out, and may stay (seed 86006022); so may one that is new (seed 7310864)."""
        row = disk.durable_standing
        if row is None or row.state is State.NEW:
            return False
        me, found = node.number, row.disks[node.number].id
        rows = [other.store.durable_standing for other in self._cluster.nodes if other is not node]
        return any(row is not None and (row.disks[me].id == found or (me, found) in row.replaced) for row in rows)

    def _down(self, node: SimNode) -> None:
        if node.up:
            self._cluster.kill(node.number, self._cluster.survivors(node.number))


def _has_promise(node: SimNode, peer: int) -> bool:
    """Whether a node has prepared somewhere, with a promise of this peer, and nothing is accepted there."""
    for number in ENTITIES:
        entity = node.shard.entity(number)
        if entity is None or entity.mailbox is not None:
            continue
        opened = entity.log.opened.get(entity.log.max_chosen + 1)
        if opened is not None:
            mine, rows = opened.machine.mine, opened.machine.rows
            if mine.prepared and mine.prepared == mine.promised == rows[peer].promised and not any(row.accepted for row in rows):
                return True
    return False
