"""`paxosstore set` and `paxosstore get`: the settings of a running node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import ConfigError, InvalidRequest, NodeError, NotServing
from .asking import query_of
from .config import as_in_a_file, parse_address
from .watch import STRANGER, Unreachable, get


def change(server: str, name: str, value: str | None) -> Mapping[str, Any]:
    """Have a setting hold; None: what the file says. Raises ConfigError, NodeError, NotServing."""
    if value == "":
        raise InvalidRequest(f"set: {name!r:.100} cannot be empty: name a value, or leave it out and use --reset")
    query = {"name": name} | ({"reset": "1"} if value is None else {"value": value})
    return _ask(server, f"/set?{query_of(query)}", changes=True)


def told(answer: Mapping[str, Any]) -> str:
    """What has changed, as a person reads it."""
    warning = f"\nWARNING: {answer['warning']}" if answer.get("warning") else ""
    now, was = as_in_a_file(answer.get("value")), as_in_a_file(answer.get("was"))
    return f"{answer.get('name')} is {now} now, was {was}; {answer.get('lasts')}{warning}"


def shown(server: str, name: str | None) -> Iterator[str]:
    """Settings, a line each: all of them, or those of this name. Raises ConfigError, NodeError, NotServing."""
    settings = _ask(server, "/settings").get("settings")
    if not isinstance(settings, dict):
        raise NodeError(f"{server}: {STRANGER}")
    wanted = {full: one for full, one in settings.items() if name in (None, full, full.rpartition(".")[2])}
    if not wanted:
        raise ConfigError(f"{name!r:.100} is no setting: `paxosstore get` lists all")
    for full, one in wanted.items():
        file = f"   (the file: {as_in_a_file(one['file'])})" if "file" in one else ""
        why = f"cannot change while the node runs: {one['fixed']}" if name else "fixed"
        fixed = f"   ({why})" if one["fixed"] else ""
        yield f"{full} = {as_in_a_file(one['value'])}{file}{fixed}"


def _ask(server: str, path: str, *, changes: bool = False) -> Mapping[str, Any]:
    address = parse_address(server, "--server")
    try:
        return get(address, path, changes=changes)
    except InvalidRequest as error:
        raise ConfigError(str(error).removeprefix(f"{address}: ")) from None
    except Unreachable as error:
        look = f"; it may take effect yet: look with `paxosstore get --server {address}`" if changes and error.may_be_done else ""
        raise NotServing(f"{error}{look}") from error
