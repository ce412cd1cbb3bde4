"""COMMAND and ACL CAT: what is told of each command and subcommand is what a redis-server tells."""

from __future__ import annotations

from typing import Any

import pytest

from paxosstore.services.redis.session.acl import CATEGORIES
from paxosstore.services.redis.session.known import NOT_HERE, redis7
from paxosstore.services.redis.session.table import SPECS

from .oracle import compare, needs_redis, script
from .test_introspection import asked

NOT_IN_REDIS = {"paxos.once", "paxos.call", "paxos.read", "sentinel", "client|setinfo"}
"""And what is below them."""
KEYS = """
SET k v / SET k v GET / SET k v EX 10 GET / GET k / MSET a 1 b 2 / MGET a b c / LMOVE a b LEFT RIGHT / BLMOVE a b LEFT RIGHT 0
BITFIELD k GET u8 0 / BITFIELD k SET u8 0 1 / BITOP AND d a b / COPY a b / RENAME a b / SMOVE a b m / RPOPLPUSH a b
ZUNIONSTORE d 2 a b / ZUNION 2 a b / ZINTERSTORE d 1 a / ZRANGESTORE d a 0 -1 / SUNIONSTORE d a b / SINTERCARD 2 a b
LMPOP 2 a b LEFT / BLMPOP 0 2 a b LEFT / BZMPOP 0 1 a MIN / BLPOP a b 0 / XREAD COUNT 1 STREAMS a b 0 0
XREADGROUP GROUP g c STREAMS a b > > / SORT k / SORT k STORE d / SORT k BY x GET y STORE d / GEORADIUS k 0 0 1 m STORE d
GEOSEARCHSTORE d k FROMMEMBER m BYRADIUS 1 m / EVAL x 0 / EVAL x 2 a b / EVALSHA x 1 a c / FCALL f 1 a / EVAL x 1
MEMORY USAGE k / OBJECT ENCODING k / XGROUP CREATE k g $ / XINFO STREAM k / PFCOUNT a b / PFMERGE d a / HSET h f v
DEL a b / EXISTS a b / UNLINK a / TOUCH a / HGETALL h / LCS a b / GETDEL k / GETEX k / MIGRATE h 1 k 0 1
RESTORE k 0 v / DUMP k / PING / SELECT 1 / NOPE k / GET / ZADD k 1 m / WATCH a b
"""


def pairs(flat: list[Any]) -> dict[str, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def without_text(row: list[Any]) -> list[Any]:
    """A command's row without what is meant for people, the subcommands in one order."""
    specs = [{name: value for name, value in pairs(spec).items() if name != "notes"} for spec in row[8]]
    return [*row[:8], specs, sorted([without_text(sub) for sub in row[9]])]


@needs_redis
def test_what_is_told_of_each_command_is_what_redis_tells(ports: tuple[int, int]) -> None:
    theirs, ours = ({row[0]: without_text(row) for row in asked(port, "COMMAND")} for port in ports)
    shared = theirs.keys() & ours.keys()
    assert len(shared) > 230
    assert ours.keys() - theirs.keys() <= NOT_IN_REDIS
    for name in shared:
        known = {sub[0] for sub in ours[name][9]}
        theirs[name][9] = [sub for sub in theirs[name][9] if sub[0] in known]
        ours[name][9] = [sub for sub in ours[name][9] if sub[0] not in NOT_IN_REDIS]
    assert [(theirs[name], ours[name]) for name in shared if theirs[name] != ours[name]] == []


@needs_redis
def test_the_table_is_all_that_redis_tells(ports: tuple[int, int]) -> None:
    rows = [row for top in asked(ports[0], "COMMAND") for row in (top, *top[9])]
    assert {row[0] for row in rows} == set(redis7())


@needs_redis
@pytest.mark.parametrize("proto", [2, 3])
def test_answers_have_the_form_of_those_of_redis(ports: tuple[int, int], proto: int) -> None:
    text = """
    COMMAND INFO get mset zunionstore blpop nope get|key config|get|x config|get memory|usage client|list wait / COMMAND LIST x
    COMMAND LIST FILTERBY PATTERN config|*re* / COMMAND LIST FILTERBY PATTERN set / COMMAND LIST FILTERBY ACLCAT nope
    COMMAND LIST FILTERBY MODULE x / COMMAND DOCS nope / COMMAND LIST FILTERBY foo x / COMMAND GETKEYSANDFLAGS foo bar
    """
    compare(ports, proto, script(text), unordered=("COMMAND",))
    lines = [(b"COMMAND", how, *words) for how in (b"GETKEYS", b"GETKEYSANDFLAGS") for words in script(KEYS)]
    compare(ports, proto, lines)


@needs_redis
@pytest.mark.parametrize("category", CATEGORIES)
def test_categories_hold_what_they_hold_in_redis(ports: tuple[int, int], category: str) -> None:
    here = {name.decode() for name in SPECS}
    for words in (("ACL", "CAT", category), ("COMMAND", "LIST", "FILTERBY", "ACLCAT", category)):
        theirs, ours = (set(asked(port, *words)) for port in ports)
        ours = {name for name in ours if name.partition("|")[0] not in NOT_IN_REDIS and name not in NOT_IN_REDIS}
        missing = {name for name in theirs - ours if name.partition("|")[0] in here}
        assert ours <= theirs
        assert missing <= NOT_HERE | {name for name in missing if name.startswith(("cluster|", "module|", "acl|"))}


@needs_redis
def test_docs_say_since_when_and_of_which_group(ports: tuple[int, int]) -> None:
    theirs, ours = (pairs(asked(port, "COMMAND", "DOCS")) for port in ports)
    for name, doc in ours.items():
        if name in theirs:
            one, other = pairs(theirs[name]), pairs(doc)
            assert (one["since"], one["group"]) == (other["since"], other["group"])
            assert ("subcommands" in one) == ("subcommands" in other)
    assert pairs(pairs(pairs(ours["config"])["subcommands"])["config|get"])["since"] == "2.0.0"
