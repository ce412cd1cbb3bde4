"""What a turn has the disk read, as far as its work goes: entities to load, and what peers want to learn."""

from __future__ import annotations

from typing import Any, TypeVar

from ..entity.logstate import NEVER
from .context import Context

T = TypeVar("T")

LOAD_WORK = 100
"""What loading an entity costs in units of `Context.work`, as long as its rows are small."""
READ_WORK = 2_000
"""What answering catch-up with up to 1 MiB, or a page of the inventory, costs in the same units."""
DIGESTS_WORK = 200
"""What adding up the digests of a question costs."""
MAX_PATIENT_READS = 8
"""Answers that nobody waits for, of one turn: how large they are is known when they are read."""


def load(context: Context) -> bool:
    """Have the disk load entities as far as this turn's work goes, one at least; whether more may go at once."""
    while context.loads and context.loading < context.tuning.max_loads:
        context.ready.loads.append(context.loads.popleft())
        context.loading += 1
        context.work += LOAD_WORK
        if context.spent:
            break
    return bool(context.loads) and context.loading < context.tuning.max_loads


def read_for_peers(context: Context) -> bool:
    """The same of what peers asked for. Where nobody waits for it, the rates decide as well."""
    if not (
        context.log_reads
        or context.patient_reads
        or context.digest_reads
        or context.inventory_reads
        or context.floor_reads
        or context.lost_reads
    ):
        return False  # as in nearly every turn
    ready = context.ready
    _take(context, context.log_reads, ready.log_reads, READ_WORK)
    _take_patient(context)
    _take(context, context.digest_reads, ready.digest_reads, DIGESTS_WORK)
    _take(context, context.inventory_reads, ready.inventory_reads, READ_WORK)
    _take(context, context.floor_reads, ready.floor_reads, READ_WORK)
    _take(context, context.lost_reads, ready.lost_reads, READ_WORK)
    left = context.log_reads or context.digest_reads or context.inventory_reads or context.floor_reads or context.lost_reads
    return bool(left or (context.patient_reads and not context.patient_wait_ms))


def next_ms(context: Context) -> float:
    """When the rates allow the next answer that nobody waits for; never, if there is none."""
    return context.now_ms + context.patient_wait_ms if context.patient_reads else NEVER


def _take(context: Context, asked: dict[Any, T], reads: list[T], work: int) -> None:
    while asked:
        reads.append(asked.pop(next(iter(asked))))
        context.work += work
        if context.spent:
            break


def _take_patient(context: Context) -> None:
    patient = context.patient_reads
    for _ in range(MAX_PATIENT_READS):
        if not patient or context.spent:
            break
        if context.patient_wait_ms:
            context.counters.answers_paced += 1
            break
        context.ready.log_reads.append(patient.pop(next(iter(patient))))
        context.work += READ_WORK
