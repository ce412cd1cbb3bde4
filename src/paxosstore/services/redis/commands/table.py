"""The commands on data, as one table: the only place to add one."""

from __future__ import annotations

from ..scripting import commands as scripts
from ..scripting import functions
from ..types import bits, generic, hashes, naming, publishing, sets, strings
from ..types.across import way_of
from ..types.debugging import debug, keys_of_debug, keys_of_memory, memory
from ..types.expiry import expire_command, expiretime_command, persist, ttl_command
from ..types.geo import places
from ..types.geo import search as geo
from ..types.hyperloglog import commands as hyperloglog
from ..types.lcs import lcs
from ..types.lists import ends, inside
from ..types.objects import keys_of_object, object_
from ..types.rdb import commands as rdb
from ..types.slots import cluster
from ..types.sorting import SORT, SORT_RO, keys_of_sort
from ..types.streams import claiming, entries, info, reading
from ..types.streams.reading import stream_keys
from ..types.zsets import members as zmembers
from ..types.zsets import pops as zpops
from ..types.zsets import ranges as zranges
from ..types.zsets.bounds import lex_range, score_range
from ..types.zsets.combine import combine_command, zintercard
from .spec import (
    Prepare,
    Spec,
    index,
    keys_after_number,
    keys_after_target,
    keys_after_timeout,
    keys_stored,
    reads_without,
)

_DEBUG = ("readonly", "admin", "loading", "stale")
_ONE = (1, 1, 1)
_ALL = (1, -1, 1)
_TWO = (1, 2, 1)
_BUT_LAST = (1, -2, 1)
_PAIRS = (1, -1, 2)
_READ = ("readonly",)
_FAST_READ = ("readonly", "fast")
_MOVABLE_READ = ("readonly", "movablekeys")
_WRITE = ("write",)
_FAST_WRITE = ("write", "fast")
_GROWING = ("write", "denyoom")
_FAST_GROWING = ("write", "denyoom", "fast")
_MOVABLE_GROWING = ("write", "denyoom", "movablekeys")
_WAITING = ("write", "noscript", "blocking")
_FAST_WAITING = ("write", "noscript", "blocking", "fast")
_MOVABLE_WRITE = ("write", "movablekeys")
_WAITING_GROWING = ("write", "denyoom", "noscript", "blocking")
_BLOCKING = ("write", "blocking", "movablekeys")
_BLOCKING_READ = ("readonly", "blocking", "movablekeys")
_PUBLISHING = ("pubsub", "loading", "stale", "fast")
_SCRIPT = ("write", "noscript", "stale", "skip_monitor", "no_mandatory_keys", "movablekeys")
_ALL_KNOW = ("write", "noscript")
_SCRIPT_READ = ("readonly", "noscript", "stale", "skip_monitor", "no_mandatory_keys", "movablekeys")


