"""The sections of INFO: Redis's fields, as far as there is a true figure for them."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Protocol

from ...compiled import BUILD
from ...errors import PaxosStoreError
from .layout.keys import LOOKUPS, after_expiry, keys_counted
from .layout.keyspace import DATABASES, REDIS_BASE, SLOT_BASE
from .pubsub.hub import Hub
from .room import Traffic
from .session.session import REDIS_VERSION
from .session.times import Times
from .session.topology import Topology
from .settings import RedisSettings
from .waiting.takings import NodeTakings

Section = dict[str, object]
Peek = Callable[[int, bytes, bytes], Iterator[tuple[bytes, bytes]]]
"""An entity's rows between two keys, as this node has applied them."""
MAX_SLOTS_COUNTED = 128
"""Each is a read, on the loop."""
MAX_EXPIRES = 1_000
"""Of a database: no more are counted."""
_PERSISTENCE: Section = {
    **dict.fromkeys(("loading", "async_loading", "rdb_changes_since_last_save", "rdb_bgsave_in_progress"), 0),
    "rdb_last_bgsave_status": "ok",
    **dict.fromkeys(("rdb_last_bgsave_time_sec", "rdb_current_bgsave_time_sec"), -1),
    "aof_enabled": 1,
    **dict.fromkeys(("aof_rewrite_in_progress", "aof_rewrite_scheduled"), 0),
    **dict.fromkeys(("aof_last_rewrite_time_sec", "aof_current_rewrite_time_sec"), -1),
    "aof_last_bgrewrite_status": "ok",
    **dict.fromkeys(("rdb_saves", "rdb_last_cow_size", "rdb_last_load_keys_expired", "rdb_last_load_keys_loaded"), 0),
    **dict.fromkeys(("aof_rewrites", "aof_rewrites_consecutive_failures", "aof_last_cow_size"), 0),
    **dict.fromkeys(("current_cow_peak", "current_cow_size", "current_cow_size_age"), 0),
    **dict.fromkeys(("current_save_keys_processed", "current_save_keys_total"), 0),
    **dict.fromkeys(("module_fork_in_progress", "module_fork_last_cow_size"), 0),
    "current_fork_perc": "0.00",
    "aof_last_write_status": "ok",
}
"""What is answered is on disk; nothing is ever saved behind."""
_NEVER_HAPPENS = (
    *("sync_full", "sync_partial_ok", "sync_partial_err", "evicted_keys", "latest_fork_usec", "total_forks"),
    *("migrate_cached_sockets", "tracking_total_keys", "tracking_total_items", "tracking_total_prefixes"),
    *("total_net_repl_input_bytes", "total_net_repl_output_bytes", "slave_expires_tracked_keys"),
    *("total_eviction_exceeded_time", "current_eviction_exceeded_time", "unexpected_error_replies"),
    *("active_defrag_hits", "active_defrag_misses", "active_defrag_key_hits", "active_defrag_key_misses"),
    *("expired_time_cap_reached_count", "reply_buffer_shrinks", "reply_buffer_expands"),
    *("total_active_defrag_time", "current_active_defrag_time", "io_threaded_reads_processed", "io_threaded_writes_processed"),
)
_NO_MEMORY = (
    *("mem_fragmentation_bytes", "mem_not_counted_for_evict", "mem_replication_backlog", "mem_total_replication_buffers"),
    *("mem_clients_slaves", "mem_cluster_links", "mem_aof_buffer"),
)
"""Of what there is not."""
_NO_ID = "0" * 40
_COUNTED = (
    *("total_connections_received", "total_commands_processed", "rejected_connections", "evicted_clients", "expired_keys"),
    *("client_output_buffer_limit_disconnections", "total_error_replies", "keyspace_hits", "keyspace_misses"),
    *("total_net_input_bytes", "total_net_output_bytes", "total_reads_processed", "total_writes_processed"),
    *("waiting_given_back", "waiting_given_back_unknown", "pubsub_messages_told"),
)
"""Of the section Stats: what CONFIG RESETSTAT begins anew."""


