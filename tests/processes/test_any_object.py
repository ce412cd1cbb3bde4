"""Any Python object anywhere in the public API, against three live nodes: no node ends, no link flaps, no call hangs.

Every call ends in done, in an error of our tree that says refused, or in unknown. PAXOSSTORE_FUZZ=20000 asks for so many random
examples; without it the few hundred are always the same.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from functools import partial
from inspect import iscoroutine
from itertools import count, repeat
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from paxosstore import (
    BlockingNode,
    CallerError,
    ClusterSettings,
    InvalidRequest,
    Node,
    NoQuorum,
    OutcomeUnknown,
    PaxosStoreError,
    Request,
    TuningSettings,
    View,
    WriteBatch,
)
from paxosstore.boundary import shown
from paxosstore.cli.cluster import HOST, free_base_port

from ..runtime.test_links import until

WANTED = int(os.environ.get("PAXOSSTORE_FUZZ", "0"))
LIMIT_S = 20.0
"""A call that takes longer hangs: its deadline is far shorter."""
TIMEOUT_MS = 3_000.0


def examples(few: int) -> settings:
    health = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    phases = [Phase.generate]  # no shrinking: who is hurt once stays hurt
    return settings(
        max_examples=WANTED or few, derandomize=not WANTED, deadline=None, suppress_health_check=health, phases=phases
    )


# -- objects that are not what they seem


class Bytes(bytes):
    def __len__(self) -> int:
        return 1


class Array(bytearray):
    def __bytes__(self) -> Any:
        return "no bytes"


class Int(int):
    def __index__(self) -> int:
        raise ValueError("no index")


class Float(float):
    pass


class Text(str):
    def __hash__(self) -> int:
        raise ValueError("no hash")


class Flag(IntEnum):
    ONE = 1


class Index:
    def __index__(self) -> int:
        return 5


class BadIndex:
    def __index__(self) -> int:
        raise OSError("no index")


class Wordless:
    def __repr__(self) -> str:
        raise ValueError("no words")

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        raise ValueError("not comparable")

    def __hash__(self) -> int:
        raise ValueError("no hash")

    def __len__(self) -> int:
        raise ValueError("no length")

    def __bool__(self) -> bool:
        raise ValueError("neither")

    def __getattr__(self, name: str) -> Any:
        raise ValueError("no attributes")


class Liar:
    __class__ = bytes  # type: ignore[assignment]  # that is the point


class Endless(Mapping[bytes, bytes]):
    def __getitem__(self, key: bytes) -> bytes:
        return key

    def __iter__(self) -> Iterator[bytes]:
        return (b"%d" % number for number in count())

    def __len__(self) -> int:
        return 1


class OddTuning(TuningSettings):
    def __post_init__(self) -> None:
        pass


class OddRequest(Request):
    handler = "program"

    def payload(self) -> Any:
        return 5

    def evaluate(self, view: View) -> Any:
        return 5

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        raise ValueError("it does not want to know")


def released() -> memoryview:
    view = memoryview(b"gone")
    view.release()
    return view


async def coroutine_function(view: View) -> bytes:
    return b""


def forged_batch() -> WriteBatch:
    batch = WriteBatch({5: "x"})  # type: ignore[dict-item]  # that is the point
    with suppress(TypeError):  # a compiled one refuses it at once
        batch.cleared = "maybe"  # type: ignore[assignment]  # the mistake under test
    return batch


ODD: list[Any] = [
    Bytes(b"abc"),
    Bytes(b"0123456789abcdef"),
    Array(b"abc"),
    memoryview(b"abc"),
    released(),
    Int(5),
    Flag.ONE,
    Float("nan"),
    Text("program"),
    Index(),
    BadIndex(),
    Wordless(),
    Wordless,
    Liar(),
    Endless(),
    OddTuning(lease_ms=float("nan")),
    OddRequest(5),
    forged_batch(),
    object(),
    type,
    Ellipsis,
    count,
    repeat(b"x"),
    coroutine_function,
    ValueError("a value"),
    10**5000,
    -(2**63) - 1,
    2**63,
    2**64 - 1,
    2**64,
    b"x" * 2_000,
    "\ud800",
    "a\0b",
    Decimal("NaN"),
    Fraction(1, 3),
    UUID(int=7),
    range(3),
    {1, 2},
]
NEARLY_BYTES = ODD[:5]
OBJECTS = st.one_of(
    st.integers(0, len(ODD) - 1).map(ODD.__getitem__),  # hypothesis itself could not sample from some of them
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=8),
    st.binary(max_size=20),
    st.decimals(),
    st.uuids(),
    st.lists(st.integers() | st.binary(max_size=3), max_size=3),
    st.dictionaries(st.binary(max_size=3) | st.text(max_size=3) | st.integers(), st.binary(max_size=3) | st.none(), max_size=3),
    st.binary(max_size=20).map(bytearray),
)


# -- what a request's function does


class OwnRefusal(InvalidRequest):
    code = 5  # type: ignore[assignment]  # that is the point

    def __str__(self) -> str:
        raise SystemExit(3)


class OwnUnknown(PaxosStoreError):
    code = "UNKNOWN"
    outcome_known = False


RAISED: list[Callable[[], BaseException]] = [
    lambda: ValueError("\ud800" * 9_000),
    lambda: InvalidRequest(Wordless()),
    OwnRefusal,
    OwnUnknown,
    lambda: OutcomeUnknown("not for a function to say"),
    lambda: NoQuorum("nor this"),
    lambda: CallerError("a base class"),
    KeyboardInterrupt,
    SystemExit,
    GeneratorExit,
    StopIteration,
    MemoryError,
    RecursionError,
    asyncio.CancelledError,
]
KEPT: list[Any] = []
"""Views and scans that functions have kept, the latest few."""
Step = tuple[str, Any, Any]


@st.composite
def mostly(draw: st.DrawFn, right: st.SearchStrategy[Any], one_in: int = 6) -> Any:
    """What is right, but for one in so many: a call gets far only if most of it is. Half of those are nearly bytes."""
    if draw(st.integers(1, one_in)) < one_in:
        return draw(right)
    return draw(OBJECTS) if draw(st.booleans()) else NEARLY_BYTES[draw(st.integers(0, len(NEARLY_BYTES) - 1))]


STEPS = st.tuples(
    st.sampled_from(["get", "put", "put", "delete", "scan", "scan and write", "clear", "keep", "use kept", "thread", "swallow"]),
    mostly(st.binary(max_size=3)),
    mostly(st.binary(max_size=9)),
)
ENDS = st.one_of(
    st.tuples(st.just("return"), st.none() | st.binary(max_size=5)),
    st.tuples(st.just("return all the same"), st.none() | st.binary(max_size=5)),
    st.tuples(st.just("return all the same"), mostly(st.binary(max_size=5), 2)),
    st.tuples(st.just("raise"), st.sampled_from(RAISED)),
)
PROGRAMS = st.tuples(st.lists(STEPS, max_size=4), ENDS)


def keep(thing: Any) -> None:
    KEPT.append(thing)
    del KEPT[:-20]


def take(view: View, step: Step) -> None:
    """One step of a program."""
    verb, one, two = step
    if verb == "get":
        assert type(view.get(one)) in (bytes, type(None))
    elif verb == "put":
        view.put(one, two)
    elif verb == "delete":
        view.delete(one)
    elif verb == "scan":
        assert all(type(key) is bytes and type(value) is bytes for key, value in view.scan(one, two))
    elif verb == "scan and write":
        for key, value in view.scan():
            view.put(key + b"+", value)
            view.delete(key)
    elif verb == "clear":
        view.clear()
    elif verb == "keep":
        keep(view)
        scan = view.scan()
        next(scan, None)
        keep(scan)
    elif verb == "use kept":
        use_kept()
    elif verb == "thread":
        thread = threading.Thread(target=swallow, args=(lambda: view.put(b"thread", b"x"),))
        thread.start()
        thread.join()
        assert view.get(b"thread") is None
    elif verb == "swallow":
        swallow(lambda: view.put(one, two))


def swallow(work: Callable[[], object]) -> None:
    try:
        work()
    except PaxosStoreError:
        return


def use_kept() -> None:
    """What was kept of an earlier view is of no use, or is the present one."""
    for thing in KEPT:
        # mypy infers no type of an argument's default
        swallow(lambda thing=thing: thing.put(b"kept", b"x") if hasattr(thing, "put") else next(thing, None))  # type: ignore[misc]  # a default


def run_program(view: View, program: Any) -> Any:
    steps, (how, what) = program
    for step in steps:
        if how == "return all the same":  # it catches what the view refuses, and goes on
            swallow(partial(take, view, step))
        else:
            take(view, step)
    if how == "raise":
        raise what()
    return what


LATEST: list[Any] = [([], ("return", b""))]
"""The program that the handler runs: all nodes are in this process."""


def handler(view: View, payload: bytes) -> bytes:
    assert type(payload) is bytes
    return run_program(view, LATEST[0])  # type: ignore[no-any-return]  # whatever it is


def canary(view: View, payload: bytes) -> bytes:
    return b"alive"


HANDLERS = {"program": handler, "canary": canary}


# -- calls, with anything in any parameter

ENTITIES = st.integers(0, 3)
NEXT = object()
"""The entry that is the next one when the call is made."""
WORKING = {
    "entity": ENTITIES,
    "read_only": st.booleans(),
    "uuid": st.sampled_from([b""] * 6 + [b"u" * 16, UUID(int=9)]),
    "timeout_ms": st.sampled_from([None, TIMEOUT_MS]),
    "handler": st.just("program"),
    "payload": st.binary(max_size=3),
    "entry": st.sampled_from([NEXT, NEXT, 1, 50]),
    "value": st.dictionaries(st.binary(max_size=2), st.binary(max_size=2) | st.none(), max_size=2),
    "uuids": st.lists(st.sampled_from([b"v" * 16, UUID(int=8)]), max_size=2),
    "after": st.integers(-1, 3),
    "first": st.integers(0, 9),
    "last": st.integers(0, 9),
    "start": st.binary(max_size=2),
    "end": st.binary(max_size=2),
    "node": st.integers(0, 2),
    "request": st.builds(OddRequest, ENTITIES),
}
REQUEST = ("entity", "read_only", "uuid", "timeout_ms")
CALLS: dict[str, tuple[str, ...]] = {
    "execute": (*REQUEST, "function"),
    "call": (*REQUEST, "handler", "payload"),
    "catch_up": ("entity", "timeout_ms"),
    "run_paxos": ("entity", "entry", "value", "uuids", "timeout_ms"),
    "get_write_batch": ("entity", "entry"),
    "ready": ("timeout_ms",),
}
AT_ONCE: dict[str, tuple[str, ...]] = {
    "committed": ("after",),
    "inspect": ("entity", "first", "last"),
    "peek": ("entity", "start", "end"),
    "preferred_proposer": ("entity",),
    "is_up": ("node",),
    "submit": ("request",),
}


class Call(NamedTuple):
    name: str
    arguments: dict[str, Any]
    program: Any

    def __repr__(self) -> str:
        """For a failure's report: some of the values would raise if they were asked for theirs."""
        steps, (how, what) = self.program
        does = [*((verb, shown(one), shown(two)) for verb, one, two in steps), (how, shown(what))]
        return f"{self.name}({ {name: shown(value) for name, value in self.arguments.items()} }) that does {does}"


