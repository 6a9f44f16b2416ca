"""The options that every command shares, and the settings made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from consumers.settings import Settings, SettingsError, load_settings

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
