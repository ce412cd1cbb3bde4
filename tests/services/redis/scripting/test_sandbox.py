"""What a script can reach, and what it leaves behind: nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paxosstore.services.redis.scripting.commands import caller
from paxosstore.services.redis.scripting.runtime import State

from ..support import DictView
from .conftest import Evaluate

ABSENT = "debug dofile getfenv io loadfile module newproxy package print python require setfenv"
READONLY = b"Attempt to modify a readonly table"

EVERYTHING = """
local seen, found = {}, {}
local function walk(value, path)
  local kind = type(value)
  if kind == 'userdata' and value ~= cjson.null then found[#found + 1] = path .. ': userdata' end
  if kind ~= 'table' or seen[value] then return end
  seen[value] = true
  for k, v in pairs(value) do
    walk(k, path)
    walk(v, path .. '.' .. tostring(k))
  end
  walk(getmetatable(value), path .. '(meta)')
end
walk(_G, '_G')
walk(getmetatable(''), 'string')
return found
"""


@pytest.mark.parametrize("name", ABSENT.split())
def test_there_is_no(name: str, run: Evaluate) -> None:
    assert b"nonexistent global variable" in run("EVAL", f"return {name}", "0")


def test_nothing_of_python_is_in_reach(run: Evaluate) -> None:
    assert run("EVAL", EVERYTHING, "0") == b"*0\r\n"
    assert run("EVAL", "return string.dump == nil", "0") == b":1\r\n"
    assert (
        run("EVAL", "local n = 0 for k in pairs(os) do n = n + 1 end return {n, type(os.clock())}", "0")
        == b"*2\r\n:1\r\n$6\r\nnumber\r\n"
    )


@pytest.mark.parametrize(
    "body",
    [
        "x = 1",
        "_G.x = 1",
        "rawset(_G, 'x', 1)",
        "setmetatable(_G, {})",
        "getmetatable(_G).__index = {}",
        "getmetatable(_G).__metatable = nil",
        "rawset(getmetatable(_G), '__index', {})",
        "table.insert(_G, 1)",
        "table.insert(string, 1)",
        "table.sort(redis)",
        "table.remove(redis)",
        "string.format = 1",
        "redis.call = 1",
        "cjson.encode = 1",
        "cmsgpack.pack = 1",
        "struct.pack = 1",
        "bit.band = 1",
        "math.random = 1",
        "coroutine.create = 1",
        "getmetatable('').__index = {}",
        "rawset(getmetatable(''), '__index', {})",
        "rawset(string, 'format', 1)",
        "setmetatable(string, {})",
        "setmetatable(getmetatable(''), {})",
        "KEYS = {}",
    ],
)
def test_what_all_scripts_share_is_readonly(body: str, run: Evaluate) -> None:
    assert READONLY in run("EVAL", body, "0")
    assert run("EVAL", "return ('x'):rep(2) .. string.format('%d', 1)", "0") == b"$3\r\nxx1\r\n"


def test_a_script_leaves_nothing_to_the_next_one(run: Evaluate) -> None:
    run("EVAL", "cjson.encode_max_depth(1) redis.setresp(3) KEYS[1] = 'changed' ARGV.x = 1 return 1", "1", "k")
    assert run("EVAL", "return {cjson.encode({{1}}), #KEYS, ARGV.x == nil, true}", "0") == (
        b"*4\r\n$5\r\n[[1]]\r\n:0\r\n:1\r\n:1\r\n"
    )
    run("EVAL", "collectgarbage('stop') collectgarbage('setpause', 1000) math.randomseed(1) return 1", "0")
    first = run("EVAL", "return tostring(math.random())", "0")
    assert first != run("EVAL", "return tostring(math.random())", "0")


def test_an_error_of_python_is_none_of_a_script(run: Evaluate) -> None:
    assert run("EVAL", "return {pcall(redis.sha1hex)}", "0") == b"*2\r\n$-1\r\n$29\r\nERR wrong number of arguments\r\n"
    assert run("EVAL", "return {type(select(2, pcall(bit.band, 1, {}))), type(select(2, pcall(struct.pack, 'q')))}", "0") == (
        b"*2\r\n$6\r\nstring\r\n$6\r\nstring\r\n"
    )


# -- the matcher that can be stopped does what Lua's own does

QUICK, SLOW = State(60_000), State(60_000, quick_steps=0)
WORKS = """
local s, p, r = ARGV[1], ARGV[2], ARGV[3]
local out = {}
local function add(...) for i = 1, select('#', ...) do out[#out + 1] = tostring((select(i, ...))) end out[#out + 1] = '|' end
add(pcall(string.find, s, p))
add(pcall(string.find, s, p, 3))
add(pcall(string.find, s, p, -2))
add(pcall(string.match, s, p))
add(pcall(string.gsub, s, p, r))
add(pcall(string.gsub, s, p, r, 1))
add(pcall(string.gsub, s, p, function(a, b) return b or (a ~= 'b' and a) end))
add(pcall(string.gsub, s, p, {a = 'X', bb = 'Y', ['1'] = 2}))
add(pcall(function() local n = 0 for a, b in string.gmatch(s, p) do n = n + 1 add(a, b) if n > 50 then break end end end))
return table.concat(out, ' ')
"""
pieces = st.sampled_from(
    [
        "a",
        "b",
        ".",
        "%a",
        "%d",
        "%s",
        "%w",
        "%W",
        "[ab]",
        "[^a]",
        "[%d_]",
        "[a-c]",
        "[]]",
        "(",
        ")",
        "()",
        "%1",
        "%b()",
        "%f[a]",
        "%.",
    ]
)
patterns = st.lists(st.tuples(pieces, st.sampled_from(["", "", "*", "+", "-", "?"])), max_size=6).map(
    lambda parts: "".join(piece + many for piece, many in parts)
)


def works(state: State, *words: str) -> tuple[bool, bytes]:
    body = WORKS.encode()
    state.compile(b"works", body)
    return state.run(caller(DictView(), False), b"works", 2, 0, [word.encode() for word in words])


@settings(max_examples=400, deadline=None)
@given(
    st.text("ab1 ()._]", max_size=12),
    st.tuples(st.sampled_from(["", "", "^"]), patterns, st.sampled_from(["", "", "$"])).map("".join),
    st.sampled_from(["", "x", "%0", "<%1>", "%2", "%%", "%"]),
)
def test_patterns_mean_the_same_in_both_matchers(text: str, pattern: str, by: str) -> None:
    quick, slow = works(QUICK, text, pattern, by), works(SLOW, text, pattern, by)
    assert without_errors(quick[1]) == without_errors(slow[1])


def without_errors(reply: bytes) -> list[bytes]:
    """Errors count, but not how they are worded: one matcher sees what is wrong with a pattern before it starts."""
    return [b"false" if part.split()[:1] == [b"false"] else part for part in reply.split(b"\r\n", 1)[1].split(b"|")]
