"""`shoal produce`: posts for the posts topic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from consumers.commands.exit_codes import FAILED
from consumers.options import AsJson, with_settings
from consumers.settings import Settings, SettingsError
from consumers.terminal import print_fields, print_rows

SHOWN_POSTS = 20


@with_settings(bundle=False)
def produce(
    settings: Settings,
    file: Annotated[Path | None, typer.Argument(help="Posts, one JSON object a line; - is standard input.")] = None,
    *,
    images: Annotated[Path | None, typer.Option(help="Folder of images to make posts of.")] = None,
    audio: Annotated[Path | None, typer.Option(help="Folder of recordings to make posts of.")] = None,
    captions: Annotated[Path | None, typer.Option(help="Text file, one caption a line.")] = None,
    variants: Annotated[int, typer.Option(min=0, help="Altered copies of each original.")] = 3,
    originals: Annotated[bool, typer.Option(help="Post the originals too, before the altered copies.")] = True,
    truth: Annotated[Path, typer.Option(help="Where to write what each post was made of.")] = Path("truth.jsonl"),
    seed: Annotated[int, typer.Option(help="The same seed makes the same posts.")] = 0,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Posts a second; unset: no limit.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write posts to the posts topic: from a file, or made from a folder of real media and altered copies of it."""
    from consumers.checks.kafka import require_brokers
    from consumers.posts.media_folder import MediaFolder, first_notes, posts_of_folder
    from consumers.posts.produce import posts_of_file, produce_posts

    made = images is not None or audio is not None or captions is not None
    if made == (file is not None):
        raise SettingsError("produce: give a FILE of posts, or some of --images, --audio and --captions; not both")
    require_brokers(settings)
    refused: list[str] = []

    def refuse(line: str) -> None:
        refused.append(line)
        typer.echo(f"shoal: {line}", err=True)

    if file is not None:
        posts = posts_of_file(file, settings.limits.post_bytes, refuse)
    else:
        folder = MediaFolder(images, audio, captions)
        posts = posts_of_folder(folder, settings.limits, variants, seed, truth, refuse, originals=originals)
    writer = produce_posts(settings, posts, rate=rate)
    for reason, count in writer.refused.items():
        typer.echo(f"shoal: {count} posts refused by Kafka: {reason}", err=True)
    lost = writer.refused.total()
    if made and not as_json:
        print_rows(first_notes(truth, SHOWN_POSTS), as_json=False, empty="no posts")
    counts = {"written": writer.written, "refused": lost, "unreadable": len(refused)}
    print_fields(counts | ({"truth": str(truth)} if made else {}), as_json=as_json)
    raise typer.Exit(FAILED if lost or refused else 0)
