"""`paxosstore demo`: three real nodes, writes through all of them, a kill -9 under load, a restart, a lost disk, a node that was
away for longer than its peers keep their logs, and the accounts.

Every step either holds or not; the exit code says whether all did.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..errors import PaxosStoreError
from ..services.card.client import CardClient
from ..services.card.rules import explain
from ..services.redis.layout.keyspace import REDIS_BASE
from .cluster import HOST, LocalCluster
from .resp_client import ReplyError, RespClient

LOAD_BEFORE_S = 1.0
LOAD_AFTER_S = 2.0
CATCH_UP_S = 20.0
REENTRY_S = 30.0
KEEP_S = 1.0
"""For how long the nodes keep their logs: a quarter of an hour, if nothing else is set."""
MORE_CARDS = 200
CARDS_AT_ONCE = 50
READ_AT_ONCE = 200
"""Keys of one MGET."""
CARD, OWNER = 4711, "Ada"
END_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""The nodes have sessions of their own, so closing the terminal must be passed on to them too."""


class StepFailed(Exception):
    """What was promised did not happen; the text says what."""


def expect(holds: bool, text: str) -> None:
    if not holds:
        raise StepFailed(text)


@dataclass(slots=True)
class Accounts:
    """Everything the demo was told is done, and what became of it."""

    acknowledged: int = 0
    keys: dict[str, bytes] = field(default_factory=dict)
    balances: dict[int, int] = field(default_factory=dict)
    lost: int | None = None
    gap_ms: float | None = None
    committed: list[int] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)

    def key(self, name: str, value: bytes) -> None:
        self.keys[name] = value
        self.acknowledged += 1

    def balance(self, card: int, balance: int) -> None:
        self.balances[card] = balance
        self.acknowledged += 1


