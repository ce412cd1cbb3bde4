"""Mistakes in streams, consumer groups and who waits for entries: each is killed by one of the seeds of
tests/services/redis/test_simulated_streams.py, or by a test of those who wait."""

from __future__ import annotations

from .mutant import mutant

GROUPS = "services/redis/types/streams/groups.py"
READING = "services/redis/types/streams/reading.py"
CLAIMING = "services/redis/types/streams/claiming.py"
WAITS = "services/redis/commands/waits.py"
ROOM = "services/redis/waiting/room.py"
TESTS = "tests/services/redis/test_simulated_streams.py"
ROOM_TESTS = "tests/services/redis/test_waiting_room.py"
WAITING_TESTS = "tests/services/redis/test_waiting.py"

STREAMS = (
    mutant(
        "an entry is delivered to two",
        14,
        "a group does not know what it has delivered last",
        (READING, "        group.last_id = number\n", ""),
        shown_by=TESTS,
    ),
    mutant(
        "an entry is skipped",
        14,
        "a group goes on behind the next entry",
        (READING, "stream.range(group.last_id + 1)", "stream.range(group.last_id + 1 + (group.last_id > 1 << 64))"),
        shown_by=TESTS,
    ),
    mutant(
        "delivered without being pending",
        14,
        "who reads several entries has only the first of them to acknowledge",
        (
            READING,
            "        if consumer is not None:\n            group.deliver",
            "        if consumer is not None and not replies:\n            group.deliver",
        ),
        shown_by=TESTS,
    ),
    mutant(
        "what is pending is forgotten",
        14,
        "who acknowledges an entry acknowledges those before it as well",
        (GROUPS, "        if number == self._low_id:\n", "        if number >= self._low_id:\n"),
        shown_by=TESTS,
    ),
    mutant(
        "a claimed entry stays with its first consumer",
        14,
        "what another one has claimed is read again by who had it",
        (GROUPS, "            self._leave(before)\n            consumer.pending += 1\n", "            consumer.pending += 1\n"),
        shown_by=TESTS,
    ),
    mutant(
        "what is gone stays pending",
        14,
        "XAUTOCLAIM passes over entries that were deleted",
        (CLAIMING, "            group.acknowledge(pending.number)\n            gone.append", "            gone.append"),
        shown_by=TESTS,
    ),
    mutant(
        "$ is the end at each try",
        14,
        "who waits for what comes from now on is woken, looks from the new end on, and finds nothing",
        (
            WAITS,
            "    return reply + _encode(spec.resumed(view, args)) if spec.resumed is not None and reply in NOTHING else reply\n",
            "    return reply\n",
        ),
        shown_by=TESTS,
    ),
    mutant(
        "what comes during a try wakes nobody",
        14,
        "who is trying is not told that there was more after it has looked",
        (
            ROOM,
            "                if place.trying:\n                    place.again = True\n",
            "                if place.trying:\n                    pass\n",
        ),
        shown_by=ROOM_TESTS,
    ),
    mutant(
        "one of those who read is woken",
        14,
        "an entry wakes the first who waits for the stream, as an element of a list would",
        (
            ROOM,
            "                touched.append((key, found.kind, len(self.queues[key])))\n            if",
            "                touched.append((key, found.kind, 1))\n            if",
        ),
        shown_by=WAITING_TESTS,
    ),
)
