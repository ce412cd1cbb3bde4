"""PUBLISH and SPUBLISH inside a transaction or script: the message leaves when that is decided (`View.publish`)."""

from __future__ import annotations

from ....core.batch.overlay import View
from ..pubsub.hub import CHANNEL, SHARD_CHANNEL
from ..reply import ZERO
from ..run import Run


def _publisher(kind: int) -> Run:
    def run(view: View, args: list[bytes], proto: int) -> bytes:
        view.publish(args[1], args[2], kind)
        return ZERO  # nobody has been told by now

    return run


publish, spublish = _publisher(CHANNEL), _publisher(SHARD_CHANNEL)
