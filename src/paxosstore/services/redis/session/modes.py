"""Commands that are refused although they say how the following ones are meant: what follows must not run as if they had
never been sent.

    MULTI                     everything up to EXEC or DISCARD is refused with it: a transaction that is not one does nothing
    WATCH                     refused; alone it changes no meaning, and the MULTI behind it is refused
    CLIENT REPLY OFF, SKIP    the client would take the replies it does not expect for others: the connection ends

SUBSCRIBE, MONITOR, SYNC and their kind need nothing: their clients send no data commands before a reply that never comes.
ASKING and READONLY change nothing here, as in a Redis without a cluster.
"""

from __future__ import annotations

from collections.abc import Callable

from ..reply import OK, error, wrong_arity

NO_MULTI = error("unknown command 'MULTI': there are no transactions; nothing up to EXEC or DISCARD is done")
NO_WATCH = error("unknown command 'WATCH': there are no transactions")
NOT_DONE = error("not done: it belongs to a transaction, and there are none")
NESTED = error("MULTI calls can not be nested")
WATCH_INSIDE = error("WATCH inside MULTI is not allowed")
EXEC_ABORT = error("Transaction discarded because there are no transactions: nothing was done", "EXECABORT")

ENDS_TRANSACTION = frozenset((b"reset", b"quit"))
"""Run inside a refused transaction, as in one."""

Step = Callable[[bool], tuple[bytes, bool]]
"""Inside a refused transaction or not -> the reply, and inside or not from now on."""

_STEPS: dict[bytes, tuple[int, Step]] = {
    b"multi": (1, lambda inside: (NESTED if inside else NO_MULTI, True)),
    b"exec": (1, lambda inside: (EXEC_ABORT if inside else error("EXEC without MULTI"), False)),
    b"discard": (1, lambda inside: (OK if inside else error("DISCARD without MULTI"), False)),
    b"watch": (-2, lambda inside: (WATCH_INSIDE if inside else NO_WATCH, inside)),
    b"unwatch": (1, lambda inside: (NOT_DONE if inside else OK, inside)),  # nothing is watched
}


def transaction_step(args: list[bytes], inside: bool) -> tuple[bytes, bool] | None:
    """The reply to a command on transactions and the mode after it; None: it is another command."""
    name = args[0].lower()
    found = _STEPS.get(name)
    if found is None:
        return None
    arity, step = found
    if len(args) != arity and (arity > 0 or len(args) < -arity):
        return wrong_arity(name.decode()), inside
    return step(inside)
