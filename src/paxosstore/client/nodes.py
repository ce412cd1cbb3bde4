"""The nodes that a client knows."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from ..boundary import is_host

PORT = 6379
Address = tuple[str, int]


class Nodes:
    """The nodes' addresses, and which one is used: the first one until it fails."""

    def __init__(self, nodes: Sequence[str | Address]) -> None:
        if isinstance(nodes, str) or not nodes:
            raise ValueError('a list of nodes is needed, as ["node-a:6379", "node-b:6379"]')
        found = [address_of(node) if isinstance(node, str) else _exact(node) for node in nodes]
        self._addresses = list(dict.fromkeys(found))
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
    wrong = ValueError(f'{text!r} is no address: "host:port" is needed')
    try:
        parts = urlsplit(f"//{text}")
        port = parts.port
    except ValueError:
        raise wrong from None
    # a scheme would be taken for a host, and what stands behind the port would mean nothing
    if not parts.hostname or parts.netloc != text or "@" in text or text.endswith(":"):
        raise wrong
    return _exact((parts.hostname, PORT if port is None else port))


def _exact(address: Address) -> Address:
    """Raises ValueError."""
    host, port = address
    if not is_host(host):
        raise ValueError(f"{host!r} is no host name or address")
    if not 1 <= port <= 65_535:
        raise ValueError(f"{host}:{port}: a port is a number from 1 to 65535")
    return host, port
