"""redis-cli in all its modes: it says of this service what it says of a redis-server."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from .oracle import Connection, needs_redis, script

CLI = shutil.which("redis-cli") or "redis-cli"
DATA = """
FLUSHALL / SET string hello / SET number 12 / RPUSH list a b c / HSET hash f v g w / ZADD zset 1 a / SADD set a b
XADD stream * f v / SELECT 3 / SET other x
"""
PATIENCE_S = 30.0


@pytest.fixture
def filled(ports: tuple[int, int]) -> tuple[int, int]:
    for port in ports:
        connection = Connection(port)
        with connection.socket:
            connection.ask_all(script(DATA))
    return ports


def cli(port: int, *words: str, stdin: bytes = b"") -> tuple[int, str]:
    """How it ends, and what it says."""
    done = subprocess.run([CLI, "-p", str(port), *words], input=stdin, capture_output=True, timeout=PATIENCE_S)
    return done.returncode, (done.stdout + done.stderr).decode()


def watched(port: int, lines: int, *words: str) -> list[str]:
    """The first lines that it shows on a terminal, of what never ends."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([CLI, "-p", str(port), *words], stdout=theirs, stderr=theirs, stdin=theirs) as process:
        os.close(theirs)
        shown, until_s = b"", time.monotonic() + PATIENCE_S
        while shown.count(b"\n") < lines and time.monotonic() < until_s:
            shown += os.read(ours, 65_536)
        process.kill()
    os.close(ours)
    return shown.decode().splitlines()[:lines]


def summary(port: int, mode: str) -> list[str]:
    """What it says of all keys that it has sampled."""
    code, said = cli(port, mode)
    assert code == 0
    return sorted(said.partition("-------- summary -------")[2].splitlines())


@needs_redis
def test_big_keys_are_found(filled: tuple[int, int]) -> None:
    theirs, ours = (summary(port, "--bigkeys") for port in filled)
    assert ours == theirs
    assert "Sampled 7 keys in the keyspace!" in ours


@needs_redis
def test_keys_that_take_memory_are_found(filled: tuple[int, int]) -> None:
    """How much they take is each one's own."""
    theirs, ours = ([re.sub(r"[\d.]+", "N", line) for line in summary(port, "--memkeys")] for port in filled)
    assert [line for line in ours if "Biggest string" not in line] == [line for line in theirs if "Biggest string" not in line]


@needs_redis
@pytest.mark.parametrize(
    "words",
    [
        ("--hotkeys",),
        ("-3", "--json", "hgetall", "hash"),
        ("-3", "zrange", "zset", "0", "-1", "withscores"),
        ("--csv", "lrange", "list", "0", "-1"),
        ("-n", "3", "dbsize"),
        ("object", "freq", "string"),
        ("--eval", "/dev/null", "a", ",", "b"),
        ("-r", "3", "-i", "0.01", "incr", "number"),
        ("nosuch",),
        ("help",),
    ],
)
def test_it_says_the_same(filled: tuple[int, int], words: tuple[str, ...]) -> None:
    (code, theirs), (own_code, ours) = (cli(port, *words) for port in filled)
    assert (own_code, ours) == (code, theirs)


@needs_redis
def test_all_keys_are_listed(filled: tuple[int, int]) -> None:
    for words in ((), ("--pattern", "s*"), ("--count", "1")):
        theirs, ours = (sorted(cli(port, "--scan", *words)[1].splitlines()) for port in filled)
        assert ours == theirs
        assert ours


@needs_redis
def test_many_commands_go_through_a_pipe(filled: tuple[int, int]) -> None:
    stream = (
        b"".join([b"*3\r\n$3\r\nSET\r\n$4\r\n%04d\r\n$1\r\nx\r\n" % number for number in range(5_000)]) + b"LPUSH string x\r\n"
    )
    said = [cli(port, "--pipe", stdin=stream) for port in filled]
    assert said[0] == said[1]
    assert "errors: 1, replies: 5001" in said[1][1]
    assert [cli(port, "dbsize")[1] for port in filled] == ["5007\n"] * 2


@needs_redis
def test_a_dump_is_refused_and_it_is_said_what_to_do_instead(filled: tuple[int, int], tmp_path: Path) -> None:
    code, said = cli(filled[1], "--rdb", str(tmp_path / "dump.rdb"))
    assert code == 1
    assert "use `paxosstore backup`" in said
    assert not (tmp_path / "dump.rdb").exists()


@needs_redis
def test_figures_roll_by(filled: tuple[int, int]) -> None:
    shown = [watched(port, 3, "--stat", "-i", "0.1") for port in filled]
    assert shown[0][:2] == shown[1][:2]
    numbers = [re.split(r"\s{2,}|\s\(", lines[2].strip()) for lines in shown]
    assert len(numbers[0]) == len(numbers[1])
    assert int(numbers[1][2]) >= 1, "a client"
    assert int(numbers[1][4]) >= 8, "requests"


@needs_redis
def test_latency_is_measured(filled: tuple[int, int]) -> None:
    for port in filled:
        with subprocess.Popen(
            [CLI, "-p", str(port), "--latency-history", "-i", "0.2", "--raw"], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            process.kill()
        assert re.fullmatch(rb"\d+ \d+ \d+\.\d+ \d+\n", line), line


@needs_redis
def test_it_listens(filled: tuple[int, int]) -> None:
    for port in filled:
        with subprocess.Popen([CLI, "-p", str(port), "monitor"], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"OK\n"
            cli(port, "get", "string")
            line = process.stdout.readline()
            while b'"get"' not in line:
                line = process.stdout.readline()
            process.kill()
        assert re.fullmatch(rb'\d+\.\d{6} \[0 127\.0\.0\.1:\d+\] "get" "string"\n', line)
