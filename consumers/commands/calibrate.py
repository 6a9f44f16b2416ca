"""`shoal calibrate`: the thresholds of a bundle, from a platform's own posts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from consumers.commands.train_heads import Cache, Copies, Data, GroupBy, Rate, refusing
from consumers.options import AsJson, with_settings
from consumers.settings import Settings
from consumers.terminal import print_fields


@with_settings(bundle=False)
def calibrate(
    settings: Settings,
    name: Annotated[
        str, typer.Argument(metavar="BUNDLE", help="Folder of a bundle, or the name of one that comes with Shoal.")
    ],
    *,
    data: Data,
    false_match_rate: Rate = 0.001,
    copies: Copies = 3,
    group_by: GroupBy = None,
    output: Annotated[Path | None, typer.Option(help="A new folder for the bundle; else its own is changed.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn at random.")] = 0,
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Set a bundle's thresholds at a false match rate, on your own posts; its id stays, so no label is lost."""
    import msgspec

    from consumers.checks.findings import CheckError
    from consumers.learning.learn import PostsGiven, calibrate_on_posts
    from consumers.shown.bundle import calibration_told

    own = Path(name).expanduser()
    if output is None and not (own / "manifest.json").is_file():
        raise CheckError(f"calibrate: {name} comes with Shoal and is not changed; give --output, a new folder")
    place = output or own
    kept = cache or place.with_name(f"{place.name}.training") / "embeddings"
    posts = PostsGiven(data, copies, kept, group_by, false_match_rate)
    refused: list[str] = []
    wanted = settings.model_copy(update={"bundle": name})
    manifest = calibrate_on_posts(wanted, place, posts, seed, refusing(refused))
    print_fields(
        {
            "bundle": manifest.bundle_id,
            "folder": str(place),
            "left_out": len(refused),
            "thresholds": msgspec.to_builtins(manifest.thresholds),
            "calibration": calibration_told(manifest),
        },
        as_json=as_json,
    )
