"""MONITOR: clients that are told every command of this node's other clients."""

from __future__ import annotations

import time

from ..commands.spec import Spec
from ..reply import OK
from .known import redis7
from .secrets import without_secrets
from .session import Session

MAX_WORDS = 256
MAX_WORD_BYTES = 4_096
"""What is told of a command: each of those who listen gets it all."""
_ESCAPES = {ord("\\"): "\\\\", ord('"'): '\\"', 7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 13: "\\r"}
_SHOWN = [_ESCAPES.get(byte, chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}") for byte in range(256)]


class Monitors:
    """Who listens."""

    def __init__(self) -> None:
        self.sessions: set[Session] = set()
        """Looked at for each command: as a rule there are none."""

    def __contains__(self, session: Session) -> bool:
        return session in self.sessions

    def add(self, session: Session) -> None:
        self.sessions.add(session)

    def forget(self, session: Session) -> None:
        """Safe to repeat."""
        self.sessions.discard(session)

    def tell(self, session: Session, spec: Spec, args: list[bytes]) -> None:
        """A session's command is taken."""
        known = redis7().get(spec.full_name(args).decode())
        if "admin" in (spec if known is None else known).flags:
            return
        line = line_of(session, args)
        for listener in list(self.sessions):
            if listener is not session or spec.name != "reset":  # it listens no more
                listener.push(line)


def line_of(session: Session, args: list[bytes]) -> bytes:
    us = time.time_ns() // 1_000
    words = ["".join([_SHOWN[byte] for byte in word[:MAX_WORD_BYTES]]) for word in without_secrets(args[:MAX_WORDS])]
    text = " ".join(f'"{word}"' for word in words)
    return f"+{us // 1_000_000}.{us % 1_000_000:06} [{session.db} {session.address}] {text}\r\n".encode()


def monitor(session: Session, args: list[bytes]) -> bytes:
    session.confirm()
    session.host.monitors.add(session)
    return OK
