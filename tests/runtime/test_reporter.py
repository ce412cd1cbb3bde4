"""What is said in the log without being asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paxosstore.runtime.reporter import REPEAT_S, Reporter

from ..services.http.test_pages import statistics


def test_an_entity_whose_replicas_differ_is_said_at_once_and_again_after_a_while(caplog: pytest.LogCaptureFixture) -> None:
    sound = replace(statistics(), stopped={})
    broken = replace(sound, stopped={7: "entity 7 is stopped"})
    reporter = Reporter(lambda: sound)
    for at_s, now, lines in (
        (0.0, sound, 0),
        (1.0, broken, 1),
        (2.0, broken, 1),
        (REPEAT_S, broken, 1),
        (1.0 + REPEAT_S, broken, 2),
    ):
        reporter.look(now, at_s)
        assert [record.levelname for record in caplog.records] == ["ERROR"] * lines
    assert "THE REPLICAS DIFFER: entity 7 is stopped" in caplog.text
