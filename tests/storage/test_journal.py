"""The journal alone: every flipped bit, every state that a power cut may leave, and a crash at every step of its upkeep."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import combinations
from pathlib import Path

import pytest

from paxosstore.errors import Damaged
from paxosstore.storage.journal import Journal, create_journal, create_segment
from paxosstore.storage.journal_reader import JournalReader, segment_path
from paxosstore.storage.segment import SECTOR, encode_record, encode_segment, sectors_of

SEGMENT = 8 * SECTOR
"""Room for seven sectors of records."""
PAYLOADS = [b"one", b"", bytes(1_200), b"four" * 200, b"\xff" * 483, b"\xa5\x5a" * 300, bytes(484), b"eight"]
"""One sector or several; of zeros, of marks, and filling a sector to the byte."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def new(folder: Path, segment_bytes: int = SEGMENT) -> Journal:
    create_journal(folder, segment_bytes)
    return opened(folder, 0, segment_bytes)


def opened(folder: Path, held: int, segment_bytes: int = SEGMENT) -> Journal:
    read = JournalReader(folder)
    for _ in read.records(held):
        pass
    return Journal(read, segment_bytes)


def add(journal: Journal, *payloads: bytes) -> None:
    for payload in payloads:
        journal.reserve(len(payload))
        journal.append(payload)


def found(folder: Path, held: int = 0) -> list[bytes]:
    return [payload for _, payload in JournalReader(folder).records(held)]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def put(folder: Path, files: dict[str, bytes]) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def changed_sectors(before: dict[str, bytes], after: dict[str, bytes]) -> list[tuple[str, int]]:
    """(file, offset) of the sectors that a power cut may lose: those that were written since."""
    return [
        (name, at)
        for name in after
        for at in range(0, len(after[name]), SECTOR)
        if before[name][at : at + SECTOR] != after[name][at : at + SECTOR]
    ]


def without(before: dict[str, bytes], after: dict[str, bytes], lost: Sequence[tuple[str, int]]) -> dict[str, bytes]:
    files = {name: bytearray(content) for name, content in after.items()}
    for name, at in lost:
        files[name][at : at + SECTOR] = before[name][at : at + SECTOR]
    return {name: bytes(content) for name, content in files.items()}


def subsets(sectors: Sequence[tuple[str, int]]) -> Iterator[tuple[tuple[str, int], ...]]:
    for count in range(len(sectors) + 1):
        yield from combinations(sectors, count)


def prepared(folder: Path) -> None:
    """Two more segments, empty, so that a power cut is between the same files before and after."""
    create_segment(folder, 2, SEGMENT)
    create_segment(folder, 3, SEGMENT)


# -- what is written is found


def test_records_come_back_in_order(folder: Path) -> None:
    journal = new(folder)
    assert found(folder) == []
    for count in range(1, len(PAYLOADS) + 1):
        add(journal, PAYLOADS[count - 1])
        assert found(folder) == PAYLOADS[:count]
        assert found(folder, held=count - 1) == PAYLOADS[count - 1 : count]
    assert found(folder, held=99) == []
    assert len(list(folder.iterdir())) == 2
    journal.close(stored=False)


