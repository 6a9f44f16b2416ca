"""`shoal search`: what in the running system is like a text, an image, a recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from consumers.options import AsJson, with_settings
from consumers.settings import Settings, SettingsError
from consumers.terminal import console, print_json, print_rows, progress_bar, warnings_on_stderr

Kind = Literal["post", "exemplar", "cluster"]


@with_settings()
def search(
    settings: Settings,
    *,
    text: Annotated[str | None, typer.Option(help="Words, as in a caption.")] = None,
    image: Annotated[Path | None, typer.Option(help="File of an image.")] = None,
    audio: Annotated[Path | None, typer.Option(help="File of a recording.")] = None,
    vector: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FILE", help="A named vector: JSON list of numbers.")
    ] = None,
    within: Annotated[
        str | None,
        typer.Option("--in", metavar="MODALITY", help="Compare with this modality, as in --text WORDS --in image."),
    ] = None,
    kind: Annotated[Kind | None, typer.Option(help="Only these; all by default.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many of each kind.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Find posts, exemplars and clusters in the running system by text, image and audio."""
    from consumers.questions.query import query_post, vector_files
    from consumers.shown.search import find, objects_of, table_of

    if text is None and image is None and audio is None and not vector:
        raise SettingsError("search: give some of --text, --image, --audio and --vector")
    warnings_on_stderr()
    post = query_post(settings, text=text, image=image, audio=audio, vectors=vector_files(vector or []))
    kinds: tuple[Kind, ...] = ("post", "exemplar", "cluster") if kind is None else (kind,)
    with progress_bar("searching") as progress:
        hits = find(settings, post, kinds, within=within, limit=limit, progress=progress)
    if as_json:
        for row in objects_of(hits, within):
            print_json(row)
        return
    for number, one in enumerate(kinds):
        if number:
            console().print()
        print_rows(table_of(hits, one, within), as_json=False, empty=f"no {one}s with such a part")
