from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.checks.media import check_media
from consumers.settings import Media, Settings

if TYPE_CHECKING:
    from pathlib import Path


def test_every_prefix_has_its_line(tmp_path: Path) -> None:
    prefixes = (f"file://{tmp_path}/", "ftp://example.org/")
    good, bad = check_media(Settings(media=Media(prefixes=prefixes)))
    assert good.state == "good"
    assert prefixes[0] in good.text
    assert bad.state == "bad"
    assert prefixes[1] in bad.text
    assert "media.prefixes" in bad.remedy


def test_options_for_no_prefix_are_a_mistake(tmp_path: Path) -> None:
    media = Media(prefixes=(f"file://{tmp_path}",), options={f"file://{tmp_path}/": {}, "s3://bukcet/": {}})
    found = [finding for finding in check_media(Settings(media=media)) if finding.state == "bad"]
    assert len(found) == 1
    assert "s3://bukcet/" in found[0].text


def test_without_prefixes_there_is_nothing_to_say() -> None:
    assert check_media(Settings()) == []
