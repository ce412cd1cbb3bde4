"""How a command that concerns the session or its node alone is described."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..commands.spec import Spec
from ..reply import error, wrong_arity
from .session import Session

Local = Callable[[Session, list[bytes]], bytes]
"""What runs such a command: the session, its words -> the reply."""


def _missing(session: Session, args: list[bytes]) -> bytes:
    raise AssertionError("a session's command must say what it does")


@dataclass(frozen=True, slots=True)
class SessionSpec(Spec):
    """What is known of it."""

    local: Local = _missing


def container(name: str, subcommands: Mapping[bytes, tuple[int, Local]], alone: Local | None = None) -> Local:
    """A command whose second word says what to do; the table holds the arity of each."""

    def run(session: Session, args: list[bytes]) -> bytes:
        if len(args) == 1 and alone is not None:
            return alone(session, args)
        sub = args[1].lower()
        if sub not in subcommands:
            return error(b"unknown subcommand '%b'. Try %b HELP." % (args[1][:128], name.upper().encode()))
        arity, function = subcommands[sub]
        if (len(args) != arity) if arity > 0 else (len(args) < -arity):
            return wrong_arity(f"{name}|{sub.decode()}")
        return function(session, args)

    return run
