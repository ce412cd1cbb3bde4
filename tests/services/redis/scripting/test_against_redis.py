"""Scripts: the same to a real redis-server and to this service; the same bytes have to come back."""

from __future__ import annotations

from hashlib import sha1
from pathlib import Path

import pytest

from ..oracle import Words, compare, needs_redis

pytestmark = needs_redis
HERE = Path(__file__).parent
SUM = b"local s = 0 for i, v in ipairs(ARGV) do s = s + v end return redis.call('incrby', KEYS[1], s)"
SHA = sha1(SUM).hexdigest().encode()
LINES = b"local a = 1\n\nlocal b = redis.call('incr', 'word')\nreturn b"


def scripts(name: str) -> list[Words]:
    """Each line of a file, with two keys and two arguments, on keys that are known."""
    commands: list[Words] = []
    for line in (HERE / name).read_text("utf-8").splitlines():
        commands += [(b"FLUSHALL",), (b"EVAL", line.encode("latin-1"), b"2", b"key1", b"key2", b"arg1", b"arg2")]
    return commands


@pytest.mark.parametrize("proto", [2, 3])
@pytest.mark.parametrize("name", ["base.txt", "libraries.txt", "commands.txt"])
def test_scripts(ports: tuple[int, int], name: str, proto: int) -> None:
    compare(ports, proto, scripts(name))


COMMANDS: list[Words] = [
    (b"SCRIPT", b"FLUSH"),
    (b"EVALSHA", SHA, b"1", b"n", b"1"),
    (b"SCRIPT", b"EXISTS", SHA, b"x"),
    (b"SCRIPT", b"LOAD", SUM),
    (b"SCRIPT", b"EXISTS", SHA, b"x", SHA.upper()),
    (b"EVALSHA", SHA, b"1", b"n", b"1", b"2"),
    (b"EVALSHA", SHA.upper(), b"1", b"n", b"1", b"2"),
    (b"EVALSHA", SHA[:39], b"0"),
    (b"EVALSHA", b"z" * 40, b"0"),
    (b"EVALSHA_RO", SHA, b"1", b"n", b"1"),
    (b"EVAL", SUM, b"x"),
    (b"EVAL", SUM, b"1"),
    (b"EVAL", SUM, b"-1"),
    (b"EVAL", SUM, b"2", b"a"),
    (b"EVAL", SUM),
    (b"EVAL",),
    (b"EVALSHA", SHA),
    (b"EVAL_RO", b"return redis.call('get', KEYS[1])", b"1", b"n"),
    (b"EVAL_RO", b"return redis.call('set', KEYS[1], 1)", b"1", b"n"),
    (b"EVAL_RO", b"return redis.pcall('set', KEYS[1], 1)", b"1", b"n"),
    (b"EVAL", b"#!lua\nreturn 1", b"0"),
    (b"EVAL", b"#!lua flags=no-writes\nreturn redis.call('get', KEYS[1])", b"1", b"n"),
    (b"EVAL", b"#!lua flags=no-writes\nreturn redis.call('set', KEYS[1], 1)", b"1", b"n"),
    (b"EVAL", b"#!lua flags=no-writes,allow-stale\nreturn 1", b"0"),
    (b"EVAL", b"#!lua flags=bogus\nreturn 1", b"0"),
    (b"EVAL", b"#!lua bogus=1\nreturn 1", b"0"),
    *[
        (b"EVAL", first + b"\nreturn 1", b"0")
        for first in (
            b"#!",
            b'#!"lua"',
            b'#!"lua',
            b'#!lua flags="no-writes"',
            b'#!lua "flags=no-writes"',
            b"#!lua 'flags=no-writes",
            b"#!lua flags=",
            b"#!lua flags=no-writes,,allow-oom",
            b"#!lua flags=no-writes flags=allow-oom",
        )
    ],
    (b"EVAL", b"#!python\nreturn 1", b"0"),
    (b"EVAL", b"#!lua", b"0"),
    (b"EVAL", b"#!lua\n\nerror('x')", b"0"),
    (b"EVAL_RO", b"#!lua\nreturn 1", b"0"),
    (b"EVAL_RO", b"#!lua flags=no-writes\nreturn 1", b"0"),
    (b"EVAL", b"", b"0"),
    (b"EVAL", b"-- nothing", b"0"),
    (b"SET", b"word", b"x"),
    (b"EVAL", LINES, b"0"),
    (b"EVAL", b"local ok, e = pcall(redis.call, 'incr', 'word')\nerror(e)", b"0"),
    (b"EVAL", b"\n\nreturn nosuch", b"0"),
    (b"SCRIPT", b"LOAD", b"not lua"),
    (b"SCRIPT", b"LOAD"),
    (b"SCRIPT", b"EXISTS"),
    (b"SCRIPT", b"KILL"),
    (b"SCRIPT", b"KILL", b"x"),
    (b"SCRIPT", b"FLUSH", b"NOW"),
    (b"SCRIPT", b"FLUSH", b"ASYNC"),
    (b"SCRIPT", b"FLUSH", b"sync"),
    (b"SCRIPT", b"FLUSH", b"sync", b"x"),
    (b"SCRIPT", b"EXISTS", SHA),
    (b"SCRIPT", b"BOGUS"),
    (b"SCRIPT",),
    (b"EVAL", SUM, b"1", b"n", b"5"),
    (b"EVALSHA", SHA, b"1", b"n", b"5"),
    (b"FLUSHALL",),
    (b"EVALSHA", SHA, b"1", b"n", b"5"),
    (b"MULTI",),
    (b"EVALSHA", SHA, b"1", b"n", b"5"),
    (b"EVAL", b"return redis.call('get', 'n')", b"0"),
    (b"EVAL", b"return redis.call('multi')", b"0"),
    (b"EVALSHA", b"z" * 40, b"0"),
    (b"EXEC",),
    (b"EVAL", b"return {#KEYS, #ARGV, KEYS[1], ARGV[2000]}", b"3000", *[b"k%d" % i for i in range(5000)]),
]


@pytest.mark.parametrize("proto", [2, 3])
def test_commands_on_scripts(ports: tuple[int, int], proto: int) -> None:
    compare(ports, proto, COMMANDS)