@st.composite
def calls(draw: st.DrawFn, names: tuple[str, ...]) -> Call:
    """A method, its arguments, and the program that its function runs. One of the arguments may be anything."""
    name = draw(st.sampled_from(names))
    program = draw(PROGRAMS)
    arguments: dict[str, Any] = {}
    odd = draw(st.sampled_from([None, *(CALLS | AT_ONCE)[name]]))
    for parameter in (CALLS | AT_ONCE)[name]:
        if parameter == odd:
            arguments[parameter] = draw(OBJECTS)
        elif parameter == "function":
            arguments[parameter] = lambda view, program=program: run_program(view, program)
        else:
            arguments[parameter] = draw(WORKING[parameter])
    if "timeout_ms" in arguments and isinstance(arguments["timeout_ms"], (int, float)) and arguments["timeout_ms"] > TIMEOUT_MS:
        arguments["timeout_ms"] = TIMEOUT_MS  # a day is right, and longer than this test
    return Call(name, arguments, program)


class Cluster:
    """Three nodes in a loop of their own thread, and what they have told."""

    def __init__(self, directory: Path) -> None:
        self.ended: list[str] = []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        base = free_base_port(3)
        peers = [(HOST, base + node) for node in range(3)]
        tuning = TuningSettings(max_request_bytes=1_000, request_timeout_ms=TIMEOUT_MS)
        self.nodes = [
            Node(
                ClusterSettings("any"),
                me,
                peers,
                directory / str(me),
                tuning,
                HANDLERS,
                min_free_bytes=1,
                fatal=self.ended.append,
            )
            for me in range(3)
        ]
        self.do(self._start())
        self.links = self.do(self._links())

    def do(self, work: Any) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self.loop)
        for _ in range(int(10 * LIMIT_S)):
            if wait([future], 0.1).done:
                return future.result()
            assert self.ended == []
        raise AssertionError("it hangs")

    async def _start(self) -> None:
        for node in self.nodes:
            await node.start()
        await until(lambda: all(link.up for node in self.nodes for link in node.statistics().peers.values()))

    async def _links(self) -> list[tuple[bool, int]]:
        return [(link.up, link.reconnects) for node in self.nodes for link in node.statistics().peers.values()]

    def call(self, number: int, name: str, arguments: Mapping[str, Any]) -> PaxosStoreError | None:
        """Call a node; returns the refusal, if it is one of ours. Whatever else is raised is the test's failure."""
        try:
            self.do(self._call(number, name, arguments))
        except PaxosStoreError as error:
            return error
        return None

    async def _call(self, number: int, name: str, arguments: Mapping[str, Any]) -> None:
        node = self.nodes[number]
        if arguments.get("entry") is NEXT:
            arguments = {**arguments, "entry": await node.catch_up(arguments["entity"]) + 1}
        result = getattr(node, name)(**arguments)
        if iscoroutine(result):
            await result
        elif isinstance(result, Iterator):
            list(result)

    async def alive(self) -> None:
        for node in self.nodes:
            assert await node.call(0, "canary", b"") == b"alive"

    def check(self) -> None:
        """Nobody was hurt."""
        assert self.ended == []
        self.do(self.alive())
        assert self.do(self._links()) == self.links

    def close(self) -> None:
        for node in self.nodes:
            self.do(node.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.close()


@examples(800)
@given(number=st.integers(0, 2), call=calls((*CALLS, *AT_ONCE, *["execute"] * 6, *["call"] * 12)))
def test_a_node_in_a_loop(cluster: Cluster, number: int, call: Call) -> None:
    name, arguments, LATEST[0] = call
    refusal = cluster.call(number, name, arguments)
    assert len(str(refusal)) < 10_000
    use_kept()
    cluster.check()


@pytest.fixture(scope="module")
def blocking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[BlockingNode], list[str]]]:
    directory = tmp_path_factory.mktemp("blocking")
    base, ended = free_base_port(3), list[str]()
    peers = [(HOST, base + node) for node in range(3)]
    tuning = TuningSettings(max_request_bytes=1_000, request_timeout_ms=TIMEOUT_MS)
    nodes = [
        BlockingNode(
            ClusterSettings("any"), me, peers, directory / str(me), tuning, HANDLERS, min_free_bytes=1, fatal=ended.append
        )
        for me in range(3)
    ]
    for node in nodes:
        node.ready(timeout_ms=10_000)
    yield nodes, ended
    for node in nodes:
        node.close()


