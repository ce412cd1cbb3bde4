"""Every transcript of tests/scenarios, on the simulated cluster, under several seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from .transcript import Transcript

SCENARIOS = sorted((Path(__file__).parent.parent / "scenarios").glob("*.txt"))


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(path: Path, seed: int) -> None:
    assert Transcript(path.name, path.read_text(encoding="utf-8"), seed).run() >= 3


def test_there_are_scenarios() -> None:
    assert len(SCENARIOS) >= 12


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("node 0: write 7 x=1 -> 5", "it ended in done"),
        ("expect committed 7 = 9 on 0", "committed"),
        ("expect counters loads=77", "loads is"),
        ("dance", "not understood"),
        ("expect stored 7 x = 4 on 1", "node 1 has None"),
    ],
)
def test_a_scenario_can_fail(line: str, said: str) -> None:
    with pytest.raises(AssertionError, match=said) as caught:
        Transcript("t.txt", "cluster nodes=3\n" + line).run()
    assert str(caught.value).startswith("t.txt:2: ")
