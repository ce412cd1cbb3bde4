"""What can go wrong with the harness itself."""

from __future__ import annotations


class CannotRun(Exception):
    """The run cannot be done on this machine, or not with these arguments: it says nothing about the store."""