_RESTORE = Prepare(rdb.PREPARE_BYTES, rdb.prepared_restore)

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
    Spec("incrbyfloat", 3, "string", "Add to a number.", _FAST_GROWING, strings.incrbyfloat, _ONE),
    Spec("getex", -2, "string", "The value of a key; set when it expires.", _FAST_WRITE, strings.getex, _ONE),
    Spec("setex", 4, "string", "Set a key that expires in seconds.", _GROWING, strings.setex, _ONE),
    Spec("psetex", 4, "string", "Set a key that expires in milliseconds.", _GROWING, strings.psetex, _ONE),
    Spec("msetnx", -3, "string", "Set several keys if none exists.", _GROWING, strings.msetnx, _PAIRS),
    Spec("getrange", 4, "string", "A piece of a value.", _READ, strings.getrange, _ONE),
    Spec("substr", 4, "string", "A piece of a value.", _READ, strings.getrange, _ONE),
    Spec("setrange", 4, "string", "Overwrite a piece of a value.", _GROWING, strings.setrange, _ONE),
    Spec("lcs", -3, "string", "What two values have in common.", _READ, lcs, (1, 2, 1)),
    # bits
    Spec("setbit", 4, "bitmap", "Set or clear a bit.", _GROWING, bits.setbit, _ONE),
    Spec("getbit", 3, "bitmap", "A bit.", _FAST_READ, bits.getbit, _ONE),
    Spec("bitcount", -2, "bitmap", "How many bits are set.", _READ, bits.bitcount, _ONE),
    Spec("bitpos", -3, "bitmap", "The first bit that is set, or clear.", _READ, bits.bitpos, _ONE),
    Spec("bitop", -4, "bitmap", "Combine values bit by bit.", _GROWING, bits.bitop, (2, -1, 1)),
    Spec("bitfield", -2, "bitmap", "Numbers of any width in a value.", _GROWING, bits.bitfield, _ONE),
    Spec("bitfield_ro", -2, "bitmap", "Numbers of any width in a value.", _FAST_READ, bits.bitfield_ro, _ONE),
    # hashes
    Spec("hset", -4, "hash", "Set fields of a hash.", _FAST_GROWING, hashes.hset, _ONE),
    Spec("hmset", -4, "hash", "Set fields of a hash.", _FAST_GROWING, hashes.hmset, _ONE),
    Spec("hsetnx", 4, "hash", "Set a field that does not exist.", _FAST_GROWING, hashes.hsetnx, _ONE),
    Spec("hget", 3, "hash", "The value of a field.", _FAST_READ, hashes.hget, _ONE),
    Spec("hmget", -3, "hash", "The values of several fields.", _FAST_READ, hashes.hmget, _ONE),
    Spec("hdel", -3, "hash", "Delete fields.", _FAST_WRITE, hashes.hdel, _ONE),
    Spec("hexists", 3, "hash", "Whether a field exists.", _FAST_READ, hashes.hexists, _ONE),
    Spec("hlen", 2, "hash", "The number of fields.", _FAST_READ, hashes.hlen, _ONE),
    Spec("hstrlen", 3, "hash", "The length of a field's value.", _FAST_READ, hashes.hstrlen, _ONE),
    Spec("hkeys", 2, "hash", "All fields.", _READ, hashes.hkeys, _ONE),
    Spec("hvals", 2, "hash", "All values.", _READ, hashes.hvals, _ONE),
    Spec("hgetall", 2, "hash", "All fields and their values.", _READ, hashes.hgetall, _ONE),
    Spec("hincrby", 4, "hash", "Add to a number in a field.", _FAST_GROWING, hashes.hincrby, _ONE),
    Spec("hincrbyfloat", 4, "hash", "Add to a number in a field.", _FAST_GROWING, hashes.hincrbyfloat, _ONE),
    Spec("hrandfield", -2, "hash", "Random fields.", _READ, hashes.hrandfield, _ONE),
    Spec("hscan", -3, "hash", "The fields of a hash, page by page.", _READ, hashes.hscan, _ONE),
    # lists
    Spec("lpush", -3, "list", "Put elements at the left end.", _FAST_GROWING, ends.push_command(left=True), _ONE),
    Spec("rpush", -3, "list", "Put elements at the right end.", _FAST_GROWING, ends.push_command(left=False), _ONE),
    Spec(
        "lpushx", -3, "list", "LPUSH, if there is a list.", _FAST_GROWING, ends.push_command(left=True, only_existing=True), _ONE
    ),
    Spec(
        "rpushx", -3, "list", "RPUSH, if there is a list.", _FAST_GROWING, ends.push_command(left=False, only_existing=True), _ONE
    ),
    Spec("lpop", -2, "list", "Take elements from the left end.", _FAST_WRITE, ends.pop_command("lpop", left=True), _ONE),
    Spec("rpop", -2, "list", "Take elements from the right end.", _FAST_WRITE, ends.pop_command("rpop", left=False), _ONE),
    Spec("llen", 2, "list", "The number of elements.", _FAST_READ, inside.llen, _ONE),
    Spec("lrange", 4, "list", "The elements of a range.", _READ, inside.lrange, _ONE),
    Spec("lindex", 3, "list", "The element at an index.", _READ, inside.lindex, _ONE),
    Spec("lset", 4, "list", "Set the element at an index.", _GROWING, inside.lset, _ONE),
    Spec("linsert", 5, "list", "Put an element before or behind another.", _GROWING, inside.linsert, _ONE),
    Spec("lrem", 4, "list", "Take out elements of a value.", _WRITE, inside.lrem, _ONE),
    Spec("ltrim", 4, "list", "Keep a range alone.", _WRITE, inside.ltrim, _ONE),
    Spec("lpos", -3, "list", "Where elements of a value are.", _READ, inside.lpos, _ONE),
    Spec("lmove", 5, "list", "Move an element from an end to another.", _GROWING, ends.lmove, _TWO),
    Spec("rpoplpush", 3, "list", "Move an element from right to left.", _GROWING, ends.rpoplpush, _TWO),
    Spec(
        "lmpop",
        -4,
        "list",
        "Take elements from the first list that has some.",
        _MOVABLE_WRITE,
        ends.multi_pop_command(waits=False),
        find_keys=keys_after_number,
    ),
    Spec("blpop", -3, "list", "LPOP, waiting.", _WAITING, ends.blocking_pop_command(left=True), _BUT_LAST, timeout_at=-1),
    Spec("brpop", -3, "list", "RPOP, waiting.", _WAITING, ends.blocking_pop_command(left=False), _BUT_LAST, timeout_at=-1),
    Spec("blmove", 6, "list", "LMOVE, waiting.", _WAITING_GROWING, ends.blmove, _TWO, timeout_at=-1),
    Spec("brpoplpush", 4, "list", "RPOPLPUSH, waiting.", _WAITING_GROWING, ends.brpoplpush, _TWO, timeout_at=-1),
    Spec(
        "blmpop",
        -5,
        "list",
        "LMPOP, waiting.",
        ("write", "blocking", "movablekeys"),
        ends.multi_pop_command(waits=True),
        find_keys=keys_after_timeout,
        timeout_at=1,
    ),
    # sets
    Spec("sadd", -3, "set", "Add members to a set.", _FAST_GROWING, sets.sadd, _ONE),
    Spec("srem", -3, "set", "Remove members.", _FAST_WRITE, sets.srem, _ONE),
    Spec("sismember", 3, "set", "Whether it is a member.", _FAST_READ, sets.sismember, _ONE),
    Spec("smismember", -3, "set", "Whether each is a member.", _FAST_READ, sets.smismember, _ONE),
    Spec("smembers", 2, "set", "All members.", _READ, sets.smembers, _ONE),
    Spec("scard", 2, "set", "The number of members.", _FAST_READ, sets.scard, _ONE),
    Spec("spop", -2, "set", "Remove random members and return them.", _FAST_WRITE, sets.spop, _ONE),
    Spec("srandmember", -2, "set", "Random members.", _READ, sets.srandmember, _ONE),
    Spec("smove", 4, "set", "Move a member to another set.", _FAST_WRITE, sets.smove, (1, 2, 1)),
    Spec("sinter", -2, "set", "What is in all of these sets.", _READ, sets.sinter, _ALL),
    Spec("sunion", -2, "set", "What is in any of these sets.", _READ, sets.sunion, _ALL),
    Spec("sdiff", -2, "set", "What is in the first set alone.", _READ, sets.sdiff, _ALL),
    Spec("sinterstore", -3, "set", "Keep what is in all of these sets.", _GROWING, sets.sinterstore, _ALL),
    Spec("sunionstore", -3, "set", "Keep what is in any of these sets.", _GROWING, sets.sunionstore, _ALL),
    Spec("sdiffstore", -3, "set", "Keep what is in the first set alone.", _GROWING, sets.sdiffstore, _ALL),
    Spec(
        "sintercard", -3, "set", "How much is in all of these sets.", _MOVABLE_READ, sets.sintercard, find_keys=keys_after_number
    ),
    Spec("sscan", -3, "set", "The members of a set, page by page.", _READ, sets.sscan, _ONE),
    # sorted sets
    Spec("zadd", -4, "sorted-set", "Add members, or change their scores.", _FAST_GROWING, zmembers.zadd, _ONE),
    Spec("zincrby", 4, "sorted-set", "Add to the score of a member.", _FAST_GROWING, zmembers.zincrby, _ONE),
    Spec("zrem", -3, "sorted-set", "Remove members.", _FAST_WRITE, zmembers.zrem, _ONE),
    Spec("zscore", 3, "sorted-set", "The score of a member.", _FAST_READ, zmembers.zscore, _ONE),
    Spec("zmscore", -3, "sorted-set", "The scores of several members.", _FAST_READ, zmembers.zmscore, _ONE),
    Spec("zcard", 2, "sorted-set", "The number of members.", _FAST_READ, zmembers.zcard, _ONE),
    Spec("zrank", 3, "sorted-set", "How many are before a member.", _FAST_READ, zmembers.rank_command(reverse=False), _ONE),
    Spec("zrevrank", 3, "sorted-set", "How many are behind a member.", _FAST_READ, zmembers.rank_command(reverse=True), _ONE),
    Spec("zscan", -3, "sorted-set", "The members, page by page.", _READ, zmembers.zscan, _ONE),
    Spec("zcount", 4, "sorted-set", "How many have such scores.", _FAST_READ, zranges.count_command(score_range), _ONE),
    Spec("zlexcount", 4, "sorted-set", "How many have such names.", _FAST_READ, zranges.count_command(lex_range), _ONE),
    Spec("zrange", -4, "sorted-set", "A range of members.", _READ, zranges.range_command(), _ONE),
    Spec("zrangestore", -5, "sorted-set", "Keep a range of members.", _GROWING, zranges.zrangestore, _TWO),
    Spec("zrevrange", -4, "sorted-set", "A range, from the end.", _READ, zranges.range_command("rank", reverse=True), _ONE),
    Spec("zrangebyscore", -4, "sorted-set", "A range by scores.", _READ, zranges.range_command("score", reverse=False), _ONE),
    Spec("zrevrangebyscore", -4, "sorted-set", "It from the end.", _READ, zranges.range_command("score", reverse=True), _ONE),
    Spec("zrangebylex", -4, "sorted-set", "A range by names.", _READ, zranges.range_command("lex", reverse=False), _ONE),
    Spec("zrevrangebylex", -4, "sorted-set", "It from the end.", _READ, zranges.range_command("lex", reverse=True), _ONE),
    Spec("zremrangebyrank", 4, "sorted-set", "Remove a range.", _WRITE, zranges.remove_range_command(None), _ONE),
    Spec("zremrangebyscore", 4, "sorted-set", "Remove such scores.", _WRITE, zranges.remove_range_command(score_range), _ONE),
    Spec("zremrangebylex", 4, "sorted-set", "Remove such names.", _WRITE, zranges.remove_range_command(lex_range), _ONE),
    Spec("zpopmin", -2, "sorted-set", "Take the lowest.", _FAST_WRITE, zpops.pop_command(highest=False), _ONE),
    Spec("zpopmax", -2, "sorted-set", "Take the highest.", _FAST_WRITE, zpops.pop_command(highest=True), _ONE),
    Spec("bzpopmin", -3, "sorted-set", "ZPOPMIN, waiting.", _FAST_WAITING, zpops.BZPOPMIN, _BUT_LAST, timeout_at=-1),
    Spec("bzpopmax", -3, "sorted-set", "ZPOPMAX, waiting.", _FAST_WAITING, zpops.BZPOPMAX, _BUT_LAST, timeout_at=-1),
    Spec("zmpop", -4, "sorted-set", "Take from the first with some.", _MOVABLE_WRITE, zpops.ZMPOP, find_keys=keys_after_number),
    Spec(
        "bzmpop",
        -5,
        "sorted-set",
        "ZMPOP, waiting.",
        ("write", "blocking", "movablekeys"),
        zpops.BZMPOP,
        find_keys=keys_after_timeout,
        timeout_at=1,
    ),
    Spec("zrandmember", -2, "sorted-set", "Random members.", _READ, zpops.zrandmember, _ONE),
    *[
        Spec(f"z{name}", -3, "sorted-set", summary, _MOVABLE_READ, combine_command(name), find_keys=keys_after_number)
        for name, summary in (("union", "What is in any."), ("inter", "What is in all."), ("diff", "What is in the first alone."))
    ],
    Spec("zintercard", -3, "sorted-set", "How much is in all.", _MOVABLE_READ, zintercard, find_keys=keys_after_number),
    *[
        Spec(
            f"z{name}store",
            -4,
            "sorted-set",
            f"Keep what Z{name.upper()} says.",
            ("write", "denyoom", "movablekeys"),
            combine_command(name, stores=True),
            _ONE,
            find_keys=keys_after_target,
        )
        for name in ("union", "inter", "diff")
    ],
    # geo
    Spec("geoadd", -5, "geo", "Add places.", _GROWING, places.geoadd, _ONE),
    Spec("geopos", -2, "geo", "Where places are.", _READ, places.geopos, _ONE),
    Spec("geodist", -4, "geo", "The distance between two places.", _READ, places.geodist, _ONE),
    Spec("geohash", -2, "geo", "The geohashes of places.", _READ, places.geohash_, _ONE),
    Spec("geosearch", -7, "geo", "The places in a circle or a box.", _READ, geo.geosearch, _ONE),
    Spec("geosearchstore", -8, "geo", "Keep what GEOSEARCH finds.", _GROWING, geo.geosearchstore, _TWO),
    Spec(
        "georadius",
        -6,
        "geo",
        "The places around a point.",
        _MOVABLE_GROWING,
        geo.GEORADIUS,
        _ONE,
        keys_stored(6, b"STORE", b"STOREDIST"),
        only_reads=reads_without(b"STORE", b"STOREDIST"),
    ),
    Spec("georadius_ro", -6, "geo", "It, only reading.", _READ, geo.GEORADIUS_RO, _ONE),
    Spec(
        "georadiusbymember",
        -5,
        "geo",
        "The places around one.",
        _MOVABLE_GROWING,
        geo.BYMEMBER,
        _ONE,
        keys_stored(5, b"STORE", b"STOREDIST"),
        only_reads=reads_without(b"STORE", b"STOREDIST"),
    ),
    Spec("georadiusbymember_ro", -5, "geo", "It, only reading.", _READ, geo.BYMEMBER_RO, _ONE),
    # HyperLogLog
    Spec("pfadd", -2, "hyperloglog", "Count an element.", _FAST_GROWING, hyperloglog.pfadd, _ONE),
    Spec("pfcount", -2, "hyperloglog", "About how many different elements.", _READ, hyperloglog.pfcount, _ALL),
    Spec("pfmerge", -2, "hyperloglog", "Join HyperLogLogs.", _GROWING, hyperloglog.pfmerge, _ALL),
    Spec("pfdebug", 3, "hyperloglog", "What a HyperLogLog holds.", ("admin", *_GROWING), hyperloglog.pfdebug, (2, 2, 1)),
    # streams
    Spec("xadd", -5, "stream", "Append an entry.", _FAST_GROWING, entries.xadd, _ONE),
    Spec("xtrim", -4, "stream", "Drop the oldest entries.", _WRITE, entries.xtrim, _ONE),
    Spec("xdel", -3, "stream", "Delete entries by their ids.", _FAST_WRITE, entries.xdel, _ONE),
    Spec("xlen", 2, "stream", "How many entries there are.", _FAST_READ, entries.xlen, _ONE),
    Spec("xrange", -4, "stream", "Entries between two ids.", _READ, entries.xrange, _ONE),
    Spec("xrevrange", -4, "stream", "Entries between two ids, the last first.", _READ, entries.xrevrange, _ONE),
    Spec("xsetid", -3, "stream", "Set the last id.", _FAST_GROWING, entries.xsetid, _ONE),
    Spec(
        "xread",
        -4,
        "stream",
        "Entries behind an id, of several streams.",
        _BLOCKING_READ,
        reading.xread,
        find_keys=stream_keys,
        resumed=reading.from_now,
    ),
    Spec("xreadgroup", -7, "stream", "Entries for a consumer.", _BLOCKING, reading.xreadgroup, find_keys=stream_keys),
    Spec("xack", -4, "stream", "What a consumer is done with.", _FAST_WRITE, reading.xack, _ONE),
    Spec("xpending", -3, "stream", "What is not acknowledged yet.", _READ, claiming.xpending, _ONE),
    Spec("xclaim", -6, "stream", "Take over what is pending.", _FAST_WRITE, claiming.xclaim, _ONE),
    Spec("xautoclaim", -6, "stream", "Take over what has been pending for long.", _FAST_WRITE, claiming.xautoclaim, _ONE),
    Spec("xgroup", -2, "stream", "Create, set and drop groups and consumers.", _GROWING, info.xgroup, find_keys=info.second_key),
    Spec("xinfo", -2, "stream", "Facts of a stream.", _READ, info.xinfo, find_keys=info.second_key),
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
    Spec("expiretime", 2, "generic", "The second at which a key expires.", _FAST_READ, expiretime_command(1000), _ONE),
    Spec("pexpiretime", 2, "generic", "The millisecond at which a key expires.", _FAST_READ, expiretime_command(1), _ONE),
    Spec("touch", -2, "generic", "How many of these keys exist.", _FAST_READ, generic.exists, _ALL),
    Spec("rename", 3, "generic", "Give a key another name.", _WRITE, naming.rename, (1, 2, 1)),
    Spec("renamenx", 3, "generic", "Give a key a name that no key has.", _FAST_WRITE, naming.renamenx, (1, 2, 1)),
    Spec("copy", -3, "generic", "Copy a key.", _GROWING, naming.copy, (1, 2, 1), way_of=way_of),
    Spec("move", 3, "generic", "Move a key to another database.", _FAST_WRITE, naming.move, _ONE, way_of=way_of),
    Spec("object", -2, "generic", "How Redis would keep a value.", _READ, object_, find_keys=keys_of_object),
    Spec("dump", 2, "generic", "A value in the format of RDB.", _READ, rdb.dump, _ONE),
    Spec("restore", -4, "generic", "Set a key to what DUMP said.", _GROWING, rdb.restore, _ONE, prepare=_RESTORE),
    Spec("migrate", -6, "generic", "Move keys to another server: refused.", _MOVABLE_WRITE, rdb.migrate, (3, 3, 1)),
    # channels
    Spec("publish", 3, "pubsub", "Tell those who listen to a channel.", _PUBLISHING, publishing.publish),
    Spec("spublish", 3, "pubsub", "Tell those who listen to a shard channel.", _PUBLISHING, publishing.spublish),
    Spec(
        "sort",
        -2,
        "generic",
        "Elements in order.",
        _MOVABLE_GROWING,
        SORT,
        _ONE,
        keys_of_sort,
        only_reads=reads_without(b"STORE"),
    ),
    Spec("sort_ro", -2, "generic", "It, only reading.", _MOVABLE_READ, SORT_RO, _ONE),
    Spec("debug", -2, "server", "For tests: looks at values, and changes nothing.", _DEBUG, debug, find_keys=keys_of_debug),
    Spec("memory", -2, "server", "About how much memory a key takes.", _READ, memory, find_keys=keys_of_memory),
    Spec("cluster", -3, "cluster", "The keys of a slot.", ("readonly", "noscript"), cluster),
    # scripts
    Spec("eval", -3, "scripting", "Run a script.", _SCRIPT, scripts.EVAL, find_keys=scripts.keys_of),
    Spec("evalsha", -3, "scripting", "Run a script that is known.", _SCRIPT, scripts.EVALSHA, find_keys=scripts.keys_of),
    Spec("eval_ro", -3, "scripting", "Run a script that reads.", _SCRIPT_READ, scripts.EVAL_RO, find_keys=scripts.keys_of),
    Spec("evalsha_ro", -3, "scripting", "Run one that is known.", _SCRIPT_READ, scripts.EVALSHA_RO, find_keys=scripts.keys_of),
    Spec("fcall", -3, "scripting", "Call a function.", _SCRIPT, functions.FCALL, find_keys=scripts.keys_of),
    Spec("fcall_ro", -3, "scripting", "Call one that reads.", _SCRIPT_READ, functions.FCALL_RO, find_keys=scripts.keys_of),
    Spec("function", -2, "scripting", "Functions.", _ALL_KNOW, functions.function, everywhere=True, gather=functions.gather),
    Spec("script", -2, "scripting", "Known scripts.", _ALL_KNOW, scripts.script, everywhere=True, gather=scripts.gather),
    # databases
    Spec("keys", 2, "generic", "All keys that match a pattern.", _READ, generic.keys, everywhere=True),
    Spec("randomkey", 1, "generic", "A random key.", _READ, generic.randomkey, everywhere=True, gather=generic.gather_random),
    Spec("swapdb", 3, "server", "Exchange two databases: refused.", _FAST_WRITE, naming.swapdb, everywhere=True),
    Spec("scan", -2, "generic", "The keys of a database, page by page.", _READ, generic.scan, everywhere=True),
    Spec("dbsize", 1, "server", "The number of keys of a database.", _FAST_READ, generic.dbsize, everywhere=True),
    Spec("flushdb", -1, "server", "Delete every key of a database.", _WRITE, generic.flush, everywhere=True),
    Spec("flushall", -1, "server", "Delete every key of every database.", _WRITE, generic.flush, everywhere=True),
)
TABLE = index(DATA_COMMANDS)
READING = frozenset(spec.run for spec in DATA_COMMANDS if spec.reads)
"""What these commands look up is told (INFO)."""
