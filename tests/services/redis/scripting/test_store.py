"""Scripts among an entity's rows: bounded, and kept as long as can be."""

from __future__ import annotations

from hashlib import sha1

import pytest

from paxosstore.services.redis.commands.handler import encode, handle
from paxosstore.services.redis.scripting import store
from paxosstore.services.redis.scripting.commands import gather

from ..support import DictView
from .conftest import Evaluate


def sha(body: str) -> str:
    return sha1(body.encode()).hexdigest()


def test_another_node_knows_what_was_run_or_loaded(run: Evaluate, view: DictView) -> None:
    run("EVAL", "return 5", "0")
    run("SCRIPT", "LOAD", "return 6")
    other = DictView()
    other.rows = dict(view.rows)  # what was replicated
    assert handle(other, encode(2, [b"EVALSHA", sha("return 5").encode(), b"0"])) == b":5\r\n"
    assert handle(other, encode(2, [b"EVALSHA", sha("return 6").encode(), b"0"])) == b":6\r\n"


def test_a_script_that_is_known_writes_nothing(run: Evaluate, view: DictView) -> None:
    run("EVAL", "return 5", "0")
    rows = dict(view.rows)
    run("EVAL", "return 5", "0")
    assert view.rows == rows


def test_what_does_not_compile_or_only_reads_is_not_kept(run: Evaluate, view: DictView) -> None:
    run("EVAL", "not lua", "0")
    run("EVAL_RO", "return 7", "0")
    run("SCRIPT", "LOAD", "not lua")
    assert not view.rows


def test_the_first_that_came_go_those_that_were_loaded_last(
    run: Evaluate, view: DictView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MAX_SCRIPTS", 3)
    run("SCRIPT", "LOAD", "return 1")
    for number in (2, 3, 4, 5):
        run("EVAL", f"return {number}", "0")
    known = [run("SCRIPT", "EXISTS", sha(f"return {number}")) == b"*1\r\n:1\r\n" for number in range(1, 6)]
    assert known == [True, False, False, True, True]
    run("SCRIPT", "LOAD", "return 4")  # it is loaded now
    run("SCRIPT", "LOAD", "return 6")
    run("SCRIPT", "LOAD", "return 7")
    known = [run("SCRIPT", "EXISTS", sha(f"return {number}")) == b"*1\r\n:1\r\n" for number in range(1, 8)]
    assert known == [False, False, False, True, False, True, True]
    assert len(view.rows) == 7


def test_bytes_are_bounded_too(run: Evaluate, view: DictView, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_BYTES", 1_000)
    for number in range(20):
        run("EVAL", f"return {number}" + " " * 200, "0")
    assert sum(len(row) for where, row in view.rows.items() if where.startswith(b"sb")) < 1_100
    run("SCRIPT", "FLUSH")
    assert [*view.rows] == [b"st"]
    assert view.rows[b"st"][8:] == bytes(16)


def test_keys_are_flushed_and_scripts_are_not(run: Evaluate, view: DictView) -> None:
    run("SET", "k", "v")
    run("EVAL", "return 5", "0")
    run("FLUSHDB")
    assert run("EXISTS", "k") == b":0\r\n"
    assert run("EVALSHA", sha("return 5"), "0") == b":5\r\n"


def test_one_reply_of_those_of_all_slots() -> None:
    assert gather([b"+OK\r\n", b"+OK\r\n"]) == b"+OK\r\n"
    assert gather([b"+OK\r\n", b"-ERR x\r\n"]) == b"-ERR x\r\n"
    assert gather([b"*2\r\n:1\r\n:1\r\n", b"*2\r\n:0\r\n:1\r\n", b"*2\r\n:1\r\n:1\r\n"]) == b"*2\r\n:0\r\n:1\r\n"
