"""The portable form of a store's data: JSON lines, which tell by themselves whether they are all there.

{"paxosstore_export": 1, "id": "9f..", "cluster": "blue", "services": "redis.keyspace=db", "node": 0, "taken": "2026-..", ...}
{"entity": 5, "entry": 120}                            each entity as it was at one entry
{"entity": 5, "key": "name", "value": "Ada"}           its rows; "key_base64", "value_base64" where the bytes are no UTF-8
{"entity": 9, "redis_key": "name", "value": "Ada", "expires_ms": 1790000000000}   a string of Redis
{"entity": 9, "redis_key": "ages", "hash": [["Ada", "36"], ["Bob", {"base64": "/w=="}]]}  another key: its members, or
{"entity": 9, "redis_key": "ages", "hash": [["Eve", "7"]], "part": 1}                    the first, and those that follow
{"entity": 5, "space": "u", ...}                       rows of the store's own, if they are wanted: uuids and their outcomes
{"end": true, "entities": 1, "rows": 1, "sha256": ".."}    over all lines before it
"""

from __future__ import annotations

import base64
import hashlib
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from ..core.batch.overlay import DATA
from ..core.entry.ids import MAX_ENTITY
from ..errors import BackupError, InvalidRequest
from ..storage.api import Store

FORMAT = 1
MAX_LINE_BYTES = 160 * 1024 * 1024
"""Of a key and a value as large as an entry may be, in base64."""
MAX_LISTS = 1_000
"""In a line: many times its size in memory, each of them. An export writes 200 members a line, and a list around them."""
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_AFTER_ALL = b"\xff"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Header(NamedTuple):
    """The first line."""

    id: str
    """Random: of this export alone."""
    cluster: str
    services: str
    node: int
    taken: str


KINDS = ("hash", "list", "set", "zset", "stream")
"""Keys of the Redis service that have members (what these are: services/redis/portable/pieces.py)."""


class Key(NamedTuple):
    """A key of the Redis service, or some members of one."""

    name: bytes
    value: bytes
    expires_ms: int
    """Since 1970; 0: never."""
    kind: str = "value"
    """Of KINDS: it has members, and no value."""
    part: int = 0
    is_large: bool = False
    members: Sequence[Sequence[bytes]] = ()


KeyOf = Callable[[int, bytes, bytes], Iterable[Key] | bool]
"""(entity, key, value of a row) -> the key that it is, part by part; True: none, the row stands for itself; False: it follows
from others."""


class Row(NamedTuple):
    """A row of an entity, or a key of the Redis service."""

    line: int
    entity: int
    space: bytes
    key: bytes
    value: bytes
    is_redis: bool = False
    expires_ms: int = 0
    kind: str = "value"
    part: int = 0
    is_large: bool = False
    members: list[list[bytes]] = []  # noqa: RUF012  # nobody changes it

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.key) + len(self.value) + sum([len(word) for words in self.members for word in words])


class Counts(NamedTuple):
    entities: int
    rows: int

    @property
    def lines(self) -> int:
        """One for each, the first, and the last."""
        return self.entities + self.rows + 2


def rows_of(store: Store, entity: int, *, own: bool) -> Iterator[tuple[bytes, bytes, bytes]]:
    """(space, key, value) of an entity; with the store's own if `own` says so."""
    start, end = (b"", _AFTER_ALL) if own else (DATA, bytes((DATA[0] + 1,)))
    for key, value in store.scan(entity, start, end):
        yield key[:1], key[1:], value


def write_lines(store: Store, header: Header, out: BinaryIO, key_of: KeyOf, *, own: bool = False) -> Counts:
    """Write all of a store that nobody writes to. Raises OSError, Damaged."""
    digest = hashlib.sha256()
    entities = rows = 0

    def line(content: dict[str, Any]) -> None:
        text = _encode(content) + b"\n"
        digest.update(text)
        out.write(text)

    line({"paxosstore_export": FORMAT, **header._asdict(), "uuids": own})
    for entity, entry in store.committed():
        entities += 1
        line({"entity": entity, "entry": entry})
        for space, key, value in rows_of(store, entity, own=own):
            found = key_of(entity, key, value) if space == DATA else True
            if found is False:
                continue
            for content in (_plain(space, key, value),) if found is True else map(_keyed, found):
                rows += 1
                line({"entity": entity} | content)
    out.write(_encode({"end": True, "entities": entities, "rows": rows, "sha256": digest.hexdigest()}) + b"\n")
    return Counts(entities, rows)