class Rates:
    """How much there was a second, in the last second or so."""

    def __init__(self) -> None:
        self.commands = self.kib_in = self.kib_out = 0.0
        self._before = (0, 0, 0, 0.0)

    def count(self, commands: int, traffic: Traffic, now_s: float) -> None:
        """So much there has been until now."""
        before, now = self._before, (commands, traffic.bytes_in, traffic.bytes_out, now_s)
        seconds = now_s - before[3]
        if seconds > 0:
            self.commands = (now[0] - before[0]) / seconds
            self.kib_in, self.kib_out = ((now[at] - before[at]) / seconds / 1_024 for at in (1, 2))
        self._before = now


class Source(Protocol):
    """What is told of a server."""

    hub: Hub
    settings: RedisSettings
    times: Times
    topology: Topology
    run_id: str
    rates: Rates
    traffic: Traffic
    takings: NodeTakings

    @property
    def port(self) -> int: ...

    @property
    def blocked(self) -> int:
        """Clients that wait for something to come."""
        ...

    @property
    def uptime_s(self) -> int: ...


class Counts(Protocol):
    """What it counts: RedisStatistics."""

    @property
    def connections(self) -> int: ...
    @property
    def connections_total(self) -> int: ...
    @property
    def connections_refused(self) -> int: ...
    @property
    def commands(self) -> int: ...
    @property
    def closed_unread(self) -> int: ...
    @property
    def closed_memory(self) -> int: ...
    @property
    def held_bytes(self) -> int: ...


def sections(source: Source, counts: Counts) -> dict[str, Section]:
    """All that a server knows of itself."""
    return {
        "Server": _server(source),
        "Clients": {
            "connected_clients": counts.connections,
            "cluster_connections": 0,
            "maxclients": source.settings.max_clients,
            "blocked_clients": source.blocked,
            "tracking_clients": 0,
            "clients_in_timeout_table": 0,
        },
        "Memory": _memory(counts.held_bytes),
        "Persistence": _PERSISTENCE | {"rdb_last_save_time": int(time.time())},
        "Stats": _stats(source, counts),
        "Replication": {
            "role": "master",
            "connected_slaves": 0,
            "master_failover_state": "no-failover",
            "master_replid": source.topology.members("")[0].id,
            "master_replid2": _NO_ID,
            "master_repl_offset": 0,
            "second_repl_offset": -1,
            **dict.fromkeys(("repl_backlog_active", "repl_backlog_size", "repl_backlog_first_byte_offset"), 0),
            "repl_backlog_histlen": 0,
        },
        "CPU": _cpu(),
        "Modules": {},
        "Cluster": {"cluster_enabled": 0},
    }


def _server(source: Source) -> Section:
    return {
        "redis_version": REDIS_VERSION,
        "redis_git_sha1": "00000000",
        "redis_git_dirty": 0,
        "redis_build_id": "0",
        "redis_mode": "standalone",
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "arch_bits": 64,
        "multiplexing_api": "asyncio",
        "process_id": os.getpid(),
        "process_supervised": "no",
        "run_id": source.run_id,
        "paxosstore_version": _version(),
        "paxosstore_build": BUILD,
        "tcp_port": source.port,
        "server_time_usec": time.time_ns() // 1_000,
        "uptime_in_seconds": source.uptime_s,
        "uptime_in_days": source.uptime_s // 86_400,
        "hz": 1,
        "configured_hz": 1,
        "executable": sys.executable,
        "config_file": "",
        "io_threads_active": 0,
    }


def _memory(clients_bytes: int) -> Section:
    """That of the process: what its data takes of it is not told apart."""
    used = resident_bytes()
    peak = max(_peak_bytes(), used)
    sizes = {
        "used_memory": used,
        "used_memory_rss": used,
        "used_memory_peak": peak,
        "total_system_memory": _total_bytes(),
        "maxmemory": 0,
    }
    told: Section = {}
    for name, size in sizes.items():
        told |= {name: size, f"{name}_human": human(size)}
    return told | {
        "used_memory_peak_perc": f"{100 * used / max(1, peak):.2f}%",
        "maxmemory_policy": "noeviction",
        "mem_fragmentation_ratio": "1.00",
        "mem_clients_normal": clients_bytes,
        **dict.fromkeys(_NO_MEMORY, 0),
        "mem_allocator": "libc",
        "active_defrag_running": 0,
        "lazyfree_pending_objects": 0,
        "lazyfreed_objects": 0,
    }


