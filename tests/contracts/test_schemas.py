from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import msgspec
import pytest

from consumers.contracts.codec import decode_json
from consumers.contracts.schemas import MESSAGES, schema_of, schema_of_policies

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", MESSAGES)
def test_the_schema_in_the_docs_is_the_one_the_code_reads_by(name: str) -> None:
    stored = json.loads((DOCS / "schemas" / f"{name}.schema.json").read_text())
    rebuilt = json.loads(json.dumps(schema_of(name)))
    assert stored == rebuilt, "run: python -m consumers.contracts.schemas docs/schemas"


@pytest.mark.parametrize("name", MESSAGES)
def test_the_golden_example_fits_its_schema_and_survives_a_round_trip(name: str) -> None:
    raw = (DOCS / "examples" / f"{name}.json").read_bytes()
    jsonschema.validate(json.loads(raw), schema_of(name))
    message = decode_json(msgspec.json.Decoder(MESSAGES[name]), raw, f"shoal.{name}/1")
    again = json.loads(msgspec.json.encode(message))
    example = json.loads(raw)
    assert again == {key: value for key, value in example.items() if key in again}
    assert all(not value for key, value in example.items() if key not in again), "only empty fields may be left out"


@pytest.mark.parametrize("name", MESSAGES)
def test_an_unknown_field_is_ignored(name: str) -> None:
    example = json.loads((DOCS / "examples" / f"{name}.json").read_bytes()) | {"from_the_future": {"a": 1}}
    decoder = msgspec.json.Decoder(MESSAGES[name])
    message = decode_json(decoder, json.dumps(example).encode(), f"shoal.{name}/1")
    assert not hasattr(message, "from_the_future")


def test_the_schema_of_the_policies_in_the_docs_is_the_one_the_code_reads_by() -> None:
    stored = json.loads((DOCS / "schemas" / "policies.schema.json").read_text())
    assert stored == schema_of_policies(), "run: python -m consumers.contracts.schemas docs/schemas"


def test_the_policies_of_the_docs_fit_their_schema() -> None:
    example = tomllib.loads((DOCS / "examples" / "policies.toml").read_text())
    jsonschema.validate(example, schema_of_policies())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(example | {"policies": [{"severity": "high"}]}, schema_of_policies())
