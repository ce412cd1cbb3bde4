"""The nodes that a client knows."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

PORT = 6379
Address = tuple[str, int]


class Nodes:
    """The nodes' addresses, and which one is used: the first one until it fails."""

    def __init__(self, nodes: Sequence[str | Address]) -> None:
        if isinstance(nodes, str) or not nodes:
            raise ValueError('a list of nodes is needed, as ["node-a:6379", "node-b:6379"]')
        self._addresses = [address_of(node) if isinstance(node, str) else node for node in nodes]
        self._at = 0

    def __len__(self) -> int:
        return len(self._addresses)

    @property
    def current(self) -> Address:
        return self._addresses[self._at]

    def in_turn(self) -> list[Address]:
        """All of them, the one that is used first."""
        at = self._at
        return self._addresses[at:] + self._addresses[:at]

    def leave(self, host: str, port: int) -> None:
        """That node does not answer, or cannot do what it is asked: use the next one."""
        if (host, port) == self.current:
            self._at = (self._at + 1) % len(self._addresses)


def address_of(text: str) -> Address:
    """ "host", "host:port", "[v6]:port". Raises ValueError."""
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError(f'{text!r} is no address: "host:port" is needed')
    return parts.hostname, parts.port or PORT
