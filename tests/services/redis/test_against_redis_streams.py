"""Streams and consumer groups: the same commands to a real redis-server and to this service."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .oracle import Words, compare, needs_redis, script, sequences, words

pytestmark = needs_redis
MOST = "18446744073709551615"

SCRIPT = f"""
XADD / XADD s / XADD s 1-1 / XADD s 1-1 f / XADD s 1-1 f v / XADD s 1-1 f v / XADD s 1 f v / XADD s 0-0 f v / XADD s 0 f v
XADD s 1-* a 1 b 2 / XADD s 1-* a 1 / XADD s 2-* a 1 / XADD s 1-* a 1 / XADD s x f v / XADD s 1-x f v / XADD s - f v
XADD s + f v / XADD s 5-1-1 f v / XADD s -5 f v / XADD s 3-1 f v g / XADD n NOMKSTREAM 1-1 f v / EXISTS n
XADD s NOMKSTREAM 7 f v / XADD s MAXLEN / XADD s MAXLEN 3 / XADD s MAXLEN x 8-0 f v / XADD s MAXLEN -1 8-0 f v
XADD s MAXLEN 3 8-0 f v / XLEN s / XADD s MAXLEN = 2 9-0 f v / XADD s MAXLEN ~ 1 10-0 f v / XADD s MINID 9 11-0 f v
XADD s MINID x 12-0 f v / XADD s LIMIT 3 12-0 f v / XADD s MAXLEN 3 LIMIT 5 13-0 f v / XADD s MAXLEN ~ 3 LIMIT 5 13-0 f v
XADD s MAXLEN ~ 3 LIMIT -5 14-0 f v / XADD s MAXLEN ~ 3 LIMIT 0 14-0 f v / XADD s MAXLEN 1 MINID 1 15-0 f v / XRANGE s - +
XLEN s / XLEN none / TYPE s / OBJECT ENCODING s / XRANGE s / XRANGE s 9 / XRANGE s 9 10 / XRANGE s (9 13
XRANGE s (9-0 (13-0 / XRANGE s ( 13 / XRANGE s (- 13 / XRANGE s - (0-0 / XRANGE s ({MOST}-{MOST} + / XRANGE s - + COUNT 2
XRANGE s - + COUNT 0 / XRANGE s - + COUNT -1 / XRANGE s - + COUNT x / XRANGE s - + COUNT / XRANGE s - + BOGUS 1
XRANGE none - + COUNT 0 / XRANGE s + - / XREVRANGE s + - / XREVRANGE s + - COUNT 1 / XREVRANGE s 10 (9 / XREVRANGE s - +
XRANGE s x + / XTRIM s / XTRIM s MAXLEN / XTRIM s MAXLEN 3 / XTRIM s MAXLEN ~ 0 / XLEN s / XTRIM s MAXLEN 0 / XTRIM s BOGUS 1
XTRIM s LIMIT 5 / XTRIM s LIMIT 5 x / XTRIM none MAXLEN 0 / XTRIM s MINID 5 / XADD s 20 f v / XADD s 21 f v / XADD s 22 f v
XTRIM s MINID 21-5 / XTRIM s MINID = 21 LIMIT 5 / XDEL s / XDEL s 21 22 22 / XDEL s x / XDEL s 22 x / XDEL none x / XLEN s
XINFO STREAM s / XADD s {MOST}-{MOST} f v / XADD s * f v / XADD s {MOST}-* f v / DEL s / XSETID s 1-1 / XADD s 5-5 f v
XSETID s 1-1 / XSETID s 6-0 / XSETID s 6-0 ENTRIESADDED 10 / XSETID s 6-0 ENTRIESADDED 10 MAXDELETEDID 7-0
XSETID s 6-0 ENTRIESADDED 10 MAXDELETEDID 4-0 / XINFO STREAM s / XSETID s 6-0 ENTRIESADDED 0 / XSETID s 6-0 ENTRIESADDED -1
XSETID s 6-0 MAXDELETEDID 5-0 / XSETID s 6-0 BOGUS 5 / XSETID s 3-0 MAXDELETEDID 3-0 / XSETID s 6-0 ENTRIESADDED x
XADD s 7 f v / XINFO STREAM s FULL / XREAD / XREAD STREAMS s / XREAD STREAMS s 0 / XREAD STREAMS s 5-5
XREAD COUNT 1 STREAMS s none 0 0 / XREAD STREAMS s $ / XREAD STREAMS s > / XREAD STREAMS s none 0 / XREAD COUNT x STREAMS s 0
XREAD COUNT -1 STREAMS s 0 / XREAD BLOCK x STREAMS s 0 / XREAD BLOCK -1 STREAMS s 0 / XREAD NOACK STREAMS s 0
XREAD GROUP g c STREAMS s 0 / XREAD BOGUS STREAMS s 0 / XREAD STREAMS s + / XREAD STREAMS s x / XREAD COUNT 0 STREAMS s 0
SET str v / XADD str 1 f v / XREAD STREAMS str 0 / XLEN str / XRANGE str - + / XGROUP CREATE str g 0 / XINFO STREAM str
XREADGROUP GROUP g c STREAMS str > / XACK str g 1 / XTRIM str MAXLEN 0 / XDEL str 1 / GET s / LPUSH s x / XGROUP
XGROUP BOGUS / XGROUP CREATE / XGROUP CREATE s g / XGROUP CREATE s g 0 / XGROUP CREATE s g 0 / XGROUP CREATE s h $
XGROUP CREATE none g 0 / XGROUP CREATE fresh g 0 MKSTREAM / TYPE fresh / XLEN fresh / XINFO STREAM fresh
XGROUP CREATE s i 5 ENTRIESREAD 3 / XGROUP CREATE s j 5 ENTRIESREAD -2 / XGROUP CREATE s j 5 ENTRIESREAD x
XGROUP CREATE s j 5 BOGUS / XGROUP CREATE s j x / XGROUP CREATECONSUMER s g c / XGROUP CREATECONSUMER s g c
XGROUP CREATECONSUMER s none c / XGROUP CREATECONSUMER none g c / XINFO GROUPS s / XINFO CONSUMERS s g
XINFO CONSUMERS s none / XINFO GROUPS none / XINFO STREAM none / XINFO / XINFO BOGUS / XINFO STREAM s BOGUS
XINFO STREAM s FULL COUNT x / XINFO HELP / XGROUP HELP / XINFO HELP x / XREADGROUP GROUP g c STREAMS s none > >
XREADGROUP GROUP g c STREAMS s / XREADGROUP STREAMS s > x y z / XREADGROUP GROUP none c STREAMS s >
XREADGROUP GROUP g c STREAMS s $ / XREADGROUP GROUP g c COUNT 1 STREAMS s > / XREADGROUP GROUP g c STREAMS s 0
XREADGROUP GROUP g c2 STREAMS s 0 / XREADGROUP GROUP g c2 STREAMS s > / XREADGROUP GROUP g c2 STREAMS s >
XREADGROUP GROUP g c3 STREAMS s > / XINFO CONSUMERS s g / XINFO GROUPS s / XPENDING s g / XPENDING s g - + 10
XPENDING s g - + 10 c / XPENDING s g - + 10 none / XPENDING s g - + / XPENDING s g - + x / XPENDING s g IDLE 100000 - + 10
XPENDING s g IDLE 0 (5-5 + 10 c2 / XPENDING s none / XPENDING none g / XPENDING s g IDLE 5 / XPENDING s g - + -1
XPENDING s h / XDEL s 5-5 / XREADGROUP GROUP g c STREAMS s 0 / XACK s g 5-5 5-5 9 / XACK s g x / XACK s none 1
XACK none g x / XPENDING s g / XCLAIM s g c3 0 7-0 / XCLAIM s g c3 100000 7-0 / XCLAIM s g c4 0 7 JUSTID
XCLAIM s g c4 0 9-9 FORCE / XCLAIM s g c4 x 7 / XCLAIM s g c4 0 7 BOGUS / XCLAIM s g c4 0 x / XCLAIM s none c 0 7
XCLAIM s g c4 0 7 RETRYCOUNT 9 IDLE 5 LASTID 8 / XPENDING s g - + 10 / XINFO GROUPS s / XCLAIM s g c4 0 7 TIME x
XCLAIM s g c4 0 7 RETRYCOUNT x / XCLAIM s g c4 0 7 IDLE x / XAUTOCLAIM s g c5 0 0 / XAUTOCLAIM s g c5 0 0 COUNT 0
XAUTOCLAIM s g c5 0 0 COUNT x / XAUTOCLAIM s g c5 x 0 / XAUTOCLAIM s g c5 0 x / XAUTOCLAIM s g c5 0 0 JUSTID
XAUTOCLAIM s g c5 0 (7-0 COUNT 5 JUSTID / XAUTOCLAIM s none c5 0 0 / XAUTOCLAIM s g c5 0 0 BOGUS / XADD s 30 f v
XADD s 31 f v / XADD s 32 f v / XREADGROUP GROUP g c5 NOACK COUNT 1 STREAMS s > / XREADGROUP GROUP g c5 STREAMS s >
XDEL s 31 / XAUTOCLAIM s g c6 0 0 COUNT 2 / XAUTOCLAIM s g c6 0 0 / XPENDING s g / XINFO STREAM s FULL / XINFO GROUPS s
XGROUP DELCONSUMER s g c6 / XGROUP DELCONSUMER s g none / XGROUP DELCONSUMER s none c / XPENDING s g / XGROUP SETID s g 0
XGROUP SETID s g $ / XGROUP SETID s g 7 ENTRIESREAD 2 / XGROUP SETID s none 0 / XGROUP SETID s g 0 BOGUS
XGROUP SETID s g 0 ENTRIESREAD / XINFO GROUPS s / XREADGROUP GROUP g c STREAMS s > / XGROUP DESTROY s g / XGROUP DESTROY s g
XGROUP DESTROY none g / XINFO GROUPS s / XREADGROUP GROUP i c STREAMS s > / XINFO GROUPS s / XGROUP SETID s i {MOST}-{MOST}
XREADGROUP GROUP i c STREAMS s {MOST}-{MOST} / EXPIRE s 100 / XADD s 40 f v / TTL s / RENAME s t / XINFO STREAM t FULL
COPY t u / XINFO STREAM u FULL / DEL t / XLEN u / DBSIZE
"""


@pytest.mark.parametrize("proto", [2, 3])
def test_streams_and_their_errors(ports: tuple[int, int], proto: int) -> None:
    compare(ports, proto, script(SCRIPT))


def test_who_claims_nothing_is_no_consumer(ports: tuple[int, int]) -> None:
    asked = "XGROUP CREATE t g $ MKSTREAM / XAUTOCLAIM t g c 0 0 / XINFO STREAM t FULL / XADD t 1-1 f v"
    told = (
        "XREADGROUP GROUP g own STREAMS t > / XAUTOCLAIM t g c 100000 0 / XDEL t 1-1 / XAUTOCLAIM t g c 0 0 / XINFO STREAM t FULL"
    )
    compare(ports, 2, script(f"{asked} / {told}"))


def test_inexact_trimming_drops_whole_nodes(ports: tuple[int, int]) -> None:
    fill: list[Words] = [(b"XADD", b"s", b"%d-0" % number, b"f", b"v") for number in range(1, 1_001)]
    asked = ["XTRIM s MAXLEN ~ 555", "XLEN s", "XTRIM s MINID ~ 650", "XLEN s", "XTRIM s MAXLEN ~ 0 LIMIT 150", "XLEN s"]
    compare(ports, 2, [*fill, *[tuple(line.encode().split()) for line in asked]])


def test_nodes_are_as_large_as_they_are_set(ports: tuple[int, int]) -> None:
    size = b"stream-node-max-entries"
    fill: list[Words] = [(b"XADD", b"s", b"%d-0" % number, b"f", b"v") for number in range(1, 101)]
    asked = ["XTRIM s MAXLEN ~ 55 LIMIT 30", "XLEN s", "XTRIM s MAXLEN ~ 55 LIMIT 2", "XTRIM s MINID ~ 75", "XLEN s"]
    told = [tuple(line.encode().split()) for line in asked]
    compare(ports, 2, [(b"CONFIG", b"SET", size, b"10"), *fill, *told, (b"CONFIG", b"SET", size, b"100")])


KEY = st.sampled_from([b"s", b"t"])
ID = st.sampled_from([b"0", b"1-1", b"1-2", b"2-0", b"3-0", b"5", b"5-7", b"9-9"])
END = ID | st.sampled_from([b"-", b"+", b"(1-2", b"(5"])
GROUP = st.sampled_from([b"g", b"h"])
CONSUMER = st.sampled_from([b"c", b"d"])
COUNT = st.sampled_from([b"1", b"2", b"10"])

COMMAND = st.one_of(
    words("XADD", KEY, ID, "f", "v"),
    words("XADD", KEY, st.sampled_from([b"1-*", b"5-*", b"9-*"]), "f", "v", "g", "w"),
    words("XADD", KEY, "MAXLEN", COUNT, ID, "f", "v"),
    words("XDEL", KEY, ID, ID),
    words("XTRIM", KEY, "MAXLEN", COUNT),
    words("XTRIM", KEY, "MINID", ID),
    words("XRANGE", KEY, END, END),
    words("XREVRANGE", KEY, END, END, "COUNT", COUNT),
    words("XREAD", "COUNT", COUNT, "STREAMS", KEY, KEY, ID, ID),
    words("XSETID", KEY, ID),
    words("XSETID", KEY, ID, "ENTRIESADDED", COUNT, "MAXDELETEDID", ID),
    words("XGROUP", "CREATE", KEY, GROUP, ID | st.just(b"$"), "MKSTREAM"),
    words("XGROUP", "SETID", KEY, GROUP, ID),
    words("XGROUP", "DESTROY", KEY, GROUP),
    words("XGROUP", "DELCONSUMER", KEY, GROUP, CONSUMER),
    words("XREADGROUP", "GROUP", GROUP, CONSUMER, "COUNT", COUNT, "STREAMS", KEY, st.just(b">")),
    words("XREADGROUP", "GROUP", GROUP, CONSUMER, "NOACK", "STREAMS", KEY, ID | st.just(b">")),
    words("XACK", KEY, GROUP, ID, ID),
    words("XPENDING", KEY, GROUP),
    words("XPENDING", KEY, GROUP, END, END, COUNT),
    words("XPENDING", KEY, GROUP, END, END, COUNT, CONSUMER),
    words("XCLAIM", KEY, GROUP, CONSUMER, "0", ID, ID),
    words("XCLAIM", KEY, GROUP, CONSUMER, "0", ID, "FORCE", "JUSTID"),
    words("XAUTOCLAIM", KEY, GROUP, CONSUMER, "0", ID, "COUNT", COUNT),
    words("XINFO", "STREAM", KEY, "FULL"),
    words("XINFO", "STREAM", KEY),
    words("XINFO", "GROUPS", KEY),
    words("XINFO", "CONSUMERS", KEY, GROUP),
    words("DEL", KEY),
)


@given(st.lists(COMMAND, max_size=60), st.sampled_from([2, 3]))
@sequences
def test_any_sequence(ports: tuple[int, int], commands: list[Words], proto: int) -> None:
    compare(ports, proto, commands)
