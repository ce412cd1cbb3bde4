"""What a disk does to a file that lies on it: a flipped bit, a sector that reads as zeros, an end that is gone."""

from __future__ import annotations

from pathlib import Path
from random import Random

SECTOR = 512
KINDS = ("IDENTITY", "IDENTITY.copy", ".journal", ".sst", ".blob", "MANIFEST", "CURRENT", "OPTIONS", "rocksdict-config", "LOG")
"""Of files, by a part of their name: one kind is as likely as another, however many files there are of it."""


def files_of(directory: Path, kind: str) -> list[Path]:
    """Those of the store in use."""
    if kind.startswith("IDENTITY"):
        return [directory / kind]
    names = [file for file in (directory / "store").rglob("*") if file.is_file()]
    return sorted(file for file in names if (file.name == kind if kind == "LOG" else kind in file.name))


def harm(directory: Path, random: Random) -> str:
    """Do one harm to one file of a node's data directory. Returns what it was."""
    kind = random.choice(KINDS)
    while not (files := [file for file in files_of(directory, kind) if file.stat().st_size]):
        kind = random.choice(KINDS)
    file = random.choice(files)
    content = bytearray(file.read_bytes())
    written = len(content.rstrip(b"\0")) or 1
    match random.choice(("flip", "flip", "zeros", "cut")):
        case "flip":
            at = random.randrange(written)
            content[at] ^= 1 << random.randrange(8)
            what = f"a bit of byte {at}"
        case "zeros":
            at = random.randrange(0, written, SECTOR)
            content[at : at + SECTOR] = bytes(len(content[at : at + SECTOR]))
            what = f"zeros at {at}"
        case _:
            at = random.randrange(written)
            del content[at:]
            what = f"cut at {at}"
    file.write_bytes(content)
    return f"{kind}: {what} of {written} written in {file.relative_to(directory)}"
