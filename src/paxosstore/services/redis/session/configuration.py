"""CONFIG: the settings of this node. What clients may set is in parameters.py, and lasts until the node ends."""

from __future__ import annotations

from ....errors import TooLarge
from ..glob import MAX_PATTERN_BYTES, compile_glob
from ..layout import compact
from ..reply import OK, SYNTAX_ERROR, error, map_of, store_error, text
from .parameters import ALIASES, EVENTS, HIDDEN, MAX_VALUE_BYTES, parsed
from .session import Session


def config_get(session: Session, args: list[bytes]) -> bytes:
    size = sum(map(len, args[2:]))
    if size > MAX_PATTERN_BYTES:
        return error(f"patterns of {size} bytes are over the limit of {MAX_PATTERN_BYTES}", "TOOLARGE")
    words = [word.lower() for word in args[2:]]
    try:
        patterns = [compile_glob(word) for word in words]
    except TooLarge as refusal:
        return store_error(refusal)
    facts = session.host.parameters.all(session.host.settings) | {EVENTS: session.host.hub.events}
    found = []
    for key, value in facts.items():
        name = key.encode()
        if name in words or (key not in HIDDEN and any(pattern.fullmatch(name) for pattern in patterns)):
            found.append((text(key), text(value)))
    return map_of(found, session.proto)


def config_set(session: Session, args: list[bytes]) -> bytes:
    """All of it or nothing."""
    if len(args) % 2:
        return SYNTAX_ERROR
    parameters, settings = session.host.parameters, session.host.settings
    known = parameters.all(settings)
    wanted: dict[str, str] = {}
    for word, given in zip(args[2::2], args[3::2], strict=True):
        asked = word.decode("latin-1").lower()
        if asked not in known:
            return error(b"Unknown option or number of arguments for CONFIG SET - '%b'" % word[:128])
        name = compact.ALIASES.get(asked) or ALIASES.get(asked, asked)
        try:
            if len(given) > MAX_VALUE_BYTES:
                raise ValueError(f"a value of {len(given)} bytes is over the limit of {MAX_VALUE_BYTES}")
            if name in wanted:
                raise ValueError("duplicate parameter")
            wanted[name] = parsed(name, known[name], given.decode("utf-8", "replace"))
        except ValueError as fault:
            return error(f"CONFIG SET failed (possibly related to argument '{asked}') - {fault}")
    parameters.set(wanted)
    session.host.times.tune()
    if EVENTS in wanted:
        session.host.hub.notify(wanted[EVENTS])
    return OK


def config_resetstat(session: Session, args: list[bytes]) -> bytes:
    session.host.forget_counts()
    return OK


def config_rewrite(session: Session, args: list[bytes]) -> bytes:
    """What clients set is not kept."""
    return error("The server is running without a config file")
