import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from models.training.batches import Step, disturbed, lengthened, plan_steps, some_words  # noqa: E402


def test_towers_take_turns_and_images_grow() -> None:
    plan = plan_steps(
        {"text": 10, "image": 20, "audio": 10}, {"text": 4, "image": 8, "audio": 2}, ((0.5, 32), (0.5, 64))
    )
    assert len(plan) == 40
    assert [sum(step.kind == kind for step in plan[:20]) for kind in ("text", "image", "audio")] == [5, 10, 5]
    sides = [step.side for step in plan if step.kind == "image"]
    assert sides == [32] * 10 + [64] * 10
    assert Step("audio", 2) in plan


def test_disturbing_keeps_the_first_token_and_the_padding() -> None:
    ids = torch.full((300, 20), 9)
    mask = torch.ones_like(ids)
    mask[:, 15:] = 0
    changed, kept = disturbed(ids, mask, np.random.default_rng(1), 500)
    assert bool((kept == mask).all())
    assert bool((changed[:, 0] == 9).all())
    assert bool((changed[:, 15:] == 9).all())
    rows = (changed != ids).any(dim=1).float().mean()
    assert 0.15 < float(rows) < 0.4


def test_strange_tokens_come_between_the_others_and_no_row_grows_beyond_its_limit() -> None:
    ids = torch.arange(10, 30).repeat(300, 1)
    mask = torch.ones_like(ids)
    longer, kept = lengthened(ids, mask, np.random.default_rng(1), 500, 24)
    assert longer.shape == kept.shape == (300, 24)
    assert bool((longer[:, 0] == 10).all())
    counts = kept.sum(dim=1)
    assert bool((counts >= 20).all())
    assert 0.2 < float((counts > 20).float().mean()) < 0.45
    assert bool((longer[kept == 0] == 0).all())
    plain = longer[counts == 20]
    assert bool((plain[:, :20] == ids[0]).all())


def test_a_caption_tells_most_of_the_words_and_at_least_one() -> None:
    rng = np.random.default_rng(2)
    told = [some_words(rng, ["red", "house", "sky", "car", "tree"]) for _ in range(50)]
    assert all(3 <= len(words) <= 5 and len(set(words)) == len(words) for words in told)
    assert some_words(rng, ["red"]) == ["red"]
