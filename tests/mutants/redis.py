"""Transactions of the Redis service that are none."""

from __future__ import annotations

from .mutant import Mutant, mutant

HANDLER = "services/redis/commands/handler.py"
TRANSACTIONS = "services/redis/connection/transactions.py"
KEYS = "services/redis/layout/keys.py"
SIMULATED = "tests/services/redis/test_simulated.py"
TESTS = "tests/services/redis/test_transactions.py"
ACROSS = "services/redis/connection/across.py"
ACROSS_TYPES = "services/redis/types/across.py"
ACROSS_TESTS = "tests/services/redis/test_across.py"

REDIS: tuple[Mutant, ...] = (
    mutant(
        "WATCH compares nothing",
        14,
        "a transaction is done though a watched key has changed",
        (HANDLER, "    if any(stamp_of(view, name) != stamp for", "    if False and any(stamp_of(view, name) != stamp for"),
        shown_by=SIMULATED,
    ),
    mutant(
        "a key that is gone had no stamp",
        14,
        "a watched key that was made and deleted in between has not changed",
        (KEYS, '    return b"-" + max(deleted, _Count(view).marked)\n', '    return b"-"\n'),
        shown_by=SIMULATED,
    ),
    mutant(
        "WATCH compared at the node that queued",
        14,
        "who runs a transaction that was handed over does not look at the watched keys",
        (
            TRANSACTIONS,
            '    __slots__ = ("_names", "_steps", "_times")\n',
            '    __slots__ = ("_names", "_steps", "_times")\n\n    def payload(self) -> bytes:\n'
            '        return encode(self._proto, [self._args[0], b"\\x90", *self._args[2:]])\n',
        ),
        shown_by=TESTS,
    ),
    mutant(
        "a WATCH that failed is none",
        14,
        "what it should have guarded is done",
        (TRANSACTIONS, 'self._session.transaction.watch(self.entity, {b"": once.NO_STAMP})', "pass"),
        shown_by=TESTS,
    ),
    mutant(
        "EXEC does not wait for WATCH",
        14,
        "a transaction behind a WATCH that is not answered yet leaves without its stamps",
        (
            TRANSACTIONS,
            "    command.began_s = session.host.seconds()\n    starter.order.start(command, alone=True)\n",
            "    command.began_s = session.host.seconds()\n    starter.order.start(command)\n",
        ),
        shown_by=TESTS,
    ),
    mutant(
        "MOVE takes away what was changed",
        14,
        "what is written to a key while it is moved is lost",
        (ACROSS_TYPES, "    if stamp_of(view, args[1]) != args[2]:\n", "    if not kind_of(view, args[1]):\n"),
        shown_by=ACROSS_TESTS,
    ),
    mutant(
        "MOVE leaves what it does not move",
        14,
        "a key that was changed while it was moved is in both databases, once with an old value",
        (ACROSS, "        self._tries -= 1\n        if error is not None or reply not in (ONE, IS_OVER):", "        if True:"),
        shown_by=ACROSS_TESTS,
    ),
    mutant(
        "MOVE takes away without knowing that it is there",
        14,
        "a key whose new place is not known to hold it goes at the old one",
        (
            ACROSS,
            '        if error is not None or reply.startswith(b"-"):\n            self._end(ZERO if',
            '        if reply.startswith(b"-"):\n            self._end(ZERO if',
        ),
        shown_by=ACROSS_TESTS,
    ),
    mutant(
        "MOVE is read before what its client wrote",
        14,
        "a MOVE behind a SET of the same client, which is not decided yet, finds the value of before",
        (ACROSS, "command.entity, read_only=command.read_only)", "command.entity, read_only=True)"),
        shown_by=ACROSS_TESTS,
    ),
)
