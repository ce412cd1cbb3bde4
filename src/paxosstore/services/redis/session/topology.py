"""Where clients find the nodes of this cluster: what SENTINEL and CLUSTER tell them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha1
from typing import NamedTuple

Address = tuple[str, int]


class Member(NamedTuple):
    """One node, as clients are told of it."""

    number: int
    id: str
    """40 hexadecimal digits, as Redis's own: the same at every node, through restarts."""
    host: str
    port: int
    up: bool
    """Whether there is a link to it."""

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Topology:
    """The nodes of a cluster, seen from one of them."""

    cluster: str = ""
    me: int = 0
    addresses: Sequence[Address] = ()
    """Of the Redis services, by node number, as the configuration has them; none: there is this one alone, and its address is the
    one that a client has reached it by."""
    is_up: Callable[[int], bool] = lambda number: True

    def members(self, reached: str) -> list[Member]:
        """All nodes, this one first. `reached`: the address that the client came to."""
        if not self.addresses:
            host, _, port = reached.rpartition(":")
            return [self._member(0, (host, int(port) if port.isdigit() else 0))]
        numbers = [self.me, *(number for number in range(len(self.addresses)) if number != self.me)]
        return [self._member(number, self.addresses[number]) for number in numbers]

    def _member(self, number: int, address: Address) -> Member:
        digest = sha1(f"{self.cluster}/{number}".encode(), usedforsecurity=False).hexdigest()
        return Member(number, digest, *address, number == self.me or self.is_up(number))


def majority(members: Sequence[Member]) -> bool:
    """Whether there are links to enough of them."""
    return 2 * sum(member.up for member in members) > len(members)
