"""`paxosstore status` and `paxosstore inspect`: what nodes say of themselves, or a stopped node's disk."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from ..core.entry.ids import MAX_ENTITY
from ..errors import DirectoryInUse, InvalidRequest, NodeError, NotServing
from ..services.http.pages import inspect_entries
from .asking import Unanswered, ask, query_of
from .config import Address, NodeConfig, as_in_a_file, parse_address

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PIPE_WIDTH = 140
TIMEOUT_S = 3.0
"""How long nothing may come of an answer."""
ANSWER_S = 10.0
"""When all of it has to be there."""
PROGRAM = "paxosstore"
STRANGER = "this is no paxosstore node's HTTP address"
MAX_GAPS = 10
MAX_STOPPED = 10
"""Stopped entities of a node that are shown."""
WORTH_BYTES, WORTH_MS = 1_000.0, 1.0
"""A second: what a job in the background takes is shown from here on."""
SLOWED = 0.995
"""Of the full pace: what is below it is said."""
MAX_ANSWER_BYTES = 64 * 1024 * 1024


class Unreachable(Exception):
    """Nothing answers at an address."""

    def __init__(self, what: str, *, may_be_done: bool = False) -> None:
        """`may_be_done`: the request was sent."""
        super().__init__(what)
        self.may_be_done = may_be_done


def get(server: Address, path: str, *, changes: bool = False) -> dict[str, Any]:
    """A node's answer to one of its JSON pages, or to an action. Raises Unreachable, InvalidRequest, or NodeError if it is no
    answer."""
    program = PROGRAM if changes else ""
    try:
        answer = ask(server, path, program=program, silent_s=TIMEOUT_S, within_s=ANSWER_S, most=MAX_ANSWER_BYTES)
        if answer.is_good:
            content = json.loads(answer.body)
    except Unanswered as error:
        raise Unreachable(f"{server}: {error}", may_be_done=True) from error
    except OSError as error:
        raise Unreachable(f"{server}: {error.strerror or error}") from error
    except (ValueError, RecursionError, http.client.HTTPException) as error:
        raise NodeError(f"{server}: {STRANGER}") from error
    if not answer.is_good:
        text = STRANGER if answer.text.startswith("<") else answer.text
        raise (InvalidRequest if answer.status == 400 else NodeError)(f"{server}: {text}")
    if not isinstance(content, dict):
        raise NodeError(f"{server}: {STRANGER}")
    return content


def console() -> Console:
    """Standard output; wide where nobody's terminal sets the width, so that nothing is cut off in a pipe."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)


# -- status


def collect_status(servers: Sequence[str]) -> list[tuple[str, Mapping[str, Any] | str]]:
    """(server, its /status or why there is none), asked all at once. Raises ConfigError for an address that is none."""
    addresses = [parse_address(server, "--server") for server in servers]

    def ask(server: Address) -> tuple[str, Mapping[str, Any] | str]:
        try:
            answer = get(server, "/status")
            _cells(answer)
            describe_background(answer.get("background", {}))
            return str(server), answer
        except (LookupError, TypeError, AttributeError):  # JSON of somebody else
            return str(server), STRANGER
        except (Unreachable, NodeError) as error:
            return str(server), str(error).removeprefix(f"{server}: ")

    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(ask, addresses))


