"""The demo's view and its summary."""

from __future__ import annotations

import io
import json

import msgspec
import pytest
from rich.console import Console

from consumers.demo.moderator import Moderator
from consumers.demo.summary import numbers_of, shortcomings, summary_view
from consumers.demo.tally import Sent, Tally
from consumers.demo.view import SHARE_CELLS, History, Scene, live_view, share_bars
from tests.demo.fake_worker import FakeWorker
from tests.demo.test_moderator import play


@pytest.fixture(scope="module")
def worker() -> FakeWorker:
    played = FakeWorker()
    play(played, Moderator(mistakes=True), 600)
    return played


def scene_of(tally: Tally) -> Scene:
    history = History()
    history.note(tally, 15.0)
    scores = {name: tally.score(name or None) for name in (*tally.policies(), "")}
    return Scene(tally, history, scores, 15.0, 600, "running")


def rendered(width: int, height: int, tally: Tally) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(live_view(scene_of(tally), width, height), height=height)
    return capture.get().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (110, 30), (200, 60)])
def test_the_view_fills_terminals_of_every_size(width: int, height: int, worker: FakeWorker) -> None:
    lines = rendered(width, height, worker.tally)
    assert len(lines) == height
    assert max(len(line) for line in lines) <= width
    text = "\n".join(lines)
    assert "600 of 600 posts" in text
    assert "uphold   scam" in text
    assert "✓" in text


def test_the_view_of_nothing_yet_is_no_failure() -> None:
    assert len(rendered(100, 30, Tally())) == 30
    assert scene_of(Tally()).line().split()[2] == "0/600"


def test_captions_are_text_and_never_markup(worker: FakeWorker) -> None:
    tally = FakeWorker()
    tally.post("[bold red]x[/nonsense]", 1.0)
    assert "[/nonsense]" in "\n".join(rendered(200, 40, tally.tally))


def test_share_bars_are_as_long_as_the_similarity_and_leave_out_negative_shares() -> None:
    bars = share_bars({"text": 0.5, "image": 0.5, "audio": -0.3})
    assert bars.plain == "█" * SHARE_CELLS
    assert share_bars({}).plain == " " * SHARE_CELLS
    assert share_bars({"text": 0.25}).plain == "███" + " " * (SHARE_CELLS - 3)


def test_a_share_that_ends_within_a_cell_leaves_the_rest_of_it_to_the_next_one() -> None:
    bars = share_bars({"text": 1 / 8, "image": 1 / 8})
    assert bars.plain.rstrip() == "█▌█"
    assert [str(span.style) for span in bars.spans] == ["cyan", "cyan on magenta", "magenta"]


def test_the_summary_holds_exactly_the_promised_numbers(worker: FakeWorker) -> None:
    numbers = json.loads(json.dumps(numbers_of(worker.tally, 15.0, 400.0)))
    assert list(numbers) == [
        "posts",
        "decisions",
        "posts_without_encoder",
        "flags",
        "retroactive_flags",
        "precision",
        "recall",
        "lookalike_flag_rate",
        "latency_ms",
        "posts_per_second",
        "encoder_posts_per_second",
        "first_flag_seconds",
        "policies",
    ]
    assert numbers["posts"] == numbers["decisions"] == 600
    assert numbers["posts_per_second"] == 40.0
    assert list(numbers["latency_ms"]) == ["p50", "p95", "p99"]
    assert numbers["policies"]["scam"]["recall"] == 1.0
    assert numbers["lookalike_flag_rate"] is None


def test_the_summary_can_be_printed(worker: FakeWorker) -> None:
    console = Console(file=io.StringIO(), width=100)
    console.print(summary_view(numbers_of(worker.tally, 15.0, None), worker.tally))
    console.print(summary_view(numbers_of(Tally(), 0.0, None), Tally()))


def test_a_job_well_done_has_no_shortcomings(worker: FakeWorker) -> None:
    assert shortcomings(worker.tally) == []


def test_undecided_posts_missing_flags_and_bad_quality_are_named() -> None:
    assert shortcomings(Tally()) == ["no post was sent", "nothing was flagged"]
    unflagged = FakeWorker()
    unflagged.tally.first_upheld["easy"] = 0
    for number in range(40):
        unflagged.post("easy", 1.0 + number, policy="scam", kind="violation")
    del unflagged.tally.decided["post-40"]
    assert shortcomings(unflagged.tally) == [
        "1 of 40 posts have no decision",
        "nothing was flagged",
        "recall 0.000 is below 0.5",
    ]


@pytest.mark.parametrize(("encoded", "foreign"), [(("text", "image"), True), (("text", "image", "audio"), False)])
def test_dead_letters_are_a_shortcoming_unless_the_bundle_has_no_encoder_for_them(
    encoded: tuple[str, ...], foreign: bool
) -> None:
    worker = FakeWorker(Tally(encoded))
    play(worker, Moderator(mistakes=True), 600)
    tally = worker.tally
    decision = tally.decided["post-1"]
    tally.sent["post-1"] = Sent("post-1", None, ("audio",), tally.sent["post-1"].truth)
    tally.decided["post-1"] = msgspec.structs.replace(decision, outcome="dead_letter", cluster_id=None)
    assert shortcomings(tally) == ([] if foreign else ["1 posts are dead letters"])
    console = Console(file=io.StringIO(), width=120)
    console.print(summary_view(numbers_of(tally, 15.0, None), tally))
    assert isinstance(console.file, io.StringIO)
    assert ("1 are dead letters" in console.file.getvalue()) is foreign
