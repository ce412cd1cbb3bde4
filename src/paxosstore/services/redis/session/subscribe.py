"""Publishing and subscribing: the commands of a session on the channels of all nodes (pubsub/hub.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from ....errors import PaxosStoreError, TooLarge
from ..glob import MAX_PIECE
from ..pubsub.hub import CHANNEL, MAX_SUBSCRIPTIONS, SHARD_CHANNEL, Hub, push_of
from ..reply import array, bulk, error, integer_reply, lines_of, nil, store_error
from .session import Session

_FULL = error(f"a client may have {MAX_SUBSCRIPTIONS} subscriptions of a kind", "TOOLARGE")
MAX_LONG_BYTES = 16_384
"""Of the long patterns of one command: they are looked through, on the loop."""
_TOO_LONG = error(f"one PSUBSCRIBE takes {MAX_LONG_BYTES} bytes of patterns of more than {MAX_PIECE}: use several", "TOOLARGE")
_HELP = (
    "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CHANNELS [<pattern>]: channels that clients of this node have subscribed to, and that fit.",
    "NUMPAT: how many patterns there are that clients of this node have subscribed to.",
    "NUMSUB [<channel> ...]: how many clients of this node have subscribed to each of these channels.",
    "SHARDCHANNELS [<pattern>], SHARDNUMSUB [<channel> ...]: the same of SSUBSCRIBE.",
)


class _Kind(NamedTuple):
    """A kind of subscriptions."""

    subscribe: Callable[[Hub, Session, bytes], bool]
    unsubscribe: Callable[[Hub, Session, bytes], bool]
    names: Callable[[Session], Mapping[bytes, None]]
    """Those of a session."""
    count: Callable[[Session], int]
    """What a reply tells of how many there are."""


def _number(session: Session) -> int:
    return len(session.subscriptions.channels) + len(session.subscriptions.patterns)


CHANNELS = _Kind(Hub.subscribe, Hub.unsubscribe, lambda session: session.subscriptions.channels, _number)
PATTERNS = _Kind(Hub.subscribe_pattern, Hub.unsubscribe_pattern, lambda session: session.subscriptions.patterns, _number)
SHARD_CHANNELS = _Kind(
    Hub.subscribe_shard,
    Hub.unsubscribe_shard,
    lambda session: session.subscriptions.shard_channels,
    lambda session: len(session.subscriptions.shard_channels),
)


def subscriber(what: bytes, kind: _Kind) -> Callable[[Session, list[bytes]], bytes]:
    """A command that subscribes: a confirmation for each name."""

    def run(session: Session, args: list[bytes]) -> bytes:
        session.confirm()
        replies, left = [], MAX_LONG_BYTES
        for name in args[1:]:
            left -= len(name) if kind is PATTERNS and len(name) > MAX_PIECE else 0
            if left < 0:
                replies.append(_TOO_LONG)
                break
            if len(kind.names(session)) >= MAX_SUBSCRIPTIONS and name not in kind.names(session):
                replies.append(_FULL)
                break
            try:
                kind.subscribe(session.host.hub, session, name)
            except TooLarge as fault:
                replies.append(store_error(fault))
                break
            replies.append(push_of((bulk(what), bulk(name), integer_reply(kind.count(session))), session.proto))
        return b"".join(replies)

    return run


def unsubscriber(what: bytes, kind: _Kind) -> Callable[[Session, list[bytes]], bytes]:
    """A command that ends subscriptions: those named, or all of its kind; a confirmation for each, and one at least."""

    def run(session: Session, args: list[bytes]) -> bytes:
        names: Iterable[bytes] = args[1:] or [*kind.names(session)]
        replies = []
        for name in names:
            kind.unsubscribe(session.host.hub, session, name)
            replies.append(push_of((bulk(what), bulk(name), integer_reply(kind.count(session))), session.proto))
        if not replies:
            replies.append(push_of((bulk(what), nil(session.proto), integer_reply(kind.count(session))), session.proto))
        return b"".join(replies)

    return run


def publisher(kind: int) -> Callable[[Session, list[bytes]], bytes]:
    """A command that publishes: how many clients of this node were told."""

    def run(session: Session, args: list[bytes]) -> bytes:
        try:
            return integer_reply(session.host.hub.publish(args[1], args[2], kind))
        except PaxosStoreError as fault:
            return store_error(fault)

    return run


subscribe, unsubscribe = subscriber(b"subscribe", CHANNELS), unsubscriber(b"unsubscribe", CHANNELS)
psubscribe, punsubscribe = subscriber(b"psubscribe", PATTERNS), unsubscriber(b"punsubscribe", PATTERNS)
ssubscribe, sunsubscribe = subscriber(b"ssubscribe", SHARD_CHANNELS), unsubscriber(b"sunsubscribe", SHARD_CHANNELS)
publish, spublish = publisher(CHANNEL), publisher(SHARD_CHANNEL)


def _channels(*, shard: bool) -> Callable[[Session, list[bytes]], bytes]:
    def run(session: Session, args: list[bytes]) -> bytes:
        try:
            found = session.host.hub.channels(args[2] if len(args) > 2 else None, shard=shard)
        except TooLarge as fault:
            return store_error(fault)
        return array([bulk(channel) for channel in found])

    return run


def _numbers(*, shard: bool) -> Callable[[Session, list[bytes]], bytes]:
    def run(session: Session, args: list[bytes]) -> bytes:
        hub = session.host.hub
        counts = [(bulk(name), integer_reply(hub.subscribers(name, shard=shard))) for name in args[2:]]
        return array([part for pair in counts for part in pair])

    return run


PUBSUB: dict[bytes, tuple[int, Callable[[Session, list[bytes]], bytes]]] = {
    b"channels": (-2, _channels(shard=False)),
    b"help": (2, lambda session, args: lines_of(_HELP)),
    b"numpat": (2, lambda session, args: integer_reply(session.host.hub.patterns)),
    b"numsub": (-2, _numbers(shard=False)),
    b"shardchannels": (-2, _channels(shard=True)),
    b"shardnumsub": (-2, _numbers(shard=True)),
}
"""Its subcommands."""
