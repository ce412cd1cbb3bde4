"""What a node does besides serving requests, in sentences: the same ones in its log, its status and on the command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..core.entity.install import Transfer
from ..core.entry.ids import NOBODY
from ..core.interface.comparison import Compared
from ..core.log.reconcile import Reconciliation
from ..core.reentry.progress import Progress
from ..core.turn.reach import duration
from ..core.turn.standing import State
from ..core.turn.waiting import nodes

MAX_TRANSFERS = 8
"""Copies that are told of one by one."""
NEW, MEMBER, REENTERING = State.NEW.value, State.MEMBER.value, State.REENTERING.value
UNITS = ("bytes", "kB", "MB", "GB")


def describe_reentry(now: Progress) -> Iterator[str]:
    """What keeps a node from being a member like any other (rule 19)."""
    if now.state == NEW:
        yield now.waits_for
    elif now.state == REENTERING and now.waits_for:
        yield f'{now.waits_for}; should they be lost for good: docs/OPERATING.md, "A majority of the disks is lost"'
    elif not now.done:
        yield "; ".join(filter(None, (_come_back(now), now.waits_for)))


def _come_back(now: Progress) -> str:
    if now.counting:
        done = f"asks which entities there are: {now.entities} so far"
    elif now.passed < now.entities:
        left = f", {duration(now.eta_s)} left" if now.eta_s >= 0.0 else ""
        done = (
            f"{now.passed} of {now.entities} entities are back, {amount(now.bytes_now)} learned; "
            f"{now.entities_per_s:.0f} entities and {amount(now.bytes_per_s)} a second{left}"
        )
    else:
        return ""
    without = f" (forced: without {nodes(now.forced_without)})" if now.forced_without else ""
    return f"comes back on a disk that is not the one it had{without}: {done}"


def describe_reconciliation(now: Reconciliation) -> Iterator[str]:
    """What is found to be missing here, and learned."""
    if now.digests:
        yield f"cannot compare itself with its peers: the digests of what it holds are not known ({now.digests})"
    for one in now.comparisons:
        if one.under_way:
            share = f"{100 * one.share:.0f} % in {duration(one.seconds)}"
            yield f"compares itself with node {one.peer}: {share}, {one.behind} entities behind"
    if now.waiting or now.under_way:
        yield f"catches up with its peers: {now.under_way} entities are being learned, {now.waiting} wait"


def describe_transfers(transfers: Sequence[Transfer]) -> Iterator[str]:
    """The snapshots under way."""
    yield from map(_describe_transfer, transfers[:MAX_TRANSFERS])
    if len(transfers) > MAX_TRANSFERS:
        yield f"{len(transfers) - MAX_TRANSFERS} more entities are copied"


def _describe_transfer(transfer: Transfer) -> str:
    peer = "some peer" if transfer.peer == NOBODY else f"node {transfer.peer}"
    way = f"to {peer}" if transfer.sends else f"from {peer}"
    at = f" as of entry {transfer.committed}" if transfer.committed else ""
    return (
        f"entity {transfer.entity} is copied {way}{at}: {amount(transfer.size)} in {duration(transfer.seconds)}, "
        f"{amount(transfer.bytes_per_second)} a second"
    )


def describe_difference(entity: int, found: Compared) -> str:
    """What an operator is told when the replicas of an entity differ, and what to do."""
    return (
        f"entity {entity}: {found.describe()}. Look with paxosstore verify --entities {entity}, and see docs/OPERATING.md, "
        f'"The data of replicas differs"'
    )


def amount(size: float) -> str:
    """Bytes, as a person reads them: powers of ten, two digits that count."""
    unit = 0
    while size >= 999.5 and unit < len(UNITS) - 1:
        size, unit = size / 1_000.0, unit + 1
    return f"{size:.1f} {UNITS[unit]}" if unit and size < 9.95 else f"{size:.0f} {UNITS[unit]}"
