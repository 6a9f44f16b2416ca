"""What the pages tell to type is taken by helm."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

from tests.chart.helm import CHART, run
from tests.servers import ROOT
from tests.test_docs import CODE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = (ROOT / "docs" / "helm.md", ROOT / "docs" / "operations.md", CHART / "README.md")
WITHOUT_A_CLUSTER = {"--create-namespace", "--reuse-values"}
"""Options that `helm template` does not know."""


def helm_commands(text: str) -> Iterator[list[str]]:
    """The words of every `helm install` and `helm upgrade` of a page, over the ends of lines."""
    whole = text.replace("\\\n", " ")
    for line in [*CODE.findall(whole), *re.findall(r"^ {4}(.+)$", whole, re.MULTILINE)]:
        if re.match(r"helm (install|upgrade) ", line.strip()):
            yield shlex.split(line)


COMMANDS = [(page, words) for page in PAGES for words in helm_commands(page.read_text())]


@pytest.mark.parametrize(("page", "words"), COMMANDS)
def test_a_command_of_a_page_renders(page: Path, words: list[str]) -> None:
    _, _, *given = words
    done = run("helm", "template", *(word for word in given if word not in WITHOUT_A_CLUSTER))
    assert done.returncode == 0, f"{page.name}: {done.stderr}"


def test_commands_are_found() -> None:
    assert {words[1] for _, words in COMMANDS} == {"install", "upgrade"}