@examples(200)
@given(number=st.integers(0, 2), inside=st.booleans(), call=calls((*CALLS, *["execute"] * 2, *["call"] * 4)))
def test_a_blocking_node(blocking: tuple[list[BlockingNode], list[str]], number: int, inside: bool, call: Call) -> None:
    (nodes, ended), (name, arguments, LATEST[0]) = blocking, call
    node = nodes[number]
    told: list[BaseException | None] = []

    def ask() -> None:
        try:
            if inside:  # by a function that the same node runs: at once refused
                node.execute(0, lambda view: getattr(node, name)(**arguments), timeout_ms=TIMEOUT_MS)
            else:
                getattr(node, name)(**arguments)
            told.append(None)
        except BaseException as error:
            told.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(LIMIT_S)
    assert told, "it hangs"
    assert told[0] is None or isinstance(told[0], PaxosStoreError), told
    assert ended == []
    for one in nodes:
        assert one.call(0, "canary", b"") == b"alive"
        assert all(link.up for link in one.statistics().peers.values())


@examples(300)
@given(st.data())
def test_what_a_node_is_made_with(tmp_path: Path, data: st.DataObject) -> None:
    working: dict[str, Any] = {
        "cluster": ClusterSettings("any"),
        "node_id": 0,
        "peers": [(HOST, 7000 + node) for node in range(3)],
        "data_dir": tmp_path / "never made",
        "tuning": None,
        "handlers": HANDLERS,
        "min_free_bytes": 1,
        "fatal": print,
    }
    odd = data.draw(st.sets(st.sampled_from(sorted(working)), min_size=1, max_size=3))
    pairs = st.lists(st.tuples(OBJECTS, OBJECTS) | OBJECTS, min_size=3, max_size=3)
    for name in sorted(odd):
        working[name] = data.draw(pairs | OBJECTS if name == "peers" else OBJECTS)
    try:
        node = Node(**working)
    except PaxosStoreError:
        return
    assert type(node.node_id) is int
    assert type(node.cluster) is ClusterSettings
    assert type(node.tuning) is TuningSettings


