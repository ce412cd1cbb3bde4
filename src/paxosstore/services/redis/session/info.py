"""INFO, WAIT and TIME: what this node can tell of itself."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate

from ..reply import NOT_AN_INTEGER, array, bulk, error, integer_reply, verbatim
from ..resp import integer
from .session import Session
from .times import Took

_ONLY_ASKED = frozenset(("Commandstats", "Latencystats"))
"""Sections that are not told unless they, or all, are asked for."""


def info(session: Session, args: list[bytes]) -> bytes:
    wanted = {word.decode("latin-1").lower() for word in args[1:]}
    everything = bool(wanted & {"all", "everything"})
    default = not wanted or "default" in wanted
    parts = []
    for title, facts in [*session.host.info().items(), *_of_commands(session).items()]:
        if everything or title.lower() in wanted or (default and title not in _ONLY_ASKED):
            lines = [f"# {title}", *[f"{key}:{value}" for key, value in facts.items()], ""]
            parts.append("\r\n".join(lines))
    return verbatim("\r\n".join(parts), session.proto)


def _of_commands(session: Session) -> dict[str, dict[str, object]]:
    """What the times of this node's commands say."""
    times = session.host.times
    commands = {
        f"cmdstat_{name}": f"calls={took.calls},usec={took.us},usec_per_call={took.us / max(1, took.calls):.2f},"
        f"rejected_calls={took.rejected},failed_calls={took.failed}"
        for name, took in times.commands.items()
    }
    percentiles = {f"latency_percentiles_usec_{name}": _percentiles(took) for name, took in times.commands.items() if took.calls}
    errors = {f"errorstat_{code}": f"count={count}" for code, count in times.errors.items()}
    return {"Commandstats": {**commands}, "Errorstats": {**errors}, "Latencystats": {**percentiles}}


def _percentiles(took: Took) -> str:
    """At most: calls are counted by powers of two, so it may be half as much."""
    sums = list(accumulate(took.buckets))
    return ",".join([f"p{share:g}={1 << bisect_left(sums, took.calls * share / 100):.3f}" for share in (50, 99, 99.9)])


def wait(session: Session, args: list[bytes]) -> bytes:
    """At once: a write that is answered is on the disks of a majority, so on that many nodes beside the one asked."""
    if integer(args[1]) is None:
        return NOT_AN_INTEGER
    timeout_ms = integer(args[2])
    if timeout_ms is None:
        return error("timeout is not an integer or out of range")
    if timeout_ms < 0:
        return error("timeout is negative")
    return integer_reply(session.host.replicas)


def time(session: Session, args: list[bytes]) -> bytes:
    """Seconds since 1970, and microseconds, by the clocks of the nodes (rule 20): they are exact to the millisecond."""
    seconds, ms = divmod(session.host.now_ms(), 1_000)
    return array([bulk(b"%d" % seconds), bulk(b"%d" % (1_000 * ms))])
