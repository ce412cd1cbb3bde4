"""One line an event, whatever is in it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from paxosstore.cli.config import LogSettings
from paxosstore.cli.logs import configure_logs

log = logging.getLogger("paxosstore.test")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the logs go; the root logger is put back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield io.StringIO()
    logging.captureWarnings(False)
    root.handlers, root.level = handlers, level


def fail() -> None:
    raise ValueError("first\nsecond")


def test_human_lines(stream: io.StringIO) -> None:
    configure_logs(LogSettings(), stream)
    log.debug("not shown")
    log.info("node %d\nforged line", 3)
    try:
        fail()
    except ValueError:
        log.exception("it failed")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("INFO    paxosstore.test: node 3\\nforged line")
    assert "it failed" in lines[1]
    assert "ValueError: first" in lines[1]


def test_no_text_speaks_to_the_terminal(stream: io.StringIO) -> None:
    configure_logs(LogSettings(), stream)
    log.warning("cluster %s", "\x1b[2Jred\u202e\x00 größer")
    assert stream.getvalue().endswith("cluster \\x1b[2Jred\\u202e\\x00 größer\n")


def test_json_lines(stream: io.StringIO) -> None:
    configure_logs(LogSettings("json", "debug"), stream)
    log.debug("node %d\nforged line", 3)
    try:
        fail()
    except ValueError:
        log.exception("it failed")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first.keys() == {"time", "level", "logger", "message"}
    assert (first["level"], first["logger"], first["message"]) == ("debug", "paxosstore.test", "node 3\nforged line")
    assert "ValueError: first\nsecond" in second["trace"]
