"""Settings of a node that change while it runs: each takes effect, wherever its value was kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from paxosstore.errors import ConfigError, InvalidRequest
from paxosstore.runtime.node import Node
from paxosstore.settings import TuningSettings

from .test_links import BLUE, free_addresses, run

FIRST = 300_007
"""Of numbers that nobody would have for another reason."""


def odd_settings(offset: int) -> TuningSettings:
    """Each setting with a number of its own."""
    values: dict[str, Any] = {}
    for place, field in enumerate(fields(TuningSettings)):
        if field.type == "int":
            values[field.name] = FIRST + 2 * place + offset
        elif field.type == "float":
            values[field.name] = FIRST + place + 0.25 + offset
    values["snapshot_timeout_ms"] *= 10  # for so many copies at a time, and such pieces
    values["snapshot_bytes_per_second"] *= 1_000
    return TuningSettings(**values)


def numbers_in(thing: object, path: str, seen: set[int]) -> Iterator[tuple[float, str]]:
    """Every number that an object of ours holds, however deep, and where."""
    if type(thing) in (int, float):
        yield thing, path  # type: ignore[misc]  # it is one
        return
    if id(thing) in seen or isinstance(thing, type | str | bytes):
        return
    seen.add(id(thing))
    parts: dict[str, object] = {}
    if isinstance(thing, dict):
        parts = {f"[{key!r}]": value for key, value in thing.items()}
    elif isinstance(thing, list | tuple | set | frozenset):
        parts = {f"[{place}]": value for place, value in enumerate(thing)}
    elif hasattr(thing, "__self__"):
        parts = {".__self__": thing.__self__}
    if type(thing).__module__.startswith("paxosstore"):
        slots = [name for cls in type(thing).__mro__ for name in getattr(cls, "__slots__", ())]
        parts |= {f".{name}": getattr(thing, name) for name in [*slots, *getattr(thing, "__dict__", {})] if hasattr(thing, name)}
    for name, part in parts.items():
        yield from numbers_in(part, path + name, seen)


def test_nobody_keeps_a_value_of_the_settings_before(tmp_path: Path) -> None:
    before, now = odd_settings(0), odd_settings(1_000)
    old = {getattr(before, field.name) for field in fields(before) if field.type != "bool"}

    async def story() -> None:
        node = Node(BLUE, 0, free_addresses(3), tmp_path, before, min_free_bytes=1)
        await node.start()
        try:
            assert len({number for number, _ in numbers_in(node, "node", set()) if number in old}) == len(old), "they are found"
            node.tune(now)
            kept = [path for number, path in numbers_in(node, "node", set()) if number in old]
            assert kept == []
        finally:
            await node.stop()

    run(story)


def test_settings_outlive_a_stop(tmp_path: Path) -> None:
    async def story() -> None:
        node = Node(BLUE, 0, free_addresses(3), tmp_path, min_free_bytes=1)
        node.tune(TuningSettings(retry_ms=70.0))
        await node.start()
        assert node._life.shard is not None
        assert node._life.shard.context.tuning.retry_ms == 70.0
        node.tune(TuningSettings(retry_ms=80.0))
        await node.stop()
        await node.start()
        assert node._life.shard.context.tuning.retry_ms == 80.0
        await node.stop()

    run(story)


@pytest.mark.parametrize("wrong", [None, 5, {"retry_ms": 5}])
def test_what_are_no_settings_changes_nothing(tmp_path: Path, wrong: Any) -> None:
    async def story() -> None:
        node = Node(BLUE, 0, free_addresses(3), tmp_path, min_free_bytes=1)
        await node.start()
        before = node.tuning
        with pytest.raises(ConfigError):
            node.tune(wrong)
        assert node.tuning is before
        await node.stop()

    run(story)


def test_another_loop_may_not_change_it(tmp_path: Path) -> None:
    async def story() -> None:
        node = Node(BLUE, 0, free_addresses(3), tmp_path, min_free_bytes=1)
        await node.start()

        def elsewhere(tune: Callable[[TuningSettings], None]) -> None:
            async def call() -> None:
                tune(TuningSettings(retry_ms=80.0))

            asyncio.run(call())

        with pytest.raises(InvalidRequest):
            await asyncio.to_thread(elsewhere, node.tune)
        assert node.tuning.retry_ms == TuningSettings().retry_ms
        await node.stop()

    run(story)
