"""What a mutant is: production code with one mistake, as replacements of its text."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Edit(NamedTuple):
    """One replacement. `old` stands in the file exactly once."""

    file: str
    """Relative to the package."""
    old: str
    new: str


class Mutant(NamedTuple):
    name: str
    rule: int
    """Of docs/PROTOCOL.md."""
    breaks: str
    """In words."""
    edits: tuple[Edit, ...]
    shown_by: str = ""
    """Tests that notice it, as pytest takes them, where the simulator would need too many seeds; empty: the simulator notices."""

    def texts(self, package: Path) -> dict[str, str]:
        """File -> its mutated text. Raises ValueError if the code is no longer what the mutant knows."""
        texts: dict[str, str] = {}
        for edit in self.edits:
            text = texts.get(edit.file) or (package / edit.file).read_text()
            found = text.count(edit.old)
            if found != 1:
                raise ValueError(f"mutant {self.name}: in {edit.file} this stands {found} times, not once:\n{edit.old}")
            texts[edit.file] = text.replace(edit.old, edit.new)
        return texts


def mutant(name: str, rule: int, breaks: str, *edits: tuple[str, str, str], shown_by: str = "") -> Mutant:
    return Mutant(name, rule, breaks, tuple(Edit(*edit) for edit in edits), shown_by)
