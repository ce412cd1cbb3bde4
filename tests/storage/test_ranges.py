"""Ranges of keys against a plain set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from paxosstore.storage.ranges import Ranges

KEYS = [bytes((number,)) for number in range(12)]
key = st.sampled_from(KEYS)


@given(added=st.lists(st.tuples(key, key)), asked=st.tuples(key, key))
def test_they_agree_with_a_set(added: list[tuple[bytes, bytes]], asked: tuple[bytes, bytes]) -> None:
    ranges = Ranges()
    model: set[bytes] = set()
    for start, end in added:
        ranges.add(start, end)
        model |= {one for one in KEYS if start <= one < end}
    assert {one for one in KEYS if one in ranges} == model
    gaps = list(ranges.gaps(*asked))
    assert all(start < end for start, end in gaps)
    assert gaps == sorted(gaps)
    between = [one for one in KEYS if asked[0] <= one < asked[1]]
    assert [one for one in between if any(start <= one < end for start, end in gaps)] == [
        one for one in between if one not in model
    ]
    assert len(gaps) <= len(between)
