"""HyperLogLogs: the same commands to a real redis-server and to this service, and the same bytes in both."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .oracle import Words, compare, needs_redis, script, sequences, words

pytestmark = needs_redis

SCRIPT = """
PFADD / PFADD p / GET p / PFADD p / PFADD p a / GET p / PFADD p a / PFADD p a b c d e f g / GET p / PFCOUNT p / GET p
PFCOUNT p / PFADD p h / GET p / PFCOUNT none / PFCOUNT / PFADD q a b x y z / PFCOUNT p q / PFCOUNT p none q / PFMERGE m p q
GET m / PFCOUNT m / GET m / PFMERGE m / GET m / PFMERGE none2 / GET none2 / PFMERGE p q none / GET p / PFMERGE
EXPIRE p 100 / PFADD p new / TTL p / PFMERGE p q / TTL p / PFADD q  / GET q / SET s word / PFADD s a / PFCOUNT s
PFCOUNT p s / PFMERGE p s / PFMERGE s p / SET e 1 / HSET h f v / PFADD h a / PFCOUNT h / PFCOUNT p h / PFMERGE h p
PFMERGE p h / SET short HYLL / PFADD short a / PFCOUNT short / PFDEBUG ENCODING p / PFDEBUG DECODE p / PFDEBUG TODENSE p
GET p / PFDEBUG TODENSE p / PFDEBUG encoding p / PFDEBUG DECODE p / PFCOUNT p / GET p / PFADD p more and more / GET p
PFDEBUG GETREG q / PFDEBUG nope q / PFDEBUG ENCODING none / PFDEBUG ENCODING s / PFDEBUG ENCODING h / PFMERGE mixed p q m
GET mixed / PFADD sparse one two / PFMERGE sparse p / GET sparse / PFCOUNT sparse / APPEND m hello / PFCOUNT m / PFADD m q1
PFMERGE z m / PFCOUNT m p / SETRANGE q 4 x / PFCOUNT q / SETRANGE p 12000 xxxxxxxxx / PFCOUNT p / APPEND p x / PFCOUNT p
PFDEBUG GETREG p / PFDEBUG / TYPE p
"""


@pytest.mark.parametrize("proto", [2, 3])
def test_commands_and_their_errors(ports: tuple[int, int], proto: int) -> None:
    compare(ports, proto, script(SCRIPT))


def test_from_sparse_to_dense_byte_by_byte(ports: tuple[int, int]) -> None:
    commands: list[Words] = []
    for number in range(1_500):
        commands.append((b"PFADD", b"p", b"element:%d" % number, b"%d" % (number * 7919)))
        if number % 10 == 0:
            commands += [(b"GET", b"p"), (b"PFCOUNT", b"p"), (b"GET", b"p"), (b"PFDEBUG", b"ENCODING", b"p")]
    compare(ports, 2, commands)


def test_a_union_that_outgrows_the_sparse_form(ports: tuple[int, int]) -> None:
    commands: list[Words] = [
        *[(b"PFADD", b"k%d" % key, *[b"%d" % number for number in range(key, 600, 5)]) for key in range(5)],
        *[(b"PFADD", b"l%d" % key, *[b"x%d" % number for number in range(key, 900, 3)]) for key in range(3)],
        (b"PFMERGE", b"m", b"k0", b"k1", b"k2", b"k3", b"k4"),
        (b"GET", b"m"),
        (b"PFMERGE", b"m", b"l0", b"l1", b"l2"),
        (b"GET", b"m"),
        (b"PFCOUNT", b"m"),
        (b"PFCOUNT", b"k0", b"k1", b"k2", b"k3", b"k4", b"l0"),
    ]
    compare(ports, 2, commands)


KEY = st.sampled_from([b"a", b"b"])
ELEMENT = st.one_of(st.binary(max_size=20), st.integers(0, 30).map(lambda number: b"%d" % number))
COMMAND = st.one_of(
    st.builds(lambda key, elements: (b"PFADD", key, *elements), KEY, st.lists(ELEMENT, max_size=20)),
    words("PFCOUNT", KEY),
    words("PFCOUNT", KEY, KEY),
    words("PFMERGE", KEY, KEY),
    words("PFDEBUG", st.sampled_from([b"TODENSE", b"ENCODING", b"DECODE"]), KEY),
    words("GET", KEY),
    words("DEL", KEY),
)


@given(st.lists(COMMAND, max_size=40))
@sequences
def test_any_sequence(ports: tuple[int, int], commands: list[Words]) -> None:
    compare(ports, 2, [*commands, (b"GET", b"a"), (b"GET", b"b")])


RUN = st.one_of(
    st.integers(0x80, 0xFF).map(lambda byte: bytes((byte,))),
    st.integers(0, 0x3F).map(lambda byte: bytes((byte,))),
    st.tuples(st.integers(0x40, 0x7F), st.integers(0, 255)).map(bytes),
)


def length(run: bytes) -> int:
    """How many registers a run is."""
    if run[0] & 0x80:
        return (run[0] & 3) + 1
    return int.from_bytes(bytes((run[0] & 0x3F,)) + run[1:], "big") + 1


@given(st.lists(RUN, max_size=30), st.lists(ELEMENT, max_size=5))
@settings(sequences, max_examples=100)
def test_what_a_client_has_made_up(ports: tuple[int, int], runs: list[bytes], elements: list[bytes]) -> None:
    made_up = b"HYLL\x01" + bytes(11) + b"".join(runs)
    left = 16_384 - sum(map(length, runs))
    if left > 0:
        made_up += bytes((0x40 | left - 1 >> 8, left - 1 & 255))
    commands: list[Words] = [(b"SET", b"p", made_up), *[(b"PFADD", b"p", element) for element in elements], (b"GET", b"p")]
    compare(ports, 2, [*commands, (b"PFCOUNT", b"p", b"none"), (b"PFMERGE", b"m", b"p"), (b"GET", b"m")])