def read_header(path: Path) -> Header:
    """Raises BackupError, InvalidRequest, OSError."""
    with _open(path) as file:
        return _header(path, _parse(path, 1, _read_line(path, 1, file)))


def check_lines(path: Path) -> tuple[Header, Counts]:
    """Read all and compare it with what the end says, before anything is done with it.

    Raises BackupError, InvalidRequest if it is no file that can be read a second time, OSError.
    """
    digest, entities, rows, number = hashlib.sha256(), 0, 0, 0
    with _open(path) as file:
        header = _header(path, _parse(path, 1, first := _read_line(path, 1, file)))
        digest.update(first)
        number = 1
        while text := _read_line(path, number + 1, file):
            number += 1
            content = _parse(path, number, text)
            if "end" in content:
                said = (content.get("entities"), content.get("rows"), content.get("sha256"))
                if said != (entities, rows, digest.hexdigest()):
                    raise BackupError(f"{path}, line {number}: the lines before it are not those that were written: export anew")
                if file.read(1):
                    raise BackupError(f"{path}, line {number + 1}: there is more behind the end: remove it")
                return header, Counts(entities, rows)
            digest.update(text)
            if _row(path, number, content) is None:
                entities += 1
            else:
                rows += 1
    raise _cut_off(path, number)


def read_rows(path: Path) -> Iterator[Row]:
    """Raises BackupError, InvalidRequest, OSError."""
    with _open(path) as file:
        number = 0
        while text := _read_line(path, number + 1, file):
            number += 1
            if number == 1:
                continue
            content = _parse(path, number, text)
            if "end" in content:
                return
            row = _row(path, number, content)
            if row is not None:
                yield row
    raise _cut_off(path, number)


def _open(path: Path) -> BinaryIO:
    """Raises InvalidRequest, OSError."""
    if not stat.S_ISREG(path.stat().st_mode):  # before it is opened: that may wait for whoever writes into a pipe
        raise InvalidRequest(f"{path}: is no file, and cannot be read twice: save what comes from it in a file, and name that")
    return path.open("rb")


def _cut_off(path: Path, number: int) -> BackupError:
    return BackupError(
        f"{path}: ends after line {number}, and its last line is missing: it was cut off; copy it again, or export anew"
    )


def _plain(space: bytes, key: bytes, value: bytes) -> dict[str, Any]:
    return ({} if space == DATA else {"space": space.decode()}) | _said("key", key) | _said("value", value)


def _keyed(key: Key) -> dict[str, Any]:
    content: dict[str, Any] = dict(_said("redis_key", key.name))
    if key.kind in KINDS:
        content[key.kind] = [[_word(word) for word in words] for words in key.members]
    else:
        content |= _said("value", key.value)
    rest = {"part": key.part, "large": key.is_large, "expires_ms": key.expires_ms}
    return content | {name: value for name, value in rest.items() if value}


def _word(word: bytes) -> str | dict[str, str]:
    try:
        return word.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(word).decode()}


def _said(name: str, content: bytes) -> dict[str, str]:
    try:
        return {name: content.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(content).decode()}


def _read_line(path: Path, number: int, file: BinaryIO) -> bytes:
    text = file.readline(MAX_LINE_BYTES + 1)
    if len(text) > MAX_LINE_BYTES:
        raise BackupError(f"{path}, line {number}: is longer than {MAX_LINE_BYTES} bytes: this is no export")
    return text


