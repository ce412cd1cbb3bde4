"""Commands that are containers of others: XGROUP CREATE, OBJECT ENCODING and their kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ....core.batch.overlay import View
from ..reply import error, lines_of, wrong_arity
from ..run import Run


def container(name: str, subcommands: Mapping[str, tuple[int, Run]], help_lines: Sequence[str]) -> Run:
    """The command by that name (lower case), of subcommands with their arity, all words counted; HELP is one more."""
    table = {sub.upper().encode(): (sub, arity, run) for sub, (arity, run) in subcommands.items()}
    first = f"{name.upper()} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    lines = [first, *help_lines, "HELP", "    Prints this help."]
    helped = lines_of(lines)

    def run(view: View, args: list[bytes], proto: int) -> bytes:
        word = args[1].upper()
        if word == b"HELP":
            return helped if len(args) == 2 else wrong_arity(f"{name}|help")
        found = table.get(word)
        if found is None:
            return error(b"unknown subcommand '%b'. Try %b HELP." % (args[1][:128], name.upper().encode()))
        sub, arity, chosen = found
        if len(args) != arity if arity > 0 else len(args) < -arity:
            return wrong_arity(f"{name}|{sub}")
        return chosen(view, args, proto)

    return run
