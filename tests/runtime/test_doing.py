"""Figures as a person reads them."""

from __future__ import annotations

import pytest

from paxosstore.core.entity.install import Transfer
from paxosstore.core.entry.ids import NOBODY
from paxosstore.runtime.doing import MAX_TRANSFERS, amount, describe_transfers


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (999.6, "1.0 kB"),
        (1_000, "1.0 kB"),
        (9_949, "9.9 kB"),
        (9_951, "10 kB"),
        (999_600, "1.0 MB"),
        (23_400_000, "23 MB"),
        (5e9, "5.0 GB"),
        (5e12, "5000 GB"),
    ],
)
def test_bytes(size: float, text: str) -> None:
    assert amount(size) == text


def test_a_copy_that_has_no_peer_yet() -> None:
    said = list(describe_transfers([Transfer(7, NOBODY, False, 0, 0, 0, 0.0)]))
    assert said == ["entity 7 is copied from some peer: 0 bytes in 0.0 s, 0 bytes a second"]


def test_many_copies_are_counted() -> None:
    many = [Transfer(entity, 0, False, 1, 1, 1, 1.0) for entity in range(MAX_TRANSFERS + 3)]
    assert list(describe_transfers(many))[-1] == "3 more entities are copied"
