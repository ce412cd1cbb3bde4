"""The commands that concern the session or its node alone, and with those on data: all there are."""

from __future__ import annotations

from ..commands.spec import Spec, index
from ..commands.table import DATA_COMMANDS
from ..reply import array, error, text
from . import acl, client, clustering, configuration, handshake, info, introspection, persistence, subscribe, timing, transactions
from .killing import client_kill
from .monitor import monitor
from .pausing import client_pause, client_unpause
from .sentinel import SENTINEL
from .spec import Local, SessionSpec, always

_ACL: dict[bytes, tuple[int, Local]] = {
    b"cat": (-2, acl.cat),
    b"deluser": (-3, always(acl.FIXED)),
    b"dryrun": (-4, acl.dryrun),
    b"genpass": (-2, acl.genpass),
    b"getuser": (3, acl.getuser),
    b"list": (2, always(array([text(f"user {acl.USER} on nopass ~* &* +@all")]))),
    b"load": (2, always(acl.NO_FILE)),
    b"log": (-2, acl.log),
    b"save": (2, always(acl.NO_FILE)),
    b"setuser": (-3, always(acl.FIXED)),
    b"users": (2, always(array([text(acl.USER)]))),
    b"whoami": (2, always(text(acl.USER))),
}
_CLIENT: dict[bytes, tuple[int, Local]] = {
    b"caching": (3, client.client_caching),
    b"getname": (2, client.client_getname),
    b"getredir": (2, client.client_getredir),
    b"id": (2, client.client_id),
    b"info": (2, client.client_info),
    b"kill": (-3, client_kill),
    b"list": (-2, client.client_list),
    b"no-evict": (3, client.client_no_evict),
    b"pause": (-3, client_pause),
    b"reply": (3, client.client_reply),
    b"setinfo": (4, client.client_setinfo),
    b"setname": (3, client.client_setname),
    b"tracking": (-3, client.client_tracking),
    b"trackinginfo": (2, client.client_trackinginfo),
    b"unblock": (-3, client.client_unblock),
    b"unpause": (2, client_unpause),
}
_COMMAND: dict[bytes, tuple[int, Local]] = {
    b"count": (2, introspection.command_count),
    b"docs": (-2, introspection.command_docs),
    b"getkeys": (-4, introspection.command_getkeys),
    b"getkeysandflags": (-4, introspection.command_getkeysandflags),
    b"info": (-2, introspection.command_info),
    b"list": (-2, introspection.command_list),
}
_CONFIG: dict[bytes, tuple[int, Local]] = {
    b"get": (-3, configuration.config_get),
    b"resetstat": (2, configuration.config_resetstat),
    b"rewrite": (2, configuration.config_rewrite),
    b"set": (-4, configuration.config_set),
}

_LATENCY: dict[bytes, tuple[int, Local]] = {
    b"doctor": (2, timing.latency_doctor),
    b"graph": (3, timing.latency_graph),
    b"help": (2, always(timing.HELP)),
    b"histogram": (-2, timing.latency_histogram),
    b"history": (3, timing.latency_history),
    b"latest": (2, timing.latency_latest),
    b"reset": (-2, timing.latency_reset),
}
_MODULE: dict[bytes, tuple[int, Local]] = {
    b"list": (2, always(array([]))),
    b"load": (-3, always(persistence.NO_MODULES)),
    b"loadex": (-3, always(persistence.NO_MODULES)),
    b"unload": (3, always(persistence.NO_MODULES)),
}
_SLOWLOG: dict[bytes, tuple[int, Local]] = {
    b"get": (-2, timing.slowlog_get),
    b"len": (2, timing.slowlog_len),
    b"reset": (2, timing.slowlog_reset),
}


def keys_under_uuid(args: list[bytes]) -> list[bytes]:
    """`find_keys` of PAXOS.ONCE: those of its command."""
    spec, words = SPECS.get(args[2].lower()), args[2:]
    return spec.key_names(words) if spec is not None and spec.fits(len(words)) and spec.name != "paxos.once" else []


_ITSELF = always(persistence.REPLICATES_ITSELF)
_SIGNAL = always(error("a node is stopped by SIGTERM, on its machine"))
_NO_DEBUG = always(error("DEBUG is not possible in a transaction"))


