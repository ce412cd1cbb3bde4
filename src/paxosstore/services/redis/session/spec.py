"""How a command that concerns the session or its node alone is described."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..commands.spec import Spec
from ..reply import error, lines_of, wrong_arity
from .session import Session

Local = Callable[[Session, list[bytes]], bytes]
"""What runs such a command: the session, its words -> the reply."""


def _missing(session: Session, args: list[bytes]) -> bytes:
    raise AssertionError("a session's command must say what it does")


def misused(args: list[bytes]) -> bytes:
    """The error of a subcommand that does not take so many words."""
    name = args[0].upper()
    return error(b"unknown subcommand or wrong number of arguments for '%b'. Try %b HELP." % (args[1][:128], name))


def always(reply: bytes) -> Local:
    """What has one answer."""
    return lambda session, args: reply


@dataclass(frozen=True, slots=True, eq=False)
class SessionSpec(Spec):
    """What is known of it."""

    local: Local = _missing
    """What runs it; with subcommands: where there is no second word."""
    subcommands: Mapping[bytes, tuple[int, Local]] = field(default_factory=dict)
    """By the second word: how many words, as in `arity`, and what runs it."""
    at_once: bool = False
    """It runs between MULTI and EXEC as well, where others are queued."""

    def full_name(self, args: list[bytes]) -> bytes:
        if not self.subcommands or len(args) == 1:
            return self.name.encode()
        sub = args[1].lower()
        return b"%b|%b" % (self.name.encode(), sub) if sub in self.subcommands or sub == b"help" else b""

    def fault(self, args: list[bytes]) -> bytes | None:
        """The error for a subcommand that is none, or has not the right number of words."""
        if not self.subcommands or len(args) == 1:
            return None
        sub = args[1].lower()
        if sub == b"help" and sub not in self.subcommands:
            return None if len(args) == 2 else wrong_arity(f"{self.name}|help")
        if sub not in self.subcommands:
            return error(b"unknown subcommand '%b'. Try %b HELP." % (args[1][:128], self.name.upper().encode()))
        arity = self.subcommands[sub][0]
        if len(args) == arity or (arity < 0 and len(args) >= -arity):
            return None
        return wrong_arity(f"{self.name}|{sub.decode()}")

    def answer(self, session: Session, args: list[bytes]) -> bytes:
        """Run it."""
        if not self.subcommands or len(args) == 1:
            return self.local(session, args)
        refusal = self.fault(args)
        if refusal is not None:
            return refusal
        known = self.subcommands.get(args[1].lower())
        return self.help() if known is None else known[1](session, args)

    def help(self) -> bytes:
        """Which subcommands there are, and how many words each has."""
        lines = [f"{self.name.upper()} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]
        for sub, (words, _) in sorted(self.subcommands.items()):
            arguments = abs(words) - 2
            lines.append(sub.decode().upper() + " <arg>" * arguments + " [<arg> ...]" * (words < 0))
        return lines_of([*lines, "HELP"])
