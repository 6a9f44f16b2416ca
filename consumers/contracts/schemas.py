"""JSON Schemas of the messages, made from the structs: `python -m consumers.contracts.schemas FOLDER`."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import msgspec

from consumers.contracts.decision import Decision
from consumers.contracts.flag import Flag
from consumers.contracts.post import Post
from consumers.contracts.verdict import Verdict

MESSAGES: dict[str, type[msgspec.Struct]] = {"post": Post, "decision": Decision, "flag": Flag, "verdict": Verdict}


def schema_of(name: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the message called `name`."""
    schema = msgspec.json.schema(MESSAGES[name])
    for part in schema["$defs"].values():
        part["description"] = inspect.cleandoc(part["description"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"shoal.{name}/1"} | schema


def write_schemas(folder: Path) -> None:
    """Write one file a message into `folder`."""
    for name in MESSAGES:
        text = msgspec.json.format(msgspec.json.encode(schema_of(name)), indent=2)
        (folder / f"{name}.schema.json").write_bytes(text + b"\n")


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
