"""Lists, sets, hashes and sorted sets in the simulated cluster: the real handler on the real core, under all its faults, held
against the models of sim/collections.py; some of the keys are given an end, by clocks that differ and jump.

    python -m tests.services.redis.simulated_collections 1000 [FIRST]
"""

from __future__ import annotations

import json
import random
from collections import Counter
from itertools import count

from chaos import kinds
from paxosstore.core.batch.overlay import View
from paxosstore.services.redis.commands.handler import encode, handle
from paxosstore.services.redis.waiting.giveback import parse
from paxosstore.sim.collections import COLLECTIONS, EXPIRE, with_unseen
from paxosstore.sim.history import Value
from paxosstore.sim.leases import TOLERANCE_MS
from paxosstore.sim.plan import draw_plan
from paxosstore.sim.simulation import Report, Simulation
from paxosstore.sim.workload import Call, Workload

from .seeds import run_seeds

KEYS = tuple(prefix + kind for kind in COLLECTIONS for prefix in ("", kinds.BRIEF))


def run_command(view: View, payload: bytes) -> bytes:
    """What every node does with a call."""
    key, kind, arguments = json.loads(payload)
    words = [str(word).encode() for word in kinds.words(kind, key, tuple(arguments))]
    reply = handle(view, encode(2, words))
    if reply.startswith(b"-"):
        raise AssertionError(f"{words}: {reply!r}")
    return json.dumps(kinds.value(kind, parse(reply))).encode()


class Collecting(Simulation):
    """A simulation whose clients use collections."""

    def __init__(self, seed: int) -> None:
        tokens = map(str, count(100))

        def draw(rng: random.Random) -> Call:
            entity = rng.choice((1, 1, 2))
            key = f"{rng.choice(keys)}:{entity}"
            kind, arguments = kinds.draw(rng, key, f"t{next(tokens)}")
            return Call(entity, "collections", key, kind, arguments, read_only=kind in kinds.READS)

        keys = random.Random(f"keys {seed}").sample(KEYS, 3)
        models = {key: COLLECTIONS[kinds.kind_of(key)] for key in KEYS}
        workload = Workload({"collections": run_command}, draw, models)
        super().__init__(draw_plan(seed, workload), workload)

    def _judge(self) -> int:
        self.history = with_unseen(self.history, TOLERANCE_MS if self.plan.right_clocks else None)
        return super()._judge()

    def seen(self, *kinds_of_calls: str, reply: Value) -> int:
        """How many of these were answered so."""
        return sum(one.kind in kinds_of_calls and one.returned is not None and one.reply == reply for one in self.history)


def run(seed: int) -> tuple[Report, Collecting]:
    """Run a seed. Raises Violation if its history has no order."""
    simulation = Collecting(seed)
    return simulation.run(), simulation


if __name__ == "__main__":
    run_seeds(run, lambda simulation: Counter({"ends set": simulation.seen(EXPIRE, reply=1)}))
