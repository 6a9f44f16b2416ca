"""JSON Schemas of the messages and the file of policies: `python -m consumers.contracts.schemas FOLDER`."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import msgspec

from consumers.contracts.bank import BankLine
from consumers.contracts.decision import Decision
from consumers.contracts.flag import Flag
from consumers.contracts.notification import Notification
from consumers.contracts.policies import PolicyFile
from consumers.contracts.post import Post
from consumers.contracts.verdict import Verdict

MESSAGES: dict[str, type[msgspec.Struct]] = {
    "post": Post,
    "decision": Decision,
    "flag": Flag,
    "verdict": Verdict,
    "bank": BankLine,
    "notification": Notification,
}


def schema_of(name: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the message called `name`."""
    schema = msgspec.json.schema(MESSAGES[name])
    for part in schema["$defs"].values():
        part["description"] = inspect.cleandoc(part["description"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"shoal.{name}/1"} | schema


def schema_of_policies() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the file of policies."""
    schema = PolicyFile.model_json_schema()
    for part in (schema, *schema["$defs"].values()):
        part["description"] = inspect.cleandoc(part["description"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema | {"title": "shoal.policies/1"}


def write_schemas(folder: Path) -> None:
    """Write one file a message, and one for the file of policies, into `folder`."""
    schemas = {name: schema_of(name) for name in MESSAGES} | {"policies": schema_of_policies()}
    for name, schema in schemas.items():
        text = msgspec.json.format(msgspec.json.encode(schema), indent=2)
        (folder / f"{name}.schema.json").write_bytes(text + b"\n")


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
