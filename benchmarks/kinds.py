"""Commands on every kind of key beside redis-server: each one's share of Redis's throughput, next to that of SET."""

from __future__ import annotations

import csv
import selectors
import socket
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from servers import BenchError, Server, Servers, finished

CONNECTIONS = 50
KEYSPACE = 100_000
VALUE = "x" * 100
KEY = "key:__rand_int__"
COMMANDS: dict[str, tuple[str, ...]] = {
    "SET": ("SET", KEY, VALUE),
    "LPUSH": ("LPUSH", "queue", VALUE),
    "RPOP": ("RPOP", "queue"),
    "HSET": ("HSET", "hash:{h}", "field:__rand_int__", VALUE),
    "SADD": ("SADD", "set:{h}", "member:__rand_int__"),
    "ZADD": ("ZADD", "scores", "__rand_int__", "member:__rand_int__"),
    "EVAL": ("EVAL", "return redis.call('SET', KEYS[1], ARGV[1])", "1", "script:__rand_int__", VALUE),
    "PUBLISH": ("PUBLISH", "channel", VALUE),
}
"""Name -> the words as redis-benchmark takes them."""
MULTI = "MULTI of 10"
FACTOR = 1.5
"""Each ratio is to be within this factor of SET's."""


@dataclass(slots=True)
class Kind:
    """One command on both: requests per second of each run."""

    name: str
    ours: list[float] = field(default_factory=list)
    redis: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        return statistics.median(self.ours) / statistics.median(self.redis)


def run_command(server: Server, name: str, requests: int) -> float:
    """Requests per second. Raises BenchError."""
    if name == MULTI:
        return _run_transactions(server, requests)
    options = f"-p {server.port} -c {CONNECTIONS} -n {requests} -r {KEYSPACE} --csv".split()
    done = finished(["redis-benchmark", *options, *COMMANDS[name]], f"{server.name}: {name}")
    if done.returncode != 0 or "rror" in done.stderr:
        raise BenchError(f"{server.name}: {name} failed: {(done.stderr + done.stdout).strip()[:200]}")
    return float(list(csv.reader(done.stdout.splitlines()))[-1][1])


def _run_transactions(server: Server, requests: int) -> float:
    """The same by this module as a process of its own: redis-benchmark knows no MULTI. Counts the commands inside."""
    words = [sys.executable, __file__, str(server.port), str(requests)]
    done = finished(words, f"{server.name}: {MULTI}")
    if done.returncode != 0:
        raise BenchError(f"{server.name}: {MULTI} failed: {done.stderr.strip()[-200:]}")
    return float(done.stdout)


def measure_kinds(servers: Servers, rounds: int, seconds: float, say: Callable[[str], None]) -> list[Kind]:
    """Each command alternating between the two; a run takes about `seconds`."""
    kinds = [Kind(name) for name in (*COMMANDS, MULTI)]
    for kind in kinds:
        for _ in range(rounds):
            for server, runs in ((servers.redis, kind.redis), (servers.nodes[0], kind.ours)):
                probe = run_command(server, kind.name, 2_000)
                runs.append(run_command(server, kind.name, max(2_000, int(probe * seconds))))
        say(f"{kind.name}: {kind.ratio:.2f} of Redis")
    return kinds


HEAD = ("command, 50 connections", "ours /s", "Redis /s", "ratio", "of SET's ratio")
NOTE = "EVAL sets one key; MULTI of 10 counts the ten SETs between MULTI and EXEC; PUBLISH has no subscriber."


def kind_lines(kinds: Sequence[Kind]) -> list[tuple[str, ...]]:
    base = next(kind.ratio for kind in kinds if kind.name == "SET")
    return [
        (
            kind.name,
            f"{statistics.median(kind.ours):,.0f}",
            f"{statistics.median(kind.redis):,.0f}",
            f"{kind.ratio:.2f}",
            f"{kind.ratio / base:.2f}",
        )
        for kind in kinds
    ]


def _pack(*words: str) -> bytes:
    return f"*{len(words)}\r\n".encode() + b"".join(f"${len(word)}\r\n{word}\r\n".encode() for word in words)


def _drive(port: int, requests: int) -> float:
    """So many commands in transactions of ten, over all connections; commands per second."""
    end = b"*10\r\n" + b"+OK\r\n" * 10
    chooser = selectors.DefaultSelector()
    buffers: dict[socket.socket, bytes] = {}
    sent = done = 0

    def send(client: socket.socket) -> None:
        nonlocal sent
        keys = [f"key:{(sent * 7919 + at) % KEYSPACE:012d}" for at in range(10)]
        client.sendall(_pack("MULTI") + b"".join(_pack("SET", key, VALUE) for key in keys) + _pack("EXEC"))
        buffers[client] = b""
        sent += 10

    began_s = time.monotonic()
    for _ in range(CONNECTIONS):
        client = socket.create_connection(("127.0.0.1", port))
        chooser.register(client, selectors.EVENT_READ)
        send(client)
    while done < requests:
        for ready, _ in chooser.select(30.0):
            asker = ready.fileobj
            assert isinstance(asker, socket.socket)
            buffers[asker] += asker.recv(65_536)
            assert b"-" not in buffers[asker], buffers[asker][:200]
            if buffers[asker].endswith(end):
                done += 10
                if sent < requests:
                    send(asker)
    return done / (time.monotonic() - began_s)


if __name__ == "__main__":
    print(_drive(int(sys.argv[1]), int(sys.argv[2])))