def status_table(answers: Sequence[tuple[str, Mapping[str, Any] | str]]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    for name in ("server", "node", "state", "peers", "entities in memory", "committed entries", "waiting"):
        table.add_column(name, no_wrap=name == "server")
    for server, answer in answers:
        row = ["", f"[red]down[/red]: {escape(answer)}", "", "", "", ""] if isinstance(answer, str) else _cells(answer)
        table.add_row(escape(server), *row)
    return table


def _cells(answer: Mapping[str, Any]) -> list[str]:
    """What stands of a node beside its address. Raises LookupError, TypeError or AttributeError if this is no node's status."""
    from rich.markup import escape

    refused = answer["writes_refused_because"]
    state = f"[yellow]refuses writes[/yellow]: {escape(refused)}" if refused else "[green]up[/green]"
    if silent_ms := answer.get("disk_silent_ms"):
        state = f"[red]disk does not answer for {silent_ms / 1000:.1f} s[/red]"
    if not answer.get("reentry", {}).get("done", True):
        state += "\n[yellow]comes back[/yellow]"
    if unready := answer.get("not_ready_because", answer.get("no_quorum_because")):
        state = f"[red]{escape(unready)}[/red]"
    if stopped := answer.get("stopped"):
        state += f"\n[bold red]{len(stopped)} entities are stopped[/bold red]"
    if differing := answer.get("differing_entities"):
        state += f"\n[bold red]the data of {differing} entities differs[/bold red]"
    committed = f"{sum(answer['committed'].values())}{'' if answer['committed_complete'] else '+'}"
    waiting = f"{answer['waiting_requests']} requests\n{answer['waiting_events']} events"
    return [escape(str(answer["node"])), state, _peers(answer), escape(str(answer["entities_in_memory"])), committed, waiting]


def status_notes(answers: Sequence[tuple[str, Mapping[str, Any] | str]]) -> Iterator[str]:
    """What does not fit into the table: a line each, as markup."""
    from rich.markup import escape

    for _, answer in answers:
        if isinstance(answer, str):
            continue
        node = escape(f"node {answer['node']}")
        if build := answer.get("build"):
            yield f"{node} runs {escape(str(build))}"
        for line in answer.get("doing", ()):
            if line != answer.get("not_ready_because"):
                yield f"{node} {escape(str(line))}"
        if background := describe_background(answer.get("background", {})):
            yield f"{node} in the background: {escape(background)}"
        for name, one in answer.get("settings_changed", {}).items():
            value, file = escape(as_in_a_file(one["value"])), escape(as_in_a_file(one["file"]))
            yield f"{node}: set until the restart: {escape(name)} = {value} (the file: {file})"
        if trouble := answer.get("clock", {}).get("trouble"):
            yield f"{node}: [yellow]{escape(str(trouble))}[/yellow]"
        if trouble := answer.get("settings_trouble"):
            yield f"{node}: [yellow]its file was not read again[/yellow]: {escape(str(trouble))}"
        for why in list(answer.get("stopped", {}).values())[:MAX_STOPPED]:
            yield f"{node}: [bold red]{escape(str(why))}[/bold red]"
        for how in list(answer.get("differing", {}).values())[:MAX_STOPPED]:
            yield f"{node}: [bold red]THE DATA OF THE REPLICAS DIFFERS[/bold red]: {escape(str(how))}"


def describe_background(found: Mapping[str, Any]) -> str:
    """Which jobs have done something lately, and what they are held back by; empty: none has."""
    busy = []
    for job, usage in found.get("jobs", {}).items():
        if usage["bytes_per_second"] >= WORTH_BYTES or usage["ms_per_second"] >= WORTH_MS or usage["waits_ms"]:
            urgent = ", urgent" if usage["urgent"] else ""
            rates = f"{usage['bytes_per_second'] / 1e6:.2f} MB and {usage['ms_per_second']:.1f} ms a second{urgent}"
            busy.append(f"{job.replace('_', ' ')} {rates}")
    if not busy:
        return ""
    limits = f"{found['bytes_per_second'] / 1e6:.0f} MB and {found['ms_per_second']:.0f} ms a second"
    slowed = f", slowed down to {100 * found['pace']:.0f} %" if found["pace"] < SLOWED else ""
    return f"{'; '.join(busy)} (of {limits}{slowed})"


def exit_code(answers: Sequence[tuple[str, Mapping[str, Any] | str]]) -> int:
    """0 if a node that answers can serve requests, 1 if none of them can, 3 if no node answers."""
    answered = [answer for _, answer in answers if not isinstance(answer, str)]
    if not answered:
        return 3
    return 0 if any(not answer.get("not_ready_because", answer.get("no_quorum_because")) for answer in answered) else 1


def _peers(answer: Mapping[str, Any]) -> str:
    from rich.markup import escape

    lines = []
    for peer, link in answer["peers"].items():
        state = "[green]up[/green]" if link["up"] else "[red]down[/red]"
        queued = f", {link['queued_frames']} frames queued" if link["queued_frames"] else ""
        lines.append(f"{escape(peer)} {state}{escape(queued)}")
        if reason := link.get("down_reason"):
            lines.append(f"  {escape(reason)}")
    return "\n".join(lines)


# -- inspect


def parse_entity(text: str) -> int:
    """An entity's id: a number, or redis:DATABASE, slot:SLOT or card:CARD. Raises InvalidRequest."""
    from ..services.card.rules import entity_of
    from ..services.redis.layout.keyspace import DATABASES, MAX_SLOTS, REDIS_BASE, SLOT_BASE

    kind, colon, number = text.rpartition(":")
    most = {"": MAX_ENTITY, "redis": DATABASES - 1, "slot": MAX_SLOTS - 1, "card": MAX_ENTITY}.get(kind)
    if most is None or (colon and not kind) or not (number.isascii() and number.isdigit() and len(number) <= 20):
        raise InvalidRequest(f"{text!r:.100} is no entity: write a number from 0 to {MAX_ENTITY}, redis:0, slot:0 or card:0")
    if int(number) > most:
        raise InvalidRequest(f"{text!r:.100} is no entity: {kind or 'the number'} goes from 0 to {most}")
    base = {"redis": REDIS_BASE, "slot": SLOT_BASE}.get(kind, 0)
    return entity_of(int(number)) if kind == "card" else base + int(number)


def look_at_entity(config: NodeConfig, entity: int, entries: str | None) -> tuple[Mapping[str, Any], str]:
    """Pointers and rows of an entity, and where they come from: the running node, else its disk."""
    query = {"entity": str(entity)} | ({} if entries is None else {"entries": entries})
    try:
        return get(config.listen.http, f"/inspect?{query_of(query)}"), "running"
    except Unreachable as gone:
        try:
            return _look_at_disk(config, entity, entries), "stopped, from disk"
        except DirectoryInUse as error:
            raise NotServing(f"the node runs, but does not answer ({gone}): try again, or look at its log") from error


def _look_at_disk(config: NodeConfig, entity: int, entries: str | None) -> Mapping[str, Any]:
    from ..runtime.inspection import describe_entity
    from ..storage.directory import open_directory
    from ..storage.rocks import RocksStore

    with open_directory(config.data_dir, config.cluster, config.node, create=False) as directory:
        store = RocksStore(directory.store_path, read_only=True)
        try:
            return inspect_entries(partial(describe_entity, config.node, store, None), entity, entries)
        finally:
            store.close()


def _marks(found: Mapping[str, Any]) -> Iterator[str]:
    """What keeps an entity from being served, or from voting, a line each."""
    if gaps := found.get("gaps"):
        shown = [str(first) if first == last else f"{first}-{last}" for first, last in gaps]
        yield f"chosen, and not known here: {', '.join(shown[:MAX_GAPS])}{', ...' if len(shown) > MAX_GAPS else ''}"
    if found.get("floor"):
        yield f"floor {found['floor']}: below it this node only learns, for it has lost what it had promised there"
    if found.get("recovering"):
        yield "newer data is being copied from a peer, beside its own"
    if found.get("stopped"):
        yield found["stopped"]


def entity_table(found: Mapping[str, Any], source: str) -> Table:
    from rich.markup import escape
    from rich.table import Table

    pointers = ", ".join(
        f"{name.replace('_', ' ')} {'?' if entry is None else entry}" for name, entry in found["pointers"].items()
    )
    title = "\n".join((f"entity {found['entity']} on node {found['node']} ({source})", pointers, *_marks(found)))
    table = Table(title=escape(title), caption=escape(found.get("cut_off", "")) or None)
    for name in ("entry", "prepared", "promised", "accepted", "chosen", "value id", "value bytes"):
        table.add_column(name, overflow="fold")
    for row in found["rows"]:
        cells = [row["entry"], row["prepared"], row["promised"], row["accepted"], "yes" if row["chosen"] else ""]
        cells += ["" if row[name] is None else row[name] for name in ("value_id", "value_bytes")]
        table.add_row(*(escape(str(cell)) for cell in cells))
    return table
