"""Hello: who may talk to whom, and how a refusal reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paxosstore.errors import WireError
from paxosstore.settings import ClusterSettings
from paxosstore.wire.hello import (
    MAGIC,
    Hello,
    check_hello,
    decode_hello,
    decode_pong,
    encode_hello,
    encode_ping,
    encode_pong,
    fingerprint,
)

SETTINGS = ClusterSettings("blue", 3, 1000)
HELLO = Hello("blue", fingerprint(SETTINGS), 1, 0, 2**64 - 1, b"disk")


def test_there_and_back() -> None:
    assert decode_hello(encode_hello(HELLO)) == HELLO
    check_hello(HELLO, SETTINGS, me=0)
    check_hello(HELLO, SETTINGS, me=0, peer=1)


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (HELLO._replace(cluster="red"), "'red'.*'blue'"),
        (HELLO._replace(settings=fingerprint(ClusterSettings("blue", 5, 1000))), "nodes=5.*nodes=3"),
        (HELLO._replace(settings=fingerprint(ClusterSettings("blue", 3, 77))), "=77.*=1000"),
        (HELLO._replace(settings=fingerprint(ClusterSettings("blue", 3, 1000, "redis.keyspace=db"))), "keyspace=db"),
        (HELLO._replace(target=2), "node 2.*node 0"),
        (HELLO._replace(node=2), "node 2.*node 1"),
        (HELLO._replace(node=0), "node 0"),
    ],
)
def test_a_refusal_names_both_sides(bad: Hello, text: str) -> None:
    with pytest.raises(WireError, match=text):
        check_hello(bad, SETTINGS, me=0, peer=1)


@pytest.mark.parametrize("node", [-1, 0, 3])
def test_an_unknown_node_number(node: int) -> None:
    with pytest.raises(WireError, match=f"node {node}"):
        check_hello(HELLO._replace(node=node), SETTINGS, me=0)


def test_another_version() -> None:
    with pytest.raises(WireError, match="version 9, this node speaks 8"):
        decode_hello(encode_hello(HELLO, version=9))


@given(st.binary(max_size=100))
def test_only_wire_error_comes_out(data: bytes) -> None:
    for payload in (data, MAGIC + data, encode_hello(HELLO)[:10] + data):
        with pytest.raises(WireError):
            decode_hello(payload)


def test_a_pong_repeats_the_ping() -> None:
    ping = encode_ping(b"8 bytes!")
    assert decode_pong(encode_pong(ping, 1_700_000_000_000_000)) == (b"8 bytes!", 1_700_000_000_000_000)
    for bad in (ping, encode_pong(ping, 0)[:-1], encode_pong(ping, 0) + b"x"):
        with pytest.raises(WireError, match="no pong"):
            decode_pong(bad)


def test_another_cluster_of_the_same_name_is_told_apart() -> None:
    """Where both know which one it is: a node restored from an earlier cluster's backup must not be taken for one of this."""
    known = HELLO._replace(cluster_id="a1")
    for one, other in [(known, ""), (HELLO, "b2"), (known, "a1")]:
        check_hello(one, SETTINGS, me=0, cluster_id=other)
    with pytest.raises(WireError, match=r"of the one a1, this node of b2.*empty directory"):
        check_hello(known, SETTINGS, me=0, cluster_id="b2")
    assert decode_hello(encode_hello(known)) == known


def test_a_node_that_finds_out_which_cluster_it_is_of_has_not_started_again() -> None:
    assert HELLO.is_of_one_life_with(HELLO._replace(cluster_id="a1"))
    assert not HELLO.is_of_one_life_with(HELLO._replace(incarnation=1, cluster_id="a1"))