class Writer:
    """Writes one key after the other, each until it is acknowledged, and goes to the next node when one fails."""

    def __init__(self, cluster: LocalCluster, at: int, accounts: Accounts, prefix: str = "writer") -> None:
        self._client = RespClient(cluster.redis_servers, at)
        self._accounts = accounts
        self._prefix = prefix
        self._stopped = False
        self.writes = 0
        self.gap_ms = 0.0
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Finish the write under way. Raises what ended the writer, if anything did."""
        self._stopped = True
        await self._task

    async def cancel(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        async with self._client as client:
            last = time.monotonic()
            while not self._stopped:
                name, value = f"{self._prefix}:{self.writes}", b"%d" % self.writes
                await client.repeat("SET", name, value)
                now = time.monotonic()
                self.gap_ms = max(self.gap_ms, (now - last) * 1000.0)
                last = now
                self.writes += 1
                self._accounts.key(name, value)


class Demo:
    """The steps, in order. `run` tells whether all of them held."""

    def __init__(self, cluster: LocalCluster, console: Console) -> None:
        self._cluster = cluster
        self._console = console
        self._accounts = Accounts()
        self._writer: Writer | None = None
        self._victim = 0
        self._fates: list[tuple[int, str]] = []
        """What became of which node."""
        self._number = 0

    async def run(self) -> bool:
        steps: tuple[tuple[str, Callable[[], Awaitable[None]]], ...] = (
            ("Three nodes start, with their data on disk", self._start),
            ("Cards: a change through one node is seen through every other", self._cards),
            ("Redis keys: the same, with any Redis client", self._redis),
            ("kill -9 of the preferred proposer, while a writer writes", self._kill),
            ("The node comes back and catches up, while the writer writes", self._restart),
            ("Node 2 loses its disk: killed, its directory emptied, started again", self._lose_disk),
            ("Node 0 was away while its peers cut their logs: it comes back by a copy of the data", self._stay_away),
            ("Everything acknowledged is read back through every node", self._verify),
        )
        held = True
        try:
            for title, step in steps:
                held = await self._step(title, step)
                if not held:
                    break
        finally:
            if self._writer is not None:
                await self._writer.cancel()
        self._console.print()
        self._console.print(self._table(held))
        return held

    async def _step(self, title: str, step: Callable[[], Awaitable[None]]) -> bool:
        self._number += 1
        self._console.print(f"\n[bold cyan]{self._number}.[/] [bold]{title}[/]")
        try:
            await step()
        except (StepFailed, PaxosStoreError, ReplyError, OSError) as error:
            self._console.print(f"   [bold red]FAILED[/] {type(error).__name__}: {escape(str(error))}", highlight=False)
            return False
        return True

    def _say(self, text: str) -> None:
        self._console.print(f"   [green]✓[/] {text}", highlight=False)

    # -- the steps

    async def _start(self) -> None:
        cluster = self._cluster
        cluster.init(plog_keep_seconds=KEEP_S)
        seconds = await asyncio.to_thread(cluster.start)
        self._say(f"serving after {seconds:.1f} s, data in {escape(str(cluster.directory))}")
        for node in range(cluster.nodes):
            self._say(f"node {node}: redis {HOST}:{cluster.redis_port(node)}  cards {HOST}:{cluster.card_port(node)}")

    async def _cards(self) -> None:
        servers = self._cluster.card_servers
        async with CardClient(servers[:1]) as zero, CardClient(servers[1:2]) as one, CardClient(servers[2:3]) as two:
            inserted = await zero.insert(CARD, user_name=OWNER, user_id=1, balance=100)
            expect(inserted.code == 0, f"the insert said: {explain(inserted.code)}")
            self._accounts.balance(CARD, 100)
            self._say(f"node 0: insert card {CARD} of {OWNER}, balance 100")
            updated = await one.update(CARD, -30)
            expect(updated.code == 0 and updated.card_info.balance == 70, f"the update said: {explain(updated.code)}")
            self._accounts.balance(CARD, 70)
            self._say("node 1: update by -30, balance 70")
            selected = await two.select(CARD)
            expect(selected.card_info.balance == 70, f"node 2 reads a balance of {selected.card_info.balance}, not 70")
            self._say("node 2: select, balance 70")
            refused = await two.update(CARD, -1_000)
            expect(refused.code == 8000, f"an overdraft said: {explain(refused.code)}")
            self._say(f"node 2: update by -1000 is refused: {refused.code} {explain(refused.code)}")

    async def _redis(self) -> None:
        for node in range(self._cluster.nodes):
            reader = (node + 1) % self._cluster.nodes
            name, value = f"greeting:{node}", b"hello from node %d" % node
            async with self._client(node) as client:
                await client.call("SET", name, value)
                self._accounts.key(name, value)
            async with self._client(reader) as client:
                expect(await client.call("GET", name) == value, f"node {reader} does not read what node {node} wrote")
            self._say(f"node {node}: SET {name}; node {reader}: GET gives it back")
        for node in range(self._cluster.nodes):
            async with self._client(node) as client:
                counted = await client.call("INCR", "visits")
            expect(counted == node + 1, f"INCR through node {node} gave {counted!r}, not {node + 1}")
            self._accounts.key("visits", b"%d" % (node + 1))
        self._say("INCR visits through node 0, 1, 2 gives 1, 2, 3")

    async def _kill(self) -> None:
        preferred = await asyncio.to_thread(self._cluster.preferred, 0, REDIS_BASE)
        expect(preferred is not None, "no entry of the keys' log says where it came from")
        self._victim = preferred or 0
        self._writer = Writer(self._cluster, self._victim, self._accounts)
        await asyncio.sleep(LOAD_BEFORE_S)
        before, gap_before = self._writer.writes, self._writer.gap_ms
        self._say(f"one writer, at node {self._victim}: {before} writes in {LOAD_BEFORE_S:g} s, longest gap {gap_before:.0f} ms")
        await asyncio.to_thread(self._cluster.kill, self._victim)
        self._say(f"kill -9 of node {self._victim}, the preferred proposer and the writer's own server")
        await asyncio.sleep(LOAD_AFTER_S)
        after = self._writer.writes - before
        expect(after > 0, "no write was acknowledged after the kill")
        self._accounts.gap_ms = self._writer.gap_ms
        self._say(
            f"{after} more writes in {LOAD_AFTER_S:g} s, longest gap between two writes [bold]{self._writer.gap_ms:.0f} ms[/]"
        )

    async def _restart(self) -> None:
        cluster, victim, writer = self._cluster, self._victim, self._writer
        assert writer is not None
        other = (victim + 1) % cluster.nodes
        seconds = await asyncio.to_thread(cluster.start, victim)
        self._fates.append((victim, "killed"))
        self._say(f"node {victim} serves again after {seconds:.1f} s")
        target = await asyncio.to_thread(cluster.committed, other)
        deadline = time.monotonic() + CATCH_UP_S
        shown = -1
        while (has := await asyncio.to_thread(cluster.committed, victim)) < target:
            if has != shown:
                self._say(f"node {victim} has {has} of {target} entries")
                shown = has
            expect(time.monotonic() < deadline, f"node {victim} has only {has} of {target} entries after {CATCH_UP_S:g} s")
            await asyncio.sleep(0.2)
        self._say(f"node {victim} has {has} entries: caught up with the {target} that node {other} had at its return")
        await writer.stop()
        self._accounts.gap_ms = writer.gap_ms
        self._say(f"the writer stops after {writer.writes} writes, longest gap of all {writer.gap_ms:.0f} ms")

    async def _lose_disk(self) -> None:
        cluster, node = self._cluster, 2
        async with CardClient(cluster.card_servers[:1]) as cards:
            for first in range(1, MORE_CARDS + 1, CARDS_AT_ONCE):
                some = range(first, first + CARDS_AT_ONCE)
                answers = await asyncio.gather(*(cards.insert(card, balance=card) for card in some))
                for card, inserted in zip(some, answers, strict=True):
                    expect(inserted.code == 0, f"the insert said: {explain(inserted.code)}")
                    self._accounts.balance(card, card)
        self._say(f"{MORE_CARDS} more cards, spread over entities, each with a log of its own")
        await asyncio.to_thread(cluster.kill, node)
        lost = await asyncio.to_thread(cluster.lose_disk, node)
        self._say(f"kill -9 of node {node}, its data directory is moved away to {escape(lost.name)}")
        self._writer = writer = Writer(cluster, 0, self._accounts, "without-2")
        seconds = await asyncio.to_thread(cluster.start, node)
        self._say(f"node {node} is started on an empty directory, and serves after {seconds:.1f} s, but votes on nothing yet")
        began, shown = time.monotonic(), ""
        while (reentry := (await asyncio.to_thread(cluster.status, node))["reentry"])["state"] != "member" or not reentry["done"]:
            if (told := reentry["described"]) != shown:
                self._say(f"node {node} {escape(told)}")
                shown = told
            expect(time.monotonic() < began + REENTRY_S, f"node {node} is no member again after {REENTRY_S:g} s")
            await asyncio.sleep(0.1)
        await writer.stop()
        self._fates.append((node, "lost its disk"))
        self._say(
            f"node {node} is a member again after {time.monotonic() - began:.1f} s: {reentry['passed']} of {reentry['entities']} "
            f"entities; {writer.writes} writes meanwhile, longest gap {writer.gap_ms:.0f} ms"
        )

    async def _stay_away(self) -> None:
        cluster, node, other = self._cluster, 0, 1
        has = (await asyncio.to_thread(cluster.status, node))["committed"][str(REDIS_BASE)]
        await asyncio.to_thread(cluster.kill, node)
        self._say(f"kill -9 of node {node}, which has entry {has} of the keys' log")
        self._writer = writer = Writer(cluster, other, self._accounts, "without-0")
        await asyncio.sleep(LOAD_AFTER_S)
        deadline = time.monotonic() + CATCH_UP_S
        expect(writer.writes > 0, f"no write was acknowledged without node {node}")
        while await asyncio.to_thread(cluster.has_row, other, REDIS_BASE, has + 1):
            expect(time.monotonic() < deadline, f"node {other} still has entry {has + 1} after {CATCH_UP_S:g} s")
            await asyncio.sleep(0.1)
        await writer.stop()
        self._say(f"{writer.writes} writes later the others have applied entry {has + 1} and deleted it from their logs")
        await asyncio.to_thread(cluster.start, node)
        target = await asyncio.to_thread(cluster.committed, other)
        while await asyncio.to_thread(cluster.committed, node) < target:
            expect(time.monotonic() < deadline, f"node {node} has not caught up after {CATCH_UP_S:g} s")
            await asyncio.sleep(0.1)
        copied = (await asyncio.to_thread(cluster.status, node))["counters"]["snapshots_installed"]
        expect(copied > 0, f"node {node} has caught up without a copy of the data")
        self._fates.append((node, "was away"))
        self._say(
            f"node {node} is back: it has copied the data of {copied} {'entity' if copied == 1 else 'entities'} from a peer"
        )

    async def _verify(self) -> None:
        accounts, cluster = self._accounts, self._cluster
        accounts.hashes = await asyncio.to_thread(cluster.wait_equal)
        accounts.committed = [await asyncio.to_thread(cluster.committed, node) for node in range(cluster.nodes)]
        lost: set[str] = set()
        for node in range(cluster.nodes):
            missing = await self._missing(node)
            lost |= missing
            self._say(f"node {node}: {len(accounts.keys)} keys and {len(accounts.balances)} cards read, {len(missing)} wrong")
        accounts.lost = len(lost)
        expect(not lost, f"{len(lost)} acknowledged writes are lost, such as {min(lost, default='')}")
        expect(len(set(accounts.hashes)) == 1, "the nodes' contents differ")
        self._say("the content hashes of all nodes are equal")

    async def _missing(self, node: int) -> set[str]:
        """What this node, asked like any other, does not give back as it was acknowledged."""
        names = list(self._accounts.keys)
        missing: set[str] = set()
        async with self._client(node) as client:
            for at in range(0, len(names), READ_AT_ONCE):
                some = names[at : at + READ_AT_ONCE]
                found = await client.call("MGET", *some)
                assert isinstance(found, list)
                missing |= {name for name, value in zip(some, found, strict=True) if value != self._accounts.keys[name]}
        balances = list(self._accounts.balances.items())
        async with CardClient([self._cluster.card_servers[node]]) as cards:
            for at in range(0, len(balances), CARDS_AT_ONCE):
                part = balances[at : at + CARDS_AT_ONCE]
                selections = await asyncio.gather(*(cards.select(card) for card, _ in part))
                for (card, balance), selected in zip(part, selections, strict=True):
                    if selected.card_info.balance != balance:
                        missing.add(f"card {card}")
        return missing

    def _client(self, node: int) -> RespClient:
        """A client of this node only."""
        return RespClient([self._cluster.redis_servers[node]], timeout_s=5.0)

    # -- the end

    def _table(self, held: bool) -> Table:
        accounts = self._accounts
        unknown = "not measured"
        table = Table(title="What happened", title_style="bold", show_header=False, min_width=60)
        table.add_row("acknowledged writes", str(accounts.acknowledged))
        table.add_row("lost writes", unknown if accounts.lost is None else str(accounts.lost))
        gap = accounts.gap_ms
        table.add_row("longest gap between two writes", unknown if gap is None else f"{gap:.0f} ms")
        for node, (entries, digest) in enumerate(zip(accounts.committed, accounts.hashes, strict=False)):
            fate = [text for number, text in self._fates if number == node]
            name = f"node {node}" + (f" ({', '.join(fate)})" if fate else "")
            table.add_row(f"{name}: entries, hash", f"{entries}  {digest[:16]}")
        table.add_row("every step held", "[bold green]yes[/]" if held else "[bold red]no[/]")
        return table


def ready_lines(cluster: LocalCluster) -> str:
    """What to paste into another terminal."""
    program = "paxosstore" if shutil.which("paxosstore") else f"{sys.executable} -m paxosstore.cli"
    redis = "\n".join(f"redis-cli -p {cluster.redis_port(node)} GET greeting:{node}" for node in range(cluster.nodes))
    servers = " ".join(f"--server {server}" for server in cluster.card_servers)
    snippet = f"""{sys.executable} -c "import redis; r = redis.Redis(port={cluster.redis_port(0)}); print(r.incr('visits'))" """
    status = " ".join(f"--server {HOST}:{cluster.http_port(node)}" for node in range(cluster.nodes))
    return "\n".join(
        (
            redis,
            snippet.strip(),
            f"{program} card select {CARD} {servers}",
            f"{program} card update {CARD} 5 {servers}",
            f"{program} status {status}",
            f"{program} inspect entity redis:0 --config {cluster.config(0)}",
        )
    )


async def run_demo(directory: Path, console: Console, stay: bool) -> int:
    """Run it in `directory`, which must exist; returns the exit code. Ends early, with 130, on one of END_SIGNALS."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    for number in END_SIGNALS:
        loop.add_signal_handler(number, task.cancel)
    staying = False
    held = False
    cluster = LocalCluster(directory)
    try:
        held = await Demo(cluster, console).run()
        if stay and held:
            console.print("\n[bold]Yours now.[/] Paste into another terminal:\n")
            # no frame and no folding: a line must survive being copied
            console.print(ready_lines(cluster), soft_wrap=True, markup=False, highlight=False)
            console.print("\nThe nodes run until [bold]Ctrl-C[/].")
            staying = True
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        if not staying:
            return 130
        console.print("\nStopping the nodes.")
    finally:
        # from here on a second Ctrl-C changes nothing: the nodes are stopped either way
        for number in END_SIGNALS:
            loop.add_signal_handler(number, lambda: None)
        cluster.close()
    return 0 if held else 1


def demo(once: bool = False) -> int:
    """What the command does; returns the exit code."""
    console = Console()
    directory = Path(tempfile.mkdtemp(prefix="paxosstore-demo-"))
    try:
        return asyncio.run(run_demo(directory, console, stay=not once and sys.stdout.isatty()))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
