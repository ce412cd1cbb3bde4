"""Settings that change while a node runs: by `paxosstore set`, and by its file, which is read again at SIGHUP.

    file ─► table ─┐
                   ├─► checked as at the start ─► does only what tunes differ? ─► node, services, log
    set ─► changed ┘

All of it is taken, or nothing. What was set lasts until the restart, over a file that is read again as well.
"""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from ..errors import ConfigError
from ..runtime.disk import beside
from .config import OFF, Addresses, Content, NodeConfig, as_in_a_file, line_of, read_config

log = logging.getLogger(__name__)

MAX_VALUE_CHARACTERS = 200
_LISTENS = "it has been listening there since its start, and its peers and clients look for it there: restart it"
_FOR_EVER = "it is for the life of the cluster, the same on every node: another one would make the data directories unusable"
FIXED = {
    "node": "its data directory and its peers know it by this number: restart it with the directory of that node",
    "data": "the directory is open: stop the node, move the directory, and start it",
    "nodes": "the links to the peers are up: restart it to look for them elsewhere",
    "cluster.cluster": _FOR_EVER,
    "cluster.nodes": f"{_FOR_EVER}, and majorities of other sizes need not meet",
    "cluster.uuid_window_entries": f"{_FOR_EVER}: nodes that forget outcomes at different entries would differ",
    "redis.keyspace": f"{_FOR_EVER}: it decides in which entity a key lives",
    **dict.fromkeys(("app.module", "app.path"), "the application's functions are loaded at the start: restart the node"),
    **{f"listen.{name}": _LISTENS for name in Addresses._fields},
}
"""What cannot change while the node runs, and why."""


