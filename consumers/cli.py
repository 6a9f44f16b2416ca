"""The `shoal` command: consumers/commands has a file for each word that may come after it."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Annotated

import typer

from consumers.commands import (
    alert,
    bank,
    bench,
    bundle,
    clusters,
    dead_letters,
    export,
    policies,
    settings,
    state,
    train_words,
)
from consumers.commands.calibrate import calibrate
from consumers.commands.campaigns import campaigns
from consumers.commands.check import check
from consumers.commands.demo import demo
from consumers.commands.erase import erase
from consumers.commands.exit_codes import FAILED, WRONG_USE
from consumers.commands.explain import explain
from consumers.commands.flags import flags
from consumers.commands.produce import produce
from consumers.commands.run import run
from consumers.commands.search import search
from consumers.commands.verdict import verdict
from consumers.settings import SettingsError
from consumers.terminal import console

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
for command in (run, check, produce, verdict, erase, flags, search, explain, campaigns, demo, calibrate):
    app.command()(command)
for group in (bundle, bench, export, train_words, clusters, bank, policies, settings, dead_letters, state, alert):
    app.add_typer(group.app)


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


def _describe(error: BaseException) -> str:
    """One line; an error of librdkafka says it in words."""
    found = error.args[0] if error.args else error
    text = found.str() if hasattr(found, "str") else str(error)
    return " ".join(text.split()) or type(error).__name__


def _known_failures() -> tuple[type[Exception], ...]:
    """What the world may do to us: each is one clear line. Everything else is a defect and shows its traceback."""
    from confluent_kafka import KafkaException
    from redis import RedisError

    from consumers.checks.findings import CheckError
    from consumers.demo.parts import DemoError
    from consumers.embedded import EmbeddedError
    from consumers.http import PortError
    from consumers.kafka.delivery import Aborted, DeliveryError, Fenced
    from consumers.recovery.snapshot_store import SnapshotStoreError
    from consumers.state.codec import CodecError
    from consumers.state.store import StateUnavailable, StateVersionError
    from models.manifest import ManifestError

    ours = (CheckError, DemoError, EmbeddedError, PortError, ManifestError)
    kafka = (KafkaException, Aborted, DeliveryError, Fenced)
    return (*ours, *kafka, SnapshotStoreError, RedisError, StateUnavailable, StateVersionError, CodecError, OSError)


def main() -> None:
    """Entry point: exit codes 0 done, 1 failed, 2 wrong use."""
    try:
        app(prog_name="shoal")
    except SettingsError as error:
        typer.echo(f"shoal: {_describe(error)}", err=True)
        sys.exit(WRONG_USE)
    except Exception as error:
        if not isinstance(error, _known_failures()):
            raise
        typer.echo(f"shoal: {_describe(error)}", err=True)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
