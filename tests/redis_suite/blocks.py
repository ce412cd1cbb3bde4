"""What the suite says while it runs, read into blocks: its tests, each passed, failed or not run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

REASON_CHARS = 300
_LINE = re.compile(r"\[(testing|ok|err|ignore|skip|exception)\]: (.*)")
_DURATION = re.compile(r" \(\d+ ms\)$")
_NAMED = re.compile(r"(.*) in tests/\S+\.tcl$")
_OTHER = re.compile(r"\[\d+/\d+ done\]|\[ready\]|Testing |Cleanup: |Execution time |\s*The End|\*\*\* \[|!!! WARNING|\\o/ ")


class State(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    HUNG = "hung"


@dataclass(frozen=True, slots=True)
class Block:
    """One test of a unit."""

    unit: str
    name: str
    state: State
    reason: str = ""
    """Of one that did not pass, in one line."""

    @classmethod
    def kept(cls, fields: dict[str, str]) -> Block:
        """As `dataclasses.asdict` made it."""
        return cls(fields["unit"], fields["name"], State(fields["state"]), fields["reason"])

    @property
    def key(self) -> tuple[str, str]:
        return self.unit, self.name


OUTSIDE = "(outside of any block)"
"""The name of what fails in a unit between its blocks."""


def blocks_of(unit: str, lines: Iterable[str]) -> list[Block]:
    """The blocks that have ended, in order, of what the suite wrote while it ran a unit."""
    blocks = []
    for kind, text in _messages(lines):
        if kind == "ok":
            blocks.append(Block(unit, _DURATION.sub("", text[0]), State.PASSED))
        elif kind in ("err", "exception"):
            named = _NAMED.fullmatch(text[0])
            name, said = (named[1], text[1:]) if named else (OUTSIDE, text)
            blocks.append(Block(unit, name, State.FAILED, reason_of(said)))
    return blocks


def begun(line: str) -> str | None:
    """The name of the block that begins with this line."""
    found = _LINE.fullmatch(line)
    return found[2] if found and found[1] == "testing" else None


def reason_of(said: list[str]) -> str:
    """One line for what a block said as it failed. An error's first ten characters are cut off, and stand in the next line."""
    if len(said) > 1 and said[0] and said[1].endswith(said[0]):
        said = said[1:]
    return next((line for line in said if line.strip()), "no reason")[:REASON_CHARS]


def _messages(lines: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Messages of the suite, each with the lines that belong to it."""
    kind, text = "", list[str]()
    for line in lines:
        found = _LINE.fullmatch(line)
        if found or _OTHER.match(line):
            if kind:
                yield kind, text
            kind, text = (found[1], [found[2]]) if found else ("", [])
        elif kind:
            text.append(line)
    if kind:
        yield kind, text


@dataclass(frozen=True, slots=True)
class Row:
    """How one unit went, of the blocks that pass against Redis."""

    unit: str
    reference: int
    passed: int
    failed: int
    not_run: int


def compare(units: Iterable[str], reference: Iterable[Block], ours: Iterable[Block]) -> list[Row]:
    """Unit by unit; a name that stands twice in a unit counts twice."""
    expected = Counter(block.key for block in reference if block.state is State.PASSED)
    passed = Counter(block.key for block in ours if block.state is State.PASSED)
    failed = Counter(block.key for block in ours if block.state is not State.PASSED)
    rows = []
    for unit in units:
        keys = [key for key in expected if key[0] == unit]
        good = sum(min(expected[key], passed[key]) for key in keys)
        bad = sum(min(expected[key] - min(expected[key], passed[key]), failed[key]) for key in keys)
        total = sum(expected[key] for key in keys)
        rows.append(Row(unit, total, good, bad, total - good - bad))
    return rows


def missing(reference: Iterable[Block], ours: Iterable[Block]) -> list[Block]:
    """The blocks that pass against Redis and not here, with the reason, or none where they were not run."""
    left = Counter(block.key for block in ours if block.state is State.PASSED)
    reasons = {block.key: block for block in ours if block.state is not State.PASSED}
    found = []
    for block in reference:
        if block.state is not State.PASSED:
            continue
        if left[block.key]:
            left[block.key] -= 1
        else:
            found.append(reasons.get(block.key) or Block(*block.key, State.FAILED))
    return found


def table(rows: list[Row], lost: list[Block]) -> str:
    """The page: a table of units, and every block that does not pass with its reason."""
    lines = ["# Redis 7.0's own suite", "", "Of the blocks that pass against redis-server from outside.", ""]
    lines += ["| unit | blocks | passed | failed | not run |", "|---|---:|---:|---:|---:|"]
    total = Row("all", *(sum(getattr(row, name) for row in rows) for name in ("reference", "passed", "failed", "not_run")))
    lines += [f"| {row.unit} | {row.reference} | {row.passed} | {row.failed} | {row.not_run} |" for row in (*rows, total)]
    unit = ""
    for block in lost:
        if block.unit != unit:
            unit = block.unit
            lines += ["", f"## {unit}", ""]
        lines.append(f"- {block.name}: {block.reason or 'not run'}")
    return "\n".join(lines) + "\n"
