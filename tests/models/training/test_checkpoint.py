from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from torch import Tensor  # noqa: E402

from models.training.batches import Batch  # noqa: E402
from models.training.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from models.training.loop import Recipe, Trainer  # noqa: E402
from models.training.towers import build_towers  # noqa: E402
from tests.models.training.small_towers import SMALL  # noqa: E402

KINDS_IN_TURN = ("image", "text", "image", "image", "text", "image")


def batch(number: int) -> Batch:
    rng = np.random.default_rng(number)
    ids = torch.from_numpy(rng.integers(2, 60, (4, 9)))
    words = (ids, torch.ones_like(ids))
    if KINDS_IN_TURN[number] == "text":
        return Batch("text", words, words, None, torch.zeros(0).long())
    first, second = (torch.from_numpy(rng.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)) for _ in range(2))
    return Batch("image", (first,), (second,), (ids[:2], words[1][:2]), torch.arange(2))


def trainer() -> Trainer:
    torch.manual_seed(1)
    towers = {kind: tower for kind, tower in build_towers(SMALL).items() if kind != "audio"}
    return Trainer(towers, {"image": 4, "text": 2}, Recipe({"image": 1e-3, "text": 1e-3}))


def weights(made: Trainer) -> dict[str, Tensor]:
    towers = {f"tower {kind}": tower for kind, tower in made.towers.items()}
    averages = {f"average {kind}": tower for kind, tower in made.averages.items()}
    return {
        f"{name} {key}": value.clone()
        for name, tower in (towers | averages).items()
        for key, value in tower.state_dict().items()
    }


@pytest.mark.parametrize("stopped", [1, 3, 5])
def test_a_training_that_goes_on_from_a_checkpoint_ends_with_the_same_weights(tmp_path: Path, stopped: int) -> None:
    whole = trainer()
    for number in range(6):
        if number == stopped:
            save_checkpoint(tmp_path / "one.safetensors", whole, "plan", stopped)
        whole.step(batch(number))
    second = trainer()
    assert load_checkpoint(tmp_path / "one.safetensors", second, "plan") == stopped
    for number in range(stopped, 6):
        second.step(batch(number))
    expected, actual = weights(whole), weights(second)
    assert second.done == whole.done == {"image": 4, "text": 2}
    assert all(torch.equal(expected[name], actual[name]) for name in expected)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "one.safetensors", trainer(), "plan", 0)
    with pytest.raises(ValueError, match="another training"):
        load_checkpoint(tmp_path / "one.safetensors", trainer(), "another plan")
