"""Settings of real nodes that change while they run: by their file and SIGHUP, and by `paxosstore set`."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable

from paxosstore.cli.cluster import HOST, PROGRAM, LocalCluster


def command(*words: str) -> tuple[int, str, str]:
    done = subprocess.run([*PROGRAM, *words], capture_output=True, text=True, timeout=30.0, check=False)
    return done.returncode, done.stdout, done.stderr


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15.0
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def post(port: int, path: str, *headers: str) -> bytes:
    with socket.create_connection((HOST, port), timeout=10.0) as client:
        client.sendall("\r\n".join((f"POST {path} HTTP/1.1", "Host: localhost", *headers, "", "")).encode())
        return client.recv(10_000)


def test_settings_change_while_a_node_runs(cluster: LocalCluster) -> None:
    server = "--server", f"{HOST}:{cluster.http_port(0)}"
    code, out, err = command("set", "plog_keep_seconds", "5", *server)
    assert (code, err) == (0, "")
    assert "tuning.plog_keep_seconds is 5.0 now, was 900.0; until the restart" in out
    code, out, _ = command("get", "plog_keep_seconds", *server)
    assert (code, out) == (0, "tuning.plog_keep_seconds = 5.0   (the file: 900.0)\n")
    code, out, _ = command("status", *server)
    assert "node 0: set until the restart: tuning.plog_keep_seconds = 5.0 (the file: 900.0)" in out

    for words, said in (
        (("plog_keep_second", "5"), "did you mean tuning.plog_keep_seconds?"),
        (("plog_keep_seconds", "soon"), "'soon' is no value"),
        (("keyspace", "slots:7"), "redis.keyspace cannot change while the node runs"),
        (("plog_keep_seconds",), "either a VALUE is needed, or --reset"),
    ):
        code, out, err = command("set", *words, *server)
        assert (code, out) == (2, "")
        assert said in err
        assert err.count("\n") == 1
    code, out, _ = command("get", *server)
    assert code == 0
    assert "tuning.plog_keep_seconds = 5.0" in out

    assert b" 403 " in post(cluster.http_port(0), "/set?name=retry_ms&value=1")
    assert b" 403 " in post(cluster.http_port(0), "/set?name=retry_ms&value=1", "X-PaxosStore: 1", "Origin: http://evil.example")
    assert command("get", "retry_ms", *server)[1] == "tuning.retry_ms = 100.0\n"

    with cluster.config(0).open("a", encoding="utf-8") as file:
        file.write("retry_ms = 70\n")
    cluster.signal(0, signal.SIGHUP)
    until(lambda: "tuning.retry_ms is 70.0, was 100.0" in cluster.log(0))
    assert "tuning.plog_keep_seconds stays at 5.0, as it was set, until the restart" in cluster.log(0)
    with cluster.config(0).open("a", encoding="utf-8") as file:
        file.write("lease_ms = 5\nretry_msec = 60\n")
    lines = len(cluster.config(0).read_text(encoding="utf-8").splitlines())
    cluster.signal(0, signal.SIGHUP)
    until(lambda: "were not read again" in cluster.log(0))
    assert re.search(rf"node-0.toml, line {lines}: tuning.retry_msec: is unknown: did you mean retry_ms\?", cluster.log(0))
    assert command("get", "lease_ms", *server)[1] == "tuning.lease_ms = 10.0\n", "of such a file nothing is taken"
    assert "its file was not read again" in command("status", *server)[1]
    assert "tuning.plog_keep_seconds is 900.0 now, was 5.0; as" in command("set", "plog_keep_seconds", "--reset", *server)[1]
    assert cluster.is_healthy(0)
    assert "Traceback" not in cluster.log(0)


def test_nobody_answers() -> None:
    with socket.socket() as nobody:
        nobody.bind((HOST, 0))
        code, out, err = command("set", "retry_ms", "5", "--server", f"{HOST}:{nobody.getsockname()[1]}")
    assert (code, out) == (4, "")
    assert "Connection refused" in err
