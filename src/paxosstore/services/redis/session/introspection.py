"""COMMAND: what commands there are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from ....errors import TooLarge
from ..commands.spec import Spec, keys_after_number, keys_after_timeout
from ..glob import compile_glob
from ..reply import SYNTAX_ERROR, array, bulk, error, integer_reply, map_of, nil, set_of, simple, store_error, text
from . import acl
from .session import Session

NUMBERED: dict[Callable[[list[bytes]], list[bytes]], int] = {keys_after_number: 1, keys_after_timeout: 2}
"""Where the number of keys stands, by what finds them."""


def command(session: Session, args: list[bytes]) -> bytes:
    return _info_of(session.host.specs.values(), session.proto)


def command_count(session: Session, args: list[bytes]) -> bytes:
    return integer_reply(len(session.host.specs))


def command_list(session: Session, args: list[bytes]) -> bytes:
    specs: Iterable[Spec] = session.host.specs.values()
    if len(args) > 2:
        if len(args) != 5 or args[2].upper() != b"FILTERBY":
            return SYNTAX_ERROR
        kind, word = args[3].upper(), args[4].decode("latin-1").lower()
        if kind == b"MODULE":
            specs = ()
        elif kind == b"ACLCAT":
            specs = [spec for spec in specs if word in acl.categories(spec)]
        elif kind == b"PATTERN":
            try:
                pattern = compile_glob(args[4].lower())
            except TooLarge as refusal:
                return store_error(refusal)
            specs = [spec for spec in specs if pattern.fullmatch(spec.name.encode())]
        else:
            return SYNTAX_ERROR
    return array([text(spec.name) for spec in specs])


def command_docs(session: Session, args: list[bytes]) -> bytes:
    specs = session.host.specs
    named = [specs.get(word.lower()) for word in args[2:]] if len(args) > 2 else list(specs.values())
    return map_of([(text(spec.name), _doc(spec, session.proto)) for spec in named if spec is not None], session.proto)


def command_info(session: Session, args: list[bytes]) -> bytes:
    specs = session.host.specs
    return _info_of([specs.get(word.lower()) for word in args[2:]] or specs.values(), session.proto)


def command_getkeysandflags(session: Session, args: list[bytes]) -> bytes:
    """The same with what is done to them."""
    found = _keys_in(session, args)
    if isinstance(found, bytes):
        return found
    spec = session.host.specs[args[2].lower()]
    flags = set_of([simple(flag) for flag in _key_flags(spec)], session.proto)
    return array([array([bulk(key), flags]) for key in found])


def command_getkeys(session: Session, args: list[bytes]) -> bytes:
    """The words of a command that are its keys."""
    found = _keys_in(session, args)
    return found if isinstance(found, bytes) else array([bulk(key) for key in found])


def _keys_in(session: Session, args: list[bytes]) -> list[bytes] | bytes:
    """Them, or an error."""
    spec, words = session.host.specs.get(args[2].lower()), args[2:]
    if spec is None:
        return error("Invalid command specified")
    if not spec.keys[0] and spec.find_keys is None:
        return error("The command has no key arguments")
    if not spec.fits(len(words)):
        return error("Invalid number of arguments specified for command")
    found = spec.key_names(words)
    return found or error("Invalid arguments specified for command")


def _info_of(specs: Collection[Spec | None], proto: int) -> bytes:
    """Name, arity, flags and keys; nothing for an unknown command."""
    return array([nil(proto) if spec is None else _info(spec, proto) for spec in specs])


def _info(spec: Spec, proto: int) -> bytes:
    flags = set_of([simple(flag) for flag in spec.flags], proto)
    keys = [integer_reply(number) for number in spec.keys]
    groups = set_of(acl.told(spec), proto)
    nothing = [array([]), array(_key_specs(spec, proto)), array([])]  # tips, key specs, subcommands
    return array([text(spec.name), integer_reply(spec.arity), flags, *keys, groups, *nothing])


def _key_specs(spec: Spec, proto: int) -> list[bytes]:
    """Where the keys stand, as far as it is a plain row of words, or a number of them with the keys behind it."""
    first, last, step = spec.keys
    numbered = NUMBERED.get(spec.find_keys) if spec.find_keys is not None else None
    if numbered is not None:
        begin, find = numbered, _found("keynum", {"keynumidx": 0, "firstkey": 1, "keystep": 1}, proto)
    elif first:
        begin, find = first, _found("range", {"lastkey": last - first if last > 0 else last, "keystep": step, "limit": 0}, proto)
    else:
        return []
    pairs = [
        (text("flags"), set_of([simple(flag) for flag in _key_flags(spec)], proto)),
        (text("begin_search"), _found("index", {"index": begin}, proto)),
        (text("find_keys"), find),
    ]
    return [map_of(pairs, proto)]


def _found(kind: str, facts: dict[str, int], proto: int) -> bytes:
    told = map_of([(text(name), integer_reply(number)) for name, number in facts.items()], proto)
    return map_of([(text("type"), text(kind)), (text("spec"), told)], proto)


def _key_flags(spec: Spec) -> tuple[str, ...]:
    return ("RW", "access", "update") if spec.writes else ("RO", "access")


def _doc(spec: Spec, proto: int) -> bytes:
    facts = {"summary": spec.summary, "since": "1.0.0", "group": spec.group}
    return map_of([(text(key), text(value)) for key, value in facts.items()], proto)
