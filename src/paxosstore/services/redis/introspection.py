"""The forms in which COMMAND describes commands."""

from __future__ import annotations

from collections.abc import Sequence

from .commands.spec import Spec
from .reply import array, bulk, error, integer_reply, map_of, nil, set_of, simple, text


def info_of(specs: Sequence[Spec | None], proto: int) -> bytes:
    """Name, arity, flags and keys; nothing for an unknown command."""
    return array([nil(proto) if spec is None else _info(spec, proto) for spec in specs])


def _info(spec: Spec, proto: int) -> bytes:
    flags = set_of([simple(flag) for flag in spec.flags], proto)
    keys = [integer_reply(number) for number in spec.keys]
    nothing = [set_of([], proto), array([]), array([]), array([])]  # ACL categories, tips, key specs, subcommands
    return array([text(spec.name), integer_reply(spec.arity), flags, *keys, *nothing])


def docs(specs: Sequence[Spec], proto: int) -> bytes:
    """Summary and group by name."""
    return map_of([(text(spec.name), _doc(spec, proto)) for spec in specs], proto)


def _doc(spec: Spec, proto: int) -> bytes:
    facts = {"summary": spec.summary, "since": "1.0.0", "group": spec.group}
    return map_of([(text(key), text(value)) for key, value in facts.items()], proto)


def names(specs: Sequence[Spec]) -> bytes:
    return array([text(spec.name) for spec in specs])


def keys_of(spec: Spec | None, args: list[bytes]) -> bytes:
    """The words of a command that are its keys."""
    if spec is None:
        return error("Invalid command specified")
    if not spec.keys[0]:
        return error("The command has no key arguments")
    if not spec.fits(len(args)):
        return error("Invalid number of arguments specified for command")
    return array([bulk(key) for key in spec.key_names(args)])
