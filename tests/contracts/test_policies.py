from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from consumers.contracts.policies import read_policies
from consumers.settings import SettingsError

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "policies.toml"


def write(folder: Path, *policies: dict[str, Any], **fields: Any) -> Path:
    path = folder / "policies.json"
    path.write_text(json.dumps({"schema": "shoal.policies/1", "version": 1, "policies": policies} | fields))
    return path


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    path = tmp_path / "policies.json"
    path.write_text(json.dumps(tomllib.loads(EXAMPLE.read_text())))
    assert read_policies(path) == read_policies(EXAMPLE)
    assert [policy.name for policy in read_policies(path).policies] == [
        "scam", "hateful-meme", "known-image", "gambling",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "policies", "words"),
    [
        ({"schema": "shoal.policies/2"}, [], ("schema", "shoal.policies/1")),
        ({"schema": None}, [], ("schema",)),
        ({"version": 0}, [], ("version",)),
        ({"version": "new"}, [], ("version",)),
        ({"owner": "me"}, [], ("owner",)),
        ({"policies": {"name": "scam"}}, [], (": policies: ",)),
        ({"policies": ["scam"]}, [], ("policy number 1",)),
        ({}, [{"name": "a"}, {"severity": "high"}], ("policy number 2", "name")),
        ({}, [{"name": "Not A Name"}], ("policy Not A Name", "name")),
        ({}, [{"name": "scam", "promot": 0.7}], ("policy scam", "promot")),
        ({}, [{"name": "scam", "promote": 1.5}], ("policy scam", "promote")),
        ({}, [{"name": "scam", "promote": 0.4}], ("policy scam", "demote must not be above promote")),
        ({}, [{"name": "scam", "alone": "image"}], ("policy scam", "alone needs exemplar")),
        (
            {},
            [{"name": "scam", "alone": "image", "exemplar": 0.9, "required": ["text"]}],
            ("policy scam", "together and required"),
        ),
        ({}, [{"name": "scam", "mode": "loud"}], ("policy scam", "mode")),
        ({}, [{"name": "scam", "sample": 0}], ("policy scam", "sample")),
    ],
)
def test_what_is_wrong_with_which_policy_is_one_line(
    tmp_path: Path, fields: dict[str, Any], policies: list[dict[str, Any]], words: tuple[str, ...]
) -> None:
    path = write(tmp_path, *policies, **fields)
    with pytest.raises(SettingsError) as caught:
        read_policies(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    for word in words:
        assert text.count(word) == 1, text


@pytest.mark.parametrize(("name", "content"), [("p.toml", b"a = ["), ("p.json", b"{"), ("p.toml", b"\xff")])
def test_what_is_neither_is_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SettingsError, match=r"not (TOML|JSON): "):
        read_policies(tmp_path / name)
