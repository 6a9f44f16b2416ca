from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from models.training.batches import Batch  # noqa: E402
from models.training.device import device_of  # noqa: E402
from models.training.loop import Recipe, Trainer  # noqa: E402
from models.training.towers import build_towers  # noqa: E402
from tests.models.training.small_towers import SMALL  # noqa: E402

if TYPE_CHECKING:
    from models.training.kinds import Kind

RECIPE = Recipe({"image": 1e-3, "audio": 1e-3, "text": 1e-3})


def batch(kind: Kind) -> Batch:
    rng = np.random.default_rng(3)
    views = []
    for _ in range(2):
        given = rng.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
        sounds = rng.standard_normal((4, 80_000)).astype(np.float32)
        views.append((torch.from_numpy(given if kind == "image" else sounds),))
    return Batch(kind, views[0], views[1], None, torch.zeros(0).long())


@pytest.mark.parametrize("kind", ["image", "audio"])
def test_a_step_keeps_everything_on_the_device_it_is_given(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    # a device without numbers, on which torch refuses tensors of another one as a GPU would
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    adam = torch.optim.AdamW
    monkeypatch.setattr(torch.optim, "AdamW", lambda *given, **named: adam(*given, **(named | {"fused": False})))
    trainer = Trainer(build_towers(SMALL), dict.fromkeys(("text", "image", "audio"), 4), RECIPE, "meta")
    with pytest.raises(RuntimeError, match=r"item\(\) cannot be called on meta"):  # the loss, after all is done
        trainer.step(batch(kind))
    assert trainer.done[kind] == 1
    for tower in (trainer.towers[kind], trainer.averages[kind]):
        assert {value.device.type for value in tower.state_dict().values()} == {"meta"}
    moments = [state["exp_avg"] for state in trainer.optimisers[kind].state.values()]
    assert {moment.device.type for moment in moments} == {"meta"}


def test_auto_takes_the_processor_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of("auto") == device_of("cpu") == "cpu"
    with pytest.raises(ValueError, match="finds no GPU"):
        device_of("cuda")


def test_auto_takes_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (device_of("auto"), device_of("cpu"), device_of("cuda")) == ("cuda", "cpu", "cuda")
