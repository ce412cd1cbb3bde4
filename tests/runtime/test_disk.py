"""What is done before a disk is full."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from paxosstore.core.interface.event import WritesAllowed
from paxosstore.core.shard.shard import Shard
from paxosstore.core.turn.budget import Budget, Job
from paxosstore.runtime import disk
from paxosstore.runtime.disk import ROOM, watch_room

LEAST = 1_000


async def looked_once(shard: Shard, path: Path) -> list[WritesAllowed]:
    said: list[WritesAllowed] = []
    watching = asyncio.create_task(watch_room(path, LEAST, shard, said.append))
    await asyncio.sleep(0.3)
    watching.cancel()
    return said


@pytest.mark.parametrize(
    ("free", "urgent", "refused"), [(ROOM * LEAST, False, False), (ROOM * LEAST - 1, True, False), (LEAST - 1, True, True)]
)
def test_the_log_is_cut_urgently_before_writes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, urgent: bool, refused: bool
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=free, f_frsize=1))
    monkeypatch.setattr(disk, "CHECK_S", 0.01)
    budget = Budget(1, 1.0)
    budget.urgent.add(Job.SCRUB)
    shard = SimpleNamespace(writes_refused_because="", context=SimpleNamespace(budget=budget))
    said = asyncio.run(looked_once(cast(Shard, shard), tmp_path))
    assert (Job.LOG_EXPIRY in budget.urgent) == urgent
    assert bool(said) == refused
    budget.urgent.add(Job.LOG_EXPIRY)
    free = ROOM * LEAST
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=free, f_frsize=1))
    asyncio.run(looked_once(cast(Shard, shard), tmp_path))
    assert budget.urgent == {Job.SCRUB}, "what others have put there stays"


def test_what_is_amiss_with_the_directory_is_said_once_until_it_is_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    errors = iter([FileNotFoundError(errno.ENOENT, "gone")] * 2 + [OSError(errno.EIO, "broken")] * 2)

    def statvfs(path: Path) -> SimpleNamespace:
        if (error := next(errors, None)) is not None:
            raise error
        return SimpleNamespace(f_bavail=ROOM * LEAST, f_frsize=1)

    monkeypatch.setattr(os, "statvfs", statvfs)
    monkeypatch.setattr(disk, "CHECK_S", 0.01)
    shard = SimpleNamespace(writes_refused_because="", context=SimpleNamespace(budget=Budget(1, 1.0)))
    asyncio.run(looked_once(cast(Shard, shard), tmp_path))
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "start this node again" in caplog.records[0].getMessage()
