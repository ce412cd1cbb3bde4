"""docs/REDIS.md names every command, in the section of its group, and none that is not there."""

from __future__ import annotations

import re
from pathlib import Path

from paxosstore.services.redis.session.table import TABLE

PAGE = Path(__file__).parents[3] / "docs" / "REDIS.md"


def test_every_command_is_listed_in_the_section_of_its_group() -> None:
    _, _, commands = PAGE.read_text().partition("\n## Commands\n")
    listed = set()
    for section in commands.split("\n### ")[1:]:
        group, _, text = section.partition("\n")
        lists = [line for line in text.splitlines() if re.fullmatch(r"`[A-Z_.]+`( `[A-Z_.]+`)*", line)]
        listed |= {(group, name) for line in lists for name in re.findall("[A-Z_.]+", line)}
    assert listed == {(spec.group, spec.name.upper()) for spec in TABLE.values()}
