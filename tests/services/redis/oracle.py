"""A real redis-server beside this service: what is sent to both, and how their answers are compared."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterable, Sequence

import pytest
from hiredis import Reader
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from .support import pack

REDIS = shutil.which("redis-server")
needs_redis = pytest.mark.skipif(REDIS is None, reason="redis-server is not installed on this machine")
Words = tuple[bytes, ...]
sequences = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
"""For tests of random commands."""


class Connection:
    """Sends requests as they are and returns replies as they come."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.number = 0

    def ask(self, *words: bytes) -> bytes:
        """The bytes of one reply. A mark behind it shows where it ends."""
        self.number += 1
        mark = b"--mark %d--" % self.number
        end = b"$%d\r\n%b\r\n" % (len(mark), mark)
        self.socket.sendall(pack(*words) + pack(b"ECHO", mark))
        got = b""
        while not got.endswith(end):
            piece = self.socket.recv(65_536)
            if not piece:
                return got
            got += piece
        return got[: -len(end)]

    def ask_all(self, commands: Sequence[Words]) -> list[bytes]:
        """The replies to commands that are sent at once."""
        first = self.number
        stream = b""
        for command in commands:
            self.number += 1
            stream += pack(*command) + pack(b"ECHO", b"--mark %d--" % self.number)
        self.socket.sendall(stream)
        replies, got = [], b""
        for number in range(first + 1, self.number + 1):
            mark = b"--mark %d--" % number
            end = b"$%d\r\n%b\r\n" % (len(mark), mark)
            while end not in got:
                piece = self.socket.recv(65_536)
                assert piece, "the connection is closed"
                got += piece
            reply, _, got = got.partition(end)
            replies.append(reply)
        return replies

    def all(self, stream: bytes) -> bytes:
        """Everything that comes back until the connection is closed by the other side."""
        self.socket.sendall(stream)
        got = b""
        while piece := self.socket.recv(65_536):
            got += piece
        self.socket.close()
        return got


def parsed(reply: bytes) -> object:
    reader = Reader(replyError=lambda text: RuntimeError(text))
    reader.feed(reply)
    return reader.gets()


def is_same(words: Words, theirs: bytes, ours: bytes) -> bool:
    """Whether two replies say the same, as far as the command has only one answer."""
    name = words[0].upper()
    if name in (b"TTL", b"PTTL") and theirs.startswith(b":") and ours.startswith(b":"):
        one, other = int(theirs[1:]), int(ours[1:])
        tolerance = 5_000 if name == b"PTTL" else 5  # the two clocks are read at different moments
        return one == other or (min(one, other) > 0 and abs(one - other) <= tolerance)
    if name == b"SCAN" and theirs.startswith(b"*") and ours.startswith(b"*"):
        pages = [parsed(theirs), parsed(ours)]
        cursors, keys = zip(*[page for page in pages if isinstance(page, list)], strict=True)
        return cursors[0] == cursors[1] == b"0" and sorted(keys[0]) == sorted(keys[1])
    if name in (b"XPENDING", b"XINFO") and theirs[:1] == ours[:1] != b"-":
        return timeless(parsed(theirs)) == timeless(parsed(ours))
    return ours == theirs


UNEQUAL = (b"radix-tree-keys", b"radix-tree-nodes", b"seen-time", b"idle")


def timeless(reply: object) -> object:
    """What is known of a stream, without the times at which this was asked, and without how Redis keeps it."""
    if isinstance(reply, dict):
        return {name: 0 if name in UNEQUAL else timeless(value) for name, value in reply.items()}
    if not isinstance(reply, list):
        return reply
    if len(reply) % 2 == 0 and any(name in UNEQUAL for name in reply[::2] if isinstance(name, bytes)):
        return [0 if at % 2 and reply[at - 1] in UNEQUAL else timeless(value) for at, value in enumerate(reply)]
    numbers = [at for at, value in enumerate(reply) if isinstance(value, int)]
    is_pending = numbers in ([2, 3], [1, 2]) and len(reply) == numbers[-1] + 1  # of each: id, consumer, time or idle, deliveries
    return [0 if is_pending and at == numbers[0] else timeless(value) for at, value in enumerate(reply)]


def assert_same(words: Words, theirs: bytes, ours: bytes) -> None:
    assert is_same(words, theirs, ours), (words, theirs, ours)


def script(text: str) -> list[Words]:
    """Commands between slashes, words between spaces."""
    return [tuple(line.encode().split(b" ")) for line in text.strip().replace("\n", " / ").split(" / ")]


def compare(ports: tuple[int, int], proto: int, commands: Sequence[Words], unordered: Iterable[str] = ()) -> None:
    """Send commands to both, each on an empty database. Of those named in `unordered` the order of what they return is free."""
    redis, ours = (Connection(port) for port in ports)
    with redis.socket, ours.socket:
        for connection in (redis, ours):
            connection.ask(b"FLUSHALL")
            connection.ask(b"HELLO", b"%d" % proto)
        free = {name.encode() for name in unordered}
        answers = zip(commands, redis.ask_all(commands), ours.ask_all(commands), strict=True)
        others = []
        for command, theirs, mine in answers:
            if command[0].upper() in free and theirs[:1] in b"*~%" and mine[:1] == theirs[:1]:
                same = without_order(parsed(mine)) == without_order(parsed(theirs))
            else:
                same = is_same(command, theirs, mine)
            if not same:
                others.append((command, theirs, mine))
        assert not others, "\n".join(map(str, others))


def without_order(items: object) -> object:
    """What a reply holds, wherever it stands in it."""
    if isinstance(items, list | set | tuple | frozenset):
        return sorted([repr(without_order(item)) for item in items])
    return without_order([*items.items()]) if isinstance(items, dict) else items


def words(*parts: str | st.SearchStrategy[bytes]) -> st.SearchStrategy[tuple[bytes, ...]]:
    return st.tuples(*[st.just(part.encode()) if isinstance(part, str) else part for part in parts])
