"""Audio towers: AST, Wav2Vec2, HuBERT, WavLM, the encoder of Whisper, and the audio side of CLAP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from transformers.audio_utils import mel_filter_bank, window_function

from models.export.checkpoint import Checkpoint, ExportError
from models.export.front_ends import Spectrogram, kaldi, windowed
from models.export.towers import Options, Tower, load, precision, processor, projection_of
from models.manifest import AudioInput
from models.sound import filled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_FILES = ("preprocessor_config.json", "processor_config.json")
_AST_FRAME, _AST_HOP = 400, 160
"""Samples; its extractor knows no others."""


class _Ast(nn.Module):
    """Waveform and how much of it was heard -> AST's pooled vector; then come the extractor's zeros."""

    def __init__(self, front: Spectrogram, body: nn.Module, mean: float, deviation: float) -> None:
        super().__init__()
        self.front, self.body, self.mean, self.deviation = front, body, mean, deviation

    def forward(self, waveform: torch.Tensor, samples: torch.Tensor) -> torch.Tensor:
        bands = self.front(waveform)
        heard = (samples - _AST_FRAME) // _AST_HOP + 1
        there = torch.arange(bands.shape[1], device=bands.device)[None] < heard[:, None]
        bands = torch.where(there[..., None], bands, torch.zeros_like(bands))
        given = ((bands - self.mean) / self.deviation).to(precision(self.body))
        return self.body(given).pooler_output.float()  # type: ignore[no-any-return]


class _Waveform(nn.Module):
    """Waveform, normalised where the extractor does so -> the mean over the last layer."""

    def __init__(self, body: nn.Module, *, normalise: bool) -> None:
        super().__init__()
        self.body, self.normalise = body, normalise

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        if self.normalise:
            centred = waveform - waveform.mean(dim=1, keepdim=True)
            waveform = centred / (centred.square().mean(dim=1, keepdim=True) + 1e-7).sqrt()
        return self.body(waveform.to(precision(self.body))).last_hidden_state.float().mean(dim=1)  # type: ignore[no-any-return]


class _Whisper(nn.Module):
    """Waveform -> log-mel within 8 decades of its loudest -> the mean over the encoder's last layer."""

    def __init__(self, front: Spectrogram, body: nn.Module) -> None:
        super().__init__()
        self.front, self.body = front, body

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        bands = self.front(waveform)[:, :-1].transpose(1, 2)
        bands = torch.maximum(bands, bands.amax(dim=(1, 2), keepdim=True) - 8.0)
        given = ((bands + 4.0) / 4.0).to(precision(self.body))
        return self.body(given).last_hidden_state.float().mean(dim=1)  # type: ignore[no-any-return]


class _Clap(nn.Module):
    """Waveform -> log-mel in decibels -> CLAP's projected vector."""

    def __init__(self, front: Spectrogram, body: nn.Module) -> None:
        super().__init__()
        self.front, self.body = front, body

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        given = self.front(waveform)[:, None].to(precision(self.body))
        return self.body(input_features=given).audio_embeds.float()  # type: ignore[no-any-return]


def _extractor(checkpoint: Checkpoint) -> Any:
    return processor(checkpoint, "AutoFeatureExtractor", _FILES)


def _form(rate: int, window: int, options: Options, **more: Any) -> AudioInput:
    return AudioInput(rate=rate, window=window, max_windows=max(1, round(options.seconds * rate / window)), **more)


def _own_window(checkpoint: Checkpoint, options: Options) -> None:
    if options.window is not None:
        raise ExportError(f"{checkpoint.source}: its processor says how long a window is; leave window out")


def ast_tower(checkpoint: Checkpoint, options: Options) -> Tower:
    """The audio spectrogram transformer: the mean of its class and its distillation token."""
    _own_window(checkpoint, options)
    body, extractor = load(checkpoint, "ASTModel"), _extractor(checkpoint)
    rate, frames = int(extractor.sampling_rate), int(extractor.max_length)
    front = Spectrogram(
        kaldi(window_function(_AST_FRAME, "hann", periodic=False), 0.97),
        length=512,
        hop=_AST_HOP,
        filters=mel_filter_bank(
            num_frequency_bins=257,
            num_mel_filters=int(extractor.num_mel_bins),
            min_frequency=20,
            max_frequency=rate // 2,
            sampling_rate=rate,
            norm=None,
            mel_scale="kaldi",
            triangularize_in_mel_space=True,
        ),
        centred=False,
        floor=1.192092955078125e-07,
        log="log",
    )
    mean, deviation = (extractor.mean, 2 * extractor.std) if extractor.do_normalize else (0.0, 1.0)
    form = _form(rate, _AST_FRAME + (frames - 1) * _AST_HOP, options, fill="zeros", lengths=True)

    def reference(items: Sequence[Any]) -> torch.Tensor:
        given = [extractor(item, sampling_rate=rate, return_tensors="pt")["input_values"] for item in items]
        return torch.cat([body(one).pooler_output for one in given])

    network = _Ast(front, body, float(mean), float(deviation))
    pooling = "mean of class and distillation token"
    return Tower("audio", checkpoint.model_type, form, network, int(body.config.hidden_size), pooling, reference)


