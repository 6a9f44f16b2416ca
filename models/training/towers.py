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
                nn.AvgPool2d(stride, ceil_mode=True) if stride != 1 else nn.Identity(),
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
    """Log power in mel bands, as fixed convolutions: `waveform` float32 (batch, samples) -> (batch, bands, frames).

    Frames of 32 ms every 20 ms. The floor is relative to the recording's loudest band, and the average over the
    recording is subtracted, so loudness does not matter.
    """

    frame = 512
    hop = 320
    range_nepers = 9.0

    def __init__(self, bands: int, lowest_hz: float = 50.0, highest_hz: float = 7_800.0) -> None:
        super().__init__()
        steps = torch.arange(self.frame, dtype=torch.float64)
        window = 0.5 - 0.5 * torch.cos(2.0 * math.pi * steps / self.frame)
        bins = torch.arange(1, self.frame // 2, dtype=torch.float64)
        phase = 2.0 * math.pi * bins[:, None] * steps[None, :] / self.frame
        kernels = torch.cat([torch.cos(phase), torch.sin(phase)]) * window / window.sum()
        self.register_buffer("kernels", kernels.float().unsqueeze(1), persistent=False)
        weights = mel_weights(bins * AUDIO_RATE / self.frame, bands, lowest_hz, highest_hz)
        self.register_buffer("weights", weights.float().unsqueeze(-1), persistent=False)
        self.kernels: Tensor
        self.weights: Tensor

    def forward(self, waveform: Tensor) -> Tensor:
        """Compute the log-mel picture of each waveform."""
        with torch.autocast(waveform.device.type, enabled=False):
            parts = functional.conv1d(waveform.float().unsqueeze(1), self.kernels, stride=self.hop)
            cosine, sine = parts.chunk(2, dim=1)
            power = functional.conv1d(cosine.square() + sine.square(), self.weights)
            loudest = power.amax(dim=(1, 2), keepdim=True)
            logs = (power + math.exp(-self.range_nepers) * loudest).clamp(min=1e-10).log()
            centred: Tensor = (logs - logs.mean(dim=(1, 2), keepdim=True)) / 2.0
            return centred


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
