"""What a turn has the disk read, as far as its work goes: entities to load, and what peers want to learn."""

from __future__ import annotations

from ..entity.logstate import NEVER
from .budget import Job
from .context import Context

LOAD_WORK = 100
"""What loading an entity costs in units of `Context.work`, as long as its rows are small."""
READ_WORK = 2_000
"""What answering catch-up with up to 1 MiB, or a page of the inventory, costs in the same units."""


def load(context: Context) -> bool:
    """Have the disk load entities as far as this turn's work goes, one at least; whether something is left."""
    while context.loads:
        context.ready.loads.append(context.loads.popleft())
        context.work += LOAD_WORK
        if context.spent or len(context.ready.loads) >= context.tuning.max_loads:
            break
    return bool(context.loads)


def read_for_peers(context: Context) -> bool:
    """The same of what peers asked for; catch-up waits for the background budget as well."""
    logs, pages = context.log_reads, context.inventory_reads
    while logs and not context.budget.wait_ms(Job.CATCH_UP, context.now_ms):
        context.ready.log_reads.append(logs.pop(next(iter(logs))))
        context.work += READ_WORK
        if context.spent:
            break
    while pages:
        context.ready.inventory_reads.append(pages.pop(next(iter(pages))))
        context.work += READ_WORK
        if context.spent:
            break
    floors = context.floor_reads
    while floors:
        context.ready.floor_reads.append(floors.pop(next(iter(floors))))
        context.work += READ_WORK
        if context.spent:
            break
    return bool(pages or floors or (logs and not context.budget.wait_ms(Job.CATCH_UP, context.now_ms)))


def next_ms(context: Context) -> float:
    """When the background budget allows the next answer to catch-up; never, if nobody waits for one."""
    return context.now_ms + context.budget.wait_ms(Job.CATCH_UP, context.now_ms) if context.log_reads else NEVER
