"""What a node is to its cluster on a disk that was made from a backup (rule 19).

In a cluster that goes on, it has lost its disk: it re-enters, whatever data it brings. It remembers which cluster that was, so
that no other one of the same name takes it for its own (wire/hello.py).

A new cluster is made of as many such disks as there are nodes, all from one backup, each under a disk id that follows from the
backup: so each knows the others beforehand, and they begin like any new cluster. Where one of them comes from another backup, or
is empty, the others see another disk in its place; with a majority of those nobody begins (`OwnStanding.doubts`). With fewer, a
majority holds all that there is, and the rest are nodes that have missed it.
"""

from __future__ import annotations

from hashlib import blake2b

from .standing import Disk, StandingRow, State, decode_standing


def lost_disk(before: bytes, me: int, n: int, disk: int) -> StandingRow:
    """The row of node `me`, whose lost disk is replaced by this one; `before` is the row in the backup, of whatever node."""
    founding = decode_standing(before).founding if before else ()
    disks = tuple(Disk(disk) if node == me else Disk() for node in range(n))
    return StandingRow(State.REENTERING, disks, founding)


def new_cluster(disks: list[int]) -> StandingRow:
    """The row of every node of a cluster that begins with these disks."""
    return StandingRow(State.NEW, tuple(Disk(disk) for disk in disks))


def disk_of(backup: str, cluster: str, node: int) -> int:
    """The disk id of a node of the cluster of this name that is made from this backup."""
    digest = blake2b(f"{backup} {node} {cluster}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1 | 1
