"""Figures as a person reads them."""

from __future__ import annotations

import pytest

from paxosstore.core.entity.install import Transfer
from paxosstore.core.entry.ids import NOBODY
from paxosstore.core.reentry.progress import Progress
from paxosstore.runtime.doing import MAX_TRANSFERS, amount, describe_reentry, describe_transfers

from ..services.http.test_pages import COMING_BACK, MEMBER


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


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (MEMBER, []),
        (MEMBER._replace(state="new", waits_for="a new cluster: waits for node 2"), ["a new cluster: waits for node 2"]),
        (MEMBER._replace(waits_for="has just started: waits for node 1"), ["has just started: waits for node 1"]),
        (
            COMING_BACK,
            [
                "comes back on a disk that is not the one it had: 4 of 10 entities are back, 6.0 kB learned; 1 entities and "
                "2.0 kB a second, 6.0 s left"
            ],
        ),
        (
            COMING_BACK._replace(counting=True, forced_without=(1, 3), waits_for="has just started: waits for node 1"),
            [
                "comes back on a disk that is not the one it had (forced: without nodes 1, 3): asks which entities there are: "
                "10 so far; has just started: waits for node 1"
            ],
        ),
        (
            COMING_BACK._replace(state="reentering", waits_for="lost its disk: waits for node 1 (connection refused)"),
            [
                "lost its disk: waits for node 1 (connection refused); should they be lost for good: docs/OPERATING.md, "
                '"A majority of the disks is lost"'
            ],
        ),
    ],
)
def test_coming_back(now: Progress, said: list[str]) -> None:
    assert list(describe_reentry(now)) == said
