"""`shoal dead-letters`: what could not be decided, and putting it back."""

from __future__ import annotations

from typing import Annotated

import typer

from consumers.options import AsJson, with_settings
from consumers.settings import Settings, SettingsError
from consumers.terminal import print_fields, print_rows

app = typer.Typer(name="dead-letters", no_args_is_help=True, help="Look at dead letters and put them back.")

Reason = Annotated[str | None, typer.Option(help="Only those with this reason.")]
Step = Annotated[str | None, typer.Option(help="Only those of this step.")]
Place = Annotated[str, typer.Argument(metavar="PARTITION:OFFSET", help="Its place in the dead-letter topic.")]


@app.command("list")
@with_settings(bundle=False)
def dead_letters_list(
    settings: Settings,
    *,
    reason: Reason = None,
    step: Step = None,
    limit: Annotated[int, typer.Option(min=1, help="Look at the last so many of each partition.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """Dead letters with their reasons."""
    from consumers.checks.kafka import require_brokers
    from consumers.kafka.dead_letters import Selection, list_dead_letters
    from consumers.shown.dead_letters import row_of

    require_brokers(settings)
    letters = list_dead_letters(settings, Selection(reason=reason, step=step), limit=limit)
    print_rows((row_of(letter) for letter in letters), as_json=as_json, empty="no dead letters")


@app.command("show")
@with_settings(bundle=False)
def dead_letters_show(settings: Settings, place: Place, *, as_json: AsJson = False) -> None:
    """One dead letter, with the beginning of its value."""
    from consumers.checks.findings import CheckError
    from consumers.kafka.dead_letters import Selection, list_dead_letters
    from consumers.shown.dead_letters import details_of, place_of

    selection = Selection(places=frozenset([place_of(place)]))
    letter = next(iter(list_dead_letters(settings, selection)), None)
    if letter is None:
        raise CheckError(f"dead letter {place}: there is none; shoal dead-letters list shows what there is")
    print_fields(details_of(letter), as_json=as_json)


@app.command("replay")
@with_settings(bundle=False)
def dead_letters_replay(
    settings: Settings,
    places: Annotated[list[str] | None, typer.Argument(metavar="[PARTITION:OFFSET]...")] = None,
    *,
    reason: Reason = None,
    step: Step = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put dead letters back into the topic they came from, as they were."""
    from consumers.checks.kafka import require_brokers
    from consumers.kafka.dead_letters import Selection, replay
    from consumers.shown.dead_letters import place_of

    if not (places or reason or step or everything):
        raise SettingsError("dead-letters replay: name places, --reason, --step, or --all")
    chosen = frozenset(place_of(place) for place in places) if places else None
    selection = Selection(reason=reason, step=step, places=chosen)
    require_brokers(settings)
    print_fields({"replayed": replay(settings, selection)}, as_json=as_json)
