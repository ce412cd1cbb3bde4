"""INFO: what this node can tell of itself."""

from __future__ import annotations

from ..reply import verbatim
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
