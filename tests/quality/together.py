"""What caption, image and recording come to together: the second part of `make quality`."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import cv2
import msgspec
import torch

from tests.quality.conjunctions import measure_conjunctions
from tests.quality.evasion import measure_evasion
from tests.quality.modality_gap import measure_gaps
from tests.quality.originals import SEEDS
from tests.quality.report import Report
from tests.quality.retrieval import measure_retrieval
from tests.quality.views import bundle
from tests.quality.whole_path import measure_streams

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.quality.views import Workers

PAIRS = 100
"""Of retrieval, of each kind."""

FIELDS = ("together", "gaps", "streams", "evasion", "retrieved", "retrieved_of")
"""Of the report, those that this part fills."""


def measure_together(
    report: Report, media: Path | None, work: Workers, keep: Path | None, say: Callable[[str], None]
) -> Report:
    """The report with this part's figures; a quarter of an hour on a quiet core, less when posts are encoded."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    say("conjunctions")
    conjunctions = measure_conjunctions(media, work, keep)
    gaps = measure_gaps(media, work, keep)
    say("streams that change")
    streams = measure_streams()
    say("evasion")
    evasion = measure_evasion()
    say("retrieval")
    return msgspec.structs.replace(
        report,
        bundle=bundle().bundle_id,
        together=conjunctions,
        gaps=gaps,
        streams=streams,
        evasion=evasion,
        retrieved=measure_retrieval(bundle(), PAIRS),
        retrieved_of=PAIRS,
    )


def with_together_of(report: Report, last: Report) -> Report:
    """A report with the last figures of this part."""
    return msgspec.structs.replace(report, **{name: getattr(last, name) for name in FIELDS})


def nothing() -> Report:
    """A report of nothing yet."""
    return Report(
        bundle=bundle().bundle_id,
        machine=platform.machine(),
        seeds={str(split): seed for split, seed in SEEDS.items()},
        amounts={},
        missing=[],
        sections=[],
        posts=[],
        look_alikes=[],
        garments=[],
        unrelated=None,
        milliseconds={},
        megabytes=0.0,
        reworded={},
    )
