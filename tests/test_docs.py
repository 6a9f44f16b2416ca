"""The pages say what is there: their links lead somewhere, and the commands, settings and metrics they name exist."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import prometheus_client
import pytest
import yaml
from pydantic import BaseModel
from typer.main import get_command

import consumers.metrics  # noqa: F401  # it registers them
from consumers.cli import app
from consumers.settings import Settings
from tests.servers import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
FILE = re.compile(r"\b(?:consumers|models|deploy|helm|tests|docs)/[\w./-]+\.(?:py|md|json|lua|tmpl|toml|yaml)\b")
OUR_METRIC = re.compile(r"shoal_[a-z_]+")

SPEAKING = [*(ROOT / "deploy").rglob("*.yaml"), *(ROOT / "helm" / "shoal").rglob("*"), ROOT / "Makefile"]
"""Other files with words for people in them."""

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = [
        re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    ]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(page: Path) -> Iterator[str]:
    for link in LINK.findall(page.read_text()):
        name, _, anchor = link.partition("#")
        target = page if not name else (page.parent / name).resolve()
        if "://" in link:
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


def commands_of(text: str) -> Iterator[list[str]]:
    """The words after `shoal`, of each command line in a page; `a|b` in a word gives a line for each."""
    code = [*CODE.findall(text), *re.findall(r"^ {4}(.+)$", text, re.MULTILINE)]
    for line in code:
        found = re.match(r"(?:\S*/)?shoal ([^#;]+)", line.strip())
        if found is None:
            continue
        words = found[1].replace("\\|", "|").split()
        several = next(
            (number for number, word in enumerate(words) if re.fullmatch(r"[a-z-]+(\|[a-z-]+)+", word)), None
        )
        for one in [None] if several is None else words[several].split("|"):
            yield words if several is None or one is None else [*words[:several], one, *words[several + 1 :]]


def unknown_word(words: list[str]) -> str | None:
    """The first word or option of a command line that does not exist."""
    command: Any = get_command(app)
    for word in words:
        if (default := getattr(command, "default", None)) and word not in command.commands:
            command = command.commands[default]
        if word.startswith("--"):
            options = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
            if word not in options | {"--help"}:
                return word
        elif hasattr(command, "commands") and word not in {"command", "..."}:
            if word not in command.commands:
                return word
            command = command.commands[word]
    return None


def unknown_setting(name: str) -> bool:
    section, *keys = name.split(".")
    kind: Any = Settings.model_fields[section].annotation
    for key in keys:
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return False
        if key not in kind.model_fields:
            return True
        kind = kind.model_fields[key].annotation
    return False


@each_page
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    assert list(broken_links(page)) == []


@pytest.mark.parametrize("page", [*PAGES, *(path for path in SPEAKING if path.is_file())], ids=lambda page: page.name)
def test_every_file_that_is_named_is_there(page: Path) -> None:
    assert [name for name in missing_files(page.read_text()) if name != "tests/test_x.py"] == []


def missing_files(text: str) -> list[str]:
    return [name for name in FILE.findall(text) if not (ROOT / name).exists()]


@each_page
def test_every_command_exists_with_its_options(page: Path) -> None:
    unknown = {" ".join(words): unknown_word(words) for words in commands_of(page.read_text())}
    assert {line: word for line, word in unknown.items() if word is not None} == {}


@each_page
def test_every_setting_exists(page: Path) -> None:
    if page.name == "helm.md":
        return  # it names the chart's values, which tests/chart compares
    sections = "|".join(name for name in Settings.model_fields if name not in {"bundle", "policies"})
    named = [code for code in CODE.findall(page.read_text()) if re.fullmatch(rf"({sections})(\.[a-z_]+)+", code)]
    assert [name for name in named if unknown_setting(name) and not is_value(name)] == []


def is_value(name: str) -> bool:
    """Whether the chart has a value of this name."""
    held: Any = yaml.safe_load((ROOT / "helm" / "shoal" / "values.yaml").read_text())
    for key in name.split("."):
        held = held.get(key) if isinstance(held, dict) else None
    return held is not None


@each_page
def test_every_metric_exists(page: Path) -> None:
    names = set(prometheus_client.REGISTRY._names_to_collectors)
    named = [found for code in CODE.findall(page.read_text()) for found in OUR_METRIC.findall(code)]
    assert [name for name in named if name not in names] == []


def test_the_checks_find_what_is_wrong(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One, two\n[a](#one-two) [b](#three) [c](gone.md) [d](https://example.org/)\n```\n# three\n```\n"
    )
    assert list(broken_links(page)) == ["#three", "gone.md"]
    lines = list(commands_of("`shoal state stats\\|fly` and `shoal run --fast`\n\n    .venv/bin/shoal check # one\n"))
    assert [unknown_word(words) for words in lines] == [None, "fly", "--fast", None]
    assert missing_files("as consumers/settings.py and consumers/alerts.py say") == ["consumers/alerts.py"]
    assert unknown_setting("kafka.groups")
    assert not unknown_setting("kafka.properties.acks")


def test_every_page_is_reached_from_the_readme() -> None:
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        waiting += [(page.parent / link.partition("#")[0]).resolve() for link in LINK.findall(page.read_text())]
    assert set((ROOT / "docs").rglob("*.md")) <= seen
