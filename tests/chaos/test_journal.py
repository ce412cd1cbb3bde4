"""What clients write down can be read back, whatever became of the client."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos import journal
from chaos.journal import ALL_NODES, Journal, Outcome


def test_calls_and_ends(tmp_path: Path) -> None:
    path = tmp_path / "client-3.jsonl"
    with Journal(path, 3) as book:
        book.call(1, "counter:0:0", "add", [7])
        book.end(Outcome.DONE, 7)
        book.call(ALL_NODES, "card:0:1", "update", [-2], "ab" * 16)
        book.end(Outcome.REFUSED, error="no majority")
        book.call(2, "list:0:0", "append", ["03.000002;"])
    done, refused, open_ = journal.read([path])
    assert (done.client, done.node, done.key, done.kind, done.name) == (3, 1, "counter:0:0", "counter", "add")
    assert (done.arguments, done.outcome, done.reply, done.uuid) == ([7], Outcome.DONE, 7, "")
    assert done.returned_s is not None
    assert done.called_s < done.returned_s < refused.called_s
    assert (refused.node, refused.uuid, refused.outcome, refused.error) == (
        ALL_NODES,
        "ab" * 16,
        Outcome.REFUSED,
        "no majority",
    )
    assert (open_.outcome, open_.returned_s) == (Outcome.UNKNOWN, None)
    assert all(map(str, (done, refused, open_)))


def test_several_journals_are_merged_by_time(tmp_path: Path) -> None:
    with Journal(tmp_path / "a", 0) as one, Journal(tmp_path / "b", 1) as other:
        for number in range(4):
            (one, other)[number % 2].call(0, "register:0:0", "get", [])
            (one, other)[number % 2].end(Outcome.DONE, str(number))
    operations = journal.read([tmp_path / "b", tmp_path / "a"])
    assert [operation.reply for operation in operations] == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    "line",
    [
        '["return","done",null,"",1.0]',
        '["return","perhaps",null,"",1.0]',
        '["call",1,2,"key"]',
        "no JSON",
        '{"client": 1}',
    ],
)
def test_what_is_no_journal_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "client-0.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(ValueError, match=r"client-0\.jsonl"):
        journal.read([path])


def test_a_missing_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        journal.read([tmp_path / "nowhere"])
