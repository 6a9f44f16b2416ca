from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from models.training.losses import align, contrast, spread  # noqa: E402


def unit_rows(count: int, size: int, seed: int) -> Any:
    rows = torch.randn(count, size, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(rows, dim=1)


def test_contrast_is_near_zero_when_views_agree_and_originals_are_far_apart() -> None:
    views = torch.eye(8)
    assert float(contrast(views, views)) < 1e-6


def test_contrast_of_views_that_say_nothing_is_that_of_guessing() -> None:
    same = torch.ones(8, 4) / 2.0
    assert float(contrast(same, same)) == pytest.approx(float(torch.log(torch.tensor(15.0))), rel=1e-4)


def test_contrast_falls_when_views_of_one_original_come_closer() -> None:
    first, noise = unit_rows(16, 32, 1), unit_rows(16, 32, 2)
    near = torch.nn.functional.normalize(first + 0.1 * noise, dim=1)
    far = torch.nn.functional.normalize(first + 2.0 * noise, dim=1)
    assert float(contrast(first, near)) < float(contrast(first, far))


def test_contrast_does_not_depend_on_the_order_of_the_views() -> None:
    first, second = unit_rows(6, 8, 3), unit_rows(6, 8, 4)
    assert float(contrast(first, second)) == pytest.approx(float(contrast(second, first)), rel=1e-5)


def test_spread_prefers_originals_apart_and_ignores_how_close_their_views_are() -> None:
    apart = torch.eye(4)
    together = torch.nn.functional.normalize(torch.ones(4, 4) + 0.1 * torch.eye(4), dim=1)
    assert float(spread(apart, apart)) < float(spread(together, together))
    assert float(spread(apart, apart)) == pytest.approx(-0.5 * float(torch.log(torch.tensor(2.0))), rel=1e-4)


def test_align_is_lowest_for_captions_beside_what_they_describe() -> None:
    rows = unit_rows(12, 32, 5)
    assert float(align(rows, rows)) < float(align(rows, rows.roll(1, dims=0)))


def test_losses_of_equal_vectors_have_finite_gradients() -> None:
    rows = torch.zeros(4, 8)
    rows[:, 0] = 1.0
    rows.requires_grad_()
    loss: Any = contrast(rows, rows) + spread(rows, rows) + align(rows, rows)
    loss.backward()
    assert rows.grad is not None
    assert bool(torch.isfinite(rows.grad).all())
