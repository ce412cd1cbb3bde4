"""INFO and WAIT: what this node can tell of itself."""

from __future__ import annotations

from ..reply import NOT_AN_INTEGER, error, integer_reply, verbatim
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
    """At once: a write that is answered is on a majority of the nodes, and there are no replicas beside it."""
    if integer(args[1]) is None:
        return NOT_AN_INTEGER
    timeout_ms = integer(args[2])
    if timeout_ms is None:
        return error("timeout is not an integer or out of range")
    if timeout_ms < 0:
        return error("timeout is negative")
    replicas = session.host.info()["Replication"]["connected_slaves"]
    assert isinstance(replicas, int)
    return integer_reply(replicas)
