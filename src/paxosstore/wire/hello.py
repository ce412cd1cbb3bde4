"""The frames of a connection that are not messages: hello, ping and pong. The first byte of a payload tells which it is.

    hello   magic │ protocol version (u16, big-endian) │ msgpack array of the rest
    ping    "P" │ 8 bytes that the receiver repeats in a
    pong    "Q" │ the same 8 bytes │ the receiver's clock (8 bytes, microseconds since 1970)
    "M"     what is published (published.py)
    0x9_, 0xdc  messages (codec.py: a msgpack array begins like this)

Who dials says hello first and nothing else until the answer; who accepts answers with its own, even before it refuses, so
that both sides can say what is wrong. The layout up to the version never changes.
"""

from __future__ import annotations

from dataclasses import fields
from typing import NamedTuple

import msgspec

from ..errors import WireError
from ..settings import ClusterSettings

MAGIC = b"PXSTORE\x00"
PROTOCOL_VERSION = 8
MAX_HELLO_BYTES = 4096
"""Limit of a frame until the hello is checked."""

_BODY_AT = len(MAGIC) + 2
PING = ord("P")
PONG = ord("Q")
PING_BYTES = 9
PONG_BYTES = 17


class Hello(NamedTuple):
    """Who is speaking, and to whom it believes to speak."""

    cluster: str
    settings: str
    """Fingerprint of the settings that have to be the same everywhere; readable, so that a mismatch explains itself."""
    node: int
    target: int
    incarnation: int
    """64 random bits drawn at each start of the node."""
    disk_id: bytes
    """Identity of the node's data directory; a lost disk comes back with another one (rule 19)."""
    starts: int = 0
    """How often the node has started on it, this start included; 0: it could not count this one."""
    cluster_id: str = ""
    """Which cluster of this name it is of (core/turn/standing.py); empty: it does not know that yet."""
    clock_us: int = 0
    """Its clock, in microseconds since 1970: known of each peer before anything is asked of it (rule 20)."""

    def is_of_one_life_with(self, other: Hello) -> bool:
        """Whether nothing but what a node finds out while it runs tells them apart."""
        return self._replace(cluster_id="", clock_us=0) == other._replace(cluster_id="", clock_us=0)

    @property
    def disk(self) -> int:
        """The disk id as the core knows it."""
        return int.from_bytes(self.disk_id[-8:], "big")


_decoder = msgspec.msgpack.Decoder(Hello)


def fingerprint(settings: ClusterSettings) -> str:
    """All cluster settings but the name, as text."""
    return " ".join(f"{f.name}={getattr(settings, f.name)}" for f in fields(settings) if f.name != "cluster")


def encode_hello(hello: Hello, version: int = PROTOCOL_VERSION) -> bytes:
    return MAGIC + version.to_bytes(2, "big") + msgspec.msgpack.encode(hello)


def decode_hello(payload: bytes) -> Hello:
    """Raises WireError for what is no hello of this protocol version."""
    if not payload.startswith(MAGIC) or len(payload) < _BODY_AT:
        raise WireError("this is no PaxosStore peer")
    version = int.from_bytes(payload[len(MAGIC) : _BODY_AT], "big")
    if version != PROTOCOL_VERSION:
        raise WireError(f"the peer speaks protocol version {version}, this node speaks {PROTOCOL_VERSION}")
    try:
        hello = _decoder.decode(memoryview(payload)[_BODY_AT:])
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise WireError(f"a hello that cannot be read: {error}") from error
    if hello.incarnation < 0 or hello.starts < 0 or hello.clock_us < 0:
        raise WireError("a hello with a negative incarnation, number of starts, or clock")
    return hello


def check_hello(hello: Hello, settings: ClusterSettings, me: int, peer: int | None = None, cluster_id: str = "") -> None:
    """Refuse a peer that this node (`me`) must not talk to; `peer` is whom it dialled, None if it was dialled.

    `cluster_id` is what this node knows. A node restored from a backup has data: of another cluster, it would be taken for news.

    Raises WireError that names both sides' values.
    """
    if hello.cluster != settings.cluster:
        raise WireError(f"another cluster: the peer is of {hello.cluster!r}, this node of {settings.cluster!r}")
    mine = fingerprint(settings)
    if hello.settings != mine:
        raise WireError(f"other cluster settings: the peer has {hello.settings!r}, this node has {mine!r}")
    if hello.cluster_id and cluster_id and hello.cluster_id != cluster_id:
        raise WireError(
            f"another cluster of the same name: the peer is of the one {hello.cluster_id}, this node of {cluster_id}. Which of "
            "the two was restored from a backup of an earlier cluster? Start that one on an empty directory"
        )
    if hello.target != me:
        raise WireError(f"the peer (node {hello.node}) wants to talk to node {hello.target}, this is node {me}")
    if peer is not None and hello.node != peer:
        raise WireError(f"the peer says it is node {hello.node}, this node expected node {peer}")
    if hello.node == me or not 0 <= hello.node < settings.nodes:
        raise WireError(f"the peer says it is node {hello.node}, this is node {me} of {settings.nodes}")


def encode_ping(stamp: bytes) -> bytes:
    """`stamp`: 8 bytes of the sender's own choice."""
    return bytes((PING,)) + stamp


def encode_pong(ping: bytes, clock_us: int) -> bytes:
    """The answer to a ping, by whose clock it is this time."""
    return bytes((PONG,)) + ping[1:] + clock_us.to_bytes(8, "big")


def decode_pong(pong: bytes) -> tuple[bytes, int]:
    """The stamp of the ping, and the peer's clock in microseconds. Raises WireError."""
    if len(pong) != PONG_BYTES or pong[0] != PONG:
        raise WireError("an answer that is no pong")
    return pong[1:PING_BYTES], int.from_bytes(pong[PING_BYTES:], "big")
