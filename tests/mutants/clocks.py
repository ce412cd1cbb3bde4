"""Mistakes about time: what has expired is decided by the log, and by clocks that are outvoted (rule 20)."""

from __future__ import annotations

from .mutant import mutant

AHEAD = "core/entity/ahead.py"
CLOCK = "clock.py"
LEASES = "sim/leases.py"
OVERLAY = "core/batch/overlay.py"
SERVE = "core/log/serve.py"
KEYS = "services/redis/layout/keys.py"

CLOCKS = (
    mutant(
        "expiry by a local clock",
        20,
        "a node goes by its own clock, whatever the others show",
        (CLOCK, "        return median([clock_ms, *self._peers(monotonic_ms).values()])\n", "        return clock_ms\n"),
    ),
    mutant(
        "of two clocks the higher one",
        20,
        "with two clocks the one that is ahead decides",
        (CLOCK, "ordered[(len(ordered) - 1) // 2]", "ordered[len(ordered) // 2]"),
        shown_by="tests/test_clock.py::test_of_two_the_lower_one_counts",
    ),
    mutant(
        "a read that hides what is due",
        20,
        "a read tells that something is over, and no entry makes it so",
        (OVERLAY, "            self.needs_write = True\n            raise NeedsWrite\n", "            return\n"),
        (
            LEASES,
            "        view.require_write()\n        view.delete(key)\n",
            '        if kind != "read":\n            view.delete(key)\n',
        ),
    ),
    mutant(
        "an entity's time goes back",
        20,
        "an evaluation goes by the clocks alone",
        (OVERLAY, 'self.clock_ms if last is None else max(self.clock_ms, int.from_bytes(last, "big"))', "self.clock_ms"),
    ),
    mutant(
        "an entity's time is not kept",
        20,
        "no entry carries the time that it was evaluated at",
        (OVERLAY, '            self.kept[TIME] = now_ms.to_bytes(8, "big")\n', "            pass\n"),
    ),
    mutant(
        "an entity's time is not kept in memory",
        20,
        "who serves reads from memory, as the disk is full, goes by its own clock",
        (AHEAD, "            if key == TIME:\n", "            if key == TIME and False:\n"),
        shown_by="tests/core/test_onlooker.py::test_the_time_goes_on_in_memory",
    ),
    mutant(
        "a read that is answered and written",
        20,
        "a read that becomes a write is told what it saw before",
        (
            SERVE,
            "                self._becomes_write(entity, request)\n",
            "                self._becomes_write(entity, request)\n"
            '                context.finish(request, b"null", None, release)\n',
        ),
    ),
    mutant(
        "a Redis read that hides what is due",
        20,
        "whoever meets a key that is due says that it is gone, and leaves it there",
        (
            KEYS,
            "    view.require_write()\n    _delete_due(view, name, where, row)\n    _Count(view).add(-1)\n    return None\n",
            "    return None\n",
        ),
        shown_by="tests/services/redis/test_rows.py::test_who_meets_what_is_due_deletes_all_of_it",
    ),
)
