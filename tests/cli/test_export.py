"""`paxosstore export`: what it writes to, and what it reads of a backup."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, suppress
from io import BytesIO
from pathlib import Path

import pytest

from paxosstore.backup.folder import TABLE
from paxosstore.cli.export import export_lines, source_of_backup, written_to
from paxosstore.cli.main import main
from paxosstore.errors import BackupError, InvalidRequest

from ..backup.support import backup, write


@pytest.fixture(params=["links", "no links"])
def output(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """On a file system that has links, or has none."""
    if request.param == "no links":

        def refuse(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "file"


def test_a_file_has_its_name_when_all_is_in_it(output: Path) -> None:
    (output.parent / "file.part").write_bytes(b"somebody's")
    with written_to(output) as file:
        file.write(b"all")
        assert not output.exists()
    assert {path.name: path.read_bytes() for path in output.parent.iterdir()} == {"file": b"all", "file.part": b"somebody's"}


def test_of_two_exports_to_one_file_the_later_fails(output: Path) -> None:
    with ExitStack() as late:
        late.enter_context(written_to(output)).write(b"late")
        with written_to(output) as file:
            file.write(b"first")
        with pytest.raises(InvalidRequest, match="file: is there already"):
            late.close()
    assert [path.read_bytes() for path in output.parent.iterdir()] == [b"first"]


def test_what_fails_leaves_nothing(output: Path) -> None:
    with suppress(KeyboardInterrupt), written_to(output) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert not list(output.parent.iterdir())


@pytest.mark.parametrize("kind", ["file", "directory", "broken link"])
def test_nothing_is_written_over_what_is_there(output: Path, kind: str) -> None:
    if kind == "file":
        output.touch()
    elif kind == "directory":
        output.mkdir()
    else:
        output.symlink_to("nowhere")
    with pytest.raises(InvalidRequest, match="is there already"), written_to(output):
        pass
    assert [path.name for path in output.parent.iterdir()] == ["file"]


def test_a_closed_standard_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "node-0", range(1, 10))
    backup(tmp_path / "node-0", tmp_path / "backups")
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["export", "-", "--backup", str(tmp_path / "backups")]) == 2
    assert "standard output is closed: name a file" in capsys.readouterr().err
    assert main(["backup", str(tmp_path / "backups"), "--list"]) == 0


class TestBackups:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        write(tmp_path / "node-0", range(1, 30))
        return backup(tmp_path / "node-0", tmp_path / "backups").folder

    def export(self, folder: Path) -> None:
        with source_of_backup(folder.parent, None) as source:
            export_lines(source, BytesIO(), own=True)

    def test_nothing_is_written_into_one(self, folder: Path) -> None:
        """It may lie where nothing can be written, and is the same file as those of other backups."""
        before = {path: path.stat() for path in folder.rglob("*")}
        self.export(folder)
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == {
            path: found.st_mtime_ns for path, found in before.items()
        }

    @pytest.mark.parametrize("suffix", [".sst", "CURRENT", "MANIFEST"])
    @pytest.mark.parametrize("how", ["gone", "short", "flipped"])
    def test_of_a_damaged_one_it_is_said(self, folder: Path, suffix: str, how: str) -> None:
        for path in [path for path in (folder / TABLE).iterdir() if suffix in path.name]:
            content = bytearray(path.read_bytes())
            path.unlink()
            if how != "gone":
                content[: len(content) // 2 + 1] = bytes(len(content) // 2 + 1)
                path.write_bytes(content[:-1] if how == "short" else content)
        with pytest.raises(BackupError) as refused:
            self.export(folder)
        assert str(folder) in str(refused.value)
        assert "this backup is damaged, use another one" in str(refused.value) or how == "gone"
        assert "/tmp/tmp" not in str(refused.value)
        assert "start of the node" not in str(refused.value)
