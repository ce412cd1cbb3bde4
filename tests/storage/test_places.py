"""Places in a data directory: who may write there may have something of the node, and nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from paxosstore.errors import DirectoryInUse, InvalidRequest
from paxosstore.storage.places import CHECKPOINT, IMPORT, a_place, forget_places, place_of


@pytest.fixture(params=[CHECKPOINT, IMPORT])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_place_is_there_for_as_long_as_it_is_used(kind: str, tmp_path: Path) -> None:
    with a_place(tmp_path, kind) as (name, place):
        assert place_of(tmp_path, kind, name) == place
        (place / "file").write_bytes(b"x")
        forget_places(tmp_path)  # a node that starts meanwhile
        assert (place / "file").exists()
    assert not place.exists()


def test_one_at_a_time(kind: str, tmp_path: Path) -> None:
    with (
        a_place(tmp_path, kind),
        pytest.raises(DirectoryInUse, match="of this node is under way"),
        a_place(tmp_path, kind),
    ):
        pass


def test_what_a_killed_one_has_left_goes(kind: str, tmp_path: Path) -> None:
    left = tmp_path / f"{kind}.{'a' * 32}"
    left.mkdir()
    forget_places(tmp_path)
    assert not left.exists()
    left.mkdir()
    with a_place(tmp_path, kind):
        assert not left.exists()


@pytest.mark.parametrize("name", ["", "..", "../store", "a" * 32, "A" * 32, f"{'a' * 32}/..", f"{'a' * 31}\n"])
def test_a_name_without_a_place_does_nothing(kind: str, tmp_path: Path, name: str) -> None:
    (tmp_path / "store").mkdir()
    with pytest.raises(InvalidRequest, match="no place"):
        place_of(tmp_path, kind, name)


def test_a_link_is_no_place(kind: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"{kind}.{'b' * 32}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidRequest, match="no place"):
        place_of(tmp_path, kind, "b" * 32)
