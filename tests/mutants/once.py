"""What is under a client's uuid and is done twice, or not at all."""

from __future__ import annotations

from .mutant import Mutant, mutant

ONCE = "services/redis/connection/once.py"
EVALUATE = "core/batch/evaluate.py"
WRITE = "core/log/write.py"
AGED = "services/redis/commands/once.py"
TRANSACTIONS = "services/redis/connection/transactions.py"
KEYS = "services/redis/layout/keys.py"
CLIENT = "redis/blocking.py"
SHARED = "redis/once.py"
TESTS = "tests/services/redis/test_once.py"
CLIENT_TESTS = "tests/services/redis/test_redis_client.py"
HANDOVER = "core/handover/handover.py"
LOG = "core/log/log.py"
SIMULATED = "tests/services/redis/test_simulated_once.py"

UNDER_UUID: tuple[Mutant, ...] = (
    mutant(
        "nobody says how old a floor is",
        15,
        "a node that knows little of what was chosen hears of nothing, and all that it hands over is unknown, for ever",
        (HANDOVER, "            self._log.teach(entity, entity.log.contiguous_chosen, peer)\n", "            pass\n"),
        shown_by="tests/core/test_onlooker.py::"
        "test_who_knows_little_of_what_was_chosen_is_told_once_that_a_uuid_is_too_old_and_not_for_ever",
    ),
    mutant(
        "who was started again tells of nothing",
        3,
        "what a proposer had proposed before a restart, and finds chosen after it, is not known to who has not voted",
        (
            LOG,
            "                opened.driving = True  # it proposed this before",
            "                pass  # it proposed this before",
        ),
        shown_by=f"{SIMULATED}::test_who_finds_its_value_chosen_after_a_restart_tells_all",
    ),
    mutant(
        "ONCE forgets the first outcome",
        15,
        "a repetition runs again",
        (ONCE, "        self.uuid, self.digest = uuid, identity(proto, args)\n", ""),
        shown_by=SIMULATED,
    ),
    mutant(
        "a transaction under ONCE is one without",
        15,
        "what was queued under a uuid is executed again",
        (TRANSACTIONS, "        self.uuid = session.transaction.uuid\n", '        self.uuid = b""\n'),
        shown_by=SIMULATED,
    ),
    mutant(
        "half of a transaction is under its uuid",
        15,
        "what was queued first is executed again, the rest is not",
        (
            TRANSACTIONS,
            "        super().__init__(session, order)\n        self.uuid = session",
            "        steps = session.transaction.steps\n        session.transaction.steps = steps[:1]\n"
            "        super().__init__(session, order)\n        session.transaction.steps = steps[1:]\n"
            "        self.uuid = session",
        ),
        (
            TRANSACTIONS,
            "    transaction.clear()\n    order.start(command, alone=alone)",
            "    rest = Exec(session, order) if transaction.uuid else None\n    transaction.clear()\n"
            "    if rest is not None:\n        order.start(rest)\n    order.start(command, alone=alone)",
        ),
        shown_by=SIMULATED,
    ),
    mutant(
        "half of an outcome is remembered",
        15,
        "a repetition is not told what the last command of its transaction answered",
        (
            EVALUATE,
            "    if len(reply.content) <= max_bytes:\n        return reply\n",
            "    if len(reply.content) <= max_bytes:\n        return Reply(reply.content[: len(reply.content) // 2])\n",
        ),
        shown_by=SIMULATED,
    ),
    mutant(
        "a uuid is not carried over a retry",
        15,
        "a client repeats a transaction under another one",
        (SHARED, 'return (ONCE, uuid, "MULTI"', 'return (ONCE, uuid[:15] + bytes([repeated]), "MULTI"'),
        shown_by=SIMULATED,
    ),
    mutant(
        "outcomes are forgotten before their time",
        15,
        "a repetition within the window runs again",
        (
            WRITE,
            "                context.cluster.uuid_window_entries,\n",
            "                context.cluster.uuid_window_entries // 2,\n",
        ),
        shown_by=SIMULATED,
    ),
    mutant(
        "a transaction's uuid is of its watched keys as well",
        15,
        "who repeats it is told that it was another one",
        (TRANSACTIONS, "identity(self._proto, self._args[2:])", "identity(self._proto, self._args)"),
        shown_by=TESTS,
    ),
    mutant(
        "REPEATED means nothing",
        15,
        "a transaction is done without what it watched",
        (ONCE, "    if repeated:\n", "    if False:\n"),
        shown_by=TESTS,
    ),
    mutant(
        "what may be forgotten is new",
        15,
        "a repetition after the window runs again",
        (AGED, "at_ms <= forgotten_ms + self.skew_ms", "at_ms < 0"),
        shown_by=SIMULATED,
    ),
    mutant(
        "clocks of clients are right",
        15,
        "a uuid from ahead is not known any more, and not old either",
        (AGED, "at_ms <= forgotten_ms + self.skew_ms", "at_ms <= forgotten_ms"),
        shown_by=TESTS,
    ),
    mutant(
        "FLUSHALL forgets when uuids were used",
        15,
        "a repetition after the window, and a FLUSHALL, runs again",
        (KEYS, "kept if once is None else [*kept, (ONCE, once)]", "kept"),
        shown_by=TESTS,
    ),
    mutant(
        "a repetition has another uuid",
        15,
        "the client draws one each time that it sends a transaction",
        (CLIENT, "multi = multi_of(self._uuid,", "multi = multi_of(self.owner.uuid(),"),
        shown_by=CLIENT_TESTS,
    ),
    mutant(
        "a watch is forgotten on the way",
        15,
        "the client repeats a transaction at another node as if nothing had been watched",
        (CLIENT, "self._repeated or self.watching, False", "False, False"),
        shown_by=CLIENT_TESTS,
    ),
    mutant(
        "a watch is forgotten with its connection",
        15,
        "what a transaction has written first is done at another node, and the rest as if nothing had been watched",
        (CLIENT, "self.watching = self._unwatched = True", "self.watching = True"),
        shown_by=CLIENT_TESTS,
    ),
    mutant(
        "INCR is no write",
        15,
        "the client repeats a command that is under no uuid",
        (SHARED, " INCR INCRBY ", " INCRBY "),
        shown_by=CLIENT_TESTS,
    ),
)
