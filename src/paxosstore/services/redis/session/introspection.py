"""COMMAND: what commands there are."""

from __future__ import annotations

from collections.abc import Collection

from ..commands.spec import Spec
from ..reply import SYNTAX_ERROR, array, bulk, error, integer_reply, map_of, nil, set_of, simple, text
from .session import Session


def command(session: Session, args: list[bytes]) -> bytes:
    return _info_of(session.host.specs.values(), session.proto)


def command_count(session: Session, args: list[bytes]) -> bytes:
    return integer_reply(len(session.host.specs))


def command_list(session: Session, args: list[bytes]) -> bytes:
    if len(args) > 2:
        return SYNTAX_ERROR
    return array([text(spec.name) for spec in session.host.specs.values()])


def command_docs(session: Session, args: list[bytes]) -> bytes:
    specs = session.host.specs
    named = [specs.get(word.lower()) for word in args[2:]] if len(args) > 2 else list(specs.values())
    return map_of([(text(spec.name), _doc(spec, session.proto)) for spec in named if spec is not None], session.proto)


def command_info(session: Session, args: list[bytes]) -> bytes:
    specs = session.host.specs
    return _info_of([specs.get(word.lower()) for word in args[2:]] or specs.values(), session.proto)


def command_getkeys(session: Session, args: list[bytes]) -> bytes:
    """The words of a command that are its keys."""
    spec, words = session.host.specs.get(args[2].lower()), args[2:]
    if spec is None:
        return error("Invalid command specified")
    if not spec.keys[0] and spec.find_keys is None:
        return error("The command has no key arguments")
    if not spec.fits(len(words)):
        return error("Invalid number of arguments specified for command")
    found = spec.key_names(words)
    return array([bulk(key) for key in found]) if found else error("Invalid arguments specified for command")


def _info_of(specs: Collection[Spec | None], proto: int) -> bytes:
    """Name, arity, flags and keys; nothing for an unknown command."""
    return array([nil(proto) if spec is None else _info(spec, proto) for spec in specs])


def _info(spec: Spec, proto: int) -> bytes:
    flags = set_of([simple(flag) for flag in spec.flags], proto)
    keys = [integer_reply(number) for number in spec.keys]
    nothing = [set_of([], proto), array([]), array([]), array([])]  # ACL categories, tips, key specs, subcommands
    return array([text(spec.name), integer_reply(spec.arity), flags, *keys, *nothing])


def _doc(spec: Spec, proto: int) -> bytes:
    facts = {"summary": spec.summary, "since": "1.0.0", "group": spec.group}
    return map_of([(text(key), text(value)) for key, value in facts.items()], proto)
