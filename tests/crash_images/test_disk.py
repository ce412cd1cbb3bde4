"""The model of a disk: what is certain, and what may become of the rest."""

from __future__ import annotations

from pathlib import Path
from random import Random

from . import fate
from .disk import EVERYTHING, Disk, File, Folder, Naming, Write
from .recorder import Call

PATH = Path("/disk")
NAME = "".join(f"\\x{byte:02x}" for byte in b"/disk/file")


def call(name: str, arguments: str, result: int, begin: int, end: int) -> Call:
    return Call(name, arguments.replace("FILE", NAME), result, begin, end)


def write(data: bytes, begin: int, end: int) -> Call:
    text = "".join(f"\\x{byte:02x}" for byte in data)
    return call("write", f'3<FILE>, "{text}", {len(data)}', len(data), begin, end)


def after(*calls: Call, until: int = 1_000) -> Disk:
    """An empty disk after these calls, or those parts of them that came before a moment."""
    disk = Disk(PATH, {})
    steps = [(one.begin, disk.begin, one) for one in calls] + [(one.end, disk.end, one) for one in calls]
    for moment, step, one in sorted(steps, key=lambda step: step[0]):
        if moment < until:
            step(one)
    return disk


OPEN = call("openat", 'AT_FDCWD<\\x2f>, "FILE", O_WRONLY|O_CREAT|O_TRUNC, 0644', 3, 0, 1)
NOTHING = fate.nothing(Random(0), 0)


def test_a_sync_covers_what_had_returned_before_it_was_called() -> None:
    sync = call("fdatasync", "3<FILE>", 0, 6, 9)
    calls = (OPEN, write(b"early", 2, 3), write(b"meanwhile", 4, 7), sync)
    (file,) = after(*calls).root.names.values()
    assert isinstance(file, File)
    assert (bytes(file.durable), [pending.data for pending in file.pending]) == (b"early", [b"meanwhile"])
    (file,) = after(*calls, until=9).root.names.values()
    assert isinstance(file, File)
    assert file.durable == b""


def test_a_synced_file_without_a_synced_name_may_be_gone() -> None:
    disk = after(OPEN, write(b"text", 2, 3), call("fsync", "3<FILE>", 0, 4, 5))
    assert disk.after(NOTHING) == {}
    assert disk.after(EVERYTHING) == {"file": b"text"}


def test_names_survive_in_their_order() -> None:
    folder = Folder()
    for number in range(3):
        folder.change(Naming(number, number, {f"{number}": File()}))
    found = {"".join(folder.content(kind(Random(seed), 3).namings(folder))) for seed in range(200) for kind in fate.KINDS}
    assert found == {"", "0", "01", "012"}


def test_a_sector_is_old_or_new() -> None:
    """Over what is there already; only where a file grows it may end anywhere."""
    file = File(bytearray(b"o" * 2_048), length=2_048)
    file.change(Write(0, 0, 700, b"n" * 2_000))
    new = bytes(file.content(file.pending))
    seen: set[bytes] = set()
    for seed in range(400):
        for kind in fate.KINDS:
            content = kind(Random(seed), 1).content(file)
            seen.add(content)
            assert len(content) >= 2_048
            for start in range(0, 2_048, 512):
                assert content[start : start + 512] in (b"o" * 512, new[start : start + 512])
            for start in range(2_048, len(content), 512):
                found = content[start : start + 512]
                assert new[start:].startswith(found) or not any(found)
    assert len(seen) > 50


def test_what_was_synced_is_in_every_image() -> None:
    file = File(bytearray(b"s" * 5_000), length=5_000)
    for start in range(5_000, 9_000, 100):
        file.change(Write(0, 0, start, b"u" * 100))
    for seed in range(200):
        for kind in fate.KINDS:
            assert kind(Random(seed), 1).content(file).startswith(b"s" * 5_000)
