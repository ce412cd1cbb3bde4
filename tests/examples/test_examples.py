"""The example: its README word for word, and its cards over HTTP while nodes die."""

from __future__ import annotations

import asyncio
import importlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from paxosstore.cli.cluster import LocalCluster, free_base_port

EXAMPLES = Path(__file__).parents[2] / "examples"
CHANGES = int(os.environ.get("CHANGES", "150"))
"""By each of four clients, at least."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    with LocalCluster(tmp_path, app="cards:app", app_path=EXAMPLES) as nodes:
        nodes.init()
        nodes.start()
        yield nodes


@asynccontextmanager
async def site(cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """The example's web application, in this process."""
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setenv("SERVERS", ",".join([f"{host}:{port}" for host, port in cluster.redis_servers]))
    sys.modules.pop("web", None)
    web: Any = importlib.import_module("web").web
    transport = httpx.ASGITransport(app=web)
    async with web.router.lifespan_context(web), httpx.AsyncClient(transport=transport, base_url="http://cards") as client:
        yield client


def test_what_it_answers(cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with site(cluster, monkeypatch) as web:

            async def ask(method: str, card: object, status: int, reply: object, **options: Any) -> None:
                found = await web.request(method, f"/cards/{card}", **options)
                assert (found.status_code, found.json()) == (status, reply)

            missing = {"reason": "CARD_DOES_NOT_EXIST", "data": None}
            await ask("GET", 7, 409, missing)
            await ask("POST", 7, 409, missing, json={"delta": 5})
            await ask("PUT", 7, 200, {"card": 7, "balance": 20, "user_name": ""}, json={"balance": 20})
            await ask("PUT", 7, 409, {"reason": "CARD_EXISTS", "data": None}, json={"balance": 20})
            key = {"Idempotency-Key": str(uuid4())}
            for _ in range(2):
                await ask("POST", 7, 200, {"card": 7, "balance": 15, "user_name": ""}, json={"delta": -5}, headers=key)
            await ask("POST", 7, 409, {"reason": "BALANCE_NOT_ENOUGH", "data": {"balance": 15}}, json={"delta": -16})
            reused = await web.post("/cards/7", json={"delta": -6}, headers=key)
            assert (reused.status_code, reused.json()["reason"]) == (400, "UUIDREUSED")
            await ask("GET", 7, 200, {"card": 7, "balance": 15, "user_name": ""})
            await ask("DELETE", 7, 200, {"card": 7, "balance": 15, "user_name": ""})
            await ask("GET", 7, 409, missing)
            for card, body in [(2**63, {"delta": 1}), (7, {"delta": 2**63}), (7, {"delta": "x"}), (7, {}), (-1, {"delta": 1})]:
                assert (await web.post(f"/cards/{card}", json=body)).status_code == 422

    asyncio.run(story())


def test_every_change_is_done_once_while_nodes_are_killed_and_suspended(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = [0] * 4
    """By each client."""

    async def strike() -> int:
        struck = 0
        while struck < 6 or min(changes) < CHANGES:
            node = struck % cluster.nodes
            if struck % 2:
                cluster.signal(node, signal.SIGSTOP)
                await asyncio.sleep(2.5)
                cluster.signal(node, signal.SIGCONT)
            else:
                cluster.kill(node)
                await asyncio.sleep(0.3)
                await asyncio.to_thread(cluster.start, node)
            struck += 1
            await asyncio.sleep(0.3)
        return struck

    async def story() -> None:
        balances = dict.fromkeys(range(4), 0)
        async with site(cluster, monkeypatch) as web:

            async def change(client: int) -> None:
                rng = random.Random(client)
                while not striking.done():
                    card, delta = rng.choice(list(balances)), rng.randint(-3, 5)
                    key = {"Idempotency-Key": str(uuid4())}
                    for _ in range(1 + (rng.random() < 0.2)):  # some repeat what they had an answer to
                        found = await web.post(f"/cards/{card}", json={"delta": delta}, headers=key)
                        assert found.status_code in (200, 409), found.text
                    if found.status_code == 200:
                        balances[card] += delta
                    else:
                        assert found.json()["reason"] == "BALANCE_NOT_ENOUGH"
                    changes[client] += 1

            for card in balances:
                assert (await web.put(f"/cards/{card}", json={})).status_code == 200
            striking = asyncio.create_task(strike())
            async with asyncio.timeout(280):
                await asyncio.gather(*[change(client) for client in range(4)])
            print(f"{sum(changes)} changes, {await striking} nodes struck")
            found = {card: (await web.get(f"/cards/{card}")).json()["balance"] for card in balances}
            assert found == balances

    asyncio.run(story())


def test_the_readme_word_for_word(tmp_path: Path) -> None:
    for name in ("cards.py", "web.py"):
        shutil.copy(EXAMPLES / name, tmp_path)
    block = re.search(r"```\n(make install.*?)```", (EXAMPLES / "README.md").read_text(), re.DOTALL)
    assert block is not None
    lines = block[1].splitlines()
    base = free_base_port(3)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = "\n".join(line for line in lines if line not in ("make install",))
    for before, now in {
        'cd examples && PATH="$PWD/../.venv/bin:$PATH"': f'cd {tmp_path} && PATH="{Path(sys.executable).parent}:$PATH"',
        "--app cards:app": f"--app cards:app --base-port {base}",
        "--port 8000": f"--port {port}",
        "localhost:8000": f"127.0.0.1:{port}",
        "redis-cli -p 7411": f"redis-cli -p {base + 11}",
    }.items():
        assert before in script, f"the README does not say {before}"
        script = script.replace(before, now)
    if shutil.which("redis-cli") is None or shutil.which("curl") is None:
        pytest.skip("redis-cli or curl is not on this machine")
    servers = ",".join(f"127.0.0.1:{base + 10 * node + 1}" for node in range(3))
    process = subprocess.Popen(
        ["bash", "-c", script],
        env={**os.environ, "SERVERS": servers, "NO_PROXY": "*"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        said, errors = process.communicate(timeout=120)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    replies = re.findall(r'\{"card":7,"balance":\d+|\{"reason".*?\}\}', said)
    assert replies == [
        '{"card":7,"balance":20',
        '{"card":7,"balance":15',
        '{"card":7,"balance":15',
        '{"reason":"BALANCE_NOT_ENOUGH","data":{"balance":15}}',
        '{"card":7,"balance":15',
    ], (said, errors)
    assert not (tmp_path / "cluster").exists()
