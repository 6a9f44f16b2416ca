"""What somebody asks about goes the way of all posts."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from consumers.bundles import open_encoders
from consumers.checks.findings import CheckError
from consumers.contracts.post import Post
from consumers.options import settings_from
from consumers.questions.query import embed_query, query_post, vector_files
from consumers.settings import Limits, SettingsError
from tests.bundles import VECTOR_SIZE, write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from consumers.settings import Settings


def picture(path: Path, seed: int = 0) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    path.write_bytes(file.getvalue())
    return path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    write_tiny_bundle(tmp_path / "tiny", ("text", "image", "vibration"))
    return settings_from(None, ["encode.provider=cpu"], str(tmp_path / "tiny"))


def test_every_part_of_a_query_is_in_its_vector(settings: Settings, tmp_path: Path) -> None:
    numbers = tmp_path / "reading.json"
    numbers.write_text(str(list(range(VECTOR_SIZE))))
    bundle = open_encoders(settings)
    post = query_post(
        settings, text="a hum", image=picture(tmp_path / "a.png"), audio=None, vectors={"vibration": numbers}
    )
    vector = embed_query(settings, bundle, post)
    assert bundle.layout.present(vector[None]).tolist() == [[True, True, True]]
    assert np.array_equal(vector, vector.astype(np.float16))
    alone = embed_query(settings, bundle, Post(post_id="query", caption="a hum"))
    cosines = bundle.layout.cosines(vector, alone[None])[0]
    assert cosines[0] == pytest.approx(1.0, abs=1e-3)


def test_a_part_that_cannot_be_used_is_told(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    post = query_post(settings, text="a hum", image=tmp_path / "a.png", audio=None, vectors={})
    with pytest.raises(CheckError, match="image: undecodable"):
        embed_query(settings, open_encoders(settings), post)


def test_a_query_of_nothing_is_told(settings: Settings) -> None:
    with pytest.raises(CheckError, match="no caption"):
        embed_query(settings, open_encoders(settings), Post(post_id="query", caption=" "))


def test_files_that_cannot_be_had_are_told(settings: Settings, tmp_path: Path) -> None:
    small = settings.model_copy(update={"limits": Limits(media_bytes=10)})
    with pytest.raises(CheckError, match=r"none\.png: no such file"):
        query_post(settings, text=None, image=tmp_path / "none.png", audio=None, vectors={})
    with pytest.raises(CheckError, match=r"limits\.media_bytes"):
        query_post(small, text=None, image=picture(tmp_path / "a.png"), audio=None, vectors={})
    (tmp_path / "words.json").write_text('["a"]')
    with pytest.raises(CheckError, match="no JSON list of numbers"):
        query_post(settings, text=None, image=None, audio=None, vectors={"vibration": tmp_path / "words.json"})


def test_a_vector_is_given_by_name_and_file() -> None:
    assert {name: str(path) for name, path in vector_files(["a=b/c=d.json"]).items()} == {"a": "b/c=d.json"}
    with pytest.raises(SettingsError, match="NAME=FILE"):
        vector_files(["a"])