class LiveSettings:
    """The settings in force, and where they come from. In the node's loop."""

    def __init__(
        self, content: Content, apply: Callable[[NodeConfig, NodeConfig], None], warning: Callable[[], str] = str
    ) -> None:
        """`apply(before, now)` has a checked configuration hold; what it raises, it raises before it has changed anything.
        `warning` says what is amiss now with the settings in force, for whoever has just changed one; empty: nothing."""
        self._content = content
        self._apply = apply
        self._warning = warning
        self._changed: dict[str, Any] = {}
        """What was set: name -> value."""
        self.config = content.check()
        self.trouble = ""
        """Why the file was not taken when it was last read again; empty: it was."""

    # -- the file

    async def reread(self) -> None:
        """Take in the file as it is now, or say in the log why not, and go on as before."""
        path = self._content.path
        try:
            content = await beside(lambda: read_config(path))
            said = self._take(content, self._changed)
        except ConfigError as error:
            self.trouble = str(error)
            log.error("the settings were not read again, all stay as they are: %s", error)
            return
        self._content, self.trouble = content, ""
        log.info("%s was read again: %s", path, ", ".join(said) or "nothing has changed")
        for name, one in self.differing().items():
            log.warning("%s stays at %s, as it was set, until the restart", name, as_in_a_file(one["value"]))

    # -- one setting

    def set(self, name: str, text: str) -> dict[str, Any]:
        """Have one setting hold until the restart; returns what is answered. Raises ConfigError."""
        name = self.full_name(name)
        value = self._parsed(name, text)
        return self._change(name, {**self._changed, name: value})

    def reset(self, name: str) -> dict[str, Any]:
        """Go back to what the file says, or the default. Raises ConfigError."""
        name = self.full_name(name)
        return self._change(name, {other: value for other, value in self._changed.items() if other != name})

    def full_name(self, name: str) -> str:
        """ "section.name" of a setting that may change. Raises ConfigError, with the reason or the nearest name."""
        known = self._values()
        found = [name] if name in known else [full for full in known if full.rpartition(".")[2] == name]
        if not found:
            by_last = {full.rpartition(".")[2]: full for full in known} | {full: full for full in known}
            near = get_close_matches(name, by_last, n=1)
            remedy = f"did you mean {by_last[near[0]]}?" if near else "`paxosstore get` lists all"
            raise ConfigError(f"{name!r:.100} is no setting: {remedy}")
        if len(found) > 1:
            raise ConfigError(f"{name}: which one? Write {' or '.join(found)}")
        if (why := FIXED.get(found[0])) is not None:
            raise ConfigError(f"{found[0]} cannot change while the node runs: {why}")
        return found[0]

    def all(self) -> dict[str, dict[str, Any]]:
        """Every setting: what holds, what the file says (or its default) if that is something else, and why it cannot change."""
        now, file = self._values(), dict(_flat(self._content.check()))
        found: dict[str, dict[str, Any]] = {}
        for name, value in now.items():
            found[name] = {"value": value, "fixed": FIXED.get(name, "")}
            if value != file[name]:
                found[name]["file"] = file[name]
        return found

    def differing(self) -> dict[str, dict[str, Any]]:
        """Those that were set, and differ from the file: what a restart would change."""
        return {name: one for name, one in self.all().items() if "file" in one}

    # -- inside

    def _values(self) -> dict[str, Any]:
        return dict(_flat(self.config))

    def _change(self, name: str, changed: dict[str, Any]) -> dict[str, Any]:
        before, path = self._values()[name], self._content.path
        try:
            self._take(self._content, changed)
        except ConfigError as error:
            raise ConfigError(str(error).removeprefix(f"{path}: ")) from None
        self._changed = changed
        now = self._values()[name]
        log.warning("%s is %s now, was %s", name, as_in_a_file(now), as_in_a_file(before))
        differs = name in self.differing()
        lasts = f"until the restart: to keep it, write it into {path} as well" if differs else f"as {path} has it"
        return {"name": name, "value": now, "was": before, "lasts": lasts, "warning": self._warning()}

    def _take(self, content: Content, changed: Mapping[str, Any]) -> list[str]:
        """Have these settings hold; returns what has changed. Raises ConfigError, and changes nothing then."""
        config = content.check()
        if changed:
            config = content.check(changed)
        before, now = self._values(), dict(_flat(config))
        differ = [name for name, value in now.items() if value != before[name]]
        for name in differ:
            if name in FIXED:
                line = line_of(content.text, name)
                place = f"{content.path}{f', line {line}' if line else ''}"
                raise ConfigError(f"{place}: {name} cannot change while the node runs: {FIXED[name]}")
        self._apply(self.config, config)
        self.config = config
        return [f"{name} is {as_in_a_file(now[name])}, was {as_in_a_file(before[name])}" for name in differ]

    def _parsed(self, name: str, text: str) -> Any:
        """The value in a text, of the type that the setting has. Raises ConfigError."""
        now = self._values()[name]
        if isinstance(now, str):
            return text
        try:
            if len(text) > MAX_VALUE_CHARACTERS or not text.isprintable():
                raise ValueError
            value = tomllib.loads(f"value = {text}")["value"]
        except ValueError:
            raise ConfigError(
                f"{name}: {text!r:.100} is no value: write it as in the file, such as {as_in_a_file(now)}"
            ) from None
        return value


def _flat(config: NodeConfig) -> Iterator[tuple[str, Any]]:
    """All settings by their names in the file."""
    yield "node", config.node
    yield "data", str(config.data_dir)
    yield "nodes", [_addresses(node) for node in config.nodes]
    for name, address in _addresses(config.listen).items():
        yield f"listen.{name}", address
    for section in ("cluster", "tuning", "redis", "http", "log", "app"):
        part = getattr(config, section)
        for field in fields(part):
            if (section, field.name) not in (("cluster", "services"), ("redis", "host"), ("redis", "port")):
                value = getattr(part, field.name)
                yield f"{section}.{field.name}", list(value) if isinstance(value, tuple) else value


def _addresses(addresses: Addresses) -> dict[str, str]:
    return {name: OFF if address is None else str(address) for name, address in addresses._asdict().items()}
