"""The command line. Each command imports what it needs when it runs, so that `--help` and `card` start quickly.

Whatever goes wrong ends in one line on standard error, `paxosstore: <what>: <remedy>`, and an exit code: 2 for wrong use,
else the error's own (`errors.py`); 141 where nobody reads what it prints.
"""

from __future__ import annotations

import errno
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from .. import __version__
from ..compiled import BUILD
from ..errors import DiskFull, InvalidRequest, PaxosStoreError
from . import backups
from .card import CardRefused, call

PROGRAM = "paxosstore"
NOBODY_READS = 141
"""Exit code where nobody reads standard output any more: as of a program that SIGPIPE ends."""
CARD_SERVERS = ["127.0.0.1:7402", "127.0.0.1:7412", "127.0.0.1:7422"]
HTTP_SERVERS = ["127.0.0.1:7403", "127.0.0.1:7413", "127.0.0.1:7423"]

app = typer.Typer(
    name=PROGRAM,
    help="A replicated, strongly consistent store that never elects a leader.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
card_app = typer.Typer(help="Call the card service of a running cluster.")
inspect_app = typer.Typer(help="Look into one node, running or stopped.")
app.add_typer(card_app, name="card")
app.add_typer(inspect_app, name="inspect")
backups.register(app)

ConfigOption = Annotated[Path, typer.Option("--config", metavar="FILE", help="The node's configuration file.")]
ConfigHere = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="The node's configuration file.", show_default=False)
]
CardServers = Annotated[
    list[str],
    typer.Option("--server", metavar="HOST:PORT", help="gRPC address of a node; repeat it for each node."),
]
HttpServer = Annotated[str, typer.Option("--server", metavar="HOST:PORT", help="HTTP address of the node.")]
CardId = Annotated[int, typer.Argument(metavar="CARD", help="The card's id, 0 to 2^64-1.", show_default=False)]
Timeout = Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=0.001, help="For all servers together.")]
Uuid = Annotated[
    str,
    typer.Option("--uuid", metavar="HEX", help="16 bytes in hex: repeat a call that may have happened under the same."),
]


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {__version__}, {BUILD}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", help="Say which version this is.", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where the files go; made if it is not there.")],
    nodes: Annotated[int, typer.Option(help="3 or 5.")] = 3,
    base_port: Annotated[
        int, typer.Option(help="Node i listens on this + 10 i for its peers, then +1 Redis, +2 gRPC, +3 HTTP.")
    ] = 7400,
    cluster: Annotated[str, typer.Option(help="The cluster's name; none: a random one.", show_default=False)] = "",
    application: Annotated[
        str,
        typer.Option(
            "--app", metavar="MODULE:NAME", help="An application here, whose functions clients call.", show_default=False
        ),
    ] = "",
) -> None:
    """Write a commented configuration file for each node of a new cluster on this machine."""
    from .init import write_configs

    paths = write_configs(directory, nodes, base_port, cluster, application)
    for path in paths:
        typer.echo(f"wrote {path}")
    typer.echo("Start each node in a terminal of its own; the cluster begins when all of them have started once:")
    for path in paths:
        typer.echo(f"  {PROGRAM} serve --config {shlex.quote(str(path))}")


@app.command()
def serve(
    config: ConfigOption,
    force_reentry: Annotated[
        bool,
        typer.Option(
            "--force-reentry",
            help="After a majority of the nodes have lost their disks: come back with the intact ones that there are. GIVES UP "
            "every write that only lost disks had taken, though it was acknowledged. Needed at one start only.",
        ),
    ] = False,
) -> None:
    """Run one node until SIGTERM or Ctrl-C. SIGHUP has it read its file again."""
    from .config import read_config

    content = read_config(config)
    content.check()
    from .serve import run

    run(content, force_reentry=force_reentry)


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Stop at the end, also in a terminal.")] = False,
) -> int:
    """Three nodes on this machine: writes, a kill -9, a restart, and a table of what happened."""
    from .demo import demo as run_demo

    return run_demo(once=once)


@app.command()
def status(
    servers: Annotated[
        list[str], typer.Option("--server", metavar="HOST:PORT", help="HTTP address of a node; repeat it.")
    ] = HTTP_SERVERS,
) -> int:
    """Show nodes, peers, entities, committed entries and queues. Ends with 1 if no node can serve requests, 3 if none answers."""
    from .watch import collect_status, console, exit_code, status_notes, status_table

    answers = collect_status(servers)
    console().print(status_table(answers))
    for note in status_notes(answers):
        console().print(note, highlight=False)
    return exit_code(answers)


