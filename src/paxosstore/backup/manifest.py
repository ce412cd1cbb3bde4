"""What a backup says of itself: BACKUP.json, the last of its files to be there.

{"sha256": over the content, "content": {"format": 1, ..., "files": [{"name", "bytes", "sha256", ...}]}}
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import msgspec

from ..core.entry.ids import MAX_ENTITY
from ..core.turn.standing import State
from ..errors import BackupError, ConfigError
from ..settings import ClusterSettings
from ..storage.directory import READABLE
from ..storage.durable import sync_file, sync_path

NAME = "BACKUP.json"
FORMAT = 1
MEMBER, NEW = State.MEMBER.value, State.NEW.value
MAX_BYTES = 256 * 1024 * 1024
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[a-z]+)?")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the table."""

    name: str
    bytes: int
    sha256: str
    inode: int = 0
    mtime_ns: int = 0
    """Of the node's file, if it is one that never changes: the same file of the same node is not read again."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A backup."""

    format: int
    program: str
    """The version that made it."""
    taken: str
    """When, in UTC."""
    cluster: str
    nodes: int
    uuid_window_entries: int
    services: str
    node: int
    """Of which node."""
    disk: str
    """Its disk id."""
    cluster_id: str
    """Of the disks with which the cluster began; empty: not known."""
    state: str
    """What the node was: member, reentering or new."""
    directory_format: int
    entities: int
    entries: int
    """Applied, of all entities together."""
    files: list[File]

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    @property
    def settings(self) -> ClusterSettings:
        return ClusterSettings(self.cluster, self.nodes, self.uuid_window_entries, self.services)

    @property
    def digest(self) -> str:
        """Of all that it says, and so of all files."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """From here on the backup is there. All or nothing, and durable. Raises OSError."""
    new = folder / f"{NAME}.new"
    with new.open("wb") as file:
        said = {"sha256": manifest.digest, "content": manifest}
        file.write(msgspec.json.format(msgspec.json.encode(said), indent=1) + b"\n")
        file.flush()
        sync_file(file.fileno())
    new.rename(folder / NAME)
    sync_path(folder)


def read_manifest(folder: Path) -> Manifest:
    """Of a complete backup. Raises BackupError for one that is not, is damaged, or of another format."""
    path = folder / NAME
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _damaged(path, "it is too large")
        said: dict[str, Any] = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        content = said["content"]
        version = content["format"]
    except FileNotFoundError:
        raise BackupError(f"{folder}: there is no complete backup here ({NAME} is its last file): name another") from None
    except OSError as error:
        raise BackupError(f"{path}: cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, LookupError, TypeError) as error:
        raise _damaged(path, f"it does not say what it should: {error}") from None
    if version != FORMAT:
        raise BackupError(f"{path}: format {version}, this program reads {FORMAT}: use the version that wrote it")
    try:
        manifest = msgspec.convert(content, Manifest)
        _check(manifest)
    except (msgspec.ValidationError, ValueError, ConfigError) as error:
        raise _damaged(path, str(error)) from None
    if said.get("sha256") != manifest.digest:
        raise _damaged(path, "its checksum differs")
    if manifest.directory_format not in READABLE:
        known = ", ".join(map(str, READABLE))
        raise BackupError(
            f"{path}: the node's data is of format {manifest.directory_format}, this program reads {known}: use the version "
            f"that wrote it ({manifest.program})"
        )
    return manifest


def _check(manifest: Manifest) -> None:
    """Raises ValueError or ConfigError for what no backup says: nothing that is named may lie elsewhere."""
    manifest.settings  # noqa: B018  # checks them
    if not 0 <= manifest.node < manifest.nodes:
        raise ValueError(f"node {manifest.node} of {manifest.nodes}")
    if not 0 <= manifest.entities <= MAX_ENTITY + 1:
        raise ValueError(f"{manifest.entities} entities")
    names = [file.name for file in manifest.files]
    if len(set(names)) != len(names):
        raise ValueError("a file is there twice")
    for file in manifest.files:
        if not _FILE.fullmatch(file.name) or file.bytes < 0 or not _SHA256.fullmatch(file.sha256):
            raise ValueError(f"{file.name!r:.100} is no file of a backup")


def _damaged(path: Path, what: str) -> BackupError:
    return BackupError(f"{path}: {what}: this backup is damaged, use another one")
