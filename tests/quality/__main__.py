"""Measure the shipped bundle beside its peers; write docs/quality.md, its pictures and build/quality.json."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import msgspec

from models.training.kinds import KINDS
from tests.quality.measure import Amounts, measure, measure_kind, with_cost
from tests.quality.page import page, page_of_kind
from tests.quality.pictures import draw
from tests.quality.report import read_report, write_report
from tests.quality.together import measure_together, nothing, with_together_of
from tests.quality.views import workers
from tests.servers import ROOT

PARTS = ("recognisers", "together", "cost")
MEDIA = ROOT.parent / "shared" / "data"


def say(what: str) -> None:
    """What is being done, at once."""
    print(what, flush=True)


def main() -> int:
    """Run it; 1 where the page alone is asked for, and there is nothing to write it from."""
    parser = argparse.ArgumentParser(prog="make quality ARGS=...", description=__doc__)
    parser.add_argument(
        "--media",
        type=Path,
        default=Path(os.environ.get("SHOAL_TEST_MEDIA", MEDIA)),
        help="a folder with images/test and audio/test (default SHOAL_TEST_MEDIA, else ../shared/data)",
    )
    parser.add_argument("--originals", type=int, default=Amounts.originals, help="of each kind and source")
    parser.add_argument("--distractors", type=int, default=Amounts.distractors, help="unrelated queries")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes; 0 uses this one")
    parser.add_argument("--only", choices=PARTS, help="measure this part, and keep the last figures of the others")
    parser.add_argument("--kind", choices=KINDS, help="measure this kind alone, print its tables, write nothing")
    parser.add_argument("--page", action="store_true", help="write the page from the last figures, measure nothing")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "quality.json", help="where the figures go")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where the page goes")
    options = parser.parse_args()
    if options.page and not options.json.exists():
        print(f"make quality: no {options.json}; run it without --page first", file=sys.stderr)
        return 1
    if not options.page:
        media = options.media if options.media.is_dir() else None
        if media is None:
            print(f"make quality: no {options.media}: generated originals and sentences only", file=sys.stderr)
        amounts = Amounts(originals=options.originals, distractors=options.distractors)
        keep = options.json.parent / "quality"
        if options.kind is not None:
            with workers(options.workers) as work:
                sections, pairs = measure_kind(options.kind, amounts, media, work, keep, say)
            say(page_of_kind(msgspec.structs.replace(nothing(), sections=sections, look_alikes=pairs)))
            return 0
        report = read_report(options.json) if options.only and options.json.exists() else nothing()
        with workers(options.workers) as work:
            if options.only == "cost":
                report = with_cost(report)
            if options.only not in {"together", "cost"}:
                measured = measure(amounts, media, work, keep, say)
                report = with_together_of(measured, report)
            if options.only not in {"recognisers", "cost"}:
                report = measure_together(report, media, work, keep, say)
        for lack in report.missing:
            print(f"make quality: {lack}", file=sys.stderr)
        write_report(options.json, report)
    report = read_report(options.json)
    if not report.sections:
        print(f"make quality: {options.docs / 'quality.md'} needs a run of the recognisers too", file=sys.stderr)
        return 1 if options.page else 0
    pictures = draw(report, options.docs / "pictures")
    (options.docs / "quality.md").write_text(page(report, pictures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
