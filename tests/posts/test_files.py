"""Posts in files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from consumers.posts.files import count_posts, posts_at, with_media_below
from consumers.settings import Settings, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 1_000


def test_a_folder_gives_the_posts_of_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a.json").write_text('{"post_id": "one",\n "caption": "x"}')
    (tmp_path / "b" / "c.jsonl").write_text(
        '{"post_id": "two", "caption": "x"}\n\n{"post_id": "three", "caption": "x"}\n'
    )
    (tmp_path / "note.txt").write_text("no post")
    found = list(posts_at(tmp_path, LIMIT, pytest.fail))
    assert [line.post.post_id for line in found] == ["one", "two", "three"]
    assert found[2].where == f"{tmp_path / 'b' / 'c.jsonl'}:3"
    assert count_posts(tmp_path) == 4


def test_a_bad_line_is_named_and_the_others_count(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_text('{"post_id": 3}\n{"post_id": "two"}\n{"post_id": "' + "x" * LIMIT + '"}\n')
    told: list[str] = []
    assert [line.post.post_id for line in posts_at(path, LIMIT, told.append)] == ["two"]
    assert told[0].startswith(f"{path}:1: not a post: Expected `str`, got `int`")
    assert told[1] == f"{path}:3: longer than 1,000 bytes"


def test_nothing_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no \.jsonl"):
        list(posts_at(tmp_path, LIMIT, pytest.fail))
    with pytest.raises(SettingsError, match="no such file"):
        list(posts_at(tmp_path / "nowhere", LIMIT, pytest.fail))


def test_media_may_lie_beside_the_posts(tmp_path: Path) -> None:
    settings = with_media_below(Settings(), tmp_path / "posts.jsonl")
    assert settings.media.prefixes == (tmp_path.resolve().as_uri() + "/",)
