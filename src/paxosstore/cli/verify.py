"""`paxosstore verify`: has a running node compare replicas, and says what it finds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import quote

from ..core.entry.ids import MAX_ENTITY
from ..errors import InvalidRequest, NodeError, NotServing
from ..runtime.doing import amount
from ..services.redis.layout.keyspace import DATABASES, MAX_SLOTS, REDIS_BASE, SLOT_BASE
from .config import Address, parse_address
from .watch import STRANGER, Unreachable, get, parse_entity

EQUAL, DIFFERENT, NOT_COMPARED = 0, 1, 3
"""Exit codes."""
LOOK_S = 0.5
QUICK_LOOK_S = 0.05
REPAIR_S = 600.0
"""How long a repair is waited for."""


class Found(NamedTuple):
    """How a job stands."""

    server: str
    """Which node does it."""
    done: bool
    error: str
    seconds: float
    entities: int
    size: int
    unknown: int
    """Of which no node has anything."""
    differing: int
    partial: int
    differing_entities: list[Mapping[str, Any]]
    partial_entities: list[Mapping[str, Any]]

    @property
    def exit_code(self) -> int:
        if self.differing:
            return DIFFERENT
        return NOT_COMPARED if self.partial or self.error or not self.compared else EQUAL

    @property
    def compared(self) -> int:
        """Entities that there are."""
        return self.entities - self.unknown


def wanted(entities: str, database: int | None, everything: bool) -> str:
    """Which entities to compare, as the node's page takes it. Raises InvalidRequest."""
    if (bool(entities) + (database is not None) + everything) != 1:
        raise InvalidRequest("verify: one of --entities, --database and --all is needed")
    if everything:
        return f"0-{MAX_ENTITY}"
    if database is not None:
        if not 0 <= database < DATABASES:
            raise InvalidRequest(f"verify: there is no Redis database {database}: they are 0 to {DATABASES - 1}")
        slots = f",{SLOT_BASE}-{SLOT_BASE + MAX_SLOTS - 1}" if database == 0 else ""
        return f"{REDIS_BASE + database}{slots}"
    return ",".join(dict.fromkeys(_entities(entities)))


def _entities(text: str) -> Iterator[str]:
    for part in text.split(","):
        first, dash, last = part.partition("-")
        yield str(parse_entity(first.strip())) + (f"-{parse_entity(last.strip())}" if dash else "")


def verify(servers: Sequence[str], entities: str) -> int:
    """Have the first node that answers compare, and print what it finds. Returns an exit code; raises NodeError, ConfigError."""
    addresses = [parse_address(server, "--server") for server in servers]
    found = _run(addresses, entities)
    for line in told(found):
        print(line)
    if not found.compared and not found.error:
        print(f"nothing was compared: {_why_nothing(parse_address(found.server, '--server'))}")
    return found.exit_code


def _why_nothing(server: Address) -> str:
    """What keeps a node from having what there is to compare, if anything does."""
    with suppress(NodeError, InvalidRequest, Unreachable, AttributeError):
        status = get(server, "/status")
        if why := status.get("not_ready_because"):
            return f"{server}: {why}"
        if down := [peer for peer, link in status.get("peers", {}).items() if not link.get("up")]:
            return f"{server} has none of these entities, and is not connected to {', '.join(down)}"
    return f"{server} has none of these entities: nothing was ever written to them"


def _run(servers: Sequence[Address], entities: str) -> Found:
    """A job, from its beginning to its end."""
    server, job = _start(servers, entities)
    try:
        found, pause_s = _look(server, job), QUICK_LOOK_S
        while not found.done:
            _progress(found)
            time.sleep(pause_s)
            pause_s = min(LOOK_S, 2 * pause_s)
            found = _look(server, job)
    finally:
        with suppress(NodeError, InvalidRequest, Unreachable):
            get(server, f"/verify?job={job}&cancel=1", changes=True)
    _progress(found, last=True)
    return found