@pytest.mark.parametrize("length", [0, 1, 482, 483, 484, 993, 994, 995, 5_000])
def test_a_record_takes_the_sectors_that_were_reserved(length: int) -> None:
    encoded = encode_record(1, 0, b"x" * length)
    assert -(-len(encoded) // SECTOR) == sectors_of(length)
    assert all(encoded[at] for at in range(0, len(encoded), SECTOR))


def test_a_record_larger_than_a_segment_gets_a_larger_one(folder: Path) -> None:
    payloads = [b"small", b"x" * 20_000, b"small again"]
    journal = new(folder)
    journal.prepare()  # a ready one that is too small for the second
    add(journal, *payloads)
    journal.sync()
    assert found(folder) == payloads
    journal.drop(1)
    assert found(folder, held=1) == payloads[1:]
    journal.close(stored=False)


def test_full_segments_are_dropped_once_they_are_covered(folder: Path) -> None:
    journal = new(folder)
    add(journal, *[b"x" * 900] * 6)  # three to a segment
    assert (journal.sequence, journal.has_full) == (6, True)
    journal.drop(2)
    assert len(list(folder.iterdir())) == 2
    journal.drop(3)
    assert not journal.has_full
    assert len(list(folder.iterdir())) == 1
    assert found(folder, held=3) == [b"x" * 900] * 3
    journal.sync()
    journal.close(stored=False)


def test_after_a_close_in_order_nothing_is_left_to_read(folder: Path) -> None:
    journal = new(folder)
    journal.prepare()
    add(journal, b"one", b"two")
    journal.close(stored=True)
    (left,) = folder.iterdir()
    assert left == segment_path(folder, 2)
    journal = opened(folder, held=2)
    add(journal, b"three")
    assert found(folder, held=2) == [b"three"]
    journal.close(stored=False)


# -- damage


def test_no_flipped_bit_in_what_was_synced_goes_unnoticed(folder: Path) -> None:
    journal = new(folder)
    add(journal, b"one", bytes(700), b"three")
    journal.sync()
    add(journal, b"the last one" * 60)
    journal.sync()
    journal.close(stored=False)
    whole = found(folder)
    (path,) = folder.iterdir()
    content = path.read_bytes()
    ends = [len(encode_segment(1, SEGMENT, 0, 0))]
    ends += [len(encode_record(1, 0, payload)) for payload in whole]
    starts = [0, *(SECTOR * (1 + sum(sectors_of(len(p)) for p in whole[:count])) for count in range(len(whole)))]
    used = {at for start, end in zip(starts, ends, strict=True) for at in range(start, start + end)}
    assert len(used) > 1_500
    with path.open("r+b", buffering=0) as file:
        for at, byte in enumerate(content):
            for flip in (1 << bit for bit in range(8)) if at in used else (0x10,):
                os.pwrite(file.fileno(), bytes((byte ^ flip,)), at)
                if at in used:
                    with pytest.raises(Damaged):
                        found(folder)
                else:  # padding, or room that no record has taken yet
                    try:
                        assert found(folder) == whole
                    except Damaged:
                        assert at >= starts[-1]
            os.pwrite(file.fileno(), bytes((byte,)), at)
    assert found(folder) == whole


@pytest.mark.parametrize("noted", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_a_synced_end_that_reads_as_zeros(folder: Path, noted: bool, whole: bool) -> None:
    """Of one sector, or of the first of several: damage if its sync was noted; else it is believed never to have been synced."""
    journal = new(folder)
    add(journal, b"one", b"two")
    journal.sync()
    before = contents(folder)
    add(journal, b"three" if whole else b"three" * 200)
    journal.sync()
    if noted:
        journal.note_synced()
    journal.close(stored=False)
    (path,) = folder.iterdir()
    content = bytearray(path.read_bytes())
    end = 3 * SECTOR
    assert content[end : end + SECTOR] != before[path.name][end : end + SECTOR]
    content[end : end + SECTOR] = bytes(SECTOR)
    path.write_bytes(content)
    if noted:
        with pytest.raises(Damaged, match="it is noted that"):
            found(folder)
        assert found(folder, held=3) == [], "it is elsewhere"
    elif whole:
        assert found(folder) == [b"one", b"two"]
    else:
        with suppress(Damaged):
            assert found(folder) == [b"one", b"two"]


def test_what_is_not_synced_is_not_noted(folder: Path) -> None:
    journal = new(folder)
    add(journal, b"one")
    journal.sync()
    add(journal, b"two")
    journal.note_synced()  # it does not rest
    journal.close(stored=False)
    (path,) = folder.iterdir()
    content = bytearray(path.read_bytes())
    content[SECTOR:] = bytes(len(content) - SECTOR)
    path.write_bytes(content)
    assert found(folder) == []


def test_every_cut_of_a_segment_is_damage(folder: Path) -> None:
    journal = new(folder)
    add(journal, b"one", b"two")
    journal.close(stored=False)
    (path,) = folder.iterdir()
    content = path.read_bytes()
    for cut in range(len(content)):
        path.write_bytes(content[:cut])
        with pytest.raises(Damaged):
            found(folder)
    path.write_bytes(content + b"\0")
    with pytest.raises(Damaged):
        found(folder)


def test_a_lost_sector_is_damage_if_a_later_record_says_it_was_synced(folder: Path) -> None:
    journal = new(folder)
    prepared(folder)
    journal.close(stored=False)
    journal = opened(folder, 0)
    empty = contents(folder)
    add(journal, *PAYLOADS[:6])
    journal.sync()
    synced = contents(folder)
    add(journal, b"a witness")
    written = contents(folder)
    sectors = changed_sectors(empty, synced)
    assert len(sectors) > 7  # more than one segment
    for lost in [*combinations(sectors, 1), *combinations(sectors, 2)]:
        put(folder, without(empty, written, lost))
        with pytest.raises(Damaged):
            found(folder)
    put(folder, written)
    assert found(folder) == [*PAYLOADS[:6], b"a witness"]
    journal.close(stored=False)


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_a_missing_segment_is_damage(folder: Path, gone: int) -> None:
    journal = new(folder)
    add(journal, *[b"x" * 900] * 10)
    journal.close(stored=False)
    assert len(list(folder.iterdir())) == 4
    segment_path(folder, gone).unlink()
    with pytest.raises(Damaged):
        found(folder)
    if gone == 1:
        assert found(folder, held=3) == [b"x" * 900] * 7  # all of it is stored elsewhere: it was dropped


def test_segments_under_each_others_names_are_damage(folder: Path) -> None:
    journal = new(folder)
    add(journal, *[b"x" * 900] * 6)
    journal.close(stored=False)
    first, second = segment_path(folder, 1), segment_path(folder, 2)
    first.rename(folder / "aside")
    second.rename(first)
    (folder / "aside").rename(second)
    with pytest.raises(Damaged, match="segment 2"):
        found(folder)


def test_no_journal_and_no_segment_are_damage(folder: Path) -> None:
    with pytest.raises(Damaged, match="gone"):
        found(folder)
    folder.mkdir()
    with pytest.raises(Damaged, match="missing"):
        found(folder)


def test_a_gap_in_the_sequences_is_damage(folder: Path) -> None:
    journal = new(folder)
    for sequence in (0, 1, 3):
        journal.sequence = sequence
        add(journal, b"x")
    journal.close(stored=False)
    with pytest.raises(Damaged, match="record 4 stands where 3 should be"):
        found(folder)


def test_what_was_stored_elsewhere_and_is_lost_there_is_missed(folder: Path) -> None:
    journal = new(folder)
    add(journal, *[b"x" * 900] * 4)
    journal.drop(4)
    journal.prepare()
    journal.close(stored=True)
    assert found(folder, held=4) == []
    with pytest.raises(Damaged, match="up to 4 were stored elsewhere, only 3"):
        found(folder, held=3)


def test_what_was_read_and_stored_elsewhere_is_missed_too(folder: Path) -> None:
    journal = new(folder)
    add(journal, b"one", b"two")
    journal.close(stored=False)
    opened(folder, 0).close(stored=False)  # its owner has stored both, so they are deleted here
    assert found(folder, held=2) == []
    with pytest.raises(Damaged, match="up to 2 were stored elsewhere, only 1"):
        found(folder, held=1)


# -- power cuts


@pytest.mark.parametrize("synced", range(len(PAYLOADS)))
def test_whatever_a_power_cut_loses_a_beginning_with_all_that_was_synced_is_found(folder: Path, synced: int) -> None:
    new(folder).close(stored=False)
    prepared(folder)
    journal = opened(folder, 0)
    add(journal, *PAYLOADS[:synced])
    journal.sync()
    before = contents(folder)
    add(journal, *PAYLOADS[synced:])
    after = contents(folder)
    sectors = changed_sectors(before, after)
    choices = list(subsets(sectors))
    if len(choices) > 600:
        choices = [choices[0], choices[-1], *random.Random(synced).sample(choices, 600)]
    seen = set()
    for lost in choices:
        put(folder, without(before, after, lost))
        kept = found(folder)
        assert kept == PAYLOADS[: len(kept)]
        assert len(kept) >= synced
        seen.add(len(kept))
    assert seen >= {synced, len(PAYLOADS)}
    journal.close(stored=False)


def test_what_lies_behind_a_torn_end_never_comes_back(folder: Path) -> None:
    new(folder).close(stored=False)
    prepared(folder)
    journal = opened(folder, 0)
    before = contents(folder)
    add(journal, *PAYLOADS)
    after = contents(folder)
    journal.close(stored=False)
    choices = list(subsets(changed_sectors(before, after)))
    for lost in random.Random(1).sample(choices, 200):
        put(folder, without(before, after, lost))
        read = JournalReader(folder)
        kept = [payload for _, payload in read.records(0)]
        held = read.highest  # as the owner stores it, before it goes on
        assert held >= len(kept)
        journal = Journal(read, SEGMENT)
        assert found(folder, held) == []
        add(journal, b"new", b"newer")
        journal.sync()
        assert found(folder, held) == [b"new", b"newer"]
        journal.close(stored=False)


class Crash(Exception):
    """Not an OSError: nothing is tidied up."""


def crash_at(monkeypatch: pytest.MonkeyPatch, step: int) -> Callable[[], int]:
    """Let the journal's calls to the operating system crash at a step; gives how many there were."""
    calls = 0

    def wrap(call: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*args: object, **kwargs: object) -> object:
            nonlocal calls
            calls += 1
            if calls == step:
                raise Crash
            return call(*args, **kwargs)

        return wrapped

    for name in ("pwrite", "fdatasync", "fsync", "rename", "unlink"):
        monkeypatch.setattr(os, name, wrap(getattr(os, name)))
    monkeypatch.setattr(Path, "rename", wrap(Path.rename))
    monkeypatch.setattr(Path, "unlink", wrap(Path.unlink))
    return lambda: calls


def test_a_crash_at_every_step_of_going_on_after_a_torn_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new(folder).close(stored=False)
    prepared(folder)
    journal = opened(folder, 0)
    before = contents(folder)
    add(journal, *PAYLOADS)
    after = contents(folder)
    journal.close(stored=False)
    sectors = changed_sectors(before, after)
    draw = random.Random(2)
    for _ in range(20):
        torn = without(before, after, draw.sample(sectors, 4))
        for step in range(1, 100):
            put(folder, torn)
            read = JournalReader(folder)
            list(read.records(0))
            with monkeypatch.context() as patch:
                steps = crash_at(patch, step)
                try:
                    Journal(read, SEGMENT).close(stored=False)
                except Crash:
                    pass
                else:
                    assert steps() == step - 1
                    break
            for held in (read.highest, read.highest + 1):
                assert found(folder, held) == []
            journal = opened(folder, read.highest)
            add(journal, b"new")
            assert found(folder, read.highest) == [b"new"]
            journal.close(stored=False)
        assert step > 5


def test_a_crash_at_every_step_of_a_life(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    payload = b"x" * 900
    for step in range(1, 200):
        shutil.rmtree(folder, ignore_errors=True)
        journal = new(folder)
        synced = stored = 0
        crashed = False
        with monkeypatch.context() as patch:
            crash_at(patch, step)
            try:
                for number in range(1, 11):
                    add(journal, payload + b"%d" % number)
                    if number % 2:
                        journal.sync()
                        synced = number
                    if number % 4 == 0:
                        stored = number
                        journal.drop(number)
                        journal.prepare()
            except Crash:
                crashed = True
        kept = found(folder, stored)
        assert kept == [payload + b"%d" % number for number in range(stored + 1, stored + 1 + len(kept))]
        assert stored + len(kept) >= synced
        if not crashed:
            break
        journal = opened(folder, stored + len(kept))
        add(journal, b"new")
        assert found(folder, stored + len(kept)) == [b"new"]
        journal.close(stored=False)
    assert step > 30


# -- failures


def failing(*args: object) -> int:
    raise OSError(errno.EIO, "as if the disk were broken")


def test_after_a_failed_append_every_sync_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = new(folder)
    add(journal, b"one")
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", failing)
        add(journal, b"lost")
    add(journal, b"three")
    for _ in range(2):
        with pytest.raises(OSError, match="broken"):
            journal.sync()
    assert found(folder) == [b"one"]
    journal.close(stored=True)
    assert found(folder) == [b"one"]


def test_a_short_write_is_a_failed_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = new(folder)
    pwrite = os.pwrite
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda file, data, at: pwrite(file, data[:600], at))
        add(journal, b"x" * 1_000)
    with pytest.raises(OSError, match="600"):
        journal.sync()
    journal.close(stored=False)


def test_a_failed_sync_is_never_tried_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = new(folder)
    add(journal, b"one")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", failing)
        with pytest.raises(OSError, match="broken"):
            journal.sync()
    with pytest.raises(OSError, match="broken"):
        journal.sync()
    journal.close(stored=False)


def test_a_failed_sync_of_the_upkeep_counts_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = new(folder)
    add(journal, *[b"x" * 900] * 4)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", failing)
        with pytest.raises(OSError, match="broken"):
            journal.drop(4)
    with pytest.raises(OSError, match="broken"):
        journal.sync()
    journal.close(stored=False)


def test_without_room_for_a_segment_nothing_happens(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    journal = new(folder)
    add(journal, *[b"x" * 900] * 3)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for _ in range(2):
            with pytest.raises(OSError, match="No space"):
                journal.reserve(900)
            assert [path.name for path in folder.iterdir()] == [segment_path(folder, 1).name]
    add(journal, b"fits again" * 90)
    journal.sync()
    assert found(folder) == [*[b"x" * 900] * 3, b"fits again" * 90]
    journal.close(stored=False)
