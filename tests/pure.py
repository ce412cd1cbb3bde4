"""What needs the pure package: compiled code can neither be replaced at run time nor, as a rule, inherited from."""

from __future__ import annotations

import pytest

from paxosstore.compiled import WHY_PURE

PURE_ONLY = pytest.mark.skipif(
    not WHY_PURE, reason="it replaces or extends code that is compiled here; with PAXOSSTORE_PURE=1 it runs"
)
