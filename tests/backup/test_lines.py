"""The portable form: it comes back as it was, says when it is not whole, and which line is wrong."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paxosstore.backup.lines import Counts, Header, Key, check_lines, read_header, read_rows, write_lines
from paxosstore.core.batch.overlay import DATA, UUID, WriteBatch
from paxosstore.core.interface.ready import Apply
from paxosstore.errors import BackupError, InvalidRequest
from paxosstore.storage.memory import MemoryStore

from ..storage.support import row

HEADER = Header("9f", "blue", "redis.keyspace=db", 0, "2026-11-27T00:00:00Z")
ENTITIES = {5: {b"name": b"Ada", b"\xff\x00": b"\x80", "ключ\n".encode(): b""}, 2**64 - 1: {b"": b"empty"}, 7: {}}


def store_with(entities: dict[int, dict[bytes, bytes]]) -> MemoryStore:
    store = MemoryStore()
    for entity, pairs in entities.items():
        writes: dict[bytes, bytes | None] = {DATA + key: value for key, value in pairs.items()}
        batch = WriteBatch({**writes, UUID + bytes(16): b"outcome"})
        store.write({(entity, 1): row(1)}, [Apply(entity, 1, batch)])
    return store


def key_of(entity: int, key: bytes, value: bytes) -> list[Key] | bool:
    """Of entity 8, as a service lays them out."""
    if entity != 8:
        return True
    if key[:1] == b"h":
        return [Key(key[1:], b"", 9, "hash", part, True, [[value, b"\xff"]] * 2) for part in (0, 1)]
    return key[:1] == b"k" and [Key(key[1:], value, 9 if b"x" in value else 0)]


def write(path: Path, entities: dict[int, dict[bytes, bytes]], *, own: bool = False) -> Counts:
    with path.open("wb") as file:
        return write_lines(store_with(entities), HEADER, file, key_of, own=own)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    write(tmp_path / "export", ENTITIES)
    return tmp_path / "export"


def read(path: Path) -> dict[int, dict[bytes, bytes]]:
    found: dict[int, dict[bytes, bytes]] = {}
    for one in read_rows(path):
        found.setdefault(one.entity, {})[one.key] = one.value
    return found


def test_it_comes_back_as_it_was(export: Path) -> None:
    assert read_header(export) == HEADER
    assert check_lines(export) == (HEADER, Counts(3, 4))
    assert read(export) == {entity: pairs for entity, pairs in ENTITIES.items() if pairs}
    assert '{"entity":5,"key":"name","value":"Ada"}' in export.read_text()
    assert '{"entity":7,"entry":1}' in export.read_text()


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.binary(max_size=9), st.binary(max_size=9), max_size=9))
def test_any_bytes_come_back(pairs: dict[bytes, bytes]) -> None:
    out = BytesIO()
    write_lines(store_with({1: pairs}), HEADER, out, key_of)
    rows = [json.loads(line) for line in out.getvalue().splitlines()][2:-1]
    assert len(rows) == len(pairs)


def test_the_keys_of_a_service_are_told_as_its_clients_know_them(tmp_path: Path) -> None:
    assert write(tmp_path / "keys", {8: {b"ka": b"x", b"k\xff": b"y", b"n": b"2"}}) == Counts(1, 2)
    assert check_lines(tmp_path / "keys")[1] == Counts(1, 2)
    assert [(one.key, one.value, one.is_redis, one.expires_ms) for one in read_rows(tmp_path / "keys")] == [
        (b"a", b"x", True, 9),
        (b"\xff", b"y", True, 0),
    ]


def test_keys_with_members_are_told_part_by_part(tmp_path: Path) -> None:
    assert write(tmp_path / "keys", {8: {b"ha": b"x"}}) == Counts(1, 2)
    assert check_lines(tmp_path / "keys")[1] == Counts(1, 2)
    parts = list(read_rows(tmp_path / "keys"))
    assert [(one.key, one.kind, one.part, one.is_large, one.expires_ms) for one in parts] == [
        (b"a", "hash", part, True, 9) for part in (0, 1)
    ]
    assert [one.members for one in parts] == [[[b"x", b"\xff"]] * 2] * 2
    assert [one.size for one in parts] == [5, 5]


def test_the_stores_own_rows_are_there_if_they_are_wanted(tmp_path: Path) -> None:
    assert write(tmp_path / "own", ENTITIES, own=True) == Counts(3, 7)
    assert {one.space for one in read_rows(tmp_path / "own")} == {DATA, UUID}


def test_any_cut_is_noticed(export: Path) -> None:
    content = export.read_bytes()
    for size in range(len(content)):
        export.write_bytes(content[:size])
        with pytest.raises(BackupError, match=r"cut off|line 1"):
            check_lines(export)


def test_any_changed_byte_is_noticed(export: Path) -> None:
    content = export.read_bytes()
    for at in range(len(content)):
        export.write_bytes(content[:at] + bytes((content[at] ^ 1,)) + content[at + 1 :])
        if json_of(export) == json_of_bytes(content):
            continue  # nothing of what it says
        with pytest.raises(BackupError, match="export"):
            check_lines(export)


def json_of(path: Path) -> object:
    return json_of_bytes(path.read_bytes())


def json_of_bytes(content: bytes) -> object:
    try:
        return [json.loads(line) for line in content.splitlines()]
    except ValueError:
        return None


def sealed(lines: list[str]) -> bytes:
    """Lines that somebody has changed by hand, with a last one that fits."""
    body = "".join(f"{line}\n" for line in lines)
    rows = sum('"entry"' not in line for line in lines[1:])
    end = {"end": True, "entities": len(lines) - 1 - rows, "rows": rows, "sha256": hashlib.sha256(body.encode()).hexdigest()}
    return (body + json.dumps(end) + "\n").encode()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "is no JSON object"),
        ("[]", "is no JSON object"),
        ("[" * 100_000, "is no JSON object"),
        ('{"key":"a","value":"b"}', "entity: a number from 0 to"),
        ('{"entity":-1,"key":"a","value":"b"}', "entity: a number from 0 to"),
        ('{"entity":true,"key":"a","value":"b"}', "entity: a number from 0 to"),
        ('{"entity":1,"key":"a"}', "either value or value_base64"),
        ('{"entity":1,"key":1,"value":"b"}', "either key or key_base64"),
        ('{"entity":1,"key":"a","key_base64":"YQ==","value":"b"}', "either key or key_base64"),
        ('{"entity":1,"key_base64":"?","value":"b"}', "key: "),
        ('{"entity":1,"redis_key":"a","value":"b","expires_ms":-1}', "expires_ms: milliseconds"),
        ('{"entity":1,"redis_key":"a"}', "either value or value_base64"),
        ('{"entity":1,"redis_key":"a","hash":{}}', "hash: lists of words"),
        ('{"entity":1,"redis_key":"a","hash":["ab"]}', "hash: lists of words"),
        ('{"entity":1,"redis_key":"a","hash":[[1]]}', "hash: lists of words"),
        ('{"entity":1,"redis_key":"a","hash":[[{"base64":"?"}]]}', "hash: lists of words"),
        ('{"entity":1,"redis_key":"a","hash":[[{"base64":1}]]}', "hash: lists of words"),
        ('{"entity":1,"redis_key":"a","hash":[],"set":[]}', "one kind of key"),
        ('{"entity":1,"redis_key":"a","hash":[],"part":-1}', "one kind of key"),
        ('{"entity":1,"redis_key":"a","hash":[],"part":true}', "one kind of key"),
        ('{"entity":1,"redis_key":"a","hash":[],"large":1}', "one kind of key"),
        ('{"entity":1,"redis_key":"a","hash":[' + "[]," * 1_000 + "[]]}", "more than 1000 lists"),
        ('{"entity":1,"space":"dd","key":"a","value":"b"}', "space: one character"),
    ],
)
def test_a_wrong_line_is_named(export: Path, line: str, said: str) -> None:
    first = export.read_text().splitlines()[0]
    export.write_bytes(sealed([first, '{"entity":1,"entry":1}', line]))
    look: Callable[[Path], object]
    for look in (check_lines, lambda path: list(read_rows(path))):
        with pytest.raises(BackupError, match=f"line 3: .*{said}"):
            look(export)


@pytest.mark.parametrize("first", ["SELECT 0", '{"a":1}', '{"paxosstore_export":2}', '{"paxosstore_export":1,"id":"x"}', ""])
def test_what_is_no_export_is_refused(export: Path, first: str) -> None:
    export.write_text(f"{first}\n")
    for look in (check_lines, read_header):
        with pytest.raises(BackupError, match="line 1"):
            look(export)


def test_what_cannot_be_read_twice_is_refused(export: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    look: Callable[[Path], object]
    for look in (check_lines, read_header, lambda path: list(read_rows(path))):
        for place in (tmp_path / "pipe", tmp_path):
            with pytest.raises(InvalidRequest, match="save what comes from it in a file"):
                look(place)


def test_rows_of_a_file_that_has_lost_its_end_since_it_was_checked(export: Path) -> None:
    lines = export.read_bytes().splitlines(keepends=True)
    for content in (b"", b"".join(lines[:-1])):
        export.write_bytes(content)
        with pytest.raises(BackupError, match="its last line is missing"):
            list(read_rows(export))


def test_brackets_in_texts_are_no_members(tmp_path: Path) -> None:
    write(tmp_path / "keys", {8: {b"k" + b"[" * 5_000: b'"[' * 5_000 + b"\\" * 3, b"ha": b"[" * 5_000}})
    assert check_lines(tmp_path / "keys")[1] == Counts(1, 3)


def test_what_stands_behind_the_end_is_refused(export: Path) -> None:
    export.write_bytes(export.read_bytes() + b"{}\n")
    with pytest.raises(BackupError, match="more behind the end"):
        check_lines(export)
