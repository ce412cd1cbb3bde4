"""All mutants. To add one, write the mistake down as a replacement of text; `make mutants` says whether the simulator notices."""

from __future__ import annotations

from .background import BACKGROUND
from .calls import CALLS
from .catch_up import CATCH_UP
from .clocks import CLOCKS
from .collections import SIMULATED
from .comparing import COMPARING
from .disk import DISK
from .divergence import DIVERGENCE
from .feed import FEED
from .founding import FOUNDING
from .learn_only import LEARN_ONLY
from .lost_disk import LOST_DISK
from .memory import MEMORY
from .mutant import Mutant
from .once import UNDER_UUID
from .pace import PACING
from .paxos import PAXOS
from .redis import REDIS
from .replicated_log import REPLICATED_LOG
from .snapshot import SNAPSHOT
from .streams import STREAMS

MUTANTS: tuple[Mutant, ...] = (
    *(PAXOS + DISK + REPLICATED_LOG + LOST_DISK + FOUNDING + MEMORY + SNAPSHOT),
    *(DIVERGENCE + CATCH_UP + PACING + COMPARING + LEARN_ONLY + BACKGROUND + REDIS + CLOCKS + FEED + UNDER_UUID),
    *(SIMULATED + STREAMS + CALLS),
)
BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
