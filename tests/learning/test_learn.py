"""Heads and thresholds from a platform's own posts, with the bundle that comes with Shoal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from consumers.bundles import find_bundle
from consumers.checks.findings import CheckError
from consumers.contracts.post import Post
from consumers.learning.learn import HeadsMade, HeadsWanted, PostsGiven, calibrate_on_posts, train_heads_on_posts
from consumers.learning.tower_rows import EmbeddedPosts, embed_posts
from consumers.posts.produce import encode_post
from consumers.settings import Encode, Settings
from consumers.shown.bundle import describe_bundle
from models.bundle import open_bundle, verify_bundle
from models.manifest import read_manifest
from models.tower_cache import TowerCache
from tests.bundles import write_tiny_bundle
from tests.jargon_posts import write_posts

if TYPE_CHECKING:
    from pathlib import Path

    from models.bundle import Bundle

pytestmark = pytest.mark.timeout(1_200)
"""Half a minute on a quiet machine, most of it embedding; a busy one has taken ten times that."""

SETTINGS = Settings(encode=Encode(provider="cpu", intra_op_threads=1))
RATE = 0.005
POSTS = 320


@pytest.fixture(scope="module")
def posts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Posts to learn from, and three lines that are none or not all of one."""
    path = tmp_path_factory.mktemp("posts") / "posts.jsonl"
    write_posts(path, POSTS, 1)
    with path.open("ab") as file:
        file.write(b'{"bad\n')
        file.write(b'{"post_id": "nothing"}\n')
        file.write(b'{"post_id": "torn", "caption": "a torn one", "media": [{"kind": "image", "data": "AAAA"}]}\n')
    return path


@pytest.fixture(scope="module")
def complaints() -> list[str]:
    return []


@pytest.fixture(scope="module")
def made(posts: Path, complaints: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, HeadsMade]:
    torch = pytest.importorskip("torch")
    from models.training.heads.recipe import HeadRecipe

    folder = tmp_path_factory.mktemp("made")
    given = PostsGiven(posts, 1, folder / "cache", None, RATE)
    recipe = HeadRecipe(epochs=25, batch=128)
    wanted = HeadsWanted(folder / "own", folder / "training", given, recipe, resume=False, device="cpu", command="")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return folder / "own", train_heads_on_posts(SETTINGS, wanted, complaints.append)
    finally:
        torch.set_num_threads(before)


def ignore(*_: object) -> None:
    pass


def embedded(bundle: Bundle, data: Path, cache: TowerCache | None = None) -> EmbeddedPosts:
    return embed_posts(
        SETTINGS,
        bundle,
        data,
        copies=1,
        cache=cache,
        group_by=None,
        refuse=ignore,
        advance=ignore,
    )


def found_at_10(folder: Path, data: Path) -> float:
    """How many captions find their picture among the first ten, through the bundle's own graphs and means."""
    bundle = open_bundle(folder, provider="cpu", intra_op_threads=1)
    rows = embedded(bundle, data).rows
    told, shown = (
        rows.embeddings(name)[:, 0] - bundle.layout.means[bundle.layout.names.index(name)]
        for name in ("text", "image")
    )
    shown /= np.linalg.norm(shown, axis=1, keepdims=True)
    cosines = told @ shown.T
    return float(((cosines > np.diag(cosines)[:, None]).sum(axis=1) < 10).mean())


@pytest.mark.torch
def test_captions_find_pictures_that_they_did_not_before(made: tuple[Path, HeadsMade], tmp_path: Path) -> None:
    held_out = tmp_path / "others.jsonl"
    write_posts(held_out, 150, 2)
    before, after = found_at_10(find_bundle("compact"), held_out), found_at_10(made[0], held_out)
    assert after >= before + 0.08, (before, after)


@pytest.mark.torch
def test_the_bundle_is_whole_and_says_where_it_comes_from(made: tuple[Path, HeadsMade]) -> None:
    folder, result = made
    assert {report.state for report in verify_bundle(folder)} == {"ok"}
    manifest = read_manifest(folder)
    assert manifest == result.manifest
    assert manifest.bundle_id != read_manifest(find_bundle("compact")).bundle_id
    assert manifest.provenance.data[0].startswith("towers of compact-")
    assert max(manifest.parity.values()) <= 1e-5
    assert set(manifest.parity) == {"text", "image"}  # no post has a recording, so that encoder stays as it is
    assert (folder / "audio.onnx").read_bytes() == (find_bundle("compact") / "audio.onnx").read_bytes()