_STALE = ("loading", "stale")
_ALWAYS = ("noscript", "loading", "stale", "fast")
_ALONE = ("noscript", "loading", "stale", "fast", "allow_busy")
_EXEC = ("noscript", "loading", "stale", "skip_slowlog")
_ADMIN = ("admin", "noscript", "loading", "stale")
_SAVING = ("admin", "noscript", "no_async_loading")
_LISTEN = ("pubsub", "noscript", "loading", "stale")
_PUBLISH = ("pubsub", "loading", "stale", "fast")
_ALL = (1, -1, 1)
_CALL = ("write", "noscript", "no_multi")
_CALL_READ = ("readonly", "noscript", "no_multi")
_ENTITY = (2, 2, 1)
"""The entity stands where clients for clusters look for a key: they send it to any node."""
SESSION_COMMANDS = (
    # connection
    SessionSpec("auth", -2, "connection", "Authenticate; there are no passwords.", _ALWAYS, local=handshake.auth),
    SessionSpec("client", -2, "connection", "Name this connection, list those of this node.", (), subcommands=_CLIENT),
    SessionSpec("echo", 2, "connection", "Returns what it is given.", ("fast",), local=handshake.echo),
    SessionSpec("hello", -1, "connection", "Choose the version of the protocol.", _ALWAYS, local=handshake.hello),
    SessionSpec("ping", -1, "connection", "Whether the node answers.", ("fast",), local=handshake.ping),
    SessionSpec("quit", -1, "connection", "Close the connection.", _ALWAYS, local=handshake.quit_, at_once=True),
    SessionSpec(
        "reset", 1, "connection", "Bring the connection to its first state.", _ALWAYS, local=handshake.reset, at_once=True
    ),
    SessionSpec("select", 2, "connection", "Choose the database.", (*_STALE, "fast"), local=handshake.select),
    # transactions
    SessionSpec("discard", 1, "transactions", "Forget what is queued.", _ALONE, local=transactions.discard, at_once=True),
    SessionSpec("exec", 1, "transactions", "Run what is queued, all at one time.", _EXEC, at_once=True),
    SessionSpec("multi", 1, "transactions", "Queue commands from here on.", _ALONE, local=transactions.multi, at_once=True),
    SessionSpec(
        "paxos.once",
        -3,
        "transactions",
        "A command, or a transaction, that takes effect once under its uuid.",
        ("write", "noscript", "movablekeys", "no_multi"),
        find_keys=keys_under_uuid,
    ),
    SessionSpec("paxos.call", 5, "scripting", "Run a function of the application, once under its uuid.", _CALL, keys=_ENTITY),
    SessionSpec("paxos.read", 4, "scripting", "Run a function of the application that only reads.", _CALL_READ, keys=_ENTITY),
    SessionSpec("unwatch", 1, "transactions", "Watch no key any more.", _ALONE, local=transactions.unwatch),
    SessionSpec(
        "watch", -2, "transactions", "EXEC does nothing once one of these keys changes.", _ALONE, keys=_ALL, at_once=True
    ),
    # channels
    SessionSpec("psubscribe", -2, "pubsub", "Listen to the channels that fit patterns.", _LISTEN, local=subscribe.psubscribe),
    SessionSpec("publish", 3, "pubsub", "Tell those who listen to a channel.", _PUBLISH, local=subscribe.publish),
    SessionSpec(
        "pubsub", -2, "pubsub", "What clients of this node listen to.", ("pubsub", *_STALE), subcommands=subscribe.PUBSUB
    ),
    SessionSpec("punsubscribe", -1, "pubsub", "Listen to patterns no more.", _LISTEN, local=subscribe.punsubscribe),
    SessionSpec("spublish", 3, "pubsub", "Tell those who listen to a shard channel.", _PUBLISH, local=subscribe.spublish),
    SessionSpec("ssubscribe", -2, "pubsub", "Listen to shard channels.", _LISTEN, local=subscribe.ssubscribe),
    SessionSpec("subscribe", -2, "pubsub", "Listen to channels.", _LISTEN, local=subscribe.subscribe),
    SessionSpec("sunsubscribe", -1, "pubsub", "Listen to shard channels no more.", _LISTEN, local=subscribe.sunsubscribe),
    SessionSpec("unsubscribe", -1, "pubsub", "Listen to channels no more.", _LISTEN, local=subscribe.unsubscribe),
    # where the nodes are
    SessionSpec("asking", 1, "cluster", "Accepted: no slot is ever elsewhere.", ("fast",), local=clustering.ACCEPTED),
    SessionSpec("cluster", -2, "cluster", "Every slot is at every node.", _STALE, subcommands=clustering.CLUSTER),
    SessionSpec("readonly", 1, "cluster", "Accepted: any node reads.", _ALWAYS, local=clustering.ACCEPTED),
    SessionSpec("readwrite", 1, "cluster", "Accepted: any node writes.", _ALWAYS, local=clustering.ACCEPTED),
    SessionSpec("sentinel", -2, "sentinel", "Every node is the master.", _ADMIN, subcommands=SENTINEL),
    # this node
    SessionSpec("acl", -2, "server", "Who may do what: there is one user.", (), subcommands=_ACL),
    SessionSpec("bgrewriteaof", 1, "server", "Nothing has to be rewritten.", _SAVING, local=persistence.bgrewriteaof),
    SessionSpec("bgsave", -1, "server", "Everything is saved already.", _SAVING, local=persistence.bgsave),
    SessionSpec("module", -2, "server", "There are no modules.", ("admin", "noscript"), subcommands=_MODULE),
    SessionSpec("monitor", 1, "server", "Be told of every command.", _ADMIN, local=monitor),
    SessionSpec("latency", -2, "server", "How long commands take.", (), subcommands=_LATENCY),
    SessionSpec("debug", -2, "server", "For tests: looks at values, and changes nothing.", _ADMIN, local=_NO_DEBUG),
    SessionSpec("lastsave", 1, "server", "When all was saved: now.", ("loading", "stale", "fast"), local=persistence.lastsave),
    SessionSpec("failover", -1, "server", "Refused: every node is a master.", _ADMIN, local=_ITSELF),
    SessionSpec("psync", -3, "server", "Refused: nodes replicate by themselves.", _ADMIN, local=_ITSELF),
    SessionSpec("replconf", -1, "server", "Refused, as PSYNC.", _ADMIN, local=_ITSELF),
    SessionSpec("replicaof", 3, "server", "Refused, but for NO ONE.", _ADMIN, local=persistence.replicaof),
    SessionSpec(
        "shutdown",
        -1,
        "server",
        "Refused: a node is stopped by a signal.",
        _ADMIN,
        local=_SIGNAL,
    ),
    SessionSpec("slaveof", 3, "server", "Refused, but for NO ONE.", _ADMIN, local=persistence.replicaof),
    SessionSpec("sync", 1, "server", "Refused, as PSYNC.", _ADMIN, local=_ITSELF),
    SessionSpec("role", 1, "server", "Every node is a master.", _ALWAYS, local=persistence.role),
    SessionSpec("save", 1, "server", "Everything is saved already.", (*_SAVING, "no_multi"), local=persistence.save),
    SessionSpec("command", -1, "server", "What commands there are.", _STALE, local=introspection.command, subcommands=_COMMAND),
    SessionSpec("config", -2, "server", "Settings of this node.", _ADMIN, subcommands=_CONFIG),
    SessionSpec("info", -1, "server", "What this node can tell of itself.", _STALE, local=info.info),
    SessionSpec("slowlog", -2, "server", "The commands that took long.", (), subcommands=_SLOWLOG),
    SessionSpec("time", 1, "server", "The time by which keys expire.", ("loading", "stale", "fast"), local=info.time),
    SessionSpec("wait", 3, "generic", "How many replicas have the writes so far.", ("noscript",), local=info.wait),
)
_OWN = {spec.name for spec in SESSION_COMMANDS}
# in a transaction or outside of any the session publishes; in a script, the request does
ALL_COMMANDS: tuple[Spec, ...] = (*(spec for spec in DATA_COMMANDS if spec.name not in _OWN), *SESSION_COMMANDS)
TABLE = index(ALL_COMMANDS)
"""By name, in lower and in upper case."""
SPECS = {spec.name.encode(): spec for spec in ALL_COMMANDS}
"""By name, in lower case."""
