"""A disk between a recorded process and a power cut: what is certain to be on it, and what only may be.

The model promises what RocksDB counts on, which is less than ext4, XFS or btrfs keep:

- `fsync` or `fdatasync` of a file makes every change to it durable that had returned before the call, its length included,
  once the call itself has returned. It says nothing about the file's name, nor about any other file.
- `fsync` of a directory does the same for the names in it. Changes to the names in one directory survive in their order.
- Of everything else, whatever fate.py chooses: each sector and the length of a file may stand as they were at any moment since
  it was last synced, whatever became of the other sectors, other files and names.
- A sector is old or new, never mixed; a rename happens or does not; what was never written reads as zeros, never as what
  a deleted file held.
- A medium does not lose what it has confirmed: damage is another test's matter (tests/storage/test_rocks.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from .recorder import Call

Tree = dict[str, "Tree | bytes"]
"""A directory's content by name."""


class Write(NamedTuple):
    """Bytes put into a file, or None: cut off or extended with zeros to `start`."""

    begin: int
    end: int
    start: int
    data: bytes | None

    def apply(self, content: bytearray) -> None:
        if self.data is None:
            del content[self.start :]
        length = self.start + len(self.data or b"")
        if len(content) < length:
            content.extend(bytes(length - len(content)))
        if self.data is not None:
            content[self.start : length] = self.data


class Naming(NamedTuple):
    """A change to the names of one directory, all of it or nothing; None: the name goes."""

    begin: int
    end: int
    names: dict[str, Node | None]

    def apply(self, names: dict[str, Node]) -> None:
        for name, node in self.names.items():
            if node is None:
                names.pop(name, None)
            else:
                names[name] = node


@dataclass(eq=False)
class File:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Write] = field(default_factory=list)
    """Not durable yet, in order."""
    length: int = 0
    """As the operating system sees it."""

    def change(self, write: Write) -> None:
        self.pending.append(write)
        end = write.start + len(write.data or b"")
        self.length = end if write.data is None else max(self.length, end)

    def settle(self, began: int) -> None:
        """A sync that began at that moment has returned."""
        for write in self.pending:
            if write.end < began:
                write.apply(self.durable)
        self.pending = [write for write in self.pending if write.end >= began]

    def content(self, writes: Iterable[Write]) -> bytearray:
        """What is there if of the pending writes only these were done."""
        content = bytearray(self.durable)
        for write in writes:
            write.apply(content)
        return content


@dataclass(eq=False)
class Folder:
    names: dict[str, Node] = field(default_factory=dict)
    """As the operating system sees them."""
    durable: dict[str, Node] = field(default_factory=dict)
    pending: list[Naming] = field(default_factory=list)

    def change(self, naming: Naming) -> None:
        self.pending.append(naming)
        naming.apply(self.names)

    def settle(self, began: int) -> None:
        for naming in self.pending:
            if naming.end < began:
                naming.apply(self.durable)
        self.pending = [naming for naming in self.pending if naming.end >= began]

    def content(self, namings: Iterable[Naming]) -> dict[str, Node]:
        content = dict(self.durable)
        for naming in namings:
            naming.apply(content)
        return content


Node = File | Folder


@dataclass
class _Descriptor:
    node: Node
    position: int
    append: bool


class Fate(NamedTuple):
    """What becomes of pending changes."""

    content: Callable[[File], bytes]
    namings: Callable[[Folder], Iterable[Naming]]


EVERYTHING = Fate(lambda file: bytes(file.content(file.pending)), lambda folder: folder.pending)


