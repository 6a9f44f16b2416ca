import math
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from models.training.towers import AudioTower, LogMel, TextTower, TowerSizes, mel_weights  # noqa: E402

SIZES = TowerSizes(vocabulary=300, text_width=32, text_layers=1, audio_widths=(8, 8, 8, 8), blocks=(1, 1, 1, 1))


def tone(hertz: float, samples: int = 16_000) -> Any:
    return torch.sin(2.0 * math.pi * hertz * torch.arange(samples) / 16_000.0)[None, :]


def test_a_higher_tone_is_loudest_in_a_higher_band() -> None:
    picture = LogMel(64)
    bands = [int(picture(tone(hertz)).mean(dim=2).argmax()) for hertz in (150.0, 600.0, 2_400.0, 7_000.0)]
    assert bands == sorted(set(bands))


@pytest.mark.parametrize("samples", [512, 16_000, 16_100, 80_000])
def test_the_picture_is_that_of_the_power_in_each_frames_fourier_transform(samples: int) -> None:
    sound = torch.randn(3, samples, generator=torch.Generator().manual_seed(samples)) * 0.1
    frames = sound.double().unfold(1, LogMel.frame, LogMel.hop) * torch.hann_window(512, dtype=torch.float64) / 256
    bins = torch.fft.rfft(frames)[..., 1:-1].abs().square()
    power = bins @ mel_weights(torch.arange(1, 256).double() * 31.25, 64, 50.0, 7_800.0).T
    logs = (power + math.exp(-9) * power.amax(dim=(1, 2), keepdim=True)).log()
    wanted = (logs - logs.mean(dim=(1, 2), keepdim=True)).transpose(1, 2) / 2
    assert torch.allclose(LogMel(64)(sound).double(), wanted, atol=1e-4)


def test_loudness_does_not_change_the_picture() -> None:
    picture = LogMel(64)
    sound = tone(440.0) + 0.3 * tone(1_900.0)
    assert torch.allclose(picture(sound), picture(0.1 * sound), atol=1e-3)


def test_bands_are_averages_of_their_bins() -> None:
    weights = mel_weights(torch.arange(1, 256).double() * 31.25, 64, 50.0, 7_800.0)
    assert torch.allclose(weights.sum(dim=1), torch.ones(64).double())
    assert bool((weights >= 0.0).all())


def test_silence_gives_a_finite_vector() -> None:
    assert bool(torch.isfinite(AudioTower(SIZES).eval()(torch.zeros(2, 80_000))).all())


def test_padding_does_not_change_a_caption() -> None:
    torch.manual_seed(0)
    tower = TextTower(SIZES).eval()
    ids = torch.randint(2, 300, (2, 7))
    padded = torch.cat([ids, torch.zeros(2, 5, dtype=torch.int64)], dim=1)
    mask = torch.cat([torch.ones(2, 7), torch.zeros(2, 5)], dim=1).long()
    assert torch.allclose(tower(ids, torch.ones_like(ids)), tower(padded, mask), atol=1e-5)
