"""The three networks of the `compact` bundle: a caption, an image and a sound go into one space of unit vectors.

Everything a graph needs beyond resizing, decoding and tokenizing is inside its tower, so training and serving
cannot differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertConfig, BertModel

from models.training.kinds import AUDIO_RATE

if TYPE_CHECKING:
    from models.training.kinds import Kind


@dataclass(frozen=True, slots=True)
class TowerSizes:
    """How large the three networks are. The defaults are those of the `compact` bundle."""

    dimension: int = 128
    vocabulary: int = 4096
    max_tokens: int = 96
    text_width: int = 192
    text_layers: int = 3
    image_size: int = 128
    image_widths: tuple[int, int, int, int] = (48, 96, 192, 256)
    audio_widths: tuple[int, int, int, int] = (40, 80, 160, 240)
    blocks: tuple[int, int, int, int] = (1, 2, 2, 1)
    bands: int = 64


def unit(vectors: Tensor) -> Tensor:
    """Rows divided by their length, (n, d) -> (n, d); a row of zeros stays zero."""
    # clamped, not added to: the exporter drops the addition of a number so near zero
    return vectors / vectors.square().sum(dim=-1, keepdim=True).clamp(min=1e-12).sqrt()


class TextTower(nn.Module):
    """A small BERT, averaged over the tokens.

    `input_ids` and `attention_mask` int64 (batch, tokens) -> float32 (batch, dimension), unit rows.
    """

    def __init__(self, sizes: TowerSizes) -> None:
        super().__init__()
        config = BertConfig(
            vocab_size=sizes.vocabulary,
            hidden_size=sizes.text_width,
            num_hidden_layers=sizes.text_layers,
            num_attention_heads=max(1, sizes.text_width // 32),
            intermediate_size=4 * sizes.text_width,
            max_position_embeddings=sizes.max_tokens,
            type_vocab_size=1,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
        config._attn_implementation = "eager"  # noqa: SLF001 - its public spelling is not typed
        self.encoder = BertModel(config, add_pooling_layer=False)
        self.head = nn.Linear(sizes.text_width, sizes.dimension, bias=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Encode a batch of token ids."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(states.dtype)
        average = (states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1.0)
        return unit(self.head(average).float())


class Averages(nn.Module):
    """Means over squares of pixels; those at the lower and right edge may be cut off."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, ceil(h / side), ceil(w / side))."""
        # onnxruntime's fast kernels do not round up, and leave the layout of the convolutions around for it
        cut = x.shape[2] % self.side != 0 or x.shape[3] % self.side != 0
        return functional.avg_pool2d(x, self.side, ceil_mode=cut)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch normalisation and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        nn.init.zeros_(self.second_norm.weight)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                Averages(stride) if stride != 1 else nn.Identity(),
                nn.Conv2d(inputs, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) -> (n, outputs, ceil(h / stride), ceil(w / stride))."""
        y = functional.relu(self.first_norm(self.first(x)))
        y = self.second_norm(self.second(y))
        return functional.relu(y + self.shortcut(x))


class ResidualTrunk(nn.Module):
    """Two convolutions of stride 2, four stages of residual blocks, generalised-mean pooling, a linear head.

    The head has no bias, so scaling all activations (as padding with silence does) leaves the direction alone.
    """

    def __init__(self, widths: tuple[int, int, int, int], blocks: tuple[int, int, int, int], dimension: int) -> None:
        super().__init__()
        half = widths[0] // 2
        self.stem = nn.Sequential(
            nn.Conv2d(3, half, 3, 2, 1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            nn.Conv2d(half, widths[0], 3, 2, 1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        )
        stages: list[nn.Module] = []
        inputs = widths[0]
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            for index in range(count):
                stages.append(ResidualBlock(inputs, width, 2 if index == 0 and stage > 0 else 1))
                inputs = width
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(inputs, dimension, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) -> float32 (n, dimension), unit rows."""
        features = self.stages(self.stem(x)).float()
        pooled = features.clamp(min=1e-4).pow(3.0).mean(dim=(2, 3)).pow(1.0 / 3.0)
        return unit(self.head(pooled).float())


