"""One call on its way: which node is asked next, for how long, after which pause, and what is known when the time is over.

No I/O and no clock: both clients ask it what to do, and tell it what came of it. A call under a uuid takes effect once wherever
it is repeated, and a read as often as one likes, so there is one policy: every node in turn, again and again with growing pauses,
until one has done it, or has said what no other one will say otherwise, or the time is over.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import hiredis

from ..errors import (
    BY_CODE,
    Diverged,
    Fault,
    NoQuorum,
    OutcomeUnknown,
    PaxosStoreError,
    Refused,
    ReplyNotKept,
    RequestFailed,
    UnknownHandler,
    UuidExpired,
    UuidReused,
    from_code,
)
from .nodes import Address, Nodes

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0
"""After all nodes have been asked in vain; doubled each time."""
DECIDED = (Refused, RequestFailed, UuidReused)
"""What is said of the uuid at whichever attempt, by the request's function or the log; other errors of the caller's may be of one
attempt, and say nothing of those before it."""
FINAL = (ReplyNotKept, UuidExpired)
_ERR = "ERR"


class Effort:
    """See the module. Times are monotonic, in seconds."""

    def __init__(
        self,
        nodes: Nodes,
        what: str,
        now_s: float,
        timeout_s: float,
        attempt_s: float,
        *,
        writes: bool,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`what` says in errors what is tried. `attempt_s`: for how long a node is waited for, twice as long in each round."""
        self._nodes = nodes
        self._order = nodes.in_turn()
        self._what = what
        self.until_s = now_s + timeout_s
        self._attempt_s = attempt_s
        self._writes = writes
        self._jitter = jitter
        self._attempts = 0
        self._unknown = False
        """It may have happened, or may still happen, by an earlier attempt."""
        self._lacking: set[Address] = set()
        """Nodes that have no such function."""
        self._hindered = False
        """A node has answered that something else keeps it from doing it."""
        self._said: dict[Address, str] = {}

    def pause_s(self, now_s: float) -> float:
        """For how long to wait before the next attempt."""
        rounds, within = divmod(self._attempts, len(self._order))
        if not rounds or within:
            return 0.0
        pause_s: float = min(FIRST_PAUSE_S * 2.0 ** min(rounds - 1, 10), LONGEST_PAUSE_S) * (0.5 + self._jitter() / 2)
        return max(0.0, min(pause_s, self.until_s - now_s))

    def next(self, now_s: float) -> tuple[Address, float]:
        """Whom to ask, and for how long to wait for the answer. Raises what is known when the time is over."""
        left_s = self.until_s - now_s
        if left_s <= 0.0:
            raise self._over()
        rounds, at = divmod(self._attempts, len(self._order))
        self._attempts += 1
        return self._order[at], min(self._attempt_s * 2.0 ** min(rounds, 10), left_s)

    def failed(self, node: Address, why: str, *, sent: bool) -> None:
        """A node did not answer; `sent`: it may have got the call."""
        self._unknown = self._unknown or sent
        self._leave(node, why)

    def answered(self, node: Address, reply: object) -> object | None:
        """What it has come to; None: go on. Raises the error that it ends with."""
        if not isinstance(reply, hiredis.ReplyError):
            return reply
        code, _, text = str(reply).partition(" ")
        if code == _ERR or code not in BY_CODE:
            if not text.startswith("unknown command"):  # as one that has too many clients says
                self._leave(node, str(reply))
                return None
            error: PaxosStoreError = UnknownHandler(
                "it knows no PAXOS.CALL: it is of an older version, or no node of a paxosstore"
            )
        else:
            error = from_code(code, text)
        self._said[node] = f"{error.code}: {error}"
        if isinstance(error, UnknownHandler):
            self._lacking.add(node)
            if len(self._lacking) < len(self._order):
                return None  # it is no worse than the others in all else, so it is not left
        elif isinstance(error, FINAL):
            raise error
        elif error.fault is not Fault.CALLER and not isinstance(error, Diverged):
            self._hindered = True
            self._unknown = self._unknown or not error.outcome_known
            self._leave(node, self._said[node])
            return None
        if self._unknown and self._writes and not isinstance(error, DECIDED):
            raise self._over() from error
        raise error

    def _leave(self, node: Address, why: str) -> None:
        self._said[node] = why
        self._nodes.leave(*node)

    def _over(self) -> PaxosStoreError:
        said = "; ".join([f"{host}:{port}: {text}" for (host, port), text in self._said.items()])
        if self._unknown and self._writes:
            return OutcomeUnknown(f"{self._what}: it may or may not have happened: repeat it under its uuid, or look ({said})")
        if self._lacking and not self._hindered:
            return UnknownHandler(f"{self._what}: no node that answers has it, nothing happened ({said})")
        return NoQuorum(f"{self._what}: no node did it, nothing happened: start the nodes, or wait for longer ({said})")
