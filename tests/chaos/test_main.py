"""The command: one clear line and exit code 2 when it cannot run, 1 on a violation, and a short run of everything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from chaos.faults import Struck
from chaos.journal import Call, Operation, Return
from chaos.nodes import REPOSITORY
from chaos.run import RECORD
from chaos.schedule import Kind

from .support import History, good


def run(*arguments: object) -> tuple[int, str]:
    """Exit code and everything it said."""
    command = [sys.executable, "-m", "chaos", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=REPOSITORY)
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    return done.returncode, said


def save(history: History, directory: Path) -> None:
    """As a run leaves it."""
    directory.mkdir()
    history.record.save(directory)
    for operation in history.operations:
        with (directory / f"client-{operation.client}.jsonl").open("ab") as file:
            for line in lines(operation):
                file.write(msgspec.json.encode(line) + b"\n")


def lines(o: Operation) -> Sequence[Call | Return]:
    call = Call(o.client, o.node, o.key, o.name, o.arguments, o.uuid, o.called_s)
    return call, Return(o.outcome.value, o.reply, o.error, o.returned_s or o.called_s)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--nodes", "4"], "--nodes"),
        (["--nodes", "three"], "--nodes"),
        (["--seconds", "1"], "--seconds"),
        (["--seconds", "inf"], "--seconds"),
        (["--round", "nan"], "--round"),
        (["--seed", "x"], "--seed"),
        (["--nothing"], "--nothing"),
        (["--check", "nowhere"], "nowhere"),
        (["--out", "/dev/null"], "/dev/null"),
    ],
)
def test_bad_arguments(arguments: list[str], named: str) -> None:
    code, said = run(*arguments)
    assert code == 2
    assert named in said.strip().splitlines()[-1]


def test_what_is_not_of_an_earlier_run_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    code, said = run("--out", tmp_path)
    assert code == 2
    assert "thesis.txt" in said
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize("damaged", [RECORD, "client-0.jsonl"])
def test_a_damaged_record_is_no_verdict(tmp_path: Path, damaged: str) -> None:
    save(good(), tmp_path / "round")
    (tmp_path / "round" / damaged).write_text("{")
    code, said = run("--check", tmp_path / "round")
    assert code == 2
    assert damaged in said


def test_a_good_history_is_checked_again(tmp_path: Path) -> None:
    history = good()
    history.record.struck = [Struck(Kind.DISK_LOST, "disk lost 1", [1], 1.0, 2.0, started_s=2.0, returned_s=2.5)]
    save(history, tmp_path / "round")
    code, said = run("--check", tmp_path / "round")
    assert code == 0, said
    assert "1.00 s, a member again after 0.50 s" in said
    assert (tmp_path / "round" / "timeline.png").read_bytes().startswith(b"\x89PNG")
    assert "data:image/png" in (tmp_path / "round" / "index.html").read_text()


def test_a_bad_history_is_told_with_the_lines_to_repeat_it(tmp_path: Path) -> None:
    history = good()
    next(operation for operation in reversed(history.operations) if operation.key == "card:0:0").reply = 99
    save(history, tmp_path / "round")
    code, said = run("--check", tmp_path / "round")
    assert code == 1
    assert "VIOLATION (linearizable): key card:0:0" in said
    assert f"python -m chaos --check {tmp_path / 'round'}" in said
    assert "python -m chaos --seconds 60 --nodes 3 --seed 1" in said


def test_a_short_run_of_everything(tmp_path: Path) -> None:
    code, said = run("--seconds", 5, "--seed", 3, "--out", tmp_path / "out")
    print(said)
    assert code == 0, said
    directory = tmp_path / "out" / "seed-3"
    page = (directory / "index.html").read_text()
    assert re.search(r"<td>call</td><td>[\d,]+ repetitions under their uuid", page)
    assert len(list(directory.glob("client-*.jsonl"))) == 14
    assert not [path for path in directory.glob("nodes/disk-*") if os.path.ismount(path)]


def test_an_interrupted_run_leaves_nothing_behind(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "chaos", "--out", str(out)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) as chaos:
        deadline = time.monotonic() + 120.0
        while len(list(out.glob("seed-1/client-*.jsonl"))) < 11 and time.monotonic() < deadline:
            time.sleep(0.05)
        chaos.terminate()
        chaos.communicate(timeout=120)
    assert chaos.returncode == 130
    assert not [path for path in out.glob("seed-1/nodes/disk-*") if os.path.ismount(path)]
    assert not processes_of(tmp_path)


def processes_of(directory: Path) -> list[bytes]:
    """Command lines of this machine's processes that name the directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(path.read_bytes())
    return [line for line in found if str(directory).encode() in line]
