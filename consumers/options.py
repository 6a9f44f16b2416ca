"""The options that commands share, and the settings made of them."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import BaseModel

from consumers.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", envvar="SHOAL_CONFIG", help="Settings file (TOML).", show_default=False),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting, as in kafka.group=night; repeatable."),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON lines instead of tables.")]
BundleName = Annotated[
    str | None, typer.Option("--bundle", help="Folder of a bundle, or the name of one that comes with Shoal.")
]

Changer = Annotated[str, typer.Option("--actor", help="Who changes them: kept in the log.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")]


def with_settings(*, bundle: bool = True) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command of a function whose first parameter is `settings`.

    Instead of it the command has the options --bundle (unless `bundle` is false: it needs none), --config and --set.
    They stand after the function's own options, and before --json (`as_json`).
    """

    def command_of(function: Callable[..., None]) -> Callable[..., None]:
        def command(
            *, config: ConfigFile = None, assignments: Assignments = None, bundle: BundleName = None, **own: Any
        ) -> None:
            function(settings_from(config, assignments, bundle), **own)

        shared = inspect.signature(command, eval_str=True).parameters
        own = dict(list(inspect.signature(function, eval_str=True).parameters.items())[1:])
        last = [own.pop("as_json")] if "as_json" in own else []
        asked = [*([shared["bundle"]] if bundle else []), shared["config"], shared["assignments"]]
        parameters = [one.replace(kind=one.KEYWORD_ONLY) for one in (*own.values(), *asked, *last)]
        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer asks inspect for it
        command.__annotations__ = {one.name: one.annotation for one in parameters}
        return command

    return command_of


def settings_from(config: Path | None, assignments: list[str] | None, bundle: str | None = None) -> Settings:
    """Settings with the command line's flags over the environment over the file.

    Raises:
        SettingsError: one line that says which setting is wrong and how it is set.
    """
    flags: dict[str, Any] = {}
    for assignment in assignments or []:
        _put(flags, assignment)
    if bundle is not None:
        flags["bundle"] = bundle
    return load_settings(config, flags)


def _put(flags: dict[str, Any], assignment: str) -> None:
    """Add `a.b=value` to a nested mapping; below a section, the rest of the key is the key of a mapping."""
    key, equals, text = assignment.partition("=")
    if not equals or not key:
        raise SettingsError(f"--set {assignment}: must be KEY=VALUE, as in kafka.group=night")
    section: type[BaseModel] = Settings
    target = flags
    rest = key
    while True:
        name, _, rest = rest.partition(".")
        kind = section.model_fields[name].annotation if name in section.model_fields else None
        if isinstance(kind, type) and issubclass(kind, BaseModel) and rest:
            section, target = kind, target.setdefault(name, {})
            continue
        if rest:
            target, name = target.setdefault(name, {}), rest
        break
    target[name] = _value(key, text)


def _value(key: str, text: str) -> Any:
    """Lists and mappings are written in JSON; everything else is read by the setting's own type."""
    if not text.startswith(("[", "{")):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise SettingsError(f"--set {key}: not JSON: {error}") from error
