"""What SLOWLOG and LATENCY tell, and a client that sleeps alone."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import redis
from hiredis import Reader

from paxosstore.services.redis.session.parameters import Parameters
from paxosstore.services.redis.session.times import MAX_SAMPLES, Times, trimmed

from .oracle import Connection, needs_redis, parsed, script
from .oracle import compare as compare_with_redis
from .support import Client, in_loop, serving

SCRIPT = """
SLOWLOG GET x / SLOWLOG GET -2 / SLOWLOG GET 1 2 / SLOWLOG foo / LATENCY HISTORY none / LATENCY RESET none / LATENCY LATEST x
LATENCY foo / LATENCY HISTOGRAM none / SLOWLOG LEN x / LATENCY HISTORY / LATENCY RESET / LATENCY LATEST / CONFIG RESETSTAT
"""


COUNTED = """
LPUSH l a b / BRPOP l 0 / BLPOP l x 0 / BLPOP l 0.01 / SET k a / MULTI / SET k b / INCR k / EXPIRE k 0 / EXEC / MULTI / EXEC
INCR k / FLUSHALL / DBSIZE / WATCH k / UNWATCH / MULTI / DISCARD / INCR k / GETDEL k / CONFIG GET hz / XADD s * f v
XREAD BLOCK 10 STREAMS s 0 / XREAD BLOCK 10 STREAMS s $ / EVAL return(1) 0 / LPUSH l a / INCR l / HGET l f
MULTI / NOPE / EXEC / MULTI / SET k 1 / SELECT 1 / CONFIG GET hz / SELECT 0 / EXEC / MULTI / PING / EXEC
"""


@needs_redis
def test_calls_and_failures_are_those_that_redis_counts(ports: tuple[int, int]) -> None:
    counted = []
    for port in ports:
        with redis.Redis(port=port, protocol=2, single_connection_client=True, decode_responses=True) as client:
            client.response_callbacks.clear()
            for words in [(b"FLUSHALL",), (b"CONFIG", b"RESETSTAT"), *script(COUNTED)]:
                with suppress(redis.ResponseError):
                    client.execute_command(*words)
            told = client.execute_command("INFO", "commandstats")
        rows = re.findall(r"cmdstat_(\S+?):calls=(\d+).*failed_calls=(\d+)", told)
        counted.append({name: numbers for name, *numbers in rows if not name.startswith(("client", "hello"))})
    assert counted[0] == counted[1]


SECRETS = """
AUTH secret / AUTH user secret / HELLO 2 AUTH user secret SETNAME x / HELLO 2 SETNAME auth / ACL SETUSER x on >secret
ACL DELUSER x / CONFIG SET masterauth secret / CONFIG SET hz 10 masteruser secret / CONFIG GET masterauth / SET auth x
MIGRATE 127.0.0.1 1 none 0 1 AUTH secret / MIGRATE 127.0.0.1 1 none 0 1 AUTH2 user secret
"""


@needs_redis
def test_passwords_are_hidden_as_redis_hides_them(ports: tuple[int, int]) -> None:
    logs: list[list[list[bytes]]] = []
    for port in ports:
        connection = Connection(port)
        with connection.socket:
            connection.ask_all([(b"CONFIG", b"SET", b"slowlog-log-slower-than", b"0"), (b"SLOWLOG", b"RESET"), *script(SECRETS)])
            connection.ask(b"CONFIG", b"SET", b"slowlog-log-slower-than", b"10000")
            told: Any = parsed(connection.ask(b"SLOWLOG", b"GET", b"100"))
        logs.append([entry[3] for entry in told if entry[3][0] != b"ECHO"])
    assert logs[0] == logs[1]
    assert not any(b"secret" in word for words in logs[1] for word in words)


@needs_redis
def test_errors_and_empty_answers_are_those_of_redis(ports: tuple[int, int]) -> None:
    for proto in (2, 3):
        compare_with_redis(ports, proto, script(SCRIPT))


def _times(**wanted: str) -> Times:
    parameters = Parameters()
    parameters.set({name.replace("_", "-"): value for name, value in wanted.items()})
    return Times(parameters)


def _note(times: Times, us: int, *words: bytes, reply: bytes = b"+OK\r\n") -> None:
    times.note(words[0], list(words), us, reply, "1.2.3.4:5", b"me")


def test_the_slow_log_keeps_the_newest_of_those_that_are_slow() -> None:
    times = _times(slowlog_log_slower_than="100", slowlog_max_len="2")
    for us, word in ((99, b"no"), (100, b"a"), (101, b"b"), (102, b"c")):
        _note(times, us, b"get", word)
    assert [(one.number, one.words, one.took_us) for one in times.slow] == [(2, [b"get", b"c"], 102), (1, [b"get", b"b"], 101)]
    assert (times.slow[0].address, times.slow[0].name) == ("1.2.3.4:5", b"me")


def test_no_command_is_slow_where_that_is_switched_off() -> None:
    for off in ({"slowlog_log_slower_than": "-1"}, {"slowlog_max_len": "0"}):
        times = _times(**off)
        _note(times, 10**9, b"get")
        assert not times.slow


def test_a_shorter_slow_log_forgets_the_oldest() -> None:
    parameters = Parameters()
    parameters.set({"slowlog-log-slower-than": "0"})
    times = Times(parameters)
    for number in range(4):
        _note(times, number, b"get")
    parameters.set({"slowlog-max-len": "1"})
    times.tune()
    assert [one.took_us for one in times.slow] == [3]


def test_what_is_kept_of_a_command_is_bounded() -> None:
    assert trimmed([b"x" * 129]) == [b"x" * 128 + b"... (1 more bytes)"]
    assert trimmed([b"x"] * 32) == [b"x"] * 32
    assert trimmed([b"x"] * 34) == [b"x"] * 31 + [b"... (3 more arguments)"]


def test_events_are_the_worst_of_each_second(monkeypatch: Any) -> None:
    times, now = _times(latency_monitor_threshold="10"), [100.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    for ms in (9, 10, 30, 20):
        _note(times, ms * 1_000, b"get")
    assert list(times.events["command"]) == [(100, 30)]
    for _ in range(2 * MAX_SAMPLES):
        now[0] += 1
        _note(times, 11_000, b"get")
    assert len(times.events["command"]) == MAX_SAMPLES
    assert times.worst == {"command": 30}
    assert times.forget_events(["other"]) == 0
    assert times.forget_events([]) == 1
    assert not times.worst


async def _ask(client: Client, *lines: str) -> list[Any]:
    client.send(*lines)
    reader, found = Reader(), list[Any]()
    while len(found) < len(lines):
        reader.feed(await client.reader.read(65_536))
        while (reply := reader.gets()) is not False:
            found.append(reply)
    return found


@in_loop
async def test_commands_are_counted_with_their_subcommands_and_forgotten() -> None:
    async with serving() as harness:
        client = await harness.connect()
        await _ask(client, "SET a 1", "SET b 2", "GET a", "CLIENT ID", "CLIENT GETNAME")
        (found,) = await _ask(client, "LATENCY HISTOGRAM set client none")
        assert found[::2] == [b"set", b"client|id", b"client|getname"]
        assert [row[1] for row in found[1::2]] == [2, 1, 1]
        await _ask(client, "CONFIG RESETSTAT")
        assert await _ask(client, "LATENCY HISTOGRAM set") == [[]]


@in_loop
async def test_one_that_sleeps_keeps_nobody_else_and_the_order_of_its_replies() -> None:
    async with serving() as harness:
        sleeper, other = await harness.connect(), await harness.connect()
        sleeper.send("SET k 1", "DEBUG SLEEP 0.2", "INCR k")
        await other.exchange("INCR k", b":2\r\n")
        await sleeper.expect(b"+OK\r\n+OK\r\n:3\r\n")


@in_loop
async def test_one_that_sleeps_may_go() -> None:
    async with serving() as harness:
        sleeper, other = await harness.connect(), await harness.connect()
        sleeper.send("DEBUG SLEEP 1000", "SET k 1")
        await other.exchange("PING", b"+PONG\r\n")
        await other.exchange("CLIENT KILL SKIPME yes", b":1\r\n")
        assert await sleeper.reader.read() == b""
        await other.exchange("GET k", b"$-1\r\n")


@in_loop
async def test_info_tells_of_commands_and_errors_and_what_tools_look_for() -> None:
    async with serving() as harness:
        client = await harness.connect()
        await _ask(client, "SET k a", "INCR k", "GET", "NONE")
        found = [text.decode() for text in await _ask(client, "INFO", "INFO commandstats", "INFO all")]
        assert "cmdstat_set:calls=1,usec=" in found[1]
        assert ",rejected_calls=0,failed_calls=1" in found[1].partition("cmdstat_incr:")[2]
        assert ["cmdstat_" in text for text in found] == [False, True, True]
        assert "errorstat_ERR:count=3" in found[0]
        assert "cmdstat_get:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0" in found[1]
        assert ["latency_percentiles_usec_set:p50=" in text for text in found] == [False, False, True]
        for field in ("arch_bits:64", "used_memory:", "cluster_enabled:0", "run_id:", "loading:0", "rdb_bgsave_in_progress:0"):
            assert f"\n{field}" in found[0]


def test_codes_of_errors_are_bounded() -> None:
    times = _times()
    for number in range(1_000):
        _note(times, 1, b"eval", reply=b"-E%d x\r\n" % number)
        _note(times, 1, b"eval", reply=b"-%b x\r\n" % (b"x" * 1_000))
    assert len(times.errors) == 128
    assert max(map(len, times.errors)) < 64


def test_spellings_of_a_name_are_one_command_and_few_are_kept() -> None:
    times = _times()
    for number in range(5_000):
        name = bytes(letter ^ 0x20 * (number >> place & 1) for place, letter in enumerate(b"georadiusbymember"))
        _note(times, 1, name)
    assert list(times.commands) == ["georadiusbymember"]
    assert times.commands["georadiusbymember"].calls == 5_000
    times.forget_commands()
    _note(times, 1, b"get")
    _note(times, 1, b"GET")
    assert times.commands["get"].calls == 2