@app.command("set")
def set_setting(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As in the file: plog_keep_seconds, redis.max_clients.")],
    value: Annotated[str | None, typer.Argument(metavar="VALUE", show_default=False)] = None,
    server: HttpServer = HTTP_SERVERS[0],
    reset: Annotated[bool, typer.Option("--reset", help="Go back to what the node's file says.")] = False,
) -> None:
    """Change a setting of a running node, until its restart. `paxosstore get` lists them."""
    from .change import change, told

    if (value is None) != reset:
        raise InvalidRequest("set: either a VALUE is needed, or --reset")
    typer.echo(told(change(server, name, value)))


@app.command("get")
def get_setting(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One of them; else all.", show_default=False)] = None,
    server: HttpServer = HTTP_SERVERS[0],
) -> None:
    """Show the settings of a running node, and which of them cannot change."""
    from .change import shown

    for line in shown(server, name):
        typer.echo(line)


@app.command()
def verify(
    entities: Annotated[
        str, typer.Option(metavar="A,B,C-D", help="These: numbers, or redis:DATABASE, slot:SLOT, card:CARD.", show_default=False)
    ] = "",
    database: Annotated[int | None, typer.Option(metavar="N", help="A Redis database.", show_default=False)] = None,
    everything: Annotated[bool, typer.Option("--all", help="All entities that the node has.")] = False,
    repair: Annotated[
        str,
        typer.Option(
            metavar="NODE/ENTITY", help="Copy this entity to this node, where a majority finds it wrong.", show_default=False
        ),
    ] = "",
    servers: Annotated[
        list[str], typer.Option("--server", metavar="HOST:PORT", help="HTTP address of a node; the first that answers does it.")
    ] = HTTP_SERVERS,
) -> int:
    """Compare the replicas of entities while they serve, each at one entry. Ends with 0 if all are equal, 1 if some differ, 3 if
    some could not be compared with all nodes, or there was nothing to compare."""
    from .verify import repair as run_repair
    from .verify import verify as run_verify
    from .verify import wanted

    if repair:
        if entities or everything or database is not None:
            raise InvalidRequest("verify: --repair goes alone")
        return run_repair(servers, repair)
    return run_verify(servers, wanted(entities, database, everything))


@app.command()
def sim(
    seed: Annotated[int | None, typer.Option(help="Run this one seed.", show_default=False)] = None,
    trace: Annotated[bool, typer.Option("--trace", help="With --seed: tell it as a story.")] = False,
    shrink: Annotated[bool, typer.Option("--shrink", help="With --seed: find the least part of it that still fails.")] = False,
    only: Annotated[str, typer.Option(metavar="PART", help="With --seed: run only this part, as --shrink prints it.")] = "",
    seeds: Annotated[int | None, typer.Option(help="Run so many seeds.", min=1, show_default=False)] = None,
    minutes: Annotated[float | None, typer.Option(help="Run seeds for so long.", min=0.001, show_default=False)] = None,
    first: Annotated[int, typer.Option(help="The first of many seeds.")] = 0,
    jobs: Annotated[int, typer.Option(help="Processes; 0: as many as there are cores.", min=0)] = 0,
    workload: Annotated[str, typer.Option(metavar="MODULE:NAME", help="Requests of your own instead of the standard ones.")] = "",
    keep: Annotated[Path | None, typer.Option(metavar="FILE", help="Add failing seeds to this file.", show_default=False)] = None,
) -> int:
    """Simulate a cluster under faults, all of it decided by a seed, and check what it promises. Ends with 1 if a check fails."""
    from .sim import run_many, run_one

    if seed is not None:
        return run_one(seed, workload, only, trace=trace, smaller=shrink)
    if trace or shrink or only:
        raise InvalidRequest("sim: --trace, --shrink and --only go with --seed")
    return run_many(first, seeds, minutes, jobs, workload, keep)


@inspect_app.callback()
def inspect(context: typer.Context, config: ConfigHere = None) -> None:
    context.obj = config


@inspect_app.command("entity")
def inspect_entity(
    context: typer.Context,
    entity: Annotated[str, typer.Argument(metavar="ID", help="A number, or redis:DATABASE, slot:SLOT, card:CARD.")],
    config: ConfigHere = None,
    entries: Annotated[
        str | None, typer.Option(metavar="A-B", help="Which entries; else the latest 20.", show_default=False)
    ] = None,
) -> None:
    """Show the pointers and rows of one entity: from the running node, else from its disk."""
    from .config import load_config
    from .watch import console, entity_table, look_at_entity, parse_entity

    number = parse_entity(entity)
    file = config or context.obj
    if file is None:
        raise InvalidRequest("inspect: --config FILE is missing: name the node's configuration file")
    found, source = look_at_entity(load_config(file), number, entries)
    console().print(entity_table(found, source))


