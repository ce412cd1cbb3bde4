"""PaxosStore: a replicated, strongly consistent store that never elects a leader.

`Node` runs a replica inside an asyncio program, `BlockingNode` inside a script. See README.md and docs/.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from . import compiled as compiled  # first: it decides which modules the others are

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .public import *  # noqa: F403  its __all__ says which
else:

    def __getattr__(name: str) -> object:
        """What `public` shows is imported when it is first asked for: the command line starts without all of the node."""
        if name == "__all__":
            return [*import_module(".public", __name__).__all__, "__version__"]
        if not name.startswith("_") and hasattr(public := import_module(".public", __name__), name):
            return getattr(public, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return [*globals(), *__getattr__("__all__")]
