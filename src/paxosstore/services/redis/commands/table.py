"""The commands on data, as one table: the only place to add one."""

from __future__ import annotations

from ..types import generic, strings
from ..types.expiry import expire_command, persist, ttl_command
from .spec import Spec, index

_ONE = (1, 1, 1)
_ALL = (1, -1, 1)
_PAIRS = (1, -1, 2)
_READ = ("readonly",)
_FAST_READ = ("readonly", "fast")
_WRITE = ("write",)
_FAST_WRITE = ("write", "fast")
_GROWING = ("write", "denyoom")
_FAST_GROWING = ("write", "denyoom", "fast")


DATA_COMMANDS = (
    # strings
    Spec("get", 2, "string", "The value of a key.", _FAST_READ, strings.get, _ONE),
    Spec("set", -3, "string", "Set a key, whatever it was before.", _GROWING, strings.set_, _ONE),
    Spec("setnx", 3, "string", "Set a key that does not exist.", _FAST_GROWING, strings.setnx, _ONE),
    Spec("getset", 3, "string", "Set a key and return what it was.", _FAST_GROWING, strings.getset, _ONE),
    Spec("getdel", 2, "string", "Delete a key and return what it was.", _FAST_WRITE, strings.getdel, _ONE),
    Spec("mget", -2, "string", "The values of several keys.", _FAST_READ, strings.mget, _ALL),
    Spec("mset", -3, "string", "Set several keys.", _GROWING, strings.mset, _PAIRS),
    Spec("append", 3, "string", "Add to the end of a value.", _FAST_GROWING, strings.append, _ONE),
    Spec("strlen", 2, "string", "The length of a value.", _FAST_READ, strings.strlen, _ONE),
    Spec("incr", 2, "string", "Add one to a number.", _FAST_GROWING, strings.incr, _ONE),
    Spec("decr", 2, "string", "Subtract one from a number.", _FAST_GROWING, strings.decr, _ONE),
    Spec("incrby", 3, "string", "Add to a number.", _FAST_GROWING, strings.incrby, _ONE),
    Spec("decrby", 3, "string", "Subtract from a number.", _FAST_GROWING, strings.decrby, _ONE),
    # bits
    # hashes
    # lists
    # sets
    # sorted sets
    # geo
    # HyperLogLog
    # streams
    # keys of any kind
    Spec("del", -2, "generic", "Delete keys.", _WRITE, generic.delete, _ALL),
    Spec("unlink", -2, "generic", "Delete keys.", _FAST_WRITE, generic.delete, _ALL),
    Spec("exists", -2, "generic", "How many of these keys exist.", _FAST_READ, generic.exists, _ALL),
    Spec("type", 2, "generic", "The type of a key.", _FAST_READ, generic.type_, _ONE),
    Spec("ttl", 2, "generic", "Seconds until a key expires.", _FAST_READ, ttl_command(1000), _ONE),
    Spec("pttl", 2, "generic", "Milliseconds until a key expires.", _FAST_READ, ttl_command(1), _ONE),
    Spec("persist", 2, "generic", "Let a key live for ever.", _FAST_WRITE, persist, _ONE),
    Spec("expire", -3, "generic", "Expire a key in seconds.", _FAST_WRITE, expire_command("expire", 1000, True), _ONE),
    Spec("pexpire", -3, "generic", "Expire a key in milliseconds.", _FAST_WRITE, expire_command("pexpire", 1, True), _ONE),
    Spec("expireat", -3, "generic", "Expire a key at a second.", _FAST_WRITE, expire_command("expireat", 1000, False), _ONE),
    Spec("pexpireat", -3, "generic", "Expire a key at a millisecond.", _FAST_WRITE, expire_command("pexpireat", 1, False), _ONE),
    # databases
    Spec("scan", -2, "generic", "The keys of a database, page by page.", _READ, generic.scan, everywhere=True),
    Spec("dbsize", 1, "server", "The number of keys of a database.", _FAST_READ, generic.dbsize, everywhere=True),
    Spec("flushdb", -1, "server", "Delete every key of a database.", _WRITE, generic.flush, everywhere=True),
    Spec("flushall", -1, "server", "Delete every key of every database.", _WRITE, generic.flush, everywhere=True),
)
TABLE = index(DATA_COMMANDS)
