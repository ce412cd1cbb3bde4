"""Who may import whom, by reading the imports of every file; no circle; exact public names."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import paxosstore

PACKAGE = "paxosstore"
ROOT = Path(paxosstore.__file__).parent

BASE = ("boundary", "clock", "errors", "settings")
FOR_SERVICES = (
    *BASE,
    "compiled",
    "runtime.node",
    "runtime.feed",
    "runtime.histogram",
    "runtime.direct",
    "runtime.quiet_log",
    "runtime.sockets",
    "storage.api",
    "core.entry.ids",
    "core.batch.overlay",
    "core.batch.published",
    "core.batch.request",
)
ROOMS = (
    "core.entry",
    "core.batch",
    "core.interface",
    "core.entity",
    "core.turn",
    "core.log",
    "core.handover",
    "core.reentry",
    "core.verify",
)
"""Of the core, each of which may import those before it."""
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "errors": (),
    "boundary": BASE,
    "clock": (),
    "compiled": (),
    "settings": BASE,
    **{room: (*BASE, *ROOMS[: at + 1]) for at, room in enumerate(ROOMS)},
    "core.shard": (*BASE, "core"),
    "core": (),
    "storage": (*BASE, "core", "storage"),
    "backup": (*BASE, "core", "storage", "backup"),
    "wire": (*BASE, "core", "wire"),
    "runtime": (*BASE, "compiled", "core", "storage", "wire", "runtime"),
    "services.card": (*FOR_SERVICES, "services.card"),
    "services.http": (*FOR_SERVICES, "services.http"),
    "services.redis": (*FOR_SERVICES, "services.redis"),
    "services.importing": FOR_SERVICES,
    "services": (),
    "app": (*BASE, "core.batch.overlay"),
    "client": (*BASE, "app", "client"),
    "redis": ("client", "redis"),
    "sim": (*BASE, "core", "storage", "sim"),
    "cli": ("",),
    "__main__": ("cli",),
    "public": (*BASE, "app", "client", "core", "runtime", "storage"),
    "": ("compiled", "public"),
}
"""Part -> what it may import of this package; "" is the package itself, and as a permission: anything."""

CORE_STDLIB = {"__future__", "bisect", "collections", "dataclasses", "enum", "heapq", "typing"}
"""As docs/ARCHITECTURE.md has it; whatever reads a clock, draws a number or does I/O never joins them."""
CORE_NAMES = {"hashlib.blake2b", "mypy_extensions.mypyc_attr"}
"""Of other modules these alone: a request has a digest; what interpreted classes inherit from says so to the compiler."""


def modules() -> dict[str, Path]:
    """Dotted name below the package -> file; the package's own __init__ is ""."""
    found: dict[str, Path] = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports_of(module: str, source: str, *, is_package: bool) -> Iterator[str]:
    """Absolute names of all that a module imports, wherever in it: `a.b` of `import a.b`, `a.b.c` of `from a.b import c`."""
    inside = [PACKAGE, *(module.split(".") if module else [])]
    if not is_package:
        inside.pop()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = inside[: len(inside) - node.level + 1] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{start}.{alias.name}" for alias in node.names)


def imported(module: str) -> set[str]:
    path = MODULES[module]
    return set(imports_of(module, path.read_text(encoding="utf-8"), is_package=path.name == "__init__.py"))


def own(name: str) -> str | None:
    """The module of this package that an imported name is or lies in; None: another package's."""
    if name != PACKAGE and not name.startswith(f"{PACKAGE}."):
        return None
    inner = name.removeprefix(PACKAGE).removeprefix(".")
    while inner not in MODULES:
        inner = inner.rpartition(".")[0]
    return inner


def within(module: str, part: str) -> bool:
    return module == part or module.startswith(f"{part}.")


def part_of(module: str) -> str:
    return max((part for part in MAY_IMPORT if within(module, part)), key=len, default="")


def allowed(module: str, target: str) -> bool:
    permitted = MAY_IMPORT[part_of(module)]
    return "" in permitted or any(within(target, part) for part in permitted)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_only_what_its_layer_may(module: str) -> None:
    for name in imported(module):
        target = own(name)
        assert target is None or allowed(module, target), f"{module} must not import {name}"


@pytest.mark.parametrize("module", [name for name in sorted(MODULES) if within(name, "core")])
def test_the_core_has_no_clock_no_randomness_no_io(module: str) -> None:
    foreign = {name.split(".")[0] for name in imported(module) - CORE_NAMES if own(name) is None}
    assert foreign <= CORE_STDLIB


@pytest.mark.parametrize("module", [*BASE])
def test_the_base_needs_nothing_but_the_standard_library(module: str) -> None:
    foreign = {name.split(".")[0] for name in imported(module) if own(name) is None}
    assert foreign <= sys.stdlib_module_names


@pytest.mark.parametrize("module", [name for name in sorted(MODULES) if within(name, "storage") or within(name, "wire")])
def test_asyncio_begins_in_the_runtime(module: str) -> None:
    assert "asyncio" not in {name.split(".")[0] for name in imported(module)}


def test_no_import_circle() -> None:
    edges = {module: {target for name in imported(module) if (target := own(name)) is not None} for module in MODULES}
    assert circle(edges) is None


def circle(edges: dict[str, set[str]]) -> list[str] | None:
    """A circle as the list of its modules; None: there is none."""
    done: set[str] = set()
    way: list[str] = []

    def follow(module: str) -> list[str] | None:
        if module in way:
            return way[way.index(module) :]
        if module in done:
            return None
        way.append(module)
        for target in sorted(edges.get(module, ())):
            if target != module and (found := follow(target)):
                return found
        done.add(way.pop())
        return None

    return next((found for module in sorted(edges) if (found := follow(module))), None)


class TestTheReadingItself:
    """The checks above are worth what the reading of imports is worth."""

    def test_relative_and_absolute_imports_are_seen(self) -> None:
        source = "import os.path\nfrom ..entry import ids\nfrom ...errors import X\n"
        source += "def f():\n    from paxosstore.wire.frame import g\n"
        assert set(imports_of("core.shard.shard", source, is_package=False)) == {
            "os.path",
            "paxosstore.core.entry.ids",
            "paxosstore.errors.X",
            "paxosstore.wire.frame.g",
        }
        assert set(imports_of("core.entry", "from .ids import owner", is_package=True)) == {"paxosstore.core.entry.ids.owner"}

    def test_a_name_belongs_to_the_module_it_lies_in(self) -> None:
        assert own("paxosstore.core.entry.ids.owner") == "core.entry.ids"
        assert own("paxosstore.Node") == ""
        assert own("paxosstoreless") is None

    def test_layers_refuse(self) -> None:
        assert not allowed("core.shard.shard", "storage.api")
        assert not allowed("core.entry.machine", "core.log.log")
        assert not allowed("storage.rocks", "wire.codec")
        assert not allowed("services.card.server", "services.redis.server")
        assert not allowed("services.redis.server", "storage.rocks")
        assert not allowed("sim.cluster", "runtime.node")
        assert not allowed("runtime.node", "cli.config")
        assert allowed("runtime.node", "storage.rocks")
        assert allowed("cli.serve", "services.card.server")

    def test_circles_are_found(self) -> None:
        assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c"]
        assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None
