"""A small form of `make crash-images`, and that its judge can find fault."""

from __future__ import annotations

from random import Random

import pytest

from . import fate
from .campaign import EMPTY, SIZES, Image, Report, images, mounted, recorded, replay, run
from .disk import EVERYTHING, Disk
from .judge import Fault, Promise, judge, promised
from .recorder import why_not
from .turns import Reference
from .workload import DATA

SEED = 7
SMALL = SIZES[0]
IMPOSSIBLE = why_not()

pytestmark = pytest.mark.skipif(bool(IMPOSSIBLE), reason=f"nothing can be recorded here: {IMPOSSIBLE}")


@pytest.fixture(scope="module")
def pair() -> tuple[Image, Image]:
    """What is left of a node early in its life, where all is lost that was not synced; and at its end, where nothing is."""
    path, recording = recorded(EMPTY, SEED, 30, SMALL)
    disk = Disk(path, EMPTY.tree)
    early = None
    for moment, _ in replay(disk, recording):
        promise = promised(EMPTY.promise, (claim for claim in recording.claims if claim.at <= moment))
        if promise.first >= 5 and early is None:
            early = Image("nothing", moment, disk.after(fate.nothing(Random(0), moment)), promise)
    assert early is not None
    return early, Image("everything", moment, disk.after(EVERYTHING), promise)


def verdict(image: Image, promise: Promise | None = None, seed: int = SEED) -> str:
    """The kind of fault that is found; empty if there is none."""
    try:
        with mounted(image) as disk:
            judge(disk, Reference(seed), promise or image.promise, SMALL)
    except Fault as fault:
        return fault.kind
    return ""


def test_no_power_cut_loses_what_was_synced() -> None:
    report = Report()
    run(1, 100, report, each=50)
    assert [(failure.image.kind, str(failure.fault)) for failure in report.failures] == []
    assert report.images.total() == 100
    assert set(report.images) == {kind.__name__ for kind in fate.KINDS}
    assert report.torn
    assert report.expired
    assert {"pwrite64", "fdatasync", "fsync", "rename", "unlink"} <= set(report.calls)


def test_a_store_that_forgets_to_sync_is_caught() -> None:
    path, recording = recorded(EMPTY, SEED, 40, SMALL, "--forget-to-sync")
    kinds = {verdict(image) for image in images(EMPTY, path, recording, Random(1), 40)}
    assert "lost" in kinds


def test_a_disk_that_forgets_what_it_has_synced_is_caught() -> None:
    path, recording = recorded(EMPTY, SEED, 40, SMALL)
    calls = [call for call in recording.calls if call.name != "fdatasync" or not call.file[1].endswith(".journal")]
    kinds = {verdict(image) for image in images(EMPTY, path, recording._replace(calls=calls), Random(1), 40)}
    assert "lost" in kinds


def test_the_judge_accepts_what_is_right(pair: tuple[Image, Image]) -> None:
    assert [verdict(image) for image in pair] == ["", ""]


def test_the_judge_tells_what_is_wrong(pair: tuple[Image, Image]) -> None:
    early, late = pair
    assert early.promise.last < late.promise.first
    assert verdict(early, late.promise) == "lost"
    assert verdict(early._replace(tree=EMPTY.tree)) == "lost"
    assert verdict(late, early.promise) == "invented"
    assert verdict(late, seed=SEED + 1) == "mixed"
    assert verdict(late._replace(tree={DATA: {"IDENTITY": b"{}"}})) == "damaged"
    assert verdict(late._replace(tree={DATA: b"no directory"})) == "refused"
