"""Mistakes in lists, hand-offs and expiry of the Redis service that the simulated cluster notices (`make sim-redis`): each is
killed by one of the seeds that its test runs."""

from __future__ import annotations

from .mutant import mutant

ENDS = "services/redis/types/lists/ends.py"
ITEMS = "services/redis/layout/items.py"
ROOM = "services/redis/waiting/room.py"
KEYS = "services/redis/layout/keys.py"
CLOCK = "clock.py"
COMMAND = "services/redis/waiting/command.py"
GIVE_BACK = "services/redis/waiting/giveback.py"
TAKINGS = "services/redis/waiting/takings.py"
IN_DOUBT = "services/redis/waiting/in_doubt.py"
TAKINGS_TESTS = "tests/services/redis/test_takings.py"
WAITING = "tests/services/redis/test_simulated_waiting.py"
COLLECTIONS = "tests/services/redis/test_simulated_collections.py"

SIMULATED = (
    mutant(
        "a pop that is not logged",
        14,
        "BLPOP answers with what it leaves in the list",
        (
            ENDS,
            "        value = items.pop(left=left)\n        items.save()\n",
            "        value = items.get(0 if left else items.size - 1)\n",
        ),
        shown_by=WAITING,
    ),
    mutant(
        "the count row is not kept",
        14,
        "a pop leaves the number of elements as it was",
        (ITEMS, "        self._first += left\n        self._rows.size -= 1\n", "        self._first += left\n"),
        shown_by=COLLECTIONS,
    ),
    mutant(
        "handed to two",
        14,
        "what a client was told of goes back as well, and to the next one",
        (
            COMMAND,
            "                self._client.leaves_with(self, taken)\n",
            "                self._client.leaves_with(self, taken)\n                taken.is_lost()\n",
        ),
        shown_by=WAITING,
    ),
    mutant(
        "not given back",
        14,
        "what was taken for a client that has gone meanwhile goes with it",
        (COMMAND, "                taken.is_lost()\n", "                taken.leaves()\n"),
        shown_by="tests/services/redis/test_waiting.py",
    ),
    mutant(
        "what is unknown stays where it is",
        15,
        "what was taken for a client that was told that nobody knows stays taken",
        (COMMAND, "            self._takings.find_out(taking)\n", "            self._takings.settle(taking)\n"),
        shown_by="tests/services/redis/test_waiting.py",
    ),
    mutant(
        "what was given is noted still",
        15,
        "a node that begins anew gives back what its client has",
        (TAKINGS, "        self._in_doubt.cross_out(uuid)\n", "        pass\n"),
        shown_by=WAITING,
    ),
    mutant(
        "found out without its uuid",
        15,
        "what a node had taken is not found out: something else is taken, and goes back",
        (TAKINGS, "super().__init__(note.entity, uuid=note.uuid, floor=note.floor)", "super().__init__(note.entity)"),
        shown_by=TAKINGS_TESTS,
    ),
    mutant(
        "given back by each process",
        15,
        "a node that dies while it gives back does so once more",
        (TAKINGS, "digest_of(HANDLER, uuid) if uuid else self.draw()", "self.draw()"),
        shown_by=TAKINGS_TESTS,
    ),
    mutant(
        "believed after a boot",
        15,
        "of another boot are notes that were crossed out, and the disk has forgotten that",
        (IN_DOUBT, "if _unpacked(found[:SLOT_BYTES]) == boot:", "if _unpacked(found[:SLOT_BYTES]):"),
        shown_by=TAKINGS_TESTS,
    ),
    mutant(
        "given back at the other end",
        14,
        "what was taken from the left of a list goes back to its right",
        (
            GIVE_BACK,
            '[b"LPUSH" if name == b"blpop" else b"RPUSH", key, found[1]]',
            '[b"RPUSH" if name == b"blpop" else b"LPUSH", key, found[1]]',
        ),
        shown_by=WAITING,
    ),
    mutant(
        "given back in another order",
        14,
        "several elements go back to their end as they were told, the last one outermost",
        (GIVE_BACK, "key, *reversed(found[1])]", "key, *found[1]]"),
        shown_by="tests/services/redis/test_waiting.py",
    ),
    mutant(
        "several are given back at the other end",
        14,
        "what BLMPOP took from the left goes back to the right",
        (GIVE_BACK, '.upper() == b"LEFT"', '.upper() != b"LEFT"'),
        shown_by="tests/services/redis/test_waiting.py",
    ),
    mutant(
        "a look that takes",
        14,
        "a peer that is asked to look pops, though its answer may not be awaited any longer",
        (COMMAND, "[LOOK if self.read_only else TRY, *self._args]", "[TRY, *self._args]"),
        shown_by=WAITING,
    ),
    mutant(
        "last come, first tried",
        14,
        "those who wait for a key are woken from the end of the queue",
        (ROOM, "for place in self.queues.get(key, ()):", "for place in reversed(self.queues.get(key, {})):"),
        shown_by=WAITING,
    ),
    mutant(
        "TTL by a local clock",
        20,
        "a node says that a key is gone by its own clock, and no entry makes it so",
        (CLOCK, "        return median([clock_ms, *self._peers(monotonic_ms).values()])\n", "        return clock_ms\n"),
        (
            KEYS,
            "    view.require_write()\n    _delete_due(view, name, where, row)\n    _Count(view).add(-1)\n    return None\n",
            "    return None\n",
        ),
        shown_by=COLLECTIONS,
    ),
)
