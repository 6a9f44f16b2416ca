"""The `shoal` command. Every subcommand reads the settings, calls one function and shows what it gave."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

import typer

from consumers.options import AsJson, Assignments, BundleName, ConfigFile, settings_from
from consumers.settings import SettingsError
from consumers.terminal import console, print_fields, print_json, print_rows

FAILED = 1
WRONG_USE = 2

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
bundle_app = typer.Typer(no_args_is_help=True, help="Look at a bundle of encoders.")
clusters_app = typer.Typer(no_args_is_help=True, help="Look at the micro-clusters in Redis.")
dead_letters_app = typer.Typer(no_args_is_help=True, help="Look at dead letters and put them back.")
app.add_typer(bundle_app, name="bundle")
app.add_typer(clusters_app, name="clusters")
app.add_typer(dead_letters_app, name="dead-letters")


def _version(wanted: bool) -> None:
    if wanted:
        console().print(f"shoal {metadata.version('shoal')}")
        raise typer.Exit


@app.callback()
def shoal(
    _version_asked: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Real-time, multimodal content moderation on Kafka streams."""


@app.command()
def run(
    *,
    only: Annotated[str | None, typer.Option(help="Some of encode,assign,route; all of them by default.")] = None,
    bundle: BundleName = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
) -> None:
    """Run the consumers until SIGTERM or Ctrl-C."""
    from consumers import run as worker

    names = tuple(worker.CONSUMERS) if only is None else tuple(name.strip() for name in only.split(","))
    unknown = sorted(set(names) - set(worker.CONSUMERS))
    if unknown:
        raise SettingsError(f"--only {only}: {', '.join(unknown)} unknown; known: {', '.join(worker.CONSUMERS)}")
    settings = settings_from(config, assignments, bundle)
    raise typer.Exit(0 if worker.run(settings, tuple(dict.fromkeys(names))) else FAILED)


@app.command()
def check(
    *,
    create_topics: Annotated[bool, typer.Option("--create-topics", help="Create absent topics.")] = False,
    bundle: BundleName = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: AsJson = False,
) -> None:
    """Check settings, brokers, topics, Redis and bundle: one line each, with what to do when it is red."""
    from consumers.check import check_everything

    good = True
    for finding in check_everything(settings_from(config, assignments, bundle), create=create_topics):
        good = good and finding.state != "bad"
        if as_json:
            print_json(finding)
        else:
            console().print(finding.line(), soft_wrap=True)
    raise typer.Exit(0 if good else FAILED)


@app.command()
def produce(
    file: Annotated[Path | None, typer.Argument(help="Posts, one JSON object a line; - is standard input.")] = None,
    *,
    images: Annotated[Path | None, typer.Option(help="Folder of images to make posts of.")] = None,
    audio: Annotated[Path | None, typer.Option(help="Folder of recordings to make posts of.")] = None,
    captions: Annotated[Path | None, typer.Option(help="Text file, one caption a line.")] = None,
    variants: Annotated[int, typer.Option(min=0, help="Altered copies of each original.")] = 3,
    truth: Annotated[Path | None, typer.Option(help="Where to write what each post was made of.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed makes the same posts.")] = 0,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Posts a second; unset: no limit.")] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: AsJson = False,
) -> None:
    """Write posts to the posts topic: from a file, or made from a folder of real media and altered copies of it."""
    from consumers.produce import MediaFolder, posts_from_file, posts_from_media, produce_posts

    settings = settings_from(config, assignments)
    made = images is not None or audio is not None or captions is not None
    if made == (file is not None):
        raise SettingsError("give a FILE of posts, or some of --images, --audio and --captions; not both")
    if file is not None:
        posts = posts_from_file(file)
    else:
        posts = posts_from_media(MediaFolder(images, audio, captions), variants=variants, seed=seed, truth=truth)
    counts = produce_posts(settings, posts, rate=rate)
    print_fields(counts, as_json=as_json)
    raise typer.Exit(FAILED if counts["refused"] else 0)


@app.command()
def verdict(
    decision: Annotated[Literal["uphold", "overturn"], typer.Argument(help="It violates the policy, or not.")],
    post_id: Annotated[str | None, typer.Argument(help="The post it is about.", show_default=False)] = None,
    *,
    policy: Annotated[str, typer.Option(help="The policy it violates, or does not.")],
    flag: Annotated[str | None, typer.Option(help="A flag's id instead of a post's.")] = None,
    cluster: Annotated[str | None, typer.Option(help="A micro-cluster's id instead of a post's.")] = None,
    cell: Annotated[int | None, typer.Option(help="The cell in its decision or flag: found at once.")] = None,
    cell_offset: Annotated[int | None, typer.Option(help="The cell offset in its decision or flag.")] = None,
    actor: Annotated[str, typer.Option(help="Who decided: one actor counts once.")] = "cli",
    note: Annotated[str | None, typer.Option(help="A remark, kept with the verdict.")] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    as_json: AsJson = False,
) -> None:
    """Give a moderator's verdict: posts like an upheld one are flagged from now on."""
    from consumers.verdicts import VerdictError, send_verdict

    settings = settings_from(config, assignments)
    try:
        verdict_id = send_verdict(
            settings,
            decision=decision,
            policy=policy,
            post_id=post_id,
            flag_id=flag,
            cluster_id=cluster,
            cell=cell,
            cell_offset=cell_offset,
            actor=actor,
            note=note,
        )
    except VerdictError as error:
        raise SettingsError(str(error)) from error
    print_fields({"verdict_id": verdict_id, "decision": decision, "policy": policy}, as_json=as_json)


def _describe(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _known_failures() -> tuple[type[Exception], ...]:
    """What the world may do to us: each is one clear line. Everything else is a defect and shows its traceback."""
    from confluent_kafka import KafkaException
    from redis import RedisError

    from consumers.check import CheckError
    from consumers.embedded import EmbeddedError
    from consumers.http import PortError
    from models.manifest import ManifestError

    return (CheckError, EmbeddedError, PortError, ManifestError, KafkaException, RedisError, OSError)


def main() -> None:
    """Entry point: exit codes 0 done, 1 failed, 2 wrong use."""
    try:
        app(prog_name="shoal")
    except SettingsError as error:
        typer.echo(f"shoal: {_describe(error)}", err=True)
        sys.exit(WRONG_USE)
    except _known_failures() as error:
        typer.echo(f"shoal: {_describe(error)}", err=True)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