@app.command()
def resume(
    entity: Annotated[str, typer.Argument(metavar="ID", help="A number, or redis:DATABASE, slot:SLOT, card:CARD.")],
    config: ConfigOption,
) -> None:
    """Serve an entity again that was stopped because its replicas differ, or because a chosen value could not be read. The first
    only on nodes whose data is right, and only when the data of the others is out of the way: docs/OPERATING.md, "Two values seen
    chosen"; the second once a version runs that can read it. The node must be stopped."""
    from .config import load_config
    from .resume import resume_entity
    from .watch import parse_entity

    number = parse_entity(entity)
    typer.echo(f"was: {resume_entity(load_config(config), number)}")
    typer.echo(f"entity {number} is served again when the node starts")


@card_app.command("insert")
def card_insert(
    card: CardId,
    balance: Annotated[int, typer.Option(help="The first balance, 0 or more.")] = 0,
    user_name: Annotated[str, typer.Option(help="Whose card it is.")] = "",
    user_id: Annotated[int, typer.Option(help="Number of that user.", min=0)] = 0,
    server: CardServers = CARD_SERVERS,
    uuid: Uuid = "",
    timeout: Timeout = 5.0,
) -> None:
    """Make a card."""
    key = _uuid(uuid)
    typer.echo(
        call(
            server,
            timeout,
            card,
            lambda client: client.insert(card, user_name=user_name, user_id=user_id, balance=balance, uuid=key),
        )
    )


@card_app.command("update", context_settings={"ignore_unknown_options": True})  # -5 is a delta, no option
def card_update(
    card: CardId,
    delta: Annotated[int, typer.Argument(metavar="DELTA", help="Added to the balance; may be negative.")],
    server: CardServers = CARD_SERVERS,
    uuid: Uuid = "",
    timeout: Timeout = 5.0,
) -> None:
    """Change a card's balance, which never goes below zero."""
    key = _uuid(uuid)
    typer.echo(call(server, timeout, card, lambda client: client.update(card, delta, uuid=key)))


@card_app.command("delete")
def card_delete(card: CardId, server: CardServers = CARD_SERVERS, uuid: Uuid = "", timeout: Timeout = 5.0) -> None:
    """Remove a card, and show what it was."""
    key = _uuid(uuid)
    typer.echo(call(server, timeout, card, lambda client: client.delete(card, uuid=key)))


@card_app.command("select")
def card_select(card: CardId, server: CardServers = CARD_SERVERS, timeout: Timeout = 5.0) -> None:
    """Show a card."""
    typer.echo(call(server, timeout, card, lambda client: client.select(card)))


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit code."""
    if not __debug__:
        return _fail("python -O switches off the checks that guard the data: run it without -O", 2)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its own lines on standard error are neither ours nor in our form
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = app(args=arguments or ["--help"], prog_name=PROGRAM, standalone_mode=False)
        if sys.stdout is not None:  # it may have been closed from the beginning
            sys.stdout.flush()
    except (SystemExit, BrokenPipeError) as ended:  # typer makes the one of the other
        if isinstance(ended, SystemExit) and not isinstance(ended.__context__, BrokenPipeError):
            raise
        return _close_output(NOBODY_READS)
    except OSError as error:
        from ..storage.damage import NO_SPACE

        if error.filename is not None or error.errno not in {*NO_SPACE, errno.EIO}:
            raise
        code = _close_output(DiskFull.exit_code)
        return _fail(f"standard output: {error.strerror}: make room there, or send it elsewhere", code)
    except PaxosStoreError as error:
        return _fail(str(error), error.exit_code)
    except CardRefused as refused:
        return _fail(str(refused), 1)
    except typer.TyperException as error:  # wrong use
        path = getattr(getattr(error, "ctx", None), "command_path", PROGRAM)
        message = str(getattr(error, "format_message", error.__str__)()).rstrip(".")
        if getattr(error, "option_name", "")[1:2].isdigit():
            message += ": what begins with - and is no option comes after --"
        return _fail(f"{message}: see {path} --help", 2)
    except typer.Abort:
        return 130
    return code if isinstance(code, int) else 0


def _close_output(code: int) -> int:
    """What is left for it goes nowhere, at the end of the process too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _uuid(text: str) -> bytes:
    try:
        return UUID(text).bytes if text else b""
    except ValueError:
        raise InvalidRequest(f"--uuid {text!r}: 32 hex digits are needed: leave it out to get a random one") from None


def _fail(text: str, code: int) -> int:
    print(f"{PROGRAM}: {' '.join(text.split())}", file=sys.stderr)
    return code
