"""Training heads on rows that towers could have made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from models.post_rows import PostRows  # noqa: E402
from models.training.heads.batches import epoch_batches, nearest  # noqa: E402
from models.training.heads.checkpoint import CheckpointError  # noqa: E402
from models.training.heads.loop import joint_rows, mean_rows, train_heads  # noqa: E402
from models.training.heads.losses import contrastive, sigmoid  # noqa: E402
from models.training.heads.network import first_heads  # noqa: E402
from models.training.heads.recipe import HeadRecipe, HeadsError  # noqa: E402
from models.training.heads.split import split_posts  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from models.training.heads.loop import TrainedHeads

WIDTH = 16
RECIPE = HeadRecipe(epochs=6, patience=6, batch=32, seed=3)


def rows(count: int, seed: int) -> PostRows:
    """Two modalities that show one thing through different eyes, a third of the posts without the second."""
    rng = np.random.default_rng(seed)
    shown = rng.standard_normal((count, 1, WIDTH)) + 0.2 * rng.standard_normal((count, 2, WIDTH))
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((WIDTH, WIDTH)))[0]
    items, counts = {}, {}
    for name, seen in (("text", shown), ("image", np.maximum(shown @ turn, -0.5))):
        there = rng.random(count) < (1.0 if name == "text" else 0.67)
        flat = seen[there].reshape(-1, WIDTH)
        items[name] = (flat / np.linalg.norm(flat, axis=1, keepdims=True)).astype(np.float32)
        counts[name] = np.repeat(there.astype(np.int64)[:, None], 2, axis=1)
    return PostRows(tuple(map(str, range(count))), items, counts, np.arange(count))


def ignore(_steps: int, _note: str) -> None:
    pass


def trained(
    folder: Path,
    recipe: HeadRecipe = RECIPE,
    *,
    resume: bool = False,
    watch: Callable[[int, str], None] = ignore,
) -> TrainedHeads:
    given = rows(200, 1), rows(60, 2)
    return train_heads(*given, recipe, WIDTH, folder, resume=resume, device="cpu", watch=watch)


def weights(made: TrainedHeads) -> list[Any]:
    return [made.heads.linear(name) for name in made.heads.names]


class Stopped(Exception):  # noqa: N818
    pass


def test_a_run_that_stopped_goes_on_to_the_same_heads(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    ended = 0

    def stop(steps: int, note: str) -> None:
        nonlocal ended
        ended += steps
        if ended == 3:
            raise Stopped

    with pytest.raises(Stopped):
        trained(tmp_path / "parts", watch=stop)
    resumed = trained(tmp_path / "parts", resume=True)
    assert resumed.history == whole.history
    assert resumed.best_epoch == whole.best_epoch
    for one, two in zip(weights(whole), weights(resumed), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_another_seed_gives_other_heads(tmp_path: Path) -> None:
    one, two = (
        trained(tmp_path / "one"),
        trained(tmp_path / "two", HeadRecipe(epochs=6, patience=6, batch=32, seed=4)),
    )
    assert not np.array_equal(weights(one)[0][0], weights(two)[0][0])


@pytest.mark.parametrize("loss", ["contrastive", "sigmoid"])
def test_either_loss_brings_the_parts_of_a_post_together(tmp_path: Path, loss: Any) -> None:
    made = trained(tmp_path, HeadRecipe(epochs=25, patience=25, batch=32, rate=5e-3, loss=loss))
    first, best = made.history[0], made.history[made.best_epoch]
    assert best["text to image"] >= first["text to image"] + 0.2, (first, best)
    assert best["validation_loss"] < first["validation_loss"]


def test_it_stops_when_the_validation_loss_falls_no_more(tmp_path: Path) -> None:
    made = trained(tmp_path, HeadRecipe(epochs=400, patience=2, batch=32, rate=2e-2))
    assert len(made.history) - 1 == made.best_epoch + 2 < 400
    best = min(made.history, key=lambda row: row["validation_loss"])
    assert best["epoch"] == made.best_epoch


def test_a_checkpoint_of_other_options_or_posts_is_refused(tmp_path: Path) -> None:
    trained(tmp_path)
    with pytest.raises(CheckpointError, match="other options"):
        trained(tmp_path, HeadRecipe(seed=8), resume=True)
    with pytest.raises(CheckpointError, match="other posts"):
        train_heads(rows(201, 1), rows(60, 2), RECIPE, WIDTH, tmp_path, resume=True, device="cpu", watch=ignore)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        trained(tmp_path / "nowhere", resume=True)


def test_the_first_heads_change_nothing_but_the_mean() -> None:
    given = rows(80, 5)
    joint = joint_rows(first_heads(mean_rows(given), WIDTH, 0), given)
    wanted = given.items["text"] - mean_rows(given)["text"]
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    assert np.abs(joint.items["text"] - wanted).max() < 1e-5


@pytest.mark.parametrize("loss", [contrastive, sigmoid])
def test_pairs_that_show_one_thing_are_no_negatives(loss: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    first = torch.nn.functional.normalize(torch.randn(4, 8, generator=generator), dim=1)
    second = first.clone()
    second[1] = first[0]
    same = torch.eye(4, dtype=torch.bool)
    scale, offset = torch.tensor(10.0), torch.tensor(-5.0)
    apart = loss(first, second, same, scale, offset)
    same[0, 1] = same[1, 0] = True
    assert loss(first, second, same, scale, offset) < apart


def test_batches_hold_the_most_alike_and_repeat_themselves() -> None:
    given = rows(64, 3)
    vectors = given.embeddings("text")[:, 0]
    near = nearest(vectors, given.groups)
    assert all(number not in line for number, line in enumerate(near.tolist()))
    cosines = vectors @ vectors.T - 3 * np.eye(64)
    assert cosines[0].argmax() in near[0]
    recipe = HeadRecipe(batch=16)
    one, two = (list(epoch_batches(given.groups, 2, 2, near, recipe, 1)) for _ in range(2))
    assert all(
        np.array_equal(a.posts, b.posts) and np.array_equal(a.kept, b.kept) for a, b in zip(one, two, strict=True)
    )
    assert {int(post) for batch in one for post in batch.posts} == set(range(64))
    assert all((batch.views[0] != batch.views[1]).all() for batch in one)


def test_what_shows_one_thing_stays_in_one_part() -> None:
    groups = np.repeat(np.arange(60), 3)
    split = split_posts(groups, HeadRecipe())
    assert sorted(np.concatenate(split)) == list(range(180))
    parts = [set(groups[posts]) for posts in split]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    assert len(split.calibration) == pytest.approx(0.25 * 180, abs=4)


def test_too_few_posts_are_refused() -> None:
    with pytest.raises(HeadsError, match="too few"):
        split_posts(np.arange(40), HeadRecipe())