@examples(200)
@given(st.data())
def test_what_settings_are_made_with(data: st.DataObject) -> None:
    cls: Any = data.draw(st.sampled_from([ClusterSettings, TuningSettings]))
    fields = sorted(cls.__dataclass_fields__)
    odd: dict[str, Any] = data.draw(st.dictionaries(st.sampled_from(fields), OBJECTS, min_size=1, max_size=3))
    try:
        made = cls(**({"cluster": "any"} if cls is ClusterSettings else {}) | odd)
    except PaxosStoreError:
        return
    for name in fields:
        assert type(getattr(made, name)) in (int, float, bool, str)


# -- values that did harm once


def raising(error: BaseException) -> Callable[..., Any]:
    def function(*arguments: Any) -> Any:
        raise error

    return function


ONCE: list[tuple[str, str, dict[str, Any], Any]] = [
    ("the process ended", "execute", {"entity": 1.5, "function": canary}, None),
    ("links went down for ever", "execute", {"entity": True, "function": canary}, None),
    ("links went down for ever", "catch_up", {"entity": True}, None),
    ("two nodes ended", "call", {}, ([("put", b"k", Bytes(b"x"))], ("return", b""))),
    ("the preferred node ended", "call", {}, ([], ("return", Bytes(b"x")))),
    ("the caller's node ended", "call", {"payload": Bytes(b"x")}, ([], ("return", b""))),
    ("two nodes ended", "call", {}, ([], ("raise", OwnRefusal))),
    ("two nodes ended", "call", {"uuid": UUID(int=77)}, ([], ("raise", OwnRefusal))),
    ("refused, and told unknown", "call", {}, ([], ("raise", OwnUnknown))),
    ("the caller's node ended", "call", {"timeout_ms": float("inf")}, ([], ("return", b""))),
    ("all of the turn's messages were lost", "call", {"timeout_ms": 1e300}, ([], ("return", b""))),
    ("it never ended", "call", {"timeout_ms": float("nan")}, ([], ("return", b""))),
    ("an error of nobody's tree", "call", {"handler": []}, ([], ("return", b""))),
    ("an error of nobody's tree", "run_paxos", {"entry": 1, "value": None}, None),
    ("an entry that is no number", "run_paxos", {"entry": 1.0, "value": {}}, None),
    ("a turn broke", "submit", {"request": 5}, None),
]


@pytest.mark.parametrize(("harm", "name", "arguments", "program"), ONCE, ids=[f"{at}-{one[1]}" for at, one in enumerate(ONCE)])
@pytest.mark.parametrize("number", range(3))
def test_values_that_did_harm(
    cluster: Cluster, number: int, harm: str, name: str, arguments: dict[str, Any], program: Any
) -> None:
    LATEST[0] = program
    defaults: dict[str, dict[str, Any]] = {
        "call": {"entity": 0, "handler": "program", "payload": b""},
        "run_paxos": {"entity": 0},
    }
    refusal = cluster.call(number, name, defaults.get(name, {}) | arguments)
    assert refusal is None or refusal.outcome_known
    cluster.check()
