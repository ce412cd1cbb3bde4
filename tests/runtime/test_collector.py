"""The garbage collector's long collections."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from paxosstore.runtime import collector
from paxosstore.runtime.collector import ShortCollections


@pytest.fixture(autouse=True)
def short() -> Iterator[ShortCollections]:
    found, before = ShortCollections(), gc.get_threshold()
    found.begin()
    assert gc.get_threshold() == (collector.YOUNG, *before[1:])
    yield found
    found.end()
    assert found.watch not in gc.callbacks
    assert gc.get_threshold() == before


def test_what_survives_a_long_collection_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "LIMIT_S", -1.0)  # every one takes long
    kept = [[number] for number in range(1_000)]
    before = gc.get_freeze_count()
    gc.collect()
    assert gc.get_freeze_count() >= before + len(kept)
    assert not any(one is kept[7] for one in gc.get_objects())


def test_a_quick_or_partial_collection_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [[number] for number in range(1_000)]
    before = gc.get_freeze_count()
    monkeypatch.setattr(collector, "LIMIT_S", 1e9)
    gc.collect()
    monkeypatch.setattr(collector, "LIMIT_S", -1.0)
    gc.collect(0)
    gc.collect(1)
    assert gc.get_freeze_count() == before
    assert any(one is kept[7] for one in gc.get_objects())
