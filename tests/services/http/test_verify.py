"""The pages of comparing replicas, without a node."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from paxosstore.core.entry.ids import MAX_ENTITY
from paxosstore.errors import InvalidRequest
from paxosstore.services.http.server import Response
from paxosstore.services.http.verify import MAX_RANGES, parse_entities, verify_actions, verify_pages


class Job(NamedTuple):
    number: int


class Verifier:
    def __init__(self) -> None:
        self.asked: list[object] = []

    def start(self, wanted: Sequence[tuple[int, int]]) -> Job:
        self.asked.append(wanted)
        return Job(7)

    def look(self, number: int) -> Mapping[str, Any]:
        self.asked.append(number)
        return {"job": number, "done": False}

    def cancel(self, number: int) -> Mapping[str, Any]:
        self.asked.append(-number)
        return {"job": number, "done": True}

    def renew(self, entity: int, peer: int) -> None:
        self.asked.append((entity, peer))


def content(response: object) -> object:
    assert isinstance(response, Response)
    return json.loads(response.body)


def test_a_job_is_begun_looked_at_and_cancelled() -> None:
    verifier = Verifier()
    act, look = verify_actions(verifier)["/verify"], verify_pages(verifier)["/verify"]
    assert content(act({"entities": f"5,7-9,{MAX_ENTITY}"})) == {"job": 7}
    assert content(look({"job": "7"})) == {"job": 7, "done": False}
    assert content(act({"job": "7", "cancel": "1"})) == {"job": 7, "done": True}
    assert content(act({"renew": "5", "from": "2"})) == {"renews": True}
    assert verifier.asked == [[(5, 5), (7, 9), (MAX_ENTITY, MAX_ENTITY)], 7, -7, (5, 2)]


@pytest.mark.parametrize("text", ["", "x", "-1", "9-5", "1,", "1-2-3", str(MAX_ENTITY + 1), "1" * 21, "1," * MAX_RANGES + "1"])
def test_what_is_no_list_of_entities(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_entities(text)
