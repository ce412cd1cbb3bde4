"""`paxosstore init`: a commented configuration file for every node of a new cluster on this machine."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from ..errors import ConfigError
from ..services.redis.settings import RedisSettings
from ..settings import ClusterSettings, TuningSettings, check_name
from .config import LOCALHOST, Address, Addresses, AppSettings

PORTS_PER_NODE = 10
DEFAULT_BASE_PORT = 7400


def addresses_of(node: int, base_port: int) -> Addresses:
    """Where node i of a cluster made by `init` listens: base + 10 i for its peers, and the next three."""
    first = base_port + PORTS_PER_NODE * node
    return Addresses(*(Address(LOCALHOST, first + offset) for offset in range(4)))


def write_configs(
    directory: Path, nodes: int, base_port: int, cluster: str = "", app: str = "", app_path: Path | None = None
) -> list[Path]:
    """Write node-0.toml, node-1.toml, … and return their paths. Existing files are never touched. Raises ConfigError.

    `app`: "module:name" of an application, in `app_path` or the current directory.
    """
    AppSettings(app)
    settings = ClusterSettings(cluster or f"cluster-{secrets.token_hex(4)}", nodes)
    check_name(settings.cluster)
    highest = base_port + PORTS_PER_NODE * (nodes - 1) + 3
    if base_port < 1 or highest > 65_535:
        raise ConfigError(f"base-port: {base_port} to {highest} are not all ports: they must lie between 1 and 65535")
    paths = [directory / f"node-{node}.toml" for node in range(nodes)]
    for path in paths:
        if path.exists():
            raise ConfigError(f"{path}: exists already: name another directory, or remove the old cluster first")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for node, path in enumerate(paths):
            with path.open("x", encoding="utf-8") as file:
                file.write(render(node, settings, base_port, _app_lines(app, directory, app_path or Path.cwd())))
    except OSError as error:
        raise ConfigError(f"{error.filename or directory}: cannot be written: {error.strerror}") from error
    return paths


def _app_lines(app: str, directory: Path, app_path: Path) -> str:
    if not app:
        return '# module = "bank:app"\n# path = "."'
    path = os.path.relpath(app_path.resolve(), directory.resolve())
    return f"module = {json.dumps(app)}\npath = {json.dumps(path, ensure_ascii=False)}"


def render(node: int, cluster: ClusterSettings, base_port: int, app: str) -> str:
    """The configuration file of one node."""
    own = addresses_of(node, base_port)
    others = "\n\n".join(
        f"[[nodes]]  # node {number}\n{_address_lines(addresses_of(number, base_port))}" for number in range(cluster.nodes)
    )
    tuning, redis = TuningSettings(), RedisSettings()
    return f"""\
# paxosstore: node {node} of {cluster.nodes}. Start it with: paxosstore serve --config node-{node}.toml
# A new cluster begins when all of its nodes have started once; from then on a majority of them is enough.

# This node's number. It belongs to the data directory: never give a directory to another node, and never put back an old
# copy of it. If it is lost, start the node on an empty one: it comes back from the others.
node = {node}
# Where the data is kept; relative to this file.
data = "node-{node}"

# The same on every node, for the life of the cluster: a change makes the data directories unusable.
[cluster]
cluster = {json.dumps(cluster.cluster, ensure_ascii=False)}
nodes = {cluster.nodes}
# For how many entries of an entity the outcome of a request with a uuid is remembered.
uuid_window_entries = {cluster.uuid_window_entries}

# Where this node listens: "host:port", "[IPv6]:port", or a port of this machine. There is no authentication: keep it to a
# network that you trust. grpc = "off" leaves the card service out.
[listen]
{_address_lines(own)}

# Where every node is reached, this one included, in the order of their numbers.
{others}

# The Redis service. The keyspace must be the same on every node.
[redis]
# "db": databases 0 to 15, each atomic as a whole. "slots:N": one database over N entities, commands over several
# keys only within one of them.
keyspace = "db"
# What SENTINEL calls the cluster; as with CLUSTER, clients are told the nodes' addresses as they are listed above.
# master_name = "{redis.master_name}"
max_clients = {redis.max_clients}
max_bulk_bytes = {redis.max_bulk_bytes}
# What one client may leave unread, and what is held for all of them together, in bytes: above it, clients are closed.
# max_unread_bytes = {redis.max_unread_bytes}
# max_clients_bytes = {redis.max_clients_bytes}

# The HTTP service answers to its addresses, to localhost, to this machine's name and to those in this file. List other names
# by which it is asked, as ["store.example"]: a web page must not reach it under one of its own.
[http]
hosts = []

[log]
# "human" or "json"
format = "human"
# "debug", "info", "warning" or "error"
level = "info"

# An application's own functions, for PAXOS.CALL and paxosstore.Client: what holds them, as "module:name", and where the module
# is, relative to this file. The same on every node.
[app]
{app}

# What tunes this node alone. Change it here and send the node SIGHUP, or try it with `paxosstore set`. Shown are the defaults.
[tuning]
# How long an active proposer is left alone before this node competes with it.
# lease_ms = {tuning.lease_ms}
# Deadline of a request that brings none.
# request_timeout_ms = {tuning.request_timeout_ms}
# How long over the usual round trip a handed-over request may take before it is proposed here instead.
# handover_margin_ms = {tuning.handover_margin_ms}
# How long over the usual time a vote may take before the nodes that were not asked at first are asked too.
# widen_margin_ms = {tuning.widen_margin_ms}
# Requests that may wait for one entity, and that one entry may carry.
# max_queue_requests = {tuning.max_queue_requests}
# max_batch_requests = {tuning.max_batch_requests}
# What one request may write, in bytes.
# max_request_bytes = {tuning.max_request_bytes}
# What stays in the log for nodes that were away: an entry goes when one of these is exceeded. Who missed more copies data.
# plog_keep_entries = {tuning.plog_keep_entries}
# plog_keep_bytes = {tuning.plog_keep_bytes}
# plog_keep_seconds = {tuning.plog_keep_seconds}
# Entities kept in memory; the ones that were not used for longest leave it first.
# max_mem_entities = {tuning.max_mem_entities}
"""


def _address_lines(addresses: Addresses) -> str:
    return "\n".join(f'{name} = "{address}"' for name, address in addresses._asdict().items())
