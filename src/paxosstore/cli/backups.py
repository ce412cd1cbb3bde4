"""`paxosstore backup`, `restore`, `export` and `import`: what of them is the command line's."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ParamSpec

import typer

from .. import __version__
from ..errors import InvalidRequest, PaxosStoreError

if TYPE_CHECKING:
    from ..storage.restoring import GivenUp

MB = 1_000_000
TERMINATED = 143
"""Exit code after SIGTERM: as of a program that it ends."""
P = ParamSpec("P")

Rate = Annotated[float, typer.Option("--rate", metavar="MB/S", min=0.1, help="Read and write no more than so much a second.")]
Number = Annotated[int | None, typer.Option("--number", metavar="N", help="Which backup; else the latest.", show_default=False)]


def backup(
    directory: Annotated[Path, typer.Argument(metavar="BACKUPS", help="The directory of backups; made if it is not there.")],
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="The node's configuration file.", show_default=False)
    ] = None,
    keep: Annotated[int, typer.Option(metavar="N", min=0, help="Remove all before the latest N of a member; 0: none.")] = 0,
    rate: Rate = 64.0,
    listing: Annotated[bool, typer.Option("--list", help="Show which backups there are.")] = False,
    checking: Annotated[bool, typer.Option("--check", help="Read a backup and compare it with its checksums.")] = False,
    number: Number = None,
) -> None:
    """Make a backup of a node, running or stopped, on its machine: whole, of one moment, and only as large as what is new in it.
    --list and --check look at what is there."""
    if (listing or checking) and (listing == checking or config is not None or keep):
        raise InvalidRequest("backup: --list and --check only look at what is there: use one of them, and no --config or --keep")
    if number is not None and not checking:
        raise InvalidRequest("backup: --number goes with --check alone: leave it out")
    if listing:
        return _list(directory)
    if checking:
        return _check(directory, number, rate)
    if config is None:
        raise InvalidRequest("backup: --config FILE is missing: name the configuration file of the node")
    return _take(directory, config, keep, rate)


def restore(
    backups: Annotated[Path, typer.Argument(metavar="BACKUPS", help="A directory of backups.")],
    directory: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="The data directory to make: empty, or none yet.")],
    node: Annotated[
        int | None, typer.Option(metavar="N", help="For which node; else the one that the backup is of.", show_default=False)
    ] = None,
    new_cluster: Annotated[
        str | None,
        typer.Option(
            "--new-cluster",
            metavar="NAME",
            help="Begin a new cluster of this name; do the same for each node.",
            show_default=False,
        ),
    ] = None,
    number: Number = None,
    rate: Rate = 64.0,
) -> None:
    """Make a node's data directory from a backup: of a node that has lost its disk, or of a new cluster (--new-cluster)."""
    from ..backup.folder import pick
    from ..backup.pace import Pace
    from ..backup.restore import restore as make

    done = make(pick(backups, number), directory, node, new_cluster, Pace(rate * MB))
    typer.echo(
        f"{directory}: node {done.node} of cluster {done.cluster!r}, as of {done.manifest.taken}: "
        f"{done.manifest.entities} entities, {_megabytes(done.manifest.bytes)}"
    )
    for line in _remarks(done.given_up, new=new_cluster is not None):
        typer.echo(line)


def export(
    output: Annotated[Path, typer.Argument(metavar="FILE", help="Where it goes; -: standard output.")],
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Of this node, running or stopped.", show_default=False)
    ] = None,
    backups: Annotated[
        Path | None, typer.Option("--backup", metavar="BACKUPS", help="Of a backup instead.", show_default=False)
    ] = None,
    number: Number = None,
    redis: Annotated[bool, typer.Option("--redis", help="The Redis keys, as commands for redis-cli --pipe.")] = False,
    with_uuids: Annotated[bool, typer.Option("--with-uuids", help="The store's own rows too: uuids and outcomes.")] = False,
) -> None:
    """Write all data of a node, as it is at one moment there, in a portable form: JSON lines (docs/OPERATING.md)."""
    from .checkpoints import checkpoint_of
    from .export import export_lines, export_redis, source_of_backup, source_of_checkpoint, written_to

    if (config is None) == (backups is None):
        raise InvalidRequest("export: either --config FILE or --backup BACKUPS is needed: name one of them")
    if number is not None and backups is None:
        raise InvalidRequest("export: --number goes with --backup: leave it out, or name the directory of backups")
    if redis and with_uuids:
        raise InvalidRequest("export: Redis commands carry no uuids: leave out --redis or --with-uuids")
    with ExitStack() as stack:
        if backups is not None:
            source = stack.enter_context(source_of_backup(backups, number))
        else:
            assert config is not None
            data_dir = _data_dir(config)
            source = stack.enter_context(source_of_checkpoint(stack.enter_context(checkpoint_of(config)), data_dir))
        out = stack.enter_context(written_to(output))
        if redis:
            exported = export_redis(source, out)
            said = f"{exported.keys} keys as {exported.commands} commands"
            said += f"; {exported.others} entities are none of Redis, and left out" if exported.others else ""
        else:
            counts = export_lines(source, out, own=with_uuids)
            said = f"{counts.rows} rows of {counts.entities} entities"
    typer.echo(f"{said}, as of {source.header.taken}", err=True)


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `paxosstore export` wrote, without --redis.")],
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="A running node of the cluster, on this machine.")
    ] = None,
    from_line: Annotated[int, typer.Option("--from-line", metavar="N", min=2, help="Go on where an import broke off.")] = 2,
    checking: Annotated[bool, typer.Option("--check", help="Read the file only: is it whole?")] = False,
    again: Annotated[bool, typer.Option("--again", help="Write what an earlier import has written, too.")] = False,
) -> None:
    """Write an export into a running cluster, over what is there under the same keys. What an earlier import of the same file has
    written is left as it is by now.

    Redis commands (export --redis) go in by: redis-cli -p PORT --pipe < FILE
    """
    from .config import load_config
    from .importing import FIRST_LINE, check, run

    if checking:
        if config is not None or again or from_line > FIRST_LINE:
            raise InvalidRequest("import: --check only reads the file: leave out --config, --again and --from-line")
        typer.echo(f"{file}: whole: {check(file)}")
        return
    if config is None:
        raise InvalidRequest("--config is missing: the file of a running node of the cluster to import into, on this machine")
    started = time.monotonic()
    done = run(file, load_config(config), from_line, again=again)
    remark = ""
    if done.earlier:
        remark += f"; {done.earlier} had been written by an earlier import of this file (--again writes them anew)"
    if done.skipped:
        remark += f"; {done.skipped} rows are uuids of the other cluster, and mean nothing here"
    typer.echo(f"{done.rows} rows written in {time.monotonic() - started:.1f} s{remark}")


