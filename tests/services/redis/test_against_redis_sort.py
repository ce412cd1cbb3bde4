"""SORT: the same bytes to a real redis-server and to this service, the same bytes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .oracle import Words, compare, needs_redis, script, sequences

pytestmark = needs_redis

SORTS = """
RPUSH l 3 1 2 10 -5 2.5 / SORT l / SORT l DESC / SORT l ALPHA / SORT l ALPHA DESC / SORT l LIMIT 1 2 / SORT l LIMIT -1 2
SORT l LIMIT 0 0 / SORT l LIMIT 100 2 / SORT l LIMIT 1 -1 / SORT l LIMIT x 1 / SORT l LIMIT 1 x / SORT l LIMIT 1
SORT l LIMIT 9223372036854775807 9223372036854775807 / SORT l LIMIT 2 9223372036854775807 / SORT l BOGUS / SORT l BY
SORT l GET / SORT l STORE / SORT no / SORT no STORE d / SORT no LIMIT 0 1 / SET s v / SORT s / SORT s BOGUS / HSET h f v
SORT h / RPUSH w a b c / SORT w / SORT w ALPHA / SORT w BY nosort / SORT w BY nosort DESC / SORT w BY nosort LIMIT 1 1
SORT w BY nosort DESC LIMIT 0 2 / SORT w STORE d / EXISTS d / MSET weight_a 3 weight_b 1 weight_c 2 / SORT w BY weight_*
SORT w BY weight_* DESC / SORT w BY weight_* GET # GET weight_* / SORT w BY weight_* GET nope_* / SORT w BY nosort GET weight_*
SORT w BY weight_* LIMIT 0 2 GET # / SORT w ALPHA GET x / SORT w BY nope_* / SORT w BY nope_* ALPHA
SORT w BY weight_* ALPHA DESC / MSET name_a zz name_b yy / SORT w BY name_* ALPHA GET name_* / SORT w BY name_*
HSET o_a f 5 g x / HSET o_b f 4 / HSET o_c g y / SORT w BY o_*->f / SORT w BY o_*->f GET o_*->f GET o_*->g
SORT w BY o_*->g ALPHA / SORT w ALPHA GET o_*-> / SORT w ALPHA GET o_* / SORT w BY o_* / SORT w ALPHA GET weight_*->f
SORT w ALPHA GET *->f / SORT w ALPHA GET o_*->nope / SORT w ALPHA GET o_*->f->g / SORT w BY weight_* STORE d / LRANGE d 0 -1
TYPE d / SORT w BY weight_* GET name_* STORE d / LRANGE d 0 -1 / SORT w ALPHA STORE w / LRANGE w 0 -1
SORT w BY weight_* DESC STORE s / TYPE s / SORT no STORE s / EXISTS s / SORT_RO w ALPHA / SORT_RO w ALPHA STORE d
SORT_RO w BY weight_* GET # / SORT_RO / SORT / SADD n 5 3 4 1 / SORT n / SORT n DESC LIMIT 1 2 / SADD t b a c / SORT t ALPHA
SORT t / SORT t BY nosort STORE d / LRANGE d 0 -1 / SORT n BY nosort / SORT n BY nosort LIMIT 1 2 / SORT n BY nosort DESC
ZADD z 1 c 2 b 3 a / SORT z ALPHA / SORT z BY nosort / SORT z BY nosort DESC / SORT z BY nosort LIMIT 1 1
SORT z BY nosort DESC LIMIT 0 2 / SORT z BY weight_* / SORT z / SORT z BY nosort STORE d / LRANGE d 0 -1 / SORT z ASC DESC ALPHA
SORT z DESC ASC ALPHA / RPUSH e nan 1 / SORT e / DEL e / RPUSH e inf -inf 1 0x10 1e3 / SORT e / DEL e / RPUSH e 1 1.0 01 1.00
SORT e / SORT e DESC / SORT e ALPHA / EXPIRE d 100 / SORT e STORE d / TTL d / SORT l BY nosort BY weight_* ALPHA
SORT l by weight_* by nosort / SORT w ALPHA GET # GET # get # / COMMAND GETKEYS sort a STORE b
COMMAND GETKEYS sort a BY store GET store LIMIT 1 2 STORE b STORE c / COMMAND GETKEYS sort a / COMMAND GETKEYS sort_ro a / DEL e
RPUSH e 1e400 1 / SORT e
"""
"""What is out of range comes last: Redis takes numbers behind it to be out of range as well."""


@pytest.mark.parametrize("proto", [2, 3])
def test_every_option_and_its_errors(ports: tuple[int, int], proto: int) -> None:
    compare(ports, proto, script(SORTS))


NUMBER = st.sampled_from([b"0", b"1", b"-1", b"10", b"2", b"2.5", b"-0", b"007", b"7", b"", b"word", b" 3"])
OPTION = st.sampled_from(
    [
        (b"ALPHA",), (b"DESC",), (b"ASC",), (b"LIMIT", b"0", b"2"), (b"LIMIT", b"1", b"-1"), (b"BY", b"w_*"), (b"BY", b"nosort"),
        (b"GET", b"#"), (b"GET", b"w_*"), (b"BY", b"h_*->f"), (b"GET", b"h_*->f"), (b"STORE", b"d"),
    ]
)  # fmt: skip


@given(
    st.lists(NUMBER, max_size=12),
    st.lists(st.tuples(NUMBER, NUMBER), max_size=8),
    st.lists(st.lists(OPTION, max_size=4), min_size=1, max_size=6),
    st.sampled_from([2, 3]),
)
@sequences
def test_any_order(
    ports: tuple[int, int], elements: list[bytes], weights: list[tuple[bytes, bytes]], orders: list[list[Words]], proto: int
) -> None:
    commands: list[Words] = [(b"RPUSH", b"l", element) for element in elements]
    for element, weight in weights:
        commands += [(b"SET", b"w_" + element, weight), (b"HSET", b"h_" + element, b"f", weight)]
    for order in orders:
        options = [word for option in order for word in option]
        if b"ALPHA" in options and b"BY" in options and b"LIMIT" in options:
            continue  # what has the same weight lies in any order there
        commands += [(b"SORT", b"l", *options), (b"LRANGE", b"d", b"0", b"-1")]
    compare(ports, proto, commands)