def waveform_tower(checkpoint: Checkpoint, options: Options) -> Tower:
    """Wav2Vec2, HuBERT and WavLM: the mean over the last layer of a window, as long as the user says."""
    if options.window is None:
        raise ExportError(
            f"{checkpoint.source}: {checkpoint.model_type} takes sound of any length and its processor names no "
            "window; give window in seconds (its training used pieces of 10 to 20 s)"
        )
    body, extractor = load(checkpoint, "AutoModel", unused=("masked_spec_embed",)), _extractor(checkpoint)
    rate = int(extractor.sampling_rate)
    form = _form(rate, round(options.window * rate), options)

    def reference(items: Sequence[Any]) -> torch.Tensor:
        rows = []
        for item in items:
            heard = filled(item, form.window, form.fill)
            given = extractor(heard, sampling_rate=rate, return_tensors="pt")["input_values"]
            rows.append(body(given).last_hidden_state.mean(dim=1))
        return torch.cat(rows)

    network = _Waveform(body, normalise=bool(extractor.do_normalize))
    width = int(body.config.hidden_size)
    return Tower("audio", checkpoint.model_type, form, network, width, "mean over time", reference)


def whisper_tower(checkpoint: Checkpoint, options: Options) -> Tower:
    """Whisper's encoder: the mean over its last layer, as its own classifier does it."""
    _own_window(checkpoint, options)
    body, extractor = load(checkpoint, "WhisperModel").get_encoder(), _extractor(checkpoint)
    rate = int(extractor.sampling_rate)
    front = Spectrogram(
        windowed(window_function(extractor.n_fft, "hann")),
        length=extractor.n_fft,
        hop=extractor.hop_length,
        filters=extractor.mel_filters,
        centred=True,
        floor=1e-10,
        log="log10",
    )
    form = _form(rate, int(extractor.n_samples), options, fill="zeros")

    def reference(items: Sequence[Any]) -> torch.Tensor:
        given = [extractor(item, sampling_rate=rate, return_tensors="pt")["input_features"] for item in items]
        return torch.cat([body(one).last_hidden_state.mean(dim=1) for one in given])

    network, width = _Whisper(front, body), int(body.config.d_model)
    return Tower("audio", checkpoint.model_type, form, network, width, "mean over time", reference)


def clap_tower(checkpoint: Checkpoint, options: Options) -> Tower:
    """CLAP's audio side without fusion, projected."""
    _own_window(checkpoint, options)
    audio = checkpoint.config.get("audio_config") or checkpoint.config
    if audio.get("enable_fusion"):
        raise ExportError(
            f"{checkpoint.source}: CLAP with fusion looks at random pieces of a recording, which no graph repeats; "
            "take a checkpoint without (enable_fusion false, as in laion/clap-htsat-unfused)"
        )
    body, extractor = (
        load(checkpoint, "ClapAudioModelWithProjection", **projection_of(checkpoint)),
        _extractor(checkpoint),
    )
    rate, length = int(extractor.sampling_rate), int(extractor.fft_window_size)
    slaney = extractor.truncation != "fusion"
    front = Spectrogram(
        windowed(window_function(length, "hann")),
        length=length,
        hop=int(extractor.hop_length),
        filters=extractor.mel_filters_slaney if slaney else extractor.mel_filters,
        centred=True,
        floor=1e-10,
        log="dB",
    )
    fills = {"repeatpad": "repeat-zeros", "repeat": "repeat", "pad": "zeros"}
    if extractor.padding not in fills:
        raise ExportError(
            f"{checkpoint.folder}: padding {extractor.padding!r} is not known, unlike {', '.join(fills)}"
        )
    form = _form(rate, int(extractor.nb_max_samples), options, fill=fills[extractor.padding])

    def reference(items: Sequence[Any]) -> torch.Tensor:
        rows = []
        for item in items:
            given = extractor(np.asarray(item, dtype=np.float64), sampling_rate=rate, return_tensors="pt")
            features = given["input_features"].float()[:, :1]
            rows.append(body(input_features=features).audio_embeds)
        return torch.cat(rows)

    width = int(body.config.projection_dim)
    return Tower("audio", checkpoint.model_type, form, _Clap(front, body), width, "mean, projected", reference)


AUDIO: dict[str, Callable[[Checkpoint, Options], Tower]] = {
    "audio-spectrogram-transformer": ast_tower,
    "wav2vec2": waveform_tower,
    "hubert": waveform_tower,
    "wavlm": waveform_tower,
    "whisper": whisper_tower,
    "clap": clap_tower,
}
"""Audio families by transformers' names."""
