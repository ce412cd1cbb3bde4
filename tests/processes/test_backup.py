"""Real nodes and the real commands: backups under load, both ways of restoring, what is killed half-way, the wrong cluster."""

from __future__ import annotations

import asyncio
import re
import secrets
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import hiredis
import pytest

from paxosstore.cli.cluster import HOST, PROGRAM, LocalCluster
from paxosstore.cli.config import load_config
from paxosstore.cli.main import main
from paxosstore.cli.resp_client import RespClient
from paxosstore.services.card.client import CardClient
from paxosstore.services.http.request import CHANGE_HEADER

from .load import Load
from .test_disk_full import small_disk as small_disk
from .test_lost_disk import check_all, lose, reentry, until, until_member, write


async def command(*words: object) -> int:
    """A command of the program in this process: its exit code."""
    return await asyncio.to_thread(main, [str(word) for word in words])


def change(cluster: LocalCluster, node: int, path: str) -> urllib.request.Request:
    """A request that changes something, as the program sends it."""
    url = f"http://{HOST}:{cluster.http_port(node)}{path}"
    return urllib.request.Request(url, method="POST", headers={CHANGE_HEADER.decode(): "test"})


def started(*words: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*PROGRAM, *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


async def backup(cluster: LocalCluster, backups: Path, node: int = 0, *options: object) -> None:
    assert await command("backup", backups, "--config", cluster.config(node), *options) == 0


def test_a_backup_under_load_gives_a_lost_disk_a_head_start(cluster: LocalCluster, tmp_path: Path) -> None:
    async def story() -> None:
        written = await write(cluster, 0, "before")
        async with Load(cluster) as load:
            await load.more(50)
            await backup(cluster, tmp_path / "backups")
            await load.more(50)
            await backup(cluster, tmp_path / "backups", 0, "--keep", 1)
            assert await command("backup", tmp_path / "backups", "--check") == 0
            await load.more(20)
            await lose(cluster, 2)
            assert await command("restore", tmp_path / "backups", cluster.data_dir(2), "--node", 2) == 0
            await load.more(20)
            await asyncio.to_thread(cluster.start, 2)
            await until_member(cluster, 2)
            await load.more(20)
        await check_all(cluster, written)
        for node in range(cluster.nodes):
            await load.verify(node)
        assert "copied from node" not in cluster.log(2)
        assert not list(cluster.data_dir(0).glob("checkpoint.[0-9a-f]*"))

    asyncio.run(story())


@pytest.fixture
def other(tmp_path: Path) -> Iterator[LocalCluster]:
    """A second cluster, configured and not started."""
    with LocalCluster(tmp_path / "other") as second:
        second.init()
        yield second


def rename(cluster: LocalCluster, name: str) -> None:
    """Before it has started."""
    for node in range(cluster.nodes):
        text = cluster.config(node).read_text()
        cluster.config(node).write_text(re.sub(r"(?m)^cluster = .*$", f'cluster = "{name}"', text))


def test_a_new_cluster_from_one_backup(cluster: LocalCluster, other: LocalCluster, tmp_path: Path) -> None:
    async def story() -> None:
        async with Load(cluster) as load:
            await load.more(50)
            written = await write(cluster, 1, "before")
        await asyncio.to_thread(cluster.wait_equal)
        await backup(cluster, tmp_path / "backups", 1)
        await write(cluster, 1, "before", 5)  # the same keys: nothing of it is in the new one
        rename(other, "green")
        for node in range(3):
            place = other.data_dir(node)
            assert await command("restore", tmp_path / "backups", place, "--node", node, "--new-cluster", "green") == 0
        await asyncio.to_thread(other.start)
        await check_all(other, written)
        for node in range(3):
            await load.verify(node)
        await check_all(other, written | await write(other, 2, "after"))
        await lose(other, 0)
        await asyncio.to_thread(other.start, 0)
        await check_all(other, written)

    asyncio.run(story())


def test_disks_of_two_backups_begin_no_cluster(cluster: LocalCluster, other: LocalCluster, tmp_path: Path) -> None:
    """One node has another backup than the others: it has doubts, and none of them begins."""

    async def story() -> None:
        await write(cluster, 0, "before")
        await backup(cluster, tmp_path / "backups")
        await write(cluster, 0, "after")
        await backup(cluster, tmp_path / "backups")
        rename(other, "green")
        for node, number in ((0, 1), (1, 1), (2, 2)):
            place = other.data_dir(node)
            options = ("--node", node, "--new-cluster", "green", "--number", number)
            assert await command("restore", tmp_path / "backups", place, *options) == 0
        await asyncio.to_thread(other.start)
        await until("node 2 does not notice", lambda: "other disks than" in reentry(other, 2)["waits_for"])
        assert all(not reentry(other, node)["done"] for node in range(3))

    asyncio.run(story())


def test_an_earlier_cluster_of_the_same_name_is_refused(cluster: LocalCluster, other: LocalCluster, tmp_path: Path) -> None:
    async def story() -> None:
        await write(cluster, 0, "earlier", 30)
        await backup(cluster, tmp_path / "backups")
        rename(other, load_config(cluster.config(0)).cluster.cluster)
        await asyncio.to_thread(other.start)
        written = await write(other, 0, "later")
        await lose(other, 2)
        assert await command("restore", tmp_path / "backups", other.data_dir(2), "--node", 2) == 0
        await asyncio.to_thread(other.start, 2)
        await until("it is not refused", lambda: "another cluster of the same name" in reentry(other, 2)["waits_for"])
        written |= await write(other, 1, "on")
        await lose(other, 2)
        await asyncio.to_thread(other.start, 2)
        await check_all(other, written)

    asyncio.run(story())


def test_what_is_killed_half_way_leaves_nothing_in_the_way(cluster: LocalCluster, tmp_path: Path) -> None:
    backups = tmp_path / "backups"

    async def kill(*words: object, when: Path, at: str) -> None:
        process = started(*words)
        try:
            await until("it does not begin", lambda: any(when.glob(at)))
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()

    async def story() -> None:
        async with RespClient(cluster.redis_servers, timeout_s=10.0) as client:
            for number in range(20):
                await client.repeat("SET", f"large{number}", bytes(100_000))
        written = await write(cluster, 0, "all")
        await backup(cluster, backups)
        await write(cluster, 0, "more")
        await kill("backup", backups, "--config", cluster.config(0), "--rate", 0.1, when=backups, at="backup-000002/rocksdb/*")
        assert list(cluster.data_dir(0).glob("checkpoint.[0-9a-f]*"))
        assert await command("backup", backups, "--check") == 0
        await backup(cluster, backups)
        assert not list(cluster.data_dir(0).glob("checkpoint.[0-9a-f]*"))
        await lose(cluster, 2)
        place = cluster.data_dir(2)
        await kill("restore", backups, place, "--node", 2, "--rate", 0.1, when=place, at="store.new/rocksdb/*")
        assert await command("restore", backups, place, "--node", 2) == 0
        await asyncio.to_thread(cluster.start, 2)
        await check_all(cluster, written)

    asyncio.run(story())


def test_a_node_that_starts_again_frees_what_a_killed_backup_held(
    cluster: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    left = cluster.data_dir(1) / f"checkpoint.{'0' * 32}"
    left.mkdir()
    cluster.stop(1)
    cluster.start(1)
    assert not left.exists()
    for name in ("", "..", "../store", "0" * 32):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(change(cluster, 1, f"/checkpoint?name={name}"))
        with refused.value:
            assert refused.value.code == 400
            assert b"no place was made" in refused.value.read()


def test_a_full_disk_ends_a_backup_and_a_restore(cluster: LocalCluster, small_disk: Path, tmp_path: Path) -> None:
    async def story() -> None:
        async with RespClient(cluster.redis_servers, timeout_s=10.0) as client:
            for number in range(40):
                await client.repeat("SET", f"large{number}", bytes(range(256)) * 2_000)
        with (small_disk / "ballast").open("wb") as ballast:
            ballast.write(bytes(shutil.disk_usage(small_disk).free - 20_000_000))
        assert await command("backup", small_disk / "backups", "--config", cluster.config(0)) == 74
        assert not list((small_disk / "backups").glob("backup-*"))
        await backup(cluster, tmp_path / "backups")
        assert await command("restore", tmp_path / "backups", small_disk / "node") == 74
        assert not (small_disk / "node" / "IDENTITY").exists()
        (small_disk / "ballast").unlink()
        await backup(cluster, small_disk / "backups")
        assert await command("restore", small_disk / "backups", small_disk / "node") == 0

    asyncio.run(story())


def test_a_stopped_node_can_be_backed_up_too(cluster: LocalCluster, tmp_path: Path) -> None:
    async def story() -> None:
        written = await write(cluster, 0, "all")
        cluster.stop(0)
        await backup(cluster, tmp_path / "backups")
        started = time.monotonic()
        await asyncio.to_thread(cluster.start, 0)
        print(f"started again in {time.monotonic() - started:.1f} s")
        await check_all(cluster, written)

    asyncio.run(story())


KINDS_MADE = (
    "HSET hash a 1 b 2",
    "EXPIREAT hash 4000000000",
    "SADD set 1 2 x",
    "ZADD zset inf a -inf b 0.1 c",
    "PFADD counted a b c",
    "XADD stream 5-1 a 1",
    "XADD stream 7-1 b 2",
    "XGROUP CREATE stream group 0",
    "XREADGROUP GROUP group Ada COUNT 1 STREAMS stream >",
)
KINDS_READ = (
    "HGETALL hash",
    "EXPIRETIME hash",
    "SISMEMBER set x",
    "SCARD set",
    "ZRANGE zset 0 -1 WITHSCORES",
    "PFCOUNT counted",
    "XRANGE stream - +",
    "XPENDING stream group",
    "XINFO GROUPS stream",
    "LRANGE long 0 -1",
)


def test_an_export_goes_into_a_cluster_again(cluster: LocalCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As lines and as Redis commands, of a running node, of a stopped one and of a backup: the same data each time."""

    async def content() -> dict[str, object]:
        async with RespClient(cluster.redis_servers, timeout_s=20.0) as client, CardClient(cluster.card_servers) as cards:
            found: dict[str, object] = {f"k{number}": await client.repeat("GET", f"k{number}") for number in range(60)}
            ttl = await client.repeat("PTTL", "expires")
            assert isinstance(ttl, int)
            await client.call("SELECT", 3)
            other, card = await client.repeat("GET", "other"), await cards.select(9)
            await client.call("SELECT", 0)
            for words in KINDS_READ:
                found[words] = await client.repeat(*words.split())
            return found | {"ttl": ttl // 100_000, "other": other, "card": (card.card_info.user_name, card.card_info.balance)}

    async def forget() -> None:
        async with RespClient(cluster.redis_servers, timeout_s=20.0) as client, CardClient(cluster.card_servers) as cards:
            await client.repeat("FLUSHALL")
            await cards.delete(9, uuid=secrets.token_bytes(16))

    async def story() -> None:
        async with RespClient(cluster.redis_servers, timeout_s=20.0) as client, CardClient(cluster.card_servers) as cards:
            for number in range(60):
                await client.repeat("SET", f"k{number}", secrets.token_bytes(30))
            await client.repeat("SET", "expires", "later", "PX", 1_050_000)
            for words in KINDS_MADE:
                await client.call(*words.split())
            for start in range(0, 3_000, 1_000):
                await client.call("RPUSH", "long", *range(start, start + 1_000))
            await client.call("SELECT", 3)
            await client.repeat("SET", "other", b"\r\n$")
            await cards.insert(9, user_name="Ada", balance=7, uuid=secrets.token_bytes(16))
        before = await content()
        await asyncio.to_thread(cluster.wait_equal)
        config = ("--config", cluster.config(0))
        assert await command("export", tmp_path / "running", *config, "--with-uuids") == 0
        assert await command("export", tmp_path / "redis", *config, "--redis") == 0
        await backup(cluster, tmp_path / "backups")
        assert await command("export", tmp_path / "saved", "--backup", tmp_path / "backups") == 0
        cluster.stop(0)
        assert await command("export", tmp_path / "stopped", *config) == 0
        await asyncio.to_thread(cluster.start, 0)
        for name in ("running", "saved", "stopped"):
            await forget()
            assert await command("import", tmp_path / name, *config) == 0
            assert await content() == before, name
        await forget()
        capsys.readouterr()
        assert await command("import", tmp_path / "stopped", *config) == 0
        assert re.match(r"0 rows written in .* s; \d\d+ had been written by an earlier import", capsys.readouterr().out)
        async with RespClient(cluster.redis_servers, timeout_s=20.0) as client:
            assert await client.repeat("EXISTS", "hash") == 0
        assert await command("import", tmp_path / "stopped", *config, "--again") == 0
        assert "earlier" not in capsys.readouterr().out
        assert await content() == before
        await forget()
        reader, writer = await asyncio.open_connection(*cluster.redis_servers[1])
        stream = (tmp_path / "redis").read_bytes()
        writer.write(stream)
        sent, parser = hiredis.Reader(), hiredis.Reader()
        sent.feed(stream)
        while sent.gets() is not False:  # a reply to each command
            while (reply := parser.gets()) is False:
                parser.feed(await reader.read(65_536))
            assert not isinstance(reply, hiredis.ReplyError), reply
        writer.close()
        found = await content()
        assert found | {"card": before["card"]} == before
        (tmp_path / "cut").write_bytes((tmp_path / "running").read_bytes()[:-9])
        assert await command("import", tmp_path / "cut", *config) == 4
        hashes = await asyncio.to_thread(cluster.wait_equal)
        assert len(set(hashes)) == 1

    asyncio.run(story())
