"""How long commands take at this node: per command, the slow ones (SLOWLOG), and the worst of each second (LATENCY).

The time is that from a command's arrival until its outcome is known, so it includes what is ahead of it and the agreement of
the nodes. Waiting for something to come (BLPOP, ...) is no such time: there it is that of the last try.
"""

from __future__ import annotations

import time
from collections import deque

from .parameters import Parameters
from .secrets import without_secrets

MAX_WORDS = 32
MAX_WORD_BYTES = 128
NEVER_US = 2**62
MAX_SPELLINGS = 4_096
"""Of names of commands, in large letters and small ones: the others are looked up more slowly."""
MAX_CODES = 128
"""Scripts make up some of their own."""
MAX_CODE_BYTES = 64
MAX_SAMPLES = 160
"""Of one event: the last ones."""


class Slow:
    """A command that was slow. Under load that is every one, so it is made as cheaply as can be."""

    __slots__ = ("address", "at_s", "name", "number", "took_us", "words")

    def __init__(self, number: int, at_s: int, took_us: int, words: list[bytes], address: str, name: bytes) -> None:
        """`at_s`: Unix time."""
        self.number = number
        self.at_s = at_s
        self.took_us = took_us
        self.words = words
        self.address = address
        self.name = name


class Took:
    """What one command has taken so far."""

    __slots__ = ("buckets", "calls", "failed", "rejected", "us")

    def __init__(self) -> None:
        self.calls = self.us = self.failed = self.rejected = 0
        self.buckets = [0] * 64
        """How many took less than 2 to the power of the index, in microseconds."""


class Times:
    """The times of one node's commands. Names of commands are few, so what it holds is bounded."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self.commands: dict[str, Took] = {}
        self._spelled: dict[bytes, Took] = {}
        self.errors: dict[str, int] = {}
        """How many replies were errors, by their first word: of so many words (MAX_CODES)."""
        self.error_replies = 0
        """Of whatever word."""
        self.slow: deque[Slow] = deque()
        """The newest first."""
        self.events: dict[str, deque[tuple[int, int]]] = {}
        """By event: seconds of Unix time and the most milliseconds of that second."""
        self.worst: dict[str, int] = {}
        self._number = 0
        self.tune()

    def tune(self) -> None:
        """The parameters are others now."""
        number = self._parameters.number
        slower_us, threshold_ms = number("slowlog-log-slower-than"), number("latency-monitor-threshold")
        self._most = number("slowlog-max-len")
        self._slower_us = slower_us if slower_us >= 0 and self._most else NEVER_US
        self._threshold_us = 1_000 * threshold_ms or NEVER_US
        self._least_us = min(self._slower_us, self._threshold_us)
        while len(self.slow) > self._most:
            self.slow.pop()

    def note(self, name: bytes, words: list[bytes], us: int, reply: bytes, address: str, client: bytes) -> None:
        """A command has its reply. `name`: as the client spelled it, or with its subcommand."""
        took = self._spelled.get(name) or self._find(name)
        took.calls += 1
        took.us += us
        took.buckets[us.bit_length()] += 1
        if reply.startswith(b"-"):
            self._failed(took, reply)
        if us >= self._least_us:
            self._slow(words, us, address, client)

    def count(self, name: bytes, reply: bytes) -> None:
        """A command has its reply, and what it took is part of what another one did: of a transaction's."""
        took = self._spelled.get(name) or self._find(name)
        took.calls += 1
        if reply.startswith(b"-"):
            self._failed(took, reply)

    def reject(self, name: bytes, reply: bytes) -> None:
        """A command was answered by this error without being begun. `name`: empty, there is no such command."""
        if name:
            (self._spelled.get(name) or self._find(name)).rejected += 1
        self._count_error(reply)

    def _find(self, name: bytes) -> Took:
        """What is known of a command, by whatever spelling."""
        took = self.commands.setdefault(name.decode("latin-1").lower(), Took())
        if len(self._spelled) < MAX_SPELLINGS:
            self._spelled[name] = took
        return took

    def _failed(self, took: Took, reply: bytes) -> None:
        took.failed += 1
        self._count_error(reply)

    def _count_error(self, reply: bytes) -> None:
        self.error_replies += 1
        code = reply[1:MAX_CODE_BYTES].split(b" ", 1)[0].decode("latin-1")
        if code in self.errors or len(self.errors) < MAX_CODES:
            self.errors[code] = self.errors.get(code, 0) + 1

    def _slow(self, words: list[bytes], us: int, address: str, client: bytes) -> None:
        if us >= self._slower_us:
            shown = trimmed(without_secrets(words))
            self.slow.appendleft(Slow(self._number, int(time.time()), us, shown, address, client))
            self._number += 1
            if len(self.slow) > self._most:
                self.slow.pop()
        if us >= self._threshold_us:
            self._event("command", us // 1_000)

    def _event(self, event: str, ms: int) -> None:
        samples = self.events.setdefault(event, deque(maxlen=MAX_SAMPLES))
        now_s = int(time.time())
        if samples and samples[-1][0] == now_s:
            samples[-1] = (now_s, max(ms, samples[-1][1]))
        else:
            samples.append((now_s, ms))
        self.worst[event] = max(ms, self.worst.get(event, 0))

    def forget_commands(self) -> None:
        self.commands.clear()
        self._spelled.clear()
        self.errors.clear()
        self.error_replies = 0

    def forget_events(self, names: list[str]) -> int:
        """All, where none is named; returns how many there were."""
        found = [name for name in names or list(self.events) if self.events.pop(name, None) is not None]
        for name in found:
            del self.worst[name]
        return len(found)


def trimmed(words: list[bytes]) -> list[bytes]:
    """As SLOWLOG keeps them: the very list, where it is short."""
    if len(words) <= MAX_WORDS:
        for word in words:
            if len(word) > MAX_WORD_BYTES:
                break
        else:
            return words
    kept = []
    for word in words[: MAX_WORDS if len(words) <= MAX_WORDS else MAX_WORDS - 1]:
        more = len(word) - MAX_WORD_BYTES
        kept.append(word if more <= 0 else b"%b... (%d more bytes)" % (word[:MAX_WORD_BYTES], more))
    if len(words) > MAX_WORDS:
        kept.append(b"... (%d more arguments)" % (len(words) - MAX_WORDS + 1))
    return kept
