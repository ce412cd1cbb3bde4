"""Mistakes in what is told of applied entries: shown too early, twice or not at all; who waits for it; what is published."""

from __future__ import annotations

from .mutant import mutant

WATCH = "runtime/watch.py"
EVALUATE = "core/batch/evaluate.py"
CONTEXT = "core/turn/context.py"
ROOM = "services/redis/waiting/room.py"
COMMAND = "services/redis/waiting/command.py"
ORDER = "services/redis/connection/order.py"
WATCH_TESTS = "tests/runtime/test_watch.py"
PUBLISHED_TESTS = "tests/core/test_published.py"
ROOM_TESTS = "tests/services/redis/test_waiting_room.py"
WAITING_TESTS = "tests/services/redis/test_waiting.py"
AGAIN = "tests/services/redis/test_again.py"

FEED = (
    mutant(
        "a waiting command is tried again in place",
        15,
        "a try that was refused is in a queue still: it runs with the next one, and what it takes nobody gets",
        (
            COMMAND,
            '        self._submit(Try(self, read_only=read_only, uuid=b"" if read_only else self._begin(b"")))\n',
            "        size = self.size\n        Request.__init__(self, self.entity, read_only=read_only)\n"
            "        self.size = size\n        self._submit(self)\n",
        ),
        shown_by=AGAIN,
    ),
    mutant(
        "whose reply was never written has it",
        15,
        "what is decided for a client that goes before its reply is written counts as given, and nobody gets it",
        (ORDER, "            told.is_lost()\n", "            told.leaves()\n"),
        shown_by=WAITING_TESTS,
    ),
    mutant(
        "watched before it is durable",
        7,
        "an entry is shown that may be chosen by a vote which a crash forgets",
        (WATCH, "return first - 1 if first else self._source", "return self._source"),
        shown_by=WATCH_TESTS,
    ),
    mutant(
        "a full queue forgets",
        17,
        "who reads too slowly misses entries, and is not told",
        (WATCH, "self._live = False\n                self._watches.overflows += 1", "self._queue.popleft()"),
        shown_by=WATCH_TESTS,
    ),
    mutant(
        "a copy is no news",
        16,
        "entries that were skipped by a copy are passed over in silence",
        (WATCH, "self._copy, self._live = True, False\n", "self._at = entry\n"),
        shown_by=WATCH_TESTS,
    ),
    mutant(
        "a refused request publishes",
        14,
        "what a request has published before it failed is told",
        (CONTEXT, "if request.published and error is None:", "if request.published:"),
        (
            EVALUATE,
            "        if reply.error is not None:\n            overlay.rollback()\n",
            "        request.published = overlay.published or ()\n"
            "        if reply.error is not None:\n            overlay.rollback()\n",
        ),
        (
            EVALUATE,
            "        request.published = overlay.published or ()\n        proposed.append((request, reply))",
            "        proposed.append((request, reply))",
        ),
        shown_by=PUBLISHED_TESTS,
    ),
    mutant(
        "a late outcome publishes nothing",
        15,
        "who is told that its request was done before does not publish what that did",
        (EVALUATE, "    request.published = unpack(split_remembered(stored)[0])\n", ""),
        shown_by=PUBLISHED_TESTS,
    ),
    mutant(
        "a wake is lost",
        14,
        "who ends while it was woken again leaves those behind it asleep beside an element",
        (ROOM, "unused = place.keys if place.again else", "unused = () if place.again else"),
        shown_by=ROOM_TESTS,
    ),
    mutant(
        "a wake while trying is lost",
        14,
        "what comes between a try and its outcome is not seen",
        (ROOM, "                    place.again = True\n", "                    pass\n"),
        shown_by=ROOM_TESTS,
    ),
    mutant(
        "taken for nobody",
        14,
        "an element is popped for a client that has gone, and goes with it",
        (
            COMMAND,
            '        if self._client.lost:\n            raise RequestFailed("its client has gone: nothing was taken")\n',
            "",
        ),
        (COMMAND, "                taken.is_lost()\n", "                taken.leaves()\n"),
        shown_by=WAITING_TESTS,
    ),
    mutant(
        "last come, first served",
        14,
        "those who wait for a key are woken from the end of the queue",
        (ROOM, "for place in self.queues.get(key, ()):", "for place in reversed(self.queues.get(key, {})):"),
        shown_by=ROOM_TESTS,
    ),
)
