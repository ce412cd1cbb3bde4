"""A comparison of one entity's data on all its replicas: what is asked for, and what came of it (core/verify/comparer.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mypy_extensions import mypyc_attr

from ..entry.ids import majority


class RowDigest(NamedTuple):
    """What is shown of a row, which may hold anything: enough to see whether two are equal."""

    key: bytes
    """With its space byte."""
    length: int
    """Of the value, in bytes."""
    digest: bytes
    """Of the value."""


class DifferingKey(NamedTuple):
    """A key that is not the same on all nodes that were compared."""

    key: bytes
    """With its space byte."""
    entry: int
    """At which all of them were."""
    values: Mapping[int, RowDigest | None]
    """Node -> what it has there; None: nothing."""


class Compared(NamedTuple):
    """What came of a comparison."""

    entity: int
    entry: int
    """At which all nodes that were compared were, at the end; 0: it never came to that."""
    nodes: tuple[int, ...]
    """Those that were compared to the end; ascending. Fewer than two: nothing is known."""
    missing: Mapping[int, str]
    """Node -> why it was not compared, or not to the end."""
    rows: int
    """Compared on each of them."""
    size: int
    """Bytes of these rows."""
    differing: int
    """Keys that differ, or more: of very many not all are counted."""
    keys: tuple[DifferingKey, ...]
    """The first of them."""

    @property
    def is_equal(self) -> bool:
        """Whether all nodes were compared, and are equal."""
        return not self.differing and not self.missing

    @property
    def odd(self) -> tuple[int, ...]:
        """Nodes whose data differs from what a majority of all nodes agrees on; none: no majority does."""
        alike = _alike(self.keys)
        nodes = len({node for key in self.keys for node in key.values} | set(self.missing))
        most = max(alike, key=len, default=())
        return tuple(sorted({node for group in alike if group != most for node in group})) if len(most) >= majority(nodes) else ()

    def describe(self) -> str:
        """One sentence, as a person reads it."""
        if self.differing:
            groups = " differs from ".join(_nodes(group) for group in sorted(_alike(self.keys), key=len))
            return f"{groups} at entry {self.keys[0].entry}: {self.differing} keys, the first is {show_key(self.keys[0].key)}"
        if len(self.nodes) < 2:
            return f"not compared: {self.describe_missing()}"
        equal = f"{_nodes(self.nodes)} are equal at entry {self.entry}"
        return f"{equal}; not compared: {self.describe_missing()}" if self.missing else equal

    def describe_missing(self) -> str:
        return "; ".join(f"node {node} {why}" for node, why in sorted(self.missing.items()))


@mypyc_attr(allow_interpreted_subclasses=True)  # by runtime/verify.py
class Comparison:
    """An order to compare one entity. Its owner reads it; core/verify/comparer.py alone writes it."""

    def __init__(self, entity: int, bytes_per_second: float) -> None:
        self.entity = entity
        self.bytes_per_second = bytes_per_second
        """Of each node's data, at most."""
        self.size = 0
        """Bytes compared so far."""
        self.cancelled = False
        """Set by the owner: nobody waits for it any more."""
        self.result: Compared | None = None

    def settle(self) -> None:
        """Called once, when there is a result, unless it was cancelled."""


def show_key(key: bytes) -> str:
    """A key in printable characters, of bounded length, and which space it is in if that is not the data."""
    spaces = {b"d": "", b"u": "request ", b"w": "window "}
    text = repr(key[1:65])[1:] + ("..." if len(key) > 65 else "")
    return f"{spaces.get(key[:1], '')}{text}"


def _alike(keys: tuple[DifferingKey, ...]) -> list[tuple[int, ...]]:
    """The nodes, those together that have the same at all these keys."""
    found: dict[tuple[RowDigest | None, ...], list[int]] = {}
    for node in sorted({node for key in keys for node in key.values}):
        found.setdefault(tuple(key.values.get(node) for key in keys), []).append(node)
    return [tuple(group) for group in found.values()]


def _nodes(nodes: tuple[int, ...]) -> str:
    *first, last = map(str, nodes)
    return f"nodes {', '.join(first)} and {last}" if first else f"node {last}"
