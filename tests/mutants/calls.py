"""What an application's calls and their clients do twice, or say wrongly."""

from __future__ import annotations

from .mutant import Mutant, mutant

SERVED = "services/redis/connection/calls.py"
RUN = "services/redis/commands/calls.py"
EFFORT = "client/effort.py"
BLOCKING = "client/blocking.py"
TESTS = "tests/services/redis/test_calls.py"
EFFORT_TESTS = "tests/client/test_effort.py"
CLIENT_TESTS = "tests/client/test_clients.py"

CALLS: tuple[Mutant, ...] = (
    mutant(
        "a call has no uuid",
        15,
        "who repeats it does it again",
        (SERVED, "        self.uuid = uuid\n", ""),
        shown_by=TESTS,
    ),
    mutant(
        "what a function may have forgotten is new",
        15,
        "a call that is repeated after the window runs again",
        (RUN, "        _check(window, view, uuid)\n", "        pass\n"),
        shown_by=TESTS,
    ),
    mutant(
        "a function clears what is remembered",
        15,
        "a call that is repeated after the window, and a clear, runs again",
        (RUN, "            self._view.put(ROW, kept)\n", "            pass\n"),
        shown_by=TESTS,
    ),
    mutant(
        "an application writes into the services' entities",
        0,
        "a call names a Redis database",
        (SERVED, "not 0 <= entity < ENTITIES", "not 0 <= entity < 1 << 64"),
        shown_by=TESTS,
    ),
    mutant(
        "a call that a peer cannot run ends there",
        0,
        "it is refused, while a new version is brought to the nodes, though the node that was asked has it",
        (SERVED, "elif self.handler and isinstance(error, UnknownHandler)", "elif False"),
        shown_by=TESTS,
    ),
    mutant(
        "a read that is handed over is taken for a call",
        0,
        "a node that does not serve reads refuses them: its peer would note a uuid that nobody has given",
        (SERVED, "return self._once + self._args[-1]", "return (self.uuid or NO_UUID) + self._args[-1]"),
        shown_by=TESTS,
    ),
    mutant(
        "the uuid is not carried over a retry",
        15,
        "the client repeats a call under another uuid",
        (
            BLOCKING,
            "done = self._ask(effort, node, packed, wait_s)",
            'done = self._ask(effort, node, packed.replace(packed.rpartition(b"$16\\r\\n")[2][:16], self._clock.uuid()), wait_s)',
        ),
        shown_by=CLIENT_TESTS,
    ),
    mutant(
        "an application's refusal is a fault",
        0,
        "the client repeats what was refused until its time is over",
        (
            EFFORT,
            "elif error.fault is not Fault.CALLER and not isinstance(error, Diverged):",
            "elif not isinstance(error, Diverged):",
        ),
        shown_by=EFFORT_TESTS,
    ),
    mutant(
        "what was sent and not answered did not happen",
        0,
        "the client says that nothing happened",
        (EFFORT, "        self._unknown = self._unknown or sent\n", ""),
        shown_by=EFFORT_TESTS,
    ),
    mutant(
        "a refusal of one attempt is of those before it as well",
        0,
        "the client says of what it knows nothing of that it was refused",
        (EFFORT, "if self._unknown and self._writes and not isinstance(error, DECIDED):", "if False:"),
        shown_by=EFFORT_TESTS,
    ),
)
