"""Functions: the same to a real redis-server and to this service, and what a comparison cannot show."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from paxosstore.errors import TooLarge
from paxosstore.services.redis.scripting import libraries

from ..oracle import Words, compare, needs_redis
from ..support import DictView
from .conftest import Evaluate


def library(body: str, name: str = "x") -> bytes:
    return f"#!lua name={name}\n{body}".encode()


ONE = library('redis.register_function("f1", function(keys, args) return {#keys, #args, keys[1], args[1]} end)', "one")
TWO = library(
    """
local function helper() return nosuch end
redis.register_function{function_name="two", callback=function(k, a) return redis.call("set", k[1], a[1]) end}
redis.register_function{function_name="ro", callback=function(k) return redis.call("get", k[1]) end, flags={"no-writes"}}
redis.register_function("g1", function() local x = helper() return x end)
redis.register_function("g2", function()
  local x = redis.call("nope")
  return x
end)
redis.register_function("g3", function() error("x") end)
redis.register_function("g4", function() return redis.register_function end)
redis.register_function("g5", function() x = 1 end)
redis.register_function("g6", function() local x = KEYS return x end)
redis.register_function("g7", function() return redis.error_reply("MY x") end)
""",
    "two",
)
BAD = [
    'redis.register_function("f1", function() end)',
    'redis.register_function("f9", function() end) redis.register_function("f9", function() end)',
    'redis.register_function("f-9", function() end)',
    'redis.register_function("f9")',
    "redis.register_function()",
    "redis.register_function(1,2,3)",
    'redis.register_function("f9", 5)',
    'redis.register_function{function_name="f9"}',
    "redis.register_function{callback=function() end}",
    'redis.register_function{function_name="f9", callback=function() end, bogus=1}',
    'redis.register_function{function_name="f9", callback=function() end, flags=1}',
    'redis.register_function{function_name="f9", callback=function() end, flags={"bogus"}}',
    'redis.call("get", "a")',
    "redis.setresp(3)",
    "redis.set_repl(1)",
    'error("boom")',
    "return 1",
    "x x",
    "a = 1",
]
LOAD = (b"FUNCTION", b"LOAD")
HEADERS = (
    b'#!lua name="x"',
    b"#! name=x",
    b"#!",
    b"#!lua name='x y'",
    b'#!lua name="x',
    b"#!lua\t Name=x  \r",
    b'#!"lua" name=x',
    b'#!lua "name=x"',
    b"#!'' name=x",
    b'#!lua name="\\x41b"',
    b"#!lua name=x=y",
)
COMMANDS: list[Words] = [
    (b"FUNCTION", b"FLUSH"),
    (*LOAD, ONE),
    (*LOAD, ONE),
    (*LOAD, b"REPLACE", ONE),
    (b"FUNCTION", b"LIST"),
    (b"FUNCTION", b"LIST", b"WITHCODE", b"LIBRARYNAME", b"o*"),
    (b"FUNCTION", b"LIST", b"LIBRARYNAME", b"t*"),
    (b"FUNCTION", b"LIST", b"BOGUS"),
    (b"FUNCTION", b"LIST", b"LIBRARYNAME"),
    *[(*LOAD, b"REPLACE", first + b"\nredis.register_function('f', function() end)") for first in HEADERS],
    (b"FUNCTION", b"FLUSH", b"SYNC", b"extra"),
    (b"FUNCTION", b"FLUSH"),
    (*LOAD, ONE),
    (*LOAD, TWO),
    (b"FCALL", b"f1", b"1", b"a", b"b"),
    (b"FCALL", b"F1", b"0"),
    (b"FCALL", b"two", b"1", b"a", b"b"),
    (b"FCALL", b"ro", b"1", b"a"),
    (b"FCALL_RO", b"ro", b"1", b"a"),
    (b"FCALL_RO", b"two", b"1", b"a", b"b"),
    (b"FCALL", b"nope", b"0"),
    (b"FCALL", b"f1", b"x"),
    (b"FCALL", b"f1", b"-1"),
    (b"FCALL", b"f1", b"5", b"a"),
    *[(b"FCALL", b"g%d" % number, b"0") for number in range(1, 8)],
    *[(*LOAD, library(body)) for body in BAD],
    (*LOAD, b"return 1"),
    (*LOAD, b"#!lua\nreturn 1"),
    (*LOAD, b"#!lua name=bad-name\nreturn 1"),
    (*LOAD, b"#!lua name=x foo=bar\nreturn 1"),
    (*LOAD, b"#!js name=x\nreturn 1"),
    (*LOAD, b"#!lua name=x name=y\nreturn 1"),
    (*LOAD, b"#!lua name=x"),
    (*LOAD, b"BOGUS", ONE),
    LOAD,
    (b"FUNCTION", b"STATS"),
    (b"FUNCTION", b"KILL"),
    (b"FUNCTION", b"DELETE", b"nope"),
    (b"FUNCTION", b"DELETE"),
    (b"FLUSHALL",),
    (b"FCALL", b"f1", b"0"),
    (b"FUNCTION", b"DELETE", b"one"),
    (b"FCALL", b"f1", b"0"),
    (b"FUNCTION", b"FLUSH", b"BOGUS"),
    (b"FUNCTION", b"BOGUS"),
    (b"FUNCTION",),
    (b"EVAL", b"return redis.register_function", b"0"),
    (b"FUNCTION", b"FLUSH", b"ASYNC"),
    (b"FUNCTION", b"LIST"),
    (b"FUNCTION", b"STATS"),
]


@needs_redis
@pytest.mark.parametrize("proto", [2, 3])
def test_functions(ports: tuple[int, int], proto: int) -> None:
    compare(ports, proto, COMMANDS)


def test_another_node_knows_a_library(run: Evaluate, view: DictView) -> None:
    run("FUNCTION", "LOAD", ONE)
    assert run("FCALL", "f1", "0") == b"*2\r\n:0\r\n:0\r\n"
    changed = ONE.replace(b"#keys", b"7")
    run("FUNCTION", "LOAD", "REPLACE", changed)
    assert run("FCALL", "f1", "0") == b"*2\r\n:7\r\n:0\r\n"


def test_a_failed_load_changes_nothing(run: Evaluate, view: DictView) -> None:
    run("FUNCTION", "LOAD", ONE)
    rows = dict(view.rows)
    for body in BAD:
        assert run("FUNCTION", "LOAD", "REPLACE", library(body)).startswith(b"-ERR")
    assert view.rows == rows


def test_libraries_are_bounded(run: Evaluate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "MAX_LIBRARIES", 1)
    run("FUNCTION", "LOAD", ONE)
    with pytest.raises(TooLarge):
        run("FUNCTION", "LOAD", TWO)
    run("FUNCTION", "LOAD", "REPLACE", ONE)
    monkeypatch.setattr(libraries, "MAX_LIBRARIES", 9)
    monkeypatch.setattr(libraries, "MAX_BYTES", len(ONE) + len(TWO) - 1)
    with pytest.raises(TooLarge):
        run("FUNCTION", "LOAD", TWO)


def test_neither_a_load_nor_a_call_goes_on_for_ever(run: Evaluate, budget_ms: Callable[[float], None]) -> None:
    run("SET", "k", "1")
    loop = "redis.call('set', 'k', 2) while true do pcall(function() while true do end end) end"
    assert run("FUNCTION", "LOAD", library(f"redis.register_function('f', function() {loop} end)")) == b"$1\r\nx\r\n"
    budget_ms(3)
    assert b"took more than 3 ms" in run("FUNCTION", "LOAD", library("while true do end", "y"))
    assert b"took more than 3 ms" in run("FCALL", "f", "0")
    assert run("GET", "k") == b"$1\r\n1\r\n"
