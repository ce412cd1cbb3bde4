"""The simulated disk: what expires, what is copied, and what it does not let pass."""

from __future__ import annotations

import pytest

from paxosstore.core.batch.overlay import DATA, WriteBatch
from paxosstore.core.entry.ids import value_id
from paxosstore.core.entry.record import Record, Value
from paxosstore.core.interface.ready import Apply, BeginInstall, EndInstall, InstallRows, SetFloor, SetStanding
from paxosstore.core.turn.standing import END, State, reentering
from paxosstore.sim.disk import SimDisk
from paxosstore.sim.invariants import Violation

ENTITY = 1


def chosen(entry: int) -> Record:
    return Record(1, 1, 1, Value(value_id(0, 1, entry), b"body"), True)


def put(entry: int) -> Apply:
    batch = WriteBatch({DATA + b"key": b"%d" % entry})
    return Apply(ENTITY, entry, batch)


def filled(keep_entries: int | None, entries: int) -> SimDisk:
    disk = SimDisk()
    disk.keep_entries = keep_entries
    for entry in range(1, entries + 1):
        disk.write({(ENTITY, entry): chosen(entry)}, [put(entry)])
    return disk


def entries_of(disk: SimDisk) -> list[int]:
    return [entry for entry, _ in disk.read_log(ENTITY, 1, 100)]


def test_rows_expire_when_they_are_applied_in_the_durable_db() -> None:
    disk = filled(2, 5)
    assert entries_of(disk) == [1, 2, 3, 4, 5]
    disk.sync()
    assert entries_of(disk) == [4, 5]
    assert disk.expired == 3
    assert entries_of(disk.crash()) == [4, 5]
    disk.write({(ENTITY, 6): chosen(6)}, [put(6)])
    disk.sync()
    assert entries_of(disk) == [5, 6]
    assert entries_of(filled(None, 5)) == [1, 2, 3, 4, 5]


def test_a_copy_is_what_a_power_cut_would_leave() -> None:
    disk = filled(None, 3)
    disk.id = 7
    disk.sync()
    disk.write({(ENTITY, 4): chosen(4)}, [put(4)])
    copy = disk.copy()
    assert copy.id == 7
    assert entries_of(copy) == [1, 2, 3]
    disk.sync()
    assert entries_of(copy) == [1, 2, 3], "the original goes on alone"


def test_no_vote_where_an_entry_is_applied() -> None:
    disk = filled(1, 5)
    disk.sync()
    with pytest.raises(Violation, match="rule 17"):
        disk.write({(ENTITY, 4): Record(4, 4, 0, None, False)}, [])


def test_a_copy_that_has_not_ended_costs_the_disk_nothing() -> None:
    """Its node still vouches for all that it has applied."""
    disk = filled(None, 3)
    disk.write({}, [], [BeginInstall(ENTITY), InstallRows(ENTITY, [(DATA + b"key", b"9")])])
    disk.sync()
    found = disk.crash()
    assert found.recovering == {ENTITY}
    assert not found.owes
    assert found.get(ENTITY, DATA + b"key") == b"3"
    disk.write({}, [], [EndInstall(ENTITY, 9)])
    assert disk.get(ENTITY, DATA + b"key") == b"9"


def test_a_floor_that_is_passed_is_no_debt_though_its_row_is_still_there() -> None:
    """Its end waits for a sync that nothing else needs (seed 3103127)."""
    disk = SimDisk()
    disk.write(
        {}, [], [SetStanding(reentering(0, 3, 7, 1)._replace(state=State.MEMBER, cursor=END).encode()), SetFloor(ENTITY, 5)]
    )
    for entry in (1, 2, 3):
        disk.write({(ENTITY, entry): chosen(entry)}, [put(entry)])
    disk.sync()
    disk.write({(ENTITY, 4): chosen(4)}, [put(4)], [SetFloor(ENTITY, 0)])
    assert disk.owes, "a power cut takes entry 4"
    disk.sync()
    assert not disk.owes
    disk.write({}, [], [SetFloor(ENTITY, 5)])
    disk.sync()
    assert not disk.owes
    assert not disk.crash().owes


def test_a_row_rots_where_there_was_none() -> None:
    disk = SimDisk()
    assert disk.rot(ENTITY, DATA + b"rot", b"rot") is None
    assert disk.get(ENTITY, DATA + b"rot") == b"rot"
    assert disk.rot(ENTITY, DATA + b"rot", None) == b"rot"
    assert disk.content_hash() == SimDisk().content_hash()
