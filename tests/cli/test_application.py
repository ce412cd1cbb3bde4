"""`[app]` of a node's file: found, or a mistake that names thing, place and remedy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from paxosstore.cli.application import load_app
from paxosstore.cli.config import read_config
from paxosstore.cli.init import write_configs
from paxosstore.errors import ConfigError

GOOD = """
from paxosstore import App

app = App()


@app.handler
def visit(view):
    return 5


plain = {"visit": lambda view, payload: b""}
empty = App()
number = 7
waits = {"visit": visit_async} if "visit_async" in dir() else {"": visit}


async def waiting(view, payload): ...


asynchronous = {"visit": waiting}
worded = {"two words": visit}
"""
_number = count()


@pytest.fixture
def paths() -> Iterator[None]:
    before, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = before
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def node_file(directory: Path, lines: str) -> Path:
    directory.mkdir(exist_ok=True)
    path = write_configs(directory / f"cluster-{next(_number)}", 3, 7400)[0]
    path.write_text(path.read_text().replace('# module = "bank:app"\n# path = "."', lines))
    return path


def test_no_application(tmp_path: Path) -> None:
    content = read_config(node_file(tmp_path, ""))
    assert load_app(content, content.check().app) is None


@pytest.mark.parametrize("name", ["app", "plain"])
def test_it_is_found_beside_the_file_or_where_it_says(tmp_path: Path, paths: None, name: str) -> None:
    path = node_file(tmp_path, f'module = "good_bank:{name}"\npath = "../code"')
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "good_bank.py").write_text(GOOD)
    content = read_config(path)
    found = load_app(content, content.check().app)
    assert found is not None
    assert list(found) == ["visit"]


def test_init_writes_where_it_was_run(tmp_path: Path, paths: None, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_bank.py").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    content = read_config(write_configs(Path("some") / "cluster", 3, 7400, app="my_bank:app")[1])
    assert content.check().app.path == "../.."
    assert load_app(content, content.check().app) is not None
    with pytest.raises(ConfigError, match="module: \"module:name\" is needed, not 'my_bank'"):
        write_configs(Path("other"), 3, 7400, app="my_bank")
    assert not Path("other").exists()


MISTAKES = [
    ('module = "missing_bank:app"', "there is no module missing_bank in .*: correct its name, or app.path"),
    ('module = "some.missing:app"', "there is no module some.missing in "),
    ('module = "bank0:app"\npath = "nowhere"', ".*nowhere is no directory: correct app.path"),
    ('module = "bank0:ap"', "bank0 has no ap: did you mean app?"),
    ('module = "bank0:xyzzy"', "bank0 has no xyzzy: name what holds its handlers"),
    ('module = "bank0:number"', "bank0:number: handlers must be a mapping, not 7 .*: it must be an App, or a mapping"),
    ('module = "bank0:waits"', "bank0:waits: a handler's name must not be empty"),
    (
        'module = "bank0:asynchronous"',
        "bank0:asynchronous: handler 'visit' must be a plain function, neither async nor a generator",
    ),
    ('module = "bank0:worded"', "bank0:worded: 'two words': a handler's name is a word of 1 to 200 characters"),
    ('module = "bank0:empty"', "bank0:empty has no handlers: decorate its functions with @empty.handler"),
    ('module = "raises:app"', r"raises cannot be imported: ZeroDivisionError: .* \(.*raises.py, line 1\): correct it"),
    ('module = "exits:app"', r"exits cannot be imported: SystemExit: 3 \(.*exits.py, line 1\)"),
    ('module = "wrong:app"', "wrong cannot be imported: SyntaxError: "),
    ('module = "needs:app"', "needs needs the module no_such_module_here, which is not installed for "),
]


@pytest.mark.parametrize(("lines", "text"), MISTAKES)
def test_a_mistake_names_thing_place_and_remedy(tmp_path: Path, paths: None, lines: str, text: str) -> None:
    path = node_file(tmp_path, lines)
    for name, source in {
        "bank0": GOOD,
        "raises": "1 // 0",
        "exits": "raise SystemExit(3)",
        "wrong": "def",
        "needs": "import no_such_module_here",
    }.items():
        (path.parent / f"{name}.py").write_text(source)
    content = read_config(path)
    with pytest.raises(ConfigError, match=rf"node-0.toml, line \d+: app.module: {text}"):
        load_app(content, content.check().app)


@pytest.mark.parametrize("module", ['"bank"', '"bank:"', '":app"', '"bank:a b"', '"../bank:app"', '"bank:app:x"', "7"])
def test_what_is_no_name_of_one(tmp_path: Path, module: str) -> None:
    content = read_config(node_file(tmp_path, f"module = {module}"))
    with pytest.raises(ConfigError, match=r"node-0.toml, line \d+: app.module: "):
        content.check()


def test_serve_ends_with_one_line_and_2(tmp_path: Path) -> None:
    path = node_file(tmp_path, 'module = "missing_bank:app"')
    done = subprocess.run(
        [sys.executable, "-m", "paxosstore.cli", "serve", "--config", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"paxosstore: {path}, line ")
    assert "there is no module missing_bank" in line
    assert not path.with_suffix("").exists(), "the node has not begun"


def test_where_a_handler_has_raised_is_logged_now_and_then(
    tmp_path: Path, paths: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = node_file(tmp_path, '''module = "failing:app"''')
    (path.parent / "failing.py").write_text("app = {'halve': lambda view, payload: 1 / 0}\n")
    content = read_config(path)
    handlers = load_app(content, content.check().app)
    assert handlers is not None
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            handlers["halve"](None, b"")  # type: ignore[arg-type]  # it looks at nothing
    assert [record.getMessage() for record in caplog.records if record.exc_info] == ["the handler halve has raised"]
