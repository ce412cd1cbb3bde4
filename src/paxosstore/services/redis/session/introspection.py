"""COMMAND: what commands there are. It is always the same, so it is made once for each command and protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

from ....errors import TooLarge
from ..commands.spec import Spec, keys_after_number, keys_after_timeout
from ..glob import compile_glob
from ..reply import SYNTAX_ERROR, array, bulk, error, integer_reply, map_of, nil, set_of, simple, store_error, text
from . import acl
from .known import UNKNOWN, Known, Place, redis7, subcommands
from .session import Session

NUMBERED: dict[Callable[[list[bytes]], list[bytes]], str] = {keys_after_number: "1", keys_after_timeout: "2"}
"""Where the number of keys stands, by what finds them."""
READS, WRITES, OVERWRITES = ("RO", "access"), ("RW", "access", "update"), ("OW", "update")
"""What is done to a key."""


def command(session: Session, args: list[bytes]) -> bytes:
    return array([_info(spec, session.proto) for spec in session.host.specs.values()])


def command_count(session: Session, args: list[bytes]) -> bytes:
    return integer_reply(len(session.host.specs))


def command_list(session: Session, args: list[bytes]) -> bytes:
    found: Iterable[Known] = _all(session)
    if len(args) > 2:
        if len(args) != 5 or args[2].upper() != b"FILTERBY":
            return SYNTAX_ERROR
        kind, word = args[3].upper(), args[4].decode("latin-1").lower()
        if kind == b"MODULE":
            found = ()
        elif kind == b"ACLCAT":
            found = [known for known in found if word in known.categories]
        elif kind == b"PATTERN":
            try:
                pattern = compile_glob(args[4].lower())
            except TooLarge as refusal:
                return store_error(refusal)
            found = [known for known in found if pattern.fullmatch(known.name.encode())]
        else:
            return SYNTAX_ERROR
    return array([text(known.name) for known in found])


def command_docs(session: Session, args: list[bytes]) -> bytes:
    specs, proto = session.host.specs, session.proto
    if len(args) == 2:
        return map_of([(text(spec.name), _docs(spec, proto)) for spec in specs.values()], proto)
    pairs = []
    for word in args[2:]:
        known, spec = _named(session, word), specs.get(word.lower())
        if known is not None:
            pairs.append(
                (
                    text(known.name),
                    _docs(spec, proto)
                    if spec is not None
                    else _doc(known, specs[word.lower().partition(b"|")[0]].summary, proto),
                )
            )
    return map_of(pairs, proto)


def command_info(session: Session, args: list[bytes]) -> bytes:
    if len(args) == 2:
        return command(session, args)
    found = []
    for word in args[2:]:
        known, spec = _named(session, word), session.host.specs.get(word.lower())
        if spec is not None:
            found.append(_info(spec, session.proto))
        else:
            found.append(nil(session.proto) if known is None else _alone(known, session.proto))
    return array(found)


@cache
def _of(spec: Spec) -> Known:
    """What is told of a command: what Redis tells, if it has it."""
    known = redis7().get(spec.name)
    if known is not None:
        return known
    groups = tuple(acl.categories(spec))
    return Known(spec.name, spec.arity, spec.flags, spec.keys, groups, (), tuple(_places(spec)), spec.group, "1.0.0")


def _named(session: Session, word: bytes) -> Known | None:
    """A command by its name, or one of its subcommands."""
    name, bar, _ = word.lower().partition(b"|")
    spec = session.host.specs.get(name)
    if spec is None:
        return None
    return next((sub for sub in subcommands(spec) if sub.name.encode() == word.lower()), None) if bar else _of(spec)


def _all(session: Session) -> Iterator[Known]:
    for spec in session.host.specs.values():
        yield _of(spec)
        yield from subcommands(spec)


def command_getkeysandflags(session: Session, args: list[bytes]) -> bytes:
    """The same with what is done to them."""
    found = _keys_in(session, args)
    if isinstance(found, bytes):
        return found
    spec, words = session.host.specs[args[2].lower()], args[2:]
    known = _named(session, b"|".join(words[:2])) or _of(spec)
    left = [(key, place.flags) for place in known.places for key in place.keys_in(words)]
    pairs = []
    for key in found:
        flags = next((said for name, said in left if name == key), None)
        if flags is not None:
            left.remove((key, flags))
        said = set_of([simple(flag) for flag in _said(spec, words, flags)], session.proto)
        pairs.append(array([bulk(key), said]))
    return array(pairs)


def _said(spec: Spec, words: list[bytes], flags: tuple[str, ...] | None) -> tuple[str, ...]:
    """What is done to a key: that of its place, unless it depends on the words, or only the command itself has found it."""
    if flags is None:
        own = [place.flags for place in _of(spec).places if place.find[0] == UNKNOWN or "incomplete" in place.flags]
        flags = own[-1] if own else WRITES if spec.writes else READS
    if "variable_flags" in flags:
        if spec.name == "set":
            return WRITES if b"GET" in [word.upper() for word in words[3:]] else OVERWRITES
        return READS if {b"SET", b"INCRBY"}.isdisjoint([word.upper() for word in words[2:]]) else WRITES  # BITFIELD
    return tuple([flag for flag in flags if flag != "incomplete"])


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
    return found if found or "no_mandatory_keys" in spec.flags else error("Invalid arguments specified for command")


@cache
def _info(spec: Spec, proto: int) -> bytes:
    return _row(_of(spec), [_alone(sub, proto) for sub in subcommands(spec)], proto)


@cache
def _alone(known: Known, proto: int) -> bytes:
    return _row(known, [], proto)


def _row(known: Known, subs: list[bytes], proto: int) -> bytes:
    """Name, arity, flags, keys and what else COMMAND tells."""
    return array(
        [
            text(known.name),
            integer_reply(known.arity),
            set_of([simple(flag) for flag in known.flags], proto),
            *map(integer_reply, known.keys),
            set_of([simple(f"@{name}") for name in known.categories], proto),
            set_of(list(map(text, known.tips)), proto),
            set_of([_place(place, proto) for place in known.places], proto),
            set_of(subs, proto),
        ]
    )


def _places(spec: Spec) -> Iterator[Place]:
    """Where the keys stand, as far as it is a plain row of words, or a number of them with the keys behind it."""
    first, last, step = spec.keys
    numbered = NUMBERED.get(spec.find_keys) if spec.find_keys is not None else None
    flags = WRITES if spec.writes else READS
    if numbered is not None:
        yield Place(flags, (numbered,), ("keynum", "0", "1", "1"))
    elif first:
        yield Place(flags, (str(first),), ("range", str(last - first if last > 0 else last), str(step), "0"))


def _place(place: Place, proto: int) -> bytes:
    begins = {1: ("index", "index"), 2: ("keyword", "keyword", "startfrom")}
    finds = {"range": ("lastkey", "keystep", "limit"), "keynum": ("keynumidx", "firstkey", "keystep")}
    begin, *names = ("unknown",) if place.begin[0] == UNKNOWN else begins[len(place.begin)]
    find = "unknown" if place.find[0] == UNKNOWN else place.find[0]
    pairs = [
        (text("flags"), set_of([simple(flag) for flag in place.flags], proto)),
        (text("begin_search"), _found(begin, zip(names, place.begin, strict=False), proto)),
        (text("find_keys"), _found(find, zip(finds.get(find, ()), place.find[1:], strict=False), proto)),
    ]
    return map_of(pairs, proto)


def _found(kind: str, facts: Iterable[tuple[str, str]], proto: int) -> bytes:
    pairs = [(text(name), text(value) if name == "keyword" else integer_reply(int(value))) for name, value in facts]
    return map_of([(text("type"), text(kind)), (text("spec"), map_of(pairs, proto))], proto)


@cache
def _docs(spec: Spec, proto: int) -> bytes:
    subs = [(text(sub.name), _doc(sub, spec.summary, proto)) for sub in subcommands(spec)]
    return _doc(_of(spec), spec.summary, proto, [(text("subcommands"), map_of(subs, proto))] if subs else [])


def _doc(known: Known, summary: str, proto: int, more: Sequence[tuple[bytes, bytes]] = ()) -> bytes:
    facts = {"summary": summary, "since": known.since, "group": known.group}
    return map_of([*[(text(key), text(value)) for key, value in facts.items()], *more], proto)
