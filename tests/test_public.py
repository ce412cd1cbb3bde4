"""What the package shows at its top: every error, every type that a public call takes or gives, and nothing that is not there."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib import metadata
from types import UnionType
from typing import Any, get_args, get_type_hints

import pytest

import paxosstore
from paxosstore import errors, public

ENTRANCES = [
    paxosstore.Node,
    paxosstore.BlockingNode,
    paxosstore.NodeStatistics,
    paxosstore.LinkStatistics,
    paxosstore.View,
    paxosstore.WriteBatch,
    paxosstore.Request,
]


def classes_of(annotation: Any) -> Iterator[type]:
    """All classes that stand in an annotation."""
    if isinstance(annotation, list):
        for part in annotation:
            yield from classes_of(part)
    for part in get_args(annotation):
        yield from classes_of(part)
    if isinstance(annotation, type) and not isinstance(annotation, UnionType):
        yield annotation


def named_by(cls: type) -> set[type]:
    """Classes of this package that its public calls and fields name."""
    hints = [get_type_hints(cls)] if is_dataclass(cls) else []
    for name, member in inspect.getmembers(cls):
        function = member.fget if isinstance(member, property) else member
        if inspect.isfunction(function) and (not name.startswith("_") or name == "__init__"):
            hints.append(get_type_hints(function))
    found = {one for hint in hints for annotation in hint.values() for one in classes_of(annotation)}
    return {one for one in found if one.__module__.startswith("paxosstore")}


@pytest.mark.parametrize("cls", ENTRANCES, ids=lambda cls: cls.__name__)
def test_what_public_calls_name_is_public(cls: type) -> None:
    assert {one.__name__ for one in named_by(cls)} <= set(public.__all__)


def test_every_error_is_public() -> None:
    tree = {name for name, value in vars(errors).items() if inspect.isclass(value) and value.__module__ == errors.__name__}
    assert tree <= set(public.__all__)
    assert {cls.__name__ for cls in errors.BY_CODE.values()} <= tree


def test_the_names_are_there_and_sorted_and_no_others() -> None:
    assert sorted(public.__all__) == public.__all__
    shown = {name for name, value in vars(public).items() if not name.startswith("_") and not inspect.ismodule(value)}
    assert shown == set(public.__all__)
    given: dict[str, object] = {}
    exec("from paxosstore import *", given)
    assert given.keys() - {"__builtins__"} == {*public.__all__, "__version__"} <= set(dir(paxosstore))
    for name in ("nothing", "import_module_", "_hidden"):
        with pytest.raises(AttributeError, match=f"module 'paxosstore' has no attribute '{name}'"):
            getattr(paxosstore, name)


def test_what_a_start_does_not_need_is_not_imported() -> None:
    """They take most of the time that an import or a call of the program can take."""
    seen = "import sys; print(*{name.split('.')[0] for name in sys.modules})"
    start = "from paxosstore.cli.main import main; main(['--help'])"
    for text in ("import paxosstore", f"{start}; print()"):
        done = subprocess.run([sys.executable, "-c", f"{text}; {seen}"], capture_output=True, text=True, check=True, timeout=60)
        last = set(done.stdout.splitlines()[-1].split())
        assert "paxosstore" in last
        assert not last & {"asyncio", "grpc", "google", "msgspec", "rocksdict", "uvloop"}


def test_the_reading_itself() -> None:
    assert {cls.__name__ for cls in named_by(paxosstore.BlockingNode)} >= {"View", "WriteBatch", "NodeStatistics"}
    assert set(classes_of(dict[str, list[int] | None])) >= {str, int}
    assert fields(paxosstore.NodeStatistics)


def test_the_version() -> None:
    assert metadata.version("paxosstore") == paxosstore.__version__
    for program in ("paxosstore", "paxosstore.cli"):
        done = subprocess.run(
            [sys.executable, "-m", program, "--version"], capture_output=True, text=True, check=True, timeout=60
        )
        assert done.stdout == f"paxosstore {paxosstore.__version__}, {paxosstore.compiled.BUILD}\n"