def _stats(source: Source, counts: Counts) -> Section:
    hub = source.hub
    return {
        "total_connections_received": counts.connections_total,
        "total_commands_processed": counts.commands,
        "instantaneous_ops_per_sec": round(source.rates.commands),
        "total_net_input_bytes": source.traffic.bytes_in,
        "total_net_output_bytes": source.traffic.bytes_out,
        "instantaneous_input_kbps": f"{source.rates.kib_in:.2f}",
        "instantaneous_output_kbps": f"{source.rates.kib_out:.2f}",
        "total_reads_processed": source.traffic.reads,
        "total_writes_processed": source.traffic.writes,
        "rejected_connections": counts.connections_refused,
        "client_output_buffer_limit_disconnections": counts.closed_unread,
        "evicted_clients": counts.closed_memory,
        "total_error_replies": source.times.error_replies,
        "keyspace_hits": LOOKUPS.hits,
        "keyspace_misses": LOOKUPS.misses,
        "waiting_given_back": source.takings.given_back,
        "waiting_given_back_unknown": source.takings.lost_back,
        "pubsub_channels": len(hub.channels()),
        "pubsub_patterns": hub.patterns,
        "pubsubshard_channels": len(hub.channels(shard=True)),
        "pubsub_messages_told": hub.told,
        **dict.fromkeys(_NEVER_HAPPENS, 0),
        **dict.fromkeys(("instantaneous_input_repl_kbps", "instantaneous_output_repl_kbps"), "0.00"),
    }


def counted(told: Mapping[str, Section]) -> dict[str, int]:
    """What of the sections is counted from CONFIG RESETSTAT on."""
    stats = told["Stats"]
    return {name: count for name in _COUNTED if isinstance(count := stats.get(name), int)}


def _cpu() -> Section:
    with suppress(ImportError):
        import resource  # not on every system

        told: Section = {}
        kinds = [(resource.RUSAGE_SELF, ""), (resource.RUSAGE_CHILDREN, "_children")]
        if sys.platform == "linux":
            kinds.append((resource.RUSAGE_THREAD, "_main_thread"))  # the loop's, where INFO is answered
        for who, name in kinds:
            used = resource.getrusage(who)
            told |= {f"used_cpu_sys{name}": f"{used.ru_stime:.6f}", f"used_cpu_user{name}": f"{used.ru_utime:.6f}"}
        return told
    return {}


def keyspace(peek: Peek, slots: int) -> Section:
    """How many keys each database has, as this node has applied it: `expires` counts up to MAX_EXPIRES of them."""
    if slots > MAX_SLOTS_COUNTED:
        return {}
    found: Section = {}
    databases = [range(SLOT_BASE, SLOT_BASE + slots)] if slots else [(REDIS_BASE + number,) for number in range(DATABASES)]
    for number, entities in enumerate(databases):
        try:
            keys = sum([keys_counted(peek, entity) for entity in entities])
            if keys:
                expires = sum([_expires(peek, entity) for entity in entities])
                found[f"db{number}"] = f"keys={keys},expires={min(expires, MAX_EXPIRES)},avg_ttl=0"
        except PaxosStoreError:  # its store is being replaced
            return {}
    return found


def _expires(peek: Peek, entity: int) -> int:
    return sum(1 for _ in islice(peek(entity, *after_expiry(0)), MAX_EXPIRES))


def human(size: int) -> str:
    """As Redis writes sizes."""
    if size < 1_024:
        return f"{size}B"
    for power, unit in enumerate("KMGTPE", 1):
        if size < 1_024 ** (power + 1):
            return f"{size / 1_024**power:.2f}{unit}"
    return f"{size}B"


def _version() -> str:
    from importlib import metadata  # rare, and not free to import

    try:
        return metadata.version("paxosstore")
    except metadata.PackageNotFoundError:
        return "unknown"


def resident_bytes() -> int:
    """The memory of this process; at most, where only that is known; 0 where nothing is."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return _peak_bytes()


def _total_bytes() -> int:
    with suppress(AttributeError, OSError, ValueError):  # not on every system
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return 0


def _peak_bytes() -> int:
    with suppress(ImportError):
        import resource  # not on every system

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024
    return 0


def more(peek: Peek, slots: int, expired: Callable[[], int]) -> Callable[[], Mapping[str, Mapping[str, object]]]:
    """What a node adds: its data, and how many keys it has deleted because they had expired."""
    return lambda: {"Stats": {"expired_keys": expired()}, "Keyspace": keyspace(peek, slots)}
