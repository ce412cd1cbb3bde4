"""What differs between pieces of several replicas, however they are cut; and what is said of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from paxosstore.core.interface.comparison import Compared, DifferingKey, RowDigest, show_key
from paxosstore.core.verify.digest import common_end, differing_keys, digest_of, row_digests
from paxosstore.storage.loading import take_piece

keys = st.binary(min_size=1, max_size=2)
tables = st.lists(st.dictionaries(keys, st.binary(max_size=3), max_size=12), min_size=2, max_size=5)


def find(replicas: list[dict[bytes, bytes]], limits: list[int]) -> list[bytes]:
    """The keys that differ, as core/verify/comparer.py finds them: each replica cuts its pieces by its own limit."""
    found: list[bytes] = []
    after, more = b"", True
    while more:
        pieces = {}
        for node, rows in enumerate(replicas):
            behind = ((key, value) for key, value in sorted(rows.items()) if key > after)
            pieces[node] = take_piece(behind, limits[node % len(limits)])
        ends = [(rows[-1][0] if rows else b"", goes_on) for rows, goes_on in pieces.values()]
        through, more = common_end(ends)
        listed = {node: [RowDigest(*row) for row in row_digests(rows)] for node, (rows, _) in pieces.items()}
        found += [differing.key for differing in differing_keys(listed, through, 1)]
        after = through
    return found


@given(tables, st.lists(st.integers(1, 20), min_size=1, max_size=5))
def test_exactly_the_differing_keys_are_found(replicas: list[dict[bytes, bytes]], limits: list[int]) -> None:
    every = sorted({key for rows in replicas for key in rows})
    assert find(replicas, limits) == [key for key in every if len({rows.get(key) for rows in replicas}) > 1]


@given(tables)
def test_equal_digests_mean_equal_rows(replicas: list[dict[bytes, bytes]]) -> None:
    digests = {digest_of(sorted(rows.items())): rows for rows in replicas}
    assert len(digests) == len({frozenset(rows.items()) for rows in replicas})


def differing(*values: bytes | None) -> DifferingKey:
    shown = {node: None if value is None else RowDigest(*row_digests([(b"dkey", value)])[0]) for node, value in enumerate(values)}
    return DifferingKey(b"dkey", 7, shown)


def compared(*keys: DifferingKey, missing: dict[int, str] | None = None, nodes: tuple[int, ...] = (0, 1, 2)) -> Compared:
    return Compared(5, 7, nodes, missing or {}, 10, 100, len(keys), keys)


def test_the_odd_one_is_named() -> None:
    found = compared(differing(b"x", b"x", b"y"), differing(b"a", b"a", None))
    assert found.odd == (2,)
    assert found.describe() == "node 2 differs from nodes 0 and 1 at entry 7: 2 keys, the first is 'key'"
    assert not found.is_equal


def test_where_no_majority_agrees_nobody_is_odd() -> None:
    assert compared(differing(b"x", b"y", b"z")).odd == ()
    assert compared(differing(b"x", b"y"), missing={2: "is down"}, nodes=(0, 1)).odd == ()


def test_what_is_said_where_all_is_well_or_nothing_is_known() -> None:
    assert compared().describe() == "nodes 0, 1 and 2 are equal at entry 7"
    assert compared().is_equal
    part = compared(missing={2: "is down"}, nodes=(0, 1))
    assert part.describe() == "nodes 0 and 1 are equal at entry 7; not compared: node 2 is down"
    assert not part.is_equal
    alone = Compared(5, 0, (), {1: "is down", 2: "is down"}, 0, 0, 0, ())
    assert alone.describe() == "not compared: node 1 is down; node 2 is down"


def test_a_key_is_shown_in_printable_characters_and_not_at_any_length() -> None:
    assert show_key(b"dcount") == "'count'"
    assert show_key(b"u" + bytes(16)) == "request '" + "\\x00" * 16 + "'"
    assert len(show_key(b"d" + b"\xff" * 60_000)) < 300
