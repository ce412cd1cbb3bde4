"""The pages of a node's settings.

GET  /settings                   JSON: every setting, what the file says where that is something else, and why it cannot change
POST /set?name=NAME&value=VALUE  have it hold until the restart
POST /set?name=NAME&reset=1      go back to what the file says
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ...errors import InvalidRequest
from .server import Page, Response, as_json


class Settings(Protocol):
    """What a node's settings can do. Raises ConfigError, which is answered with 400, and changes nothing then."""

    def all(self) -> Mapping[str, Any]: ...

    def set(self, name: str, text: str) -> Mapping[str, Any]: ...

    def reset(self, name: str) -> Mapping[str, Any]: ...


def settings_pages(settings: Settings) -> dict[str, Page]:
    return {"/settings": lambda query: as_json({"settings": settings.all()})}


def settings_actions(settings: Settings) -> dict[str, Page]:
    def change(query: Mapping[str, str]) -> Response:
        name, value = query.get("name"), query.get("value")
        if not name or (value is None) != ("reset" in query):
            raise InvalidRequest("a name is needed, and a value or a reset: /set?name=NAME&value=VALUE or /set?name=NAME&reset=1")
        return as_json(settings.reset(name) if value is None else settings.set(name, value))

    return {"/set": change}
