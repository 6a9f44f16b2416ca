"""The policies of a platform as a versioned file, in TOML or JSON."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path  # noqa: TC003  # pydantic reads annotations when it runs
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from consumers.section import Section
from consumers.settings import Policy, SettingsError

SCHEMA = "shoal.policies/1"


class PolicyFile(Section):
    """All policies that are to be in force; those that are not in it have the bundle's thresholds.

    Attributes:
        version: higher with every change.
        policies: as in the settings.
    """

    schema_: Annotated[Literal["shoal.policies/1"], Field(alias="schema")]
    version: Annotated[int, Field(ge=1)]
    policies: tuple[Policy, ...] = ()


def read_policies(path: Path) -> PolicyFile:
    """The policies in a file: JSON when its name ends in .json, else TOML.

    Raises:
        SettingsError: one line that says what is wrong with which policy.
        OSError: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        return PolicyFile.model_validate(content)
    except ValidationError as error:
        raise SettingsError(f"{path}: {_told(error, content)}") from error
    except ValueError as error:  # of both readers, and of bytes that are not UTF-8
        raise SettingsError(f"{path}: not {'JSON' if path.suffix == '.json' else 'TOML'}: {error}") from error


def _told(error: ValidationError, content: object) -> str:
    """The first complaint, with the policy's own name where it has one."""
    first = error.errors()[0]
    place, message = [str(part) for part in first["loc"]], first["msg"].removeprefix("Value error, ")
    if len(place) > 1 and place[0] == "policies" and isinstance(content, dict):
        name = content["policies"][int(place[1])]
        name = name.get("name") if isinstance(name, dict) else None
        place = [f"policy {name or 'number ' + str(int(place[1]) + 1)}", *place[2:]]
    told = ": ".join(place)
    return message if not place or message.startswith(told) else f"{told}: {message}"
