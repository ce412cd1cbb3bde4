"""INFO, WAIT and TIME: what this node can tell of itself."""

from __future__ import annotations

from ..reply import NOT_AN_INTEGER, array, bulk, error, integer_reply, verbatim
from ..resp import integer
from .session import Session


def info(session: Session, args: list[bytes]) -> bytes:
    wanted = {word.decode("latin-1").lower() for word in args[1:]}
    everything = not wanted or bool(wanted & {"default", "all", "everything"})
    parts = []
    for title, facts in session.host.info().items():
        if everything or title.lower() in wanted:
            lines = [f"# {title}", *[f"{key}:{value}" for key, value in facts.items()], ""]
            parts.append("\r\n".join(lines))
    return verbatim("\r\n".join(parts), session.proto)


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
