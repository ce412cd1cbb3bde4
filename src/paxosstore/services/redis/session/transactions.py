"""MULTI, DISCARD, UNWATCH: what of transactions concerns the session alone. EXEC and WATCH: connection/transactions.py."""

from __future__ import annotations

from ..reply import OK, error
from .session import Session

NESTED = error("MULTI calls can not be nested")
NO_EXEC = error("EXEC without MULTI")
NO_DISCARD = error("DISCARD without MULTI")
WATCH_INSIDE = error("WATCH inside MULTI is not allowed")
ABORTED = error("Transaction discarded because of previous errors.", "EXECABORT")
NOT_INSIDE = error("Command not allowed inside a transaction")


def multi(session: Session, args: list[bytes]) -> bytes:
    if session.transaction.open:
        return NESTED
    session.transaction.begin(session.db, session.proto)
    return OK


def discard(session: Session, args: list[bytes]) -> bytes:
    if not session.transaction.open:
        return NO_DISCARD
    session.transaction.clear()
    return OK


def unwatch(session: Session, args: list[bytes]) -> bytes:
    """Queued, it runs when nothing is watched any more."""
    session.transaction.clear()
    return OK
