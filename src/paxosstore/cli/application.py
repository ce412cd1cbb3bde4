"""`[app]` of a node's file: the application's functions, found and checked before the node starts."""

from __future__ import annotations

import importlib
import logging
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from ..app import MAX_NAME
from ..core.batch.overlay import View
from ..errors import ConfigError, InvalidRequest, PaxosStoreError
from ..runtime.arguments import exact_handlers
from .config import AppSettings, Content, line_of

log = logging.getLogger(__name__)

MAX_SHOWN = 200
SAY_EVERY_S = 10.0


def load_app(content: Content, settings: AppSettings) -> Mapping[str, Callable[[View, bytes], bytes]] | None:
    """The functions by name; None: the file names no application. Raises ConfigError."""
    if not settings.module:
        return None
    try:
        found = _load(content, settings)
    except ConfigError as error:
        line = line_of(content.text, "app.module")
        raise ConfigError(f"{content.path}{f', line {line}' if line else ''}: app.module: {error}") from error.__cause__
    log.info("the application %s has %s", settings.module, ", ".join(found))
    return found


def _load(content: Content, settings: AppSettings) -> Mapping[str, Callable[[View, bytes], bytes]]:
    path = (content.path.parent / settings.path).resolve()
    if not path.is_dir():
        raise ConfigError(f"{path} is no directory: correct app.path")
    module_name, _, name = settings.module.partition(":")
    sys.path.insert(0, str(path))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise ConfigError(f"there is no module {module_name} in {path}: correct its name, or app.path") from error
        raise ConfigError(f"{module_name} needs the module {error.name}, which is not installed for {sys.executable}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # it is somebody else's code: even its SystemExit is a mistake to be told of
        place = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{type(error).__name__}: {error}"[:MAX_SHOWN]
        raise ConfigError(
            f"{module_name} cannot be imported: {said} ({place.filename}, line {place.lineno}): correct it"
        ) from error
    missing = object()
    found: Any = getattr(module, name, missing)
    if found is missing:
        near = get_close_matches(name, dir(module), n=1)
        raise ConfigError(
            f"{module_name} has no {name}: " + (f"did you mean {near[0]}?" if near else "name what holds its handlers")
        )
    try:
        handlers = exact_handlers(found)
    except InvalidRequest as error:
        raise ConfigError(f"{settings.module}: {error}: it must be an App, or a mapping from names to functions") from error
    if long := next((one for one in handlers if len(one) > MAX_NAME or not one.isprintable() or " " in one), None):
        raise ConfigError(f"{settings.module}: {long!r:.80}: a handler's name is a word of 1 to {MAX_NAME} characters")
    if not handlers:
        raise ConfigError(f"{settings.module} has no handlers: decorate its functions with @{name}.handler")
    return {name: _logged(name, handlers[name]) for name in handlers}


def _logged(name: str, handler: Callable[[View, bytes], bytes]) -> Callable[[View, bytes], bytes]:
    """What a handler raises by mistake is told its caller in a line; where it did is for the log, now and then."""
    says_again_s = 0.0

    def run(view: View, payload: bytes) -> bytes:
        nonlocal says_again_s
        try:
            return handler(view, payload)
        except PaxosStoreError:
            raise
        except Exception:
            if time.monotonic() >= says_again_s:
                says_again_s = time.monotonic() + SAY_EVERY_S
                log.exception("the handler %s has raised", name)
            raise

    return run
