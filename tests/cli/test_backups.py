"""`paxosstore backup`, `export` and `import` as commands: which options go together, and what is left when they are ended."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from paxosstore.backup.pace import Pace
from paxosstore.cli.cluster import free_base_port
from paxosstore.cli.config import load_config
from paxosstore.cli.init import write_configs
from paxosstore.cli.main import main
from paxosstore.core.turn.standing import State

from ..backup.support import write


@pytest.mark.parametrize(
    "words",
    [
        "backup b --list --check",
        "backup b --list --keep 3",
        "backup b --check --config x",
        "backup b --list --number 1",
        "backup b --config x --number 1",
        "export f --config x --number 1",
        "import f --check --from-line 5",
        "import f --check --again",
        "import f --check --config x",
    ],
)
def test_options_that_do_not_go_together(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    assert "leave" in (said := capsys.readouterr().err) or "use one of them" in said


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = write_configs(tmp_path, 3, free_base_port(3), "blue")[0]
    write(load_config(path).data_dir, range(1, 10))
    return path


def test_sigterm_leaves_nothing(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    data_dir = load_config(config).data_dir

    def pay(*_: object) -> None:
        assert list(data_dir.glob("checkpoint.[0-9a-f]*"))
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(10)

    with monkeypatch.context() as patch:
        patch.setattr(Pace, "pay", pay)
        with pytest.raises(SystemExit) as ended:
            main(["backup", str(tmp_path / "backups"), "--config", str(config)])
    assert ended.value.code == 143
    assert not list(data_dir.glob("checkpoint.[0-9a-f]*"))
    assert not list((tmp_path / "backups").glob("backup-*"))
    assert signal.getsignal(signal.SIGTERM) == before
    assert main(["backup", str(tmp_path / "backups"), "--config", str(config)]) == 0


def test_a_directory_that_may_not_be_written(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert main(["backup", str(tmp_path / "backups"), "--config", str(config)]) == 4
    assert "run this as the user that the node runs as" in (said := capsys.readouterr().err)
    assert "dmesg" not in said


def test_what_stays_of_older_backups_is_said(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["backup", str(tmp_path / "backups"), "--config", str(config), "--keep", "1"]
    assert main(command) == 0
    write(load_config(config).data_dir, range(10, 12), state=State.REENTERING)
    assert main(command) == 0
    assert "THE NODE IS reentering, no member: its data may be old; older backups stay" in capsys.readouterr().out
    write(load_config(config).data_dir, range(12, 13), state=State.NEW)
    assert main(command) == 2
    assert "its node is new" in capsys.readouterr().err
