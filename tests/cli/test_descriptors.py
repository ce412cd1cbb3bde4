"""Descriptors are for the store and the peers first, whatever the limit is."""

from __future__ import annotations

import logging
import resource

import pytest

from paxosstore.cli.descriptors import OWN, PEERS, needed, share_out, shares
from paxosstore.errors import NodeError
from paxosstore.services.card.server import MAX_CONNECTIONS as MAX_GRPC
from paxosstore.services.http.server import MAX_CONNECTIONS as MAX_HTTP
from paxosstore.storage.descriptors import LEAST, MAX_TABLE_FILES, OTHER_FILES, table_files


@pytest.mark.parametrize("descriptors", [LEAST, 500, 1_024, 4_096, 20_000, 1 << 20])
def test_clients_get_what_is_left(descriptors: int) -> None:
    found = shares(descriptors, 10_000)
    assert min(found) >= 8
    assert sum(found) + table_files(descriptors) + OTHER_FILES + PEERS + OWN <= descriptors
    assert found.redis <= 10_000


def test_with_enough_everybody_gets_all() -> None:
    assert shares(needed(10_000), 10_000) == (10_000, MAX_GRPC, MAX_HTTP)
    assert table_files(needed(1)) == MAX_TABLE_FILES


def test_with_too_few_there_is_no_node() -> None:
    with pytest.raises(NodeError, match=r"255 open files.*256.*ulimit"):
        shares(LEAST - 1, 1)


def test_the_limit_is_raised_and_said_if_it_does_not_suffice(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limits = [1_024, 8_192]

    def setrlimit(which: int, to: tuple[int, int]) -> None:
        limits[:] = to

    monkeypatch.setattr(resource, "getrlimit", lambda which: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    assert share_out(100).redis == 100
    assert limits == [needed(100), 8_192]
    assert not caplog.messages
    with caplog.at_level(logging.WARNING):
        found = share_out(10_000)
    assert limits == [8_192, 8_192]
    [line] = caplog.messages
    for word in ("8192", str(found.redis), "redis.max_clients", str(needed(10_000)), "ulimit -n"):
        assert word in line