@pytest.mark.torch
def test_thresholds_stand_in_the_manifest_with_their_intervals(made: tuple[Path, HeadsMade]) -> None:
    manifest = made[1].manifest
    assert manifest.calibration is not None
    assert manifest.calibration.false_match_rate == RATE
    measured = manifest.calibration.measured
    assert set(measured) == {"exemplar", "join", "centroid", "modality", "alone text", "alone image"}
    one = measured["exemplar"]
    assert one.low <= manifest.thresholds.exemplar <= one.high
    assert one.false_matches <= RATE <= one.false_matches_high
    told = describe_bundle(str(made[0]))["calibration"]
    assert "false matches" in told["alone image"]


@pytest.mark.torch
def test_what_cannot_be_used_is_named(made: tuple[Path, HeadsMade], complaints: list[str], posts: Path) -> None:
    bad, nothing, torn = complaints
    assert bad.startswith(f"{posts}:{POSTS + 1}: not a post: ")
    assert bad.endswith("mend or remove it; it is left out")
    assert nothing.startswith(f"{posts}:{POSTS + 2}: post 'nothing': no-parts: ")
    assert torn == f"{posts}:{POSTS + 3}: post 'torn': image undecodable; mend it, or it counts without"
    assert made[1].posts.unusable == 1


@pytest.mark.torch
def test_curves_and_a_checkpoint_are_left(made: tuple[Path, HeadsMade]) -> None:
    folder = made[0].with_name("training")
    lines = (folder / "curves.jsonl").read_bytes().splitlines()
    assert [msgspec.json.decode(line)["epoch"] for line in lines] == list(range(len(lines)))
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "checkpoint.safetensors").is_file()


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    write_tiny_bundle(tmp_path / "tiny", ("text",))
    return tmp_path / "tiny"


def write_captions(path: Path, count: int) -> None:
    rng = np.random.default_rng(3)
    words = ["".join(rng.choice(list("abcdefghijklmnop"), 7)) for _ in range(200)]
    with path.open("wb") as file:
        for number in range(count):
            caption = " ".join(rng.choice(words, 8))
            file.write(encode_post(Post(post_id=str(number), caption=caption))[1] + b"\n")


def test_calibrating_changes_thresholds_and_nothing_else(tiny: Path, tmp_path: Path) -> None:
    data = tmp_path / "posts.jsonl"
    write_captions(data, 120)
    before = read_manifest(tiny)
    given = PostsGiven(data, 1, tmp_path / "cache", None, 0.01)
    settings = SETTINGS.model_copy(update={"bundle": str(tiny)})
    after = calibrate_on_posts(settings, tiny, given, 0, ignore)
    assert after == read_manifest(tiny)
    assert after.bundle_id == before.bundle_id
    assert after.thresholds != before.thresholds
    assert after.calibration is not None
    assert after.calibration.posts == 120
    assert {report.state for report in verify_bundle(tiny)} == {"ok"}


def test_too_few_posts_say_how_many_are_needed(tiny: Path, tmp_path: Path) -> None:
    data = tmp_path / "posts.jsonl"
    write_captions(data, 20)
    given = PostsGiven(data, 0, tmp_path / "cache", None, 0.001)
    settings = SETTINGS.model_copy(update={"bundle": str(tiny)})
    with pytest.raises(CheckError, match="takes about 143 posts"):
        calibrate_on_posts(settings, tiny, given, 0, ignore)


def test_what_was_embedded_is_not_embedded_again(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "posts.jsonl"
    write_captions(data, 40)
    bundle = open_bundle(tiny, provider="cpu", intra_op_threads=1)
    first = embedded(bundle, data, TowerCache(tmp_path / "cache", bundle.bundle_id, ["text"]))
    monkeypatch.setattr(bundle.encoders["text"], "embed", lambda _: pytest.fail("embedded again"))
    again = embedded(bundle, data, TowerCache(tmp_path / "cache", bundle.bundle_id, ["text"]))
    assert again.digests == first.digests
    assert np.array_equal(again.rows.items["text"], first.rows.items["text"])


def test_a_post_that_stands_there_twice_counts_once(tiny: Path, tmp_path: Path) -> None:
    data = tmp_path / "posts.jsonl"
    write_captions(data, 10)
    data.write_bytes(data.read_bytes() * 2)
    bundle = open_bundle(tiny, provider="cpu", intra_op_threads=1)
    found = embedded(bundle, data)
    assert len(found.rows) == 10
    assert found.repeated == 10
