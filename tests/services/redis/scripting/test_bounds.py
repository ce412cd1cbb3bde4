"""Scripts that mean harm: each ends within its bounds, nothing of it is done, and the next one runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from paxosstore.errors import TooLarge
from paxosstore.services.redis.scripting.runtime import MAX_DIGEST_BYTES
from paxosstore.services.redis.scripting.store import MAX_SCRIPT_BYTES

from ..support import DictView
from .conftest import Evaluate

ENDLESS = (Path(__file__).parent / "endless.txt").read_text().splitlines()
STOPPED = b"-ERR the script took more than 3 ms: nothing of it was done, see redis.script_budget_ms\r\n"
A_MEBIBYTE = "local s = string.rep('x', 1048576) local t = {} "
FULL = A_MEBIBYTE + "pcall(function() for i = 1, 1e9 do t[i] = s .. i end end) "


@pytest.mark.parametrize("body", ENDLESS)
def test_no_script_goes_on_for_ever(body: str, run: Evaluate, view: DictView, budget_ms: Callable[[float], None]) -> None:
    run("SET", "before", "1")
    budget_ms(3)
    begun_s = time.thread_time()
    reply = run("EVAL", "redis.call('set', 'before', 2) " + body, "0")
    assert reply == STOPPED or b"not enough memory" in reply
    assert time.thread_time() - begun_s < 5  # how far it may go is measured elsewhere
    budget_ms(1_000)
    assert run("EVAL", "return redis.call('get', 'before')", "0") == b"$1\r\n1\r\n"


@pytest.mark.parametrize(
    "body",
    [
        "return string.rep('x', 1e9)",
        "local s = 'x' for i = 1, 40 do s = s .. s end",
        "local t = {} for i = 1, 1e9 do t[i] = {} end",
        "local t = {} for i = 1, 1e9 do t['key' .. i] = i end",
        FULL + "local u = t[1] .. t[2] .. t[3] .. t[4] .. t[5] for i = 1, 100 do u = u .. u end",
    ],
)
def test_memory_is_bounded(body: str, run: Evaluate, budget_ms: Callable[[float], None]) -> None:
    budget_ms(20_000)
    assert b"not enough memory" in run("EVAL", body, "0")
    assert run("EVAL", "return 1", "0") == b":1\r\n"


@pytest.mark.parametrize(
    "call",
    [
        "redis.call('get', 'k')",
        "redis.sha1hex('x')",
        "struct.pack('i', 1)",
        "struct.unpack('c1048576', s)",
        "bit.tohex(1)",
        "cmsgpack.pack(0.1)",
        "for i = 1, 100 do t[#t + 1] = redis.call('get', 'k') .. i end",
    ],
)
def test_nothing_is_handed_to_a_script_that_has_no_room_for_it(
    call: str, run: Evaluate, budget_ms: Callable[[float], None]
) -> None:
    """Lua out of memory while this side is inside of it would leave the interpreter locked."""
    budget_ms(20_000)
    run("SET", "k", b"v" * 4_000_000)
    with pytest.raises(TooLarge, match="can only end"):
        run("EVAL", FULL + f"pcall(function() {call} end) return 1", "0")
    assert run("EVAL", "return 1", "0") == b":1\r\n"


def test_what_one_call_carries_is_bounded(run: Evaluate, budget_ms: Callable[[float], None]) -> None:
    budget_ms(20_000)
    words = "local s, t = string.rep('x', 4e6), {} for i = 1, 1000 do t[i] = s end "
    assert b"are more than" in run("EVAL", words + "return redis.call('mset', unpack(t))", "0")
    assert b"are more than" in run("EVAL", words + "return redis.call('mset', s .. s, s .. s .. s)", "0")
    assert b"are more than" in run("EVAL", words + "return struct.pack(string.rep('c0', 1000), unpack(t, 1, 999))", "0")
    assert b"too many arguments" in run("EVAL", "return redis.call('mset', unpack({}, 1, 7500))", "0")


@pytest.mark.parametrize(
    "body",
    [
        "local function f() return f() + 1 end return f()",
        "local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) return t[1]",
        "return loadstring('return ' .. string.rep('(', 10000) .. string.rep(')', 10000))()",
        "return loadstring(string.rep('a and ', 40000) .. 'a')()",
        "return loadstring(string.rep('x', 300000))()",
        "return loadstring('\\27Lua')()",
        "return string.find('a', string.rep('a?', 1e6))",
        "return unpack({}, 1, 1e8)",
        "return cjson.decode(string.rep('[', 100000))",
        "local t = {} t[1] = t return cjson.encode(t)",
    ],
)
def test_what_goes_too_deep_is_an_error(body: str, run: Evaluate, budget_ms: Callable[[float], None]) -> None:
    budget_ms(20_000)
    assert run("EVAL", body, "0").startswith(b"-ERR ")


def test_a_reply_may_not_be_too_deep(run: Evaluate) -> None:
    assert b"-ERR reached lua stack limit\r\n" in run("EVAL", "local t = {} t[1] = t return t", "0")


def test_a_run_writes_so_many_lines_to_the_log(run: Evaluate, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        caplog.clear()
        run("EVAL", "for i = 1, 1000 do redis.log(redis.LOG_WARNING, 'word ' .. i) end", "0")
        assert len(caplog.messages) == 100
        assert "left out" in caplog.messages[-1]


def test_a_script_may_not_be_too_long(run: Evaluate) -> None:
    with pytest.raises(TooLarge, match="script of"):
        run("EVAL", "return 1" + " " * MAX_SCRIPT_BYTES, "0")


def test_an_error_undoes_what_the_script_wrote(run: Evaluate, view: DictView) -> None:
    run("SET", "k", "1")
    for end in ("error('x')", "return nosuch", "redis.call('incr', 'k', 'k')", "return redis.call('hset', 'k', 'a', 'b')"):
        assert run("EVAL", f"redis.call('set', 'k', 2) redis.call('publish', 'c', 'm') {end}", "0").startswith(b"-")
        assert run("GET", "k") == b"$1\r\n1\r\n"
        assert not view.published
    assert run("EVAL", "redis.call('set', 'k', 2) return redis.error_reply('MY error')", "0") == b"-MY error\r\n"
    assert run("GET", "k") == b"$1\r\n2\r\n"  # a reply is no failure, whatever it says
    assert run("EVAL", "redis.pcall('nope') redis.call('publish', 'c', 'm') return 1", "0") == b":1\r\n"
    assert len(view.published) == 1


def test_the_digest_of_a_long_text_is_refused(run: Evaluate, budget_ms: Callable[[float], None]) -> None:
    budget_ms(1_000)
    run("EVAL", f"return redis.sha1hex(string.rep('x', {MAX_DIGEST_BYTES}))", "0")
    for body in ("return redis.sha1hex(string.rep('x', {}))", "return pcall(redis.sha1hex, string.rep('x', {}))"):
        with pytest.raises(TooLarge, match="sha1hex"):
            run("EVAL", body.format(MAX_DIGEST_BYTES + 1), "0")
