"""Logs of a node: on standard error, one line an event, for people or for machines."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TextIO

from .config import LogSettings


class HumanFormatter(logging.Formatter):
    """`2026-01-31 12:00:00.123 INFO  paxosstore.runtime.node: text`"""

    def format(self, record: logging.LogRecord) -> str:
        day = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        line = f"{day}.{int(record.msecs):03} {record.levelname:<7} {record.name}: {record.getMessage()}"
        return _one_line(" | ".join([line, *_trace(self, record).splitlines()]))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (seconds since 1970), level, logger, message, and trace if there was an exception."""

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, object] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if trace := _trace(self, record):
            event["trace"] = trace
        return json.dumps(event, ensure_ascii=False)


class StandardError(logging.StreamHandler[TextIO]):
    """Whatever that is at the moment: a progress bar takes its place, and lets lines through above itself."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # asked for at each line
        return sys.stderr


def configure_logs(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Send every log line of this process to `stream` (standard error)."""
    handler = StandardError() if stream is None else logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if settings.format == "json" else HumanFormatter())
    logging.basicConfig(handlers=[handler], level=settings.level.upper(), force=True)
    logging.captureWarnings(True)


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return formatter.formatException(record.exc_info) if record.exc_info else ""


def _one_line(text: str) -> str:
    """With what is no printable character escaped: a peer's text must neither forge a line nor speak to a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
