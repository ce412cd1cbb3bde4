"""ACL: there is one user, who may do everything, and there are no passwords; and which commands are of which category."""

from __future__ import annotations

import secrets

from ..commands.spec import Spec
from ..reply import NOT_AN_INTEGER, OK, array, bulk, error, map_of, nil, text, wrong_arity
from ..resp import integer
from .handshake import DEFAULT_USER
from .known import redis7, subcommands
from .session import Session
from .spec import SessionSpec, misused

USER = DEFAULT_USER.decode()
FIXED = error("there is one user, who may do everything: users cannot be changed here")
NO_FILE = error(
    "This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and"
    " then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis"
    " configuration."
)
CATEGORIES = (
    *("keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo", "stream"),
    *("pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting"),
)
"""In Redis's order."""
_BY_GROUP = {
    "bitmap": "bitmap",
    "connection": "connection",
    "generic": "keyspace",
    "geo": "geo",
    "hash": "hash",
    "hyperloglog": "hyperloglog",
    "list": "list",
    "pubsub": "pubsub",
    "scripting": "scripting",
    "set": "set",
    "sorted-set": "sortedset",
    "stream": "stream",
    "string": "string",
    "transactions": "transaction",
}
_BY_FLAG = {"readonly": "read", "write": "write", "pubsub": "pubsub", "admin": "admin", "blocking": "blocking"}
_ALSO: dict[str, set[str]] = {
    **{key: {"keyspace"} for key in ("dbsize", "flushall", "flushdb", "swapdb")},
    **{key: {"list", "set", "sortedset"} for key in ("sort", "sort_ro")},
    **{key: {"connection"} for key in ("asking", "command", "readonly", "readwrite", "wait")},
    **{key: {"admin"} for key in ("lastsave", "role")},
}
_NOT: dict[str, set[str]] = {
    **{key: {"keyspace"} for key in ("sort", "sort_ro", "wait")},
    **{key: {"read", "write"} for key in ("eval", "eval_ro", "evalsha", "evalsha_ro", "fcall", "fcall_ro")},
}
"""What cannot be told by groups and flags."""
_DANGEROUS = frozenset(
    ("flushall", "flushdb", "info", "keys", "lastsave", "migrate", "restore", "role", "sort", "sort_ro", "swapdb")
)
_MAX_BITS = 4_096


def categories(spec: Spec) -> list[str]:
    """Those that a command is of, in Redis's order."""
    found = {_BY_FLAG[flag] for flag in spec.flags if flag in _BY_FLAG}
    found |= {_BY_GROUP[spec.group]} if spec.group in _BY_GROUP else set()
    found.add("fast" if "fast" in spec.flags else "slow")
    found = (found | _ALSO.get(spec.name, set())) - _NOT.get(spec.name, set())
    if spec.name in _DANGEROUS or "admin" in spec.flags:
        found.add("dangerous")
    return [name for name in CATEGORIES if name in found]


def cat(session: Session, args: list[bytes]) -> bytes:
    if len(args) > 3:
        return misused(args)
    if len(args) == 2:
        return array([text(name) for name in CATEGORIES])
    name = args[2].decode("latin-1").lower()
    if name not in CATEGORIES:
        return error(b"Unknown category '%b'" % args[2])
    found = []
    for spec in session.host.specs.values():
        own = redis7().get(spec.name)
        found += [spec.name] if name in (categories(spec) if own is None else own.categories) else []
        found += [sub.name for sub in subcommands(spec) if name in sub.categories]
    return array(list(map(text, found)))


def getuser(session: Session, args: list[bytes]) -> bytes:
    if args[2] != DEFAULT_USER:
        return nil(session.proto)
    facts = [
        ("flags", array([text("on"), text("nopass")])),
        ("passwords", array([])),
        ("commands", text("+@all")),
        ("keys", text("~*")),
        ("channels", text("&*")),
        ("selectors", array([])),
    ]
    return map_of([(text(name), value) for name, value in facts], session.proto)


def log(session: Session, args: list[bytes]) -> bytes:
    """Nobody is ever refused."""
    if len(args) > 3:
        return misused(args)
    if len(args) == 3 and args[2].upper() == b"RESET":
        return OK
    return array([]) if len(args) == 2 or integer(args[2]) is not None else NOT_AN_INTEGER


def genpass(session: Session, args: list[bytes]) -> bytes:
    bits = integer(args[2]) if len(args) == 3 else 256
    if bits is None:
        return NOT_AN_INTEGER
    if not 0 < bits <= _MAX_BITS:
        return error("ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096")
    digits = (bits + 3) // 4
    return bulk(secrets.token_hex(digits)[:digits].encode())


def dryrun(session: Session, args: list[bytes]) -> bytes:
    if args[2] != DEFAULT_USER:
        return error(b"User '%b' not found" % args[2])
    spec, words = session.host.specs.get(args[3].lower()), args[3:]
    if spec is None:
        return error(b"Command '%b' not found" % args[3][:128])
    if not spec.fits(len(words)):
        return wrong_arity(spec.name)
    if not spec.full_name(words):
        return error(b"Command '%b' not found" % args[3][:128])
    refusal = spec.fault(words) if isinstance(spec, SessionSpec) else None
    return refusal or OK