class Disk:
    """The disk under `path`, at a moment of a recording. Calls are stepped in twice, when they begin and when they end."""

    def __init__(self, path: Path, tree: Tree) -> None:
        self._path = path
        self.root = _durable(tree)
        self._open: dict[int, _Descriptor] = {}

    def begin(self, call: Call) -> None:
        """A change may be on the disk from the moment on at which it was asked for."""
        _BEGIN[call.name](self, call)

    def end(self, call: Call) -> None:
        if call.name in ("fsync", "fdatasync"):
            self._use(call).node.settle(call.begin)
        elif call.name in ("openat", "open", "creat"):
            node = self._find(self._absolute(call))
            self._open[call.result] = _Descriptor(node, 0, "O_APPEND" in call.arguments)

    def after(self, fate: Fate) -> Tree:
        """What is found after a power cut now."""
        return _after(self.root, fate)

    # -- calls

    def _open_file(self, call: Call) -> None:
        assert "O_TMPFILE" not in call.arguments, call
        if Path(self._absolute(call)) == self._path:
            return
        folder, name = self._parent(self._absolute(call))
        node = folder.names.get(name)
        if node is None:
            folder.change(Naming(call.begin, call.end, {name: File()}))
        elif isinstance(node, File) and ("O_TRUNC" in call.arguments or call.name == "creat"):
            node.change(Write(call.begin, call.end, 0, None))

    def _close(self, call: Call) -> None:
        self._open.pop(call.file[0], None)  # a copy of a descriptor is unknown here, and nothing is written through one

    def _write(self, call: Call) -> None:
        descriptor = self._use(call)
        file = descriptor.node
        assert isinstance(file, File)
        data = b"".join(call.strings)[: call.result]
        if call.name.startswith("p"):
            start = call.numbers[-1]
        else:
            start = file.length if descriptor.append else descriptor.position
            descriptor.position = start + len(data)
        file.change(Write(call.begin, call.end, start, data))

    def _truncate(self, call: Call) -> None:
        node = self._find(call.paths[0]) if call.name == "truncate" else self._use(call).node
        assert isinstance(node, File)
        node.change(Write(call.begin, call.end, call.numbers[-1], None))

    def _allocate(self, call: Call) -> None:
        node = self._use(call).node
        assert isinstance(node, File)
        start, length = call.numbers[-2:]
        if "PUNCH_HOLE" in call.arguments:
            length = min(length, node.length - start)
            if length > 0:
                node.change(Write(call.begin, call.end, start, bytes(length)))
        else:
            assert "KEEP_SIZE" in call.arguments, call

    def _rename(self, call: Call) -> None:
        (folder, old), (other, new) = map(self._parent, call.paths)
        assert folder is other, f"a rename from one directory to another is not modelled: {call.paths}"
        folder.change(Naming(call.begin, call.end, {old: None, new: folder.names[old]}))

    def _make_folder(self, call: Call) -> None:
        folder, name = self._parent(self._absolute(call))
        folder.change(Naming(call.begin, call.end, {name: Folder()}))

    def _remove(self, call: Call) -> None:
        folder, name = self._parent(self._absolute(call))
        folder.change(Naming(call.begin, call.end, {name: None}))

    def _map(self, call: Call) -> None:
        assert not ("PROT_WRITE" in call.arguments and "MAP_SHARED" in call.arguments), f"not modelled: {call}"

    def _seek(self, call: Call) -> None:
        descriptor = self._open.get(call.file[0])
        if descriptor is not None:  # else it is a copy, and only read
            descriptor.position = call.result

    def _sync(self, call: Call) -> None:
        self._use(call)  # durable when it returns

    # -- names

    def _use(self, call: Call) -> _Descriptor:
        number, path = call.file
        descriptor = self._open[number]
        with suppress(KeyError):  # it may be deleted or renamed meanwhile
            assert self._find(path) is descriptor.node, f"descriptor {number} is not {path}"
        return descriptor

    def _absolute(self, call: Call) -> str:
        """The path of a call that may give it relative to an open directory."""
        (path,) = call.paths
        return path if path.startswith("/") else f"{call.file[1]}/{path}"

    def _find(self, path: str) -> Node:
        node: Node = self.root
        for name in Path(path).relative_to(self._path).parts:
            assert isinstance(node, Folder), path
            node = node.names[name]
        return node

    def _parent(self, path: str) -> tuple[Folder, str]:
        folder = self._find(str(Path(path).parent))
        assert isinstance(folder, Folder), path
        return folder, Path(path).name


_BEGIN: dict[str, Callable[[Disk, Call], None]] = {
    **dict.fromkeys(("open", "openat", "creat"), Disk._open_file),
    **dict.fromkeys(("write", "writev", "pwrite64", "pwritev"), Disk._write),
    **dict.fromkeys(("rename", "renameat"), Disk._rename),
    **dict.fromkeys(("unlink", "unlinkat", "rmdir"), Disk._remove),
    **dict.fromkeys(("mkdir", "mkdirat"), Disk._make_folder),
    **dict.fromkeys(("fsync", "fdatasync"), Disk._sync),
    "close": Disk._close,
    **dict.fromkeys(("truncate", "ftruncate"), Disk._truncate),
    "fallocate": Disk._allocate,
    "lseek": Disk._seek,
    "mmap": Disk._map,
}


def _durable(tree: Tree) -> Folder:
    names: dict[str, Node] = {}
    for name, content in tree.items():
        names[name] = File(bytearray(content), length=len(content)) if isinstance(content, bytes) else _durable(content)
    return Folder(names, dict(names))


def _after(folder: Folder, fate: Fate) -> Tree:
    names = folder.content(fate.namings(folder))
    return {name: fate.content(node) if isinstance(node, File) else _after(node, fate) for name, node in names.items()}


def write_tree(path: Path, tree: Tree) -> None:
    """Make a directory that holds this."""
    path.mkdir()
    for name, content in tree.items():
        if isinstance(content, bytes):
            (path / name).write_bytes(content)
        else:
            write_tree(path / name, content)


def read_tree(path: Path) -> Tree:
    return {entry.name: read_tree(entry) if entry.is_dir() else entry.read_bytes() for entry in path.iterdir()}