def repair(servers: Sequence[str], what: str) -> int:
    """Have the data of one entity on one node copied from another node, if a majority agrees that it is wrong there alone.

    `what` is NODE/ENTITY. Returns an exit code; raises InvalidRequest if it is not so, NodeError, ConfigError.
    """
    number, slash, entity = what.partition("/")
    if not (slash and number.isascii() and number.isdigit() and len(number) <= 3):
        raise InvalidRequest(f"verify: --repair NODE/ENTITY is needed, as in 2/redis:0, not {what!r:.100}")
    node, one = int(number), parse_entity(entity)
    addresses = [parse_address(server, "--server") for server in servers]
    at = _address_of(node, addresses)
    found = _run(addresses, str(one))
    if found.exit_code != DIFFERENT:
        raise InvalidRequest(f"verify: entity {one} needs no repair: {'; '.join(told(found))}")
    (difference,) = found.differing_entities
    right = [other for other in difference["nodes"] if other not in difference["odd"]]
    if node not in difference["odd"] or not right:
        raise InvalidRequest(
            f"verify: a majority does not agree that node {node} alone is wrong: {difference['described']}: see docs/OPERATING.md"
        )
    try:
        get(at, f"/verify?renew={one}&from={right[0]}", changes=True)
    except Unreachable as error:
        maybe = "; it may copy the entity yet: look with `paxosstore verify`" if error.may_be_done else ""
        raise NotServing(f"node {node} does not answer any more: {error}{maybe}") from error
    print(f"entity {one} is copied from node {right[0]} to node {node}")
    deadline_s = time.monotonic() + REPAIR_S
    while (found := _run(addresses, str(one))).exit_code != EQUAL and time.monotonic() < deadline_s:
        time.sleep(LOOK_S)
    for line in told(found):
        print(line)
    return found.exit_code


def _address_of(node: int, servers: Sequence[Address]) -> Address:
    for server in servers:
        with suppress(NodeError, InvalidRequest, Unreachable):
            if get(server, "/status").get("node") == node:
                return server
    raise NotServing(f"node {node} does not answer at any of {', '.join(map(str, servers))}: name its HTTP address with --server")


def told(found: Found) -> Iterator[str]:
    """What was found, a line each."""
    for entity in found.differing_entities:
        yield f"entity {entity['entity']}: {entity['described']}"
        for key in entity["keys"]:
            values = "; ".join(f"node {node}: {value}" for node, value in key["values"].items())
            yield f"  {key['key']} at entry {key['entry']}: {values}"
        if entity["differing"] > len(entity["keys"]):
            yield f"  and {entity['differing'] - len(entity['keys'])} more keys"
    for entity in found.partial_entities:
        yield f"entity {entity['entity']}: {entity['described']}"
    hidden = found.differing + found.partial - len(found.differing_entities) - len(found.partial_entities)
    if hidden > 0:
        yield f"and {hidden} more entities"
    if found.unknown:
        yield f"no node has anything of {found.unknown} entities that were named"
    if found.error:
        yield f"ended early: {found.error}"
    yield (
        f"{found.entities} entities, {amount(found.size)} compared in {found.seconds:.1f} s by {found.server}: "
        f"{found.differing} differ, {found.partial} not compared with all nodes"
    )


def _start(servers: Sequence[Address], entities: str) -> tuple[Address, int]:
    """The node that does it, and its job."""
    silent = []
    for server in servers:
        try:
            job = get(server, f"/verify?entities={quote(entities)}", changes=True).get("job")
        except Unreachable as error:
            silent.append(str(error))
            continue
        if not isinstance(job, int):
            raise NodeError(f"{server}: {STRANGER}")
        return server, job
    raise NotServing("no node answers: " + "; ".join(silent))


def _look(server: Address, job: int) -> Found:
    try:
        now = get(server, f"/verify?job={job}")
        return Found(
            str(server),
            now["done"],
            now["error"],
            now["seconds"],
            now["entities"],
            now["bytes"],
            now.get("unknown", 0),
            now["differing"],
            now["partial"],
            now["differing_entities"],
            now["partial_entities"],
        )
    except Unreachable as error:
        raise NotServing(f"the node that compares does not answer any more: {error}") from error
    except InvalidRequest as error:  # the number is the node's own: it has begun a new life since
        raise NotServing(
            f"{server} has forgotten what it compared: it was stopped, or has replaced its store; ask again"
        ) from error
    except LookupError as error:
        raise NodeError(f"{server}: {STRANGER}") from error


def _progress(found: Found, *, last: bool = False) -> None:
    """One line in a terminal, written over and over."""
    if sys.stderr.isatty():
        line = f"{found.entities} entities, {amount(found.size)} in {found.seconds:.0f} s: {found.differing} differ"
        sys.stderr.write("\r" + " " * 70 + "\r" + ("" if last else line))
        sys.stderr.flush()
