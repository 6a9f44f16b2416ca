"""A short cut of `make quality`: everything it does, on a few originals, so that it does not rot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from models.training.kinds import KINDS
from tests.conftest import lacks
from tests.quality.goals import goals
from tests.quality.measure import Amounts, available, measure, measure_kind, with_cost
from tests.quality.page import page, page_of_kind
from tests.quality.pictures import draw
from tests.quality.recognisers import MINILM, PEERS
from tests.quality.report import Report, read_report, write_report
from tests.quality.together import nothing
from tests.quality.views import TRANSFORMS, workers

if TYPE_CHECKING:
    from pathlib import Path

FEW = Amounts(
    originals=3, files=2, distractors=20, calibration_originals=3, calibration_distractors=20, calibration_copies=3,
    pairs=2,
)  # fmt: skip
WANTED = tuple(name for name in PEERS if name != MINILM)
"""MiniLM takes longer to load than all the rest to measure."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("quality")


@pytest.fixture(scope="module")
def report(kept: Path) -> Report:
    with workers(0) as work:
        return measure(FEW, None, work, kept, lambda _: None, WANTED)


def test_it_measures_every_peer_that_is_installed_on_every_kind(report: Report) -> None:
    assert [(one.kind, one.source) for one in report.sections] == [
        ("text", "real"), ("text", "generated"), ("image", "generated"), ("audio", "generated"),
    ]  # fmt: skip
    missing, systems = available(WANTED)
    assert report.missing == missing
    for section in report.sections:
        assert tuple(section.systems) == systems[section.kind]
        assert list(section.systems["compact"].transforms) == list(TRANSFORMS[section.kind])
        assert section.copies == FEW.originals * len(TRANSFORMS[section.kind])
        assert section.distractors == FEW.distractors
        assert section.systems["compact"].precision > 0.4
    assert [one.source for one in report.posts] == ["generated"]
    assert report.posts[0].systems["compact"].precision > 0.8
    assert all(one.pairs == FEW.pairs for one in report.look_alikes)
    assert report.unrelated is not None
    assert report.unrelated.posts == FEW.distractors
    assert all(spent > 0 for spent in report.milliseconds.values())
    assert 5 < report.megabytes < 30


def test_one_kind_alone_gives_what_the_whole_run_gives(report: Report, kept: Path) -> None:
    with workers(0) as work:
        sections, pairs = measure_kind("audio", FEW, None, work, kept, lambda _: None, WANTED)
    assert sections == [one for one in report.sections if one.kind == "audio"]
    assert pairs == [one for one in report.look_alikes if one.kind == "audio"]
    text = page_of_kind(msgspec.structs.replace(nothing(), sections=sections, look_alikes=pairs))
    assert "## Audio\n" in text
    assert "| one jingle, other words spoken over it |" in text


def test_the_cost_alone_can_be_measured_anew(report: Report) -> None:
    again = with_cost(report, ())
    own = {f"{name} {kind}" for name in ("compact", "compact, verified") for kind in KINDS}
    assert set(again.milliseconds) == {*own, "compact post"}
    assert again.megabytes == report.megabytes
    assert again.sections == report.sections


def test_every_peer_was_there(report: Report) -> None:
    if report.missing:
        lacks("; ".join(report.missing))


def test_a_second_run_reads_what_the_first_one_kept(report: Report, kept: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in kept.iterdir()}
    with workers(0) as work:
        again = measure(FEW, None, work, kept, lambda _: None, WANTED)
    assert {path: path.stat().st_mtime_ns for path in kept.iterdir()} == before
    assert again.sections == report.sections
    assert again.posts == report.posts


def test_the_page_says_everything_and_comes_from_the_figures_alone(report: Report, tmp_path: Path) -> None:
    write_report(tmp_path / "quality.json", report)
    kept = read_report(tmp_path / "quality.json")
    assert kept == report
    pictures = draw(kept, tmp_path)
    assert set(pictures) == {*KINDS, "posts"}
    drawn = {name: (tmp_path / name).read_bytes() for name in pictures.values()}
    assert draw(kept, tmp_path) == pictures
    assert {name: (tmp_path / name).read_bytes() for name in pictures.values()} == drawn
    text = page(kept, pictures)
    for heading in ("## Goals", "### Where a hash is ahead", "## Text", "## Image", "## Audio", "## Whole posts",
                    "## Look-alikes", "## False flags", "## Cost"):  # fmt: skip
        assert f"{heading}\n" in text
    assert all(f"](pictures/{name})" in text for name in pictures.values())
    assert "| screenshot * |" in text
    assert "| crop-50 |" in text
    assert "nan" not in text
    missed = sum(not goal.met for goal in goals(kept))
    assert f"{missed} are missed" in text
    assert text.count("**missed**") == missed
