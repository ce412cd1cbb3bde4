"""What the suite says is read as what it means, and compared block by block."""

from __future__ import annotations

import json
from dataclasses import asdict

from .blocks import OUTSIDE, Block, State, begun, blocks_of, compare, missing, reason_of, table

SAID = """Starting test server at port 27079
[ready]: 5410
Testing unit/type/hash
[testing]: HSET, twice
[ok]: HSET, twice (12 ms)
[testing]: HGET (of a field) in a list
[err]: HGET (of a field) in a list in tests/unit/type/hash.tcl
Expected '1' to be equal to '2' (context: type eval line 3)
[ignore]: HSTRLEN: Tag: needs:repl denied
[testing]: HDEL
[err]: HDEL in tests/unit/type/hash.tcl
command 'hdel'
ERR unknown command 'hdel'
    while executing
[err]: that broke
couldn't open that broke
[1/1 done]: unit/type/hash (1 seconds)

*** [err]: HDEL in tests/unit/type/hash.tcl
command 'hdel'""".splitlines()


def test_what_the_suite_says_is_read_block_by_block() -> None:
    assert blocks_of("unit/type/hash", SAID) == [
        Block("unit/type/hash", "HSET, twice", State.PASSED),
        Block(
            "unit/type/hash",
            "HGET (of a field) in a list",
            State.FAILED,
            "Expected '1' to be equal to '2' (context: type eval line 3)",
        ),
        Block("unit/type/hash", "HDEL", State.FAILED, "ERR unknown command 'hdel'"),
        Block("unit/type/hash", OUTSIDE, State.FAILED, "couldn't open that broke"),
    ]
    assert [name for name in map(begun, SAID) if name] == ["HSET, twice", "HGET (of a field) in a list", "HDEL"]
    assert reason_of([]) == "no reason"


def test_blocks_that_pass_against_redis_are_passed_failed_or_not_run() -> None:
    def blocks(passed: str, failed: str = "") -> list[Block]:
        good = [Block("unit/a", name, State.PASSED) for name in passed.split()]
        return good + [Block("unit/a", name, State.FAILED, "why") for name in failed.split()]

    reference = blocks("one twice twice lost bad", "theirs")
    ours = blocks("one twice other", "bad theirs")
    reference = [Block.kept(json.loads(json.dumps(asdict(block)))) for block in reference]  # as between two runs
    (row,) = compare(["unit/a"], reference, ours)
    assert (row.reference, row.passed, row.failed, row.not_run) == (5, 2, 1, 2)
    lost = missing(reference, ours)
    assert [(block.name, block.reason) for block in lost] == [("twice", ""), ("lost", ""), ("bad", "why")]
    page = table([row], lost)
    assert "| all | 5 | 2 | 1 | 2 |" in page
    assert "- twice: not run\n- lost: not run\n- bad: why\n" in page