def _parse(path: Path, number: int, text: bytes) -> dict[str, Any]:
    if not text.endswith(b"\n"):
        raise BackupError(f"{path}, line {number}: is cut off: copy the file again, or export anew")
    if text.startswith(b"{") and text.count(b"[") > MAX_LISTS and _STRING.sub(b"", text).count(b"[") > MAX_LISTS:
        raise BackupError(f"{path}, line {number}: has more than {MAX_LISTS} lists: give each line fewer members, and a part")
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BackupError(f"{path}, line {number}: is no JSON object ({error}): correct it, or export anew") from None


def _header(path: Path, content: dict[str, Any]) -> Header:
    version = content.get("paxosstore_export")
    if version != FORMAT:
        what = "is no export of this store" if version is None else f"is of format {version!r}, this program reads {FORMAT}"
        raise BackupError(f"{path}, line 1: {what}: name a file that `paxosstore export` wrote, without --redis")
    try:
        return msgspec.convert([content.get(name) for name in Header._fields], Header)
    except msgspec.ValidationError as error:
        raise BackupError(f"{path}, line 1: {error}: correct it, or export anew") from None


def _row(path: Path, number: int, content: dict[str, Any]) -> Row | None:
    """None: it is the first line of an entity."""
    entity = content.get("entity")
    if type(entity) is not int or not 0 <= entity <= MAX_ENTITY:
        raise BackupError(f"{path}, line {number}: entity: a number from 0 to {MAX_ENTITY} is needed: correct it")
    if "entry" in content:
        return None
    if "redis_key" in content or "redis_key_base64" in content:
        return _redis_row(path, number, entity, content)
    space = content.get("space", "d")
    if not isinstance(space, str) or len(space.encode()) != 1:
        raise BackupError(f"{path}, line {number}: space: one character is needed: correct it")
    key, value = (_bytes(path, number, content, name) for name in ("key", "value"))
    return Row(number, entity, space.encode(), key, value)


def _redis_row(path: Path, number: int, entity: int, content: dict[str, Any]) -> Row:
    expires = content.get("expires_ms", 0)
    if type(expires) is not int or not 0 <= expires < 1 << 63:
        raise BackupError(f"{path}, line {number}: expires_ms: milliseconds since 1970 are needed: correct it")
    key = _bytes(path, number, content, "redis_key")
    kinds = [kind for kind in KINDS if kind in content]
    if not kinds:
        return Row(number, entity, DATA, key, _bytes(path, number, content, "value"), True, expires)
    part, is_large = content.get("part", 0), content.get("large", False)
    if len(kinds) > 1 or type(part) is not int or not 0 <= part < 1 << 63 or type(is_large) is not bool:
        raise BackupError(f"{path}, line {number}: one kind of key, a number as part, and true or false as large are needed")
    try:
        members = [[_word_in(word) for word in words] for words in msgspec.convert(content[kinds[0]], list[list[Any]])]
    except (ValueError, LookupError) as error:
        raise BackupError(f"{path}, line {number}: {kinds[0]}: lists of words are needed ({error}): correct it") from None
    return Row(number, entity, DATA, key, b"", True, expires, kinds[0], part, is_large, members)


def _word_in(word: Any) -> bytes:
    """Raises ValueError, LookupError."""
    if isinstance(word, str):
        return word.encode()
    if isinstance(word, dict) and list(word) == ["base64"] and isinstance(word["base64"], str):
        return base64.b64decode(word["base64"], validate=True)
    raise ValueError("a word is a text, or an object with base64 alone")


def _bytes(path: Path, number: int, content: dict[str, Any], name: str) -> bytes:
    plain, coded = content.get(name), content.get(f"{name}_base64")
    try:
        if isinstance(plain, str) and coded is None:
            return plain.encode()
        if isinstance(coded, str) and plain is None:
            return base64.b64decode(coded, validate=True)
    except ValueError as error:
        raise BackupError(f"{path}, line {number}: {name}: {error}: correct it") from None
    raise BackupError(f"{path}, line {number}: either {name} or {name}_base64 is needed, as a text: correct it")