class ImageTower(nn.Module):
    """`pixels` uint8 (batch, size, size, 3) RGB -> float32 (batch, dimension), unit rows."""

    def __init__(self, sizes: TowerSizes) -> None:
        super().__init__()
        self.trunk = ResidualTrunk(sizes.image_widths, sizes.blocks, sizes.dimension)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode a batch of images."""
        x = (pixels.float() - 118.0) / 64.0
        embedding: Tensor = self.trunk(x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last))
        return embedding


class LogMel(nn.Module):
    """Log power in mel bands: `waveform` float32 (batch, samples) -> (batch, bands, frames).

    Frames of 32 ms every 20 ms. The floor is relative to the recording's loudest band, and the average over the
    recording is subtracted, so loudness does not matter.

    The Fourier transform of a frame is four products of matrices. Points as far from its ends as others from its
    middle have cosines and sines that differ by their sign at most, alike for all even bins and all odd ones: they
    are added first. That takes a quarter of the multiplications that a product with the whole frame does.
    """

    frame = 512
    hop = 320
    range_nepers = 9.0

    def __init__(self, bands: int, lowest_hz: float = 50.0, highest_hz: float = 7_800.0) -> None:
        super().__init__()
        quarter = self.frame // 4
        points = torch.arange(quarter + 1, dtype=torch.float64)
        bins = torch.arange(1, self.frame // 2, dtype=torch.float64)
        weights = mel_weights(bins * AUDIO_RATE / self.frame, bands, lowest_hz, highest_hz)
        heard = (weights > 0.0).any(dim=0)
        for parity, name in enumerate(("even", "odd")):
            taken = heard & (bins % 2 == parity)
            phase = 2.0 * math.pi * points[:, None] * bins[None, taken] / self.frame
            for part, values in (("cosines", phase.cos()), ("sines", phase.sin()), ("bands", weights[:, taken].T)):
                self.register_buffer(f"{name}_{part}", values.float().contiguous(), persistent=False)
        window = 0.5 - 0.5 * torch.cos(2.0 * math.pi * torch.arange(self.frame + 1, dtype=torch.float64) / self.frame)
        window /= window.sum()
        at = points.long()
        quarters = torch.stack([window[at], window[2 * quarter - at], window[2 * quarter + at], window[-1 - at]])
        quarters[:, [0, -1]] /= 2.0  # a point on the border stands in both quarters
        for name, values in zip(("first", "second", "third", "fourth"), quarters, strict=True):
            self.register_buffer(name, values.float(), persistent=False)
        self.even_cosines: Tensor
        self.even_sines: Tensor
        self.even_bands: Tensor
        self.odd_cosines: Tensor
        self.odd_sines: Tensor
        self.odd_bands: Tensor
        self.first: Tensor
        self.second: Tensor
        self.third: Tensor
        self.fourth: Tensor

    def forward(self, waveform: Tensor) -> Tensor:
        """Compute the log-mel picture of each waveform."""
        with torch.autocast(waveform.device.type, enabled=False):
            first, second, third, fourth = self._quarters(waveform.float())
            total, difference = first + third, first - third
            mirrored, opposed = second + fourth, fourth - second
            even = _power((total + mirrored) @ self.even_cosines, (total - mirrored) @ self.even_sines)
            odd = _power((difference + opposed) @ self.odd_cosines, (difference - opposed) @ self.odd_sines)
            power = (even @ self.even_bands + odd @ self.odd_bands).transpose(1, 2)
            loudest = power.amax(dim=(1, 2), keepdim=True)
            logs = (power + math.exp(-self.range_nepers) * loudest).clamp(min=1e-10).log()
            centred: Tensor = (logs - logs.mean(dim=(1, 2), keepdim=True)) / 2.0
            return centred

    def _quarters(self, waveform: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The quarters of all frames under the window, every other one backwards: (batch, frames, frame / 4 + 1)."""
        quarter, hop = self.frame // 4, self.hop
        frames = (waveform.shape[1] - self.frame) // hop + 1
        missing = (frames + 1) * hop - waveform.shape[1]
        signal = functional.pad(waveform, (0, missing)) if missing > 0 else waveform
        # a frame is longer than a hop and not longer than two
        early = torch.unflatten(signal[:, : frames * hop], 1, (frames, hop))
        late = torch.unflatten(signal[:, hop : (frames + 1) * hop], 1, (frames, hop))
        third = torch.cat([early[..., 2 * quarter :], late[..., : 3 * quarter + 1 - hop]], dim=2)
        return (
            early[..., : quarter + 1] * self.first,
            early[..., quarter : 2 * quarter + 1].flip(2) * self.second,
            third * self.third,
            late[..., 3 * quarter - hop : self.frame + 1 - hop].flip(2) * self.fourth,
        )


def _power(cosines: Tensor, sines: Tensor) -> Tensor:
    return cosines * cosines + sines * sines


def mel_weights(frequencies: Tensor, bands: int, lowest_hz: float, highest_hz: float) -> Tensor:
    """Triangular bands, equally wide on the mel scale: (bins,) in Hz -> (bands, bins), each row sums to 1.

    A band narrower than the spacing of the bins takes the nearest bin.
    """
    ends = torch.tensor([lowest_hz, highest_hz], dtype=torch.float64)
    low, high = (2595.0 * torch.log10(1.0 + ends / 700.0)).tolist()
    mels = torch.linspace(low, high, bands + 2, dtype=torch.float64)
    edges = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (frequencies[None, :] - left) / (centre - left)
    falling = (right - frequencies[None, :]) / (right - centre)
    weights = torch.minimum(rising, falling).clamp(min=0.0)
    nearest = (frequencies[None, :] - centre).abs().argmin(dim=1)
    empty = weights.sum(dim=1) < 0.5
    weights[empty, nearest[empty]] = 1.0
    scaled: Tensor = weights / weights.sum(dim=1, keepdim=True)
    return scaled


class AudioTower(nn.Module):
    """`waveform` float32 (batch, 80000) at 16 kHz -> float32 (batch, dimension), unit rows."""

    def __init__(self, sizes: TowerSizes) -> None:
        super().__init__()
        self.picture = LogMel(sizes.bands)
        self.trunk = ResidualTrunk(sizes.audio_widths, sizes.blocks, sizes.dimension)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode a batch of windows."""
        picture = self.picture(waveform).unsqueeze(1)
        # three equal channels: a stem with one input channel is far slower in bf16's backward pass
        embedding: Tensor = self.trunk(picture.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last))
        return embedding


def build_towers(sizes: TowerSizes) -> dict[Kind, nn.Module]:
    """The three untrained towers by modality name, in the order of the manifest."""
    return {"text": TextTower(sizes), "image": ImageTower(sizes), "audio": AudioTower(sizes)}