def _data_dir(config: Path) -> Path:
    from .config import load_config

    return load_config(config).data_dir


def _remarks(lost: GivenUp, *, new: bool) -> Iterator[str]:
    if new and lost.behind:
        yield (
            f"OLD OR MISSING: {lost.behind} entities that the node had lost with its disk, or by damage, and not learned again "
            "by then. Use a backup of another node, if there is one"
        )
    if new and lost.entries:
        yield (
            f"GIVEN UP: {lost.entries} entries that the node had accepted and not applied. Whether they were chosen nobody can "
            "tell any more; clients may have been told that they were done"
        )
    if lost.stopped:
        yield f"{lost.stopped} entities are stopped, paxosstore status says why: see docs/OPERATING.md, Two values seen chosen"
    if new:
        yield "do the same for every node of the new cluster, with --node; it begins when all of them have started once"
    else:
        yield "it comes back like a node that lost its disk, and learns from its peers what is newer"


def _list(directory: Path) -> None:
    from ..backup.folder import complete, name_of
    from ..backup.manifest import read_manifest

    there = complete(directory)
    if not there:
        typer.echo(f"{directory}: there are no backups")
    for number in there:
        try:
            one = read_manifest(directory / name_of(number))
        except PaxosStoreError as error:
            typer.echo(f"{number}: {error}")
            continue
        typer.echo(
            f"{number}: {one.taken}, node {one.node} of cluster {one.cluster!r} ({one.state}), {one.entities} entities, "
            f"{one.entries} entries, {_megabytes(one.bytes)}"
        )


def _check(directory: Path, number: int | None, rate: float) -> None:
    from ..backup.folder import check, pick
    from ..backup.pace import Pace

    folder = pick(directory, number)
    manifest = check(folder, Pace(rate * MB))
    typer.echo(f"{folder}: whole: {len(manifest.files)} files, {_megabytes(manifest.bytes)}")


def _take(directory: Path, config: Path, keep: int, rate: float) -> None:
    from ..backup.manifest import MEMBER
    from ..backup.pace import Pace
    from ..backup.take import take
    from ..storage.directory import identity_of
    from .checkpoints import checkpoint_of

    data_dir = _data_dir(config)
    identity = identity_of(data_dir)
    with checkpoint_of(config) as place:
        taken = take(place, identity, data_dir, directory, Pace(rate * MB), keep, __version__)
    manifest = taken.manifest
    typer.echo(
        f"{taken.folder}: node {manifest.node} of cluster {manifest.cluster!r}, {manifest.entities} entities, "
        f"{_megabytes(manifest.bytes)}: {_megabytes(taken.copied_bytes)} copied, {_megabytes(taken.linked_bytes)} linked to the "
        f"node's files, {_megabytes(taken.kept_bytes)} as before"
    )
    if manifest.state != MEMBER:
        kept = "; older backups stay, whatever --keep says" if keep else ""
        typer.echo(f"THE NODE IS {manifest.state}, no member: its data may be old{kept}. Make a backup of another node, or later")
    if taken.gone:
        typer.echo(f"removed: {', '.join(map(str, taken.gone))}")


def _megabytes(size: int) -> str:
    return f"{size / MB:.1f} MB"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands: list[Callable[..., None]] = [backup, restore, export]
    for command in commands:
        app.command()(_ended_by_sigterm(command))
    app.command("import")(_ended_by_sigterm(import_))


def _ended_by_sigterm(command: Callable[P, None]) -> Callable[P, None]:
    """SIGTERM ends the command as an error does: what it has made and nobody needs goes, above all in the node's directory."""

    @wraps(command)
    def run(*arguments: P.args, **options: P.kwargs) -> None:
        if threading.current_thread() is not threading.main_thread():
            return command(*arguments, **options)
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
        try:
            command(*arguments, **options)
        finally:
            signal.signal(signal.SIGTERM, before)

    return run
