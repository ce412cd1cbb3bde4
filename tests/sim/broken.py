"""Requests that break their promise: each counts how often it ran, and a request may run several times."""

from __future__ import annotations

import random

from paxosstore.core.batch.overlay import View
from paxosstore.sim.models import Counter
from paxosstore.sim.workload import Call, Workload

RAN: list[bytes] = []


def count(view: View, payload: bytes) -> bytes:
    RAN.append(payload)
    view.put(b"count", b"%d" % len(RAN))
    return b"%d" % len(RAN)


def draw(rng: random.Random) -> Call:
    return Call(1, "count", "count:1", "add", (1,))


BROKEN = Workload({"count": count}, draw, {"count": Counter})
