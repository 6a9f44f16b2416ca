"""Checkpoints of the real architectures, small and with random weights, saved with their real processors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
import transformers

from models.export.reference import byte_tokenizer as tokenizer
from models.export.towers import quiet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

nets: Any = transformers  # its configs are typed field by field, and here they are put together from parts

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "initializer_range": 0.3,
}
"""Large weights: with the usual ones an untrained network gives nearly one vector for everything."""
TOKENS = 66
WAVES: dict[str, Any] = {
    **SMALL,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}


def save(folder: Path, model: Any, *processors: Any) -> Path:
    """What save_pretrained makes of a network and its processors."""
    with quiet():
        model.eval().save_pretrained(folder)
        for processor in processors:
            processor.save_pretrained(folder)
    return folder


def sentence_modules(folder: Path, *modes: str) -> None:
    """The files by which sentence-transformers says how it pools."""
    (folder / "1_Pooling").mkdir()
    flags = {f"pooling_mode_{mode}": True for mode in modes}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 32} | flags))
    kinds = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
    modules = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in kinds]
    (folder / "modules.json").write_text(json.dumps(modules))


def bert(folder: Path) -> Path:
    config = nets.BertConfig(vocab_size=300, max_position_embeddings=TOKENS, **SMALL)
    save(folder, nets.BertModel(config), tokenizer("[CLS]", "[SEP]", "[PAD]"))
    sentence_modules(folder, "mean_tokens", "max_tokens")
    prompts = {"prompts": {"query": "query: "}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 48, "do_lower_case": False}))
    return folder


def xlm_roberta(folder: Path) -> Path:
    config = nets.XLMRobertaConfig(vocab_size=300, max_position_embeddings=TOKENS, pad_token_id=1, **SMALL)
    save(folder, nets.XLMRobertaModel(config), tokenizer("<s>", "</s>", "<pad>"))
    sentence_modules(folder, "cls_token")
    return folder


def distilbert(folder: Path) -> Path:
    config = nets.DistilBertConfig(
        vocab_size=300,
        max_position_embeddings=TOKENS,
        dim=32,
        n_layers=1,
        n_heads=2,
        hidden_dim=48,
        initializer_range=0.3,
    )
    save(folder, nets.DistilBertModel(config), tokenizer("[CLS]", "[SEP]", "[PAD]"))
    sentence_modules(folder, "lasttoken")
    return folder


def mpnet(folder: Path) -> Path:
    config = nets.MPNetConfig(vocab_size=300, max_position_embeddings=TOKENS, **SMALL)
    save(folder, nets.MPNetModel(config), tokenizer("<s>", "</s>", "<pad>"))
    sentence_modules(folder, "mean_sqrt_len_tokens", "weightedmean_tokens")
    return folder


def clip(folder: Path) -> Path:
    config = nets.CLIPConfig(
        text_config={
            "vocab_size": 300,
            "max_position_embeddings": 77,
            "bos_token_id": 0,
            "eos_token_id": 1,
            "pad_token_id": 1,
            **SMALL,
        },
        vision_config={"image_size": 32, "patch_size": 8, **SMALL},
        projection_dim=24,
    )
    pixels = nets.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    words = tokenizer("<|startoftext|>", "<|endoftext|>", "<|endoftext|>", most=77)
    return save(folder, nets.CLIPModel(config), words, pixels)


def _siglip_words() -> Any:
    return tokenizer("<s>", "</s>", "<pad>", most=16, model_input_names=["input_ids"])


def siglip(folder: Path) -> Path:
    config = nets.SiglipConfig(
        text_config={**_SIGLIP_TEXT, "projection_size": 40},
        vision_config={"image_size": 32, "patch_size": 8, **SMALL},
    )
    pixels = nets.SiglipImageProcessorPil(size={"height": 32, "width": 32})
    return save(folder, nets.SiglipModel(config), _siglip_words(), pixels)


_SIGLIP_TEXT = {
    "vocab_size": 300,
    "max_position_embeddings": 16,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 1,
    **SMALL,
}


def siglip2(folder: Path) -> Path:
    config = nets.Siglip2Config(
        text_config={**_SIGLIP_TEXT, "projection_size": 32},
        vision_config={"num_patches": 16, "patch_size": 8, **SMALL},
    )
    pixels = nets.Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16)
    return save(folder, nets.Siglip2Model(config), _siglip_words(), pixels)


def resnet(folder: Path) -> Path:
    config = nets.ResNetConfig(embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1])
    pixels = nets.ConvNextImageProcessorPil(size={"shortest_edge": 48}, crop_pct=0.875)
    return save(folder, nets.ResNetForImageClassification(config), pixels)


def vit(folder: Path) -> Path:
    config = nets.ViTConfig(image_size=32, patch_size=8, **SMALL)
    pixels = nets.ViTImageProcessorPil(size={"height": 32, "width": 32})
    return save(folder, nets.ViTForImageClassification(config), pixels)


def convnext(folder: Path) -> Path:
    config = nets.ConvNextConfig(hidden_sizes=[16, 24, 32, 40], depths=[1, 1, 1, 1], initializer_range=0.3)
    # from 384 on its processor stretches instead of cropping
    pixels = nets.ConvNextImageProcessorPil(size={"shortest_edge": 384}, crop_pct=0.875)
    return save(folder, nets.ConvNextForImageClassification(config), pixels)


def dinov2(folder: Path) -> Path:
    config = nets.Dinov2Config(image_size=70, patch_size=14, **SMALL)
    pixels = nets.BitImageProcessorPil(size={"shortest_edge": 48}, crop_size={"height": 42, "width": 42})
    return save(folder, nets.Dinov2Model(config), pixels)


def audio_spectrogram_transformer(folder: Path) -> Path:
    config = nets.ASTConfig(max_length=256, num_mel_bins=64, **SMALL)
    heard = nets.ASTFeatureExtractor(max_length=256, num_mel_bins=64)
    return save(folder, nets.ASTForAudioClassification(config), heard)


def wav2vec2(folder: Path) -> Path:
    model = nets.Wav2Vec2Model(nets.Wav2Vec2Config(**WAVES))
    return save(folder, model, nets.Wav2Vec2FeatureExtractor())


def hubert(folder: Path) -> Path:
    model = nets.HubertModel(nets.HubertConfig(**WAVES, feat_extract_norm="layer"))
    return save(folder, model, nets.Wav2Vec2FeatureExtractor(do_normalize=False))


def wavlm(folder: Path) -> Path:
    model = nets.WavLMModel(nets.WavLMConfig(**WAVES))
    return save(folder, model, nets.Wav2Vec2FeatureExtractor())


def whisper(folder: Path) -> Path:
    config = nets.WhisperConfig(
        vocab_size=100,
        **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 1),
        d_model=32,
        **dict.fromkeys(("encoder_layers", "decoder_layers"), 1),
        **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 2),
        **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 48),
        num_mel_bins=40,
        max_source_positions=50,
        init_std=0.3,
    )
    heard = nets.WhisperFeatureExtractor(feature_size=40, chunk_length=1)
    return save(folder, nets.WhisperForConditionalGeneration(config), heard)


def clap(folder: Path) -> Path:
    audio = {
        "spec_size": 64,
        "num_mel_bins": 16,
        "patch_size": 4,
        "patch_stride": (4, 4),
        "window_size": 4,
        "hidden_size": 16,
        "patch_embeds_hidden_size": 8,
        "depths": [1, 1],
        "num_attention_heads": [2, 2],
        "enable_fusion": False,
        "projection_dim": 24,
    }
    text = {"vocab_size": 300, "max_position_embeddings": TOKENS, **SMALL}
    model = nets.ClapModel(nets.ClapConfig(text_config=text, audio_config=audio, projection_dim=24))
    heard = nets.ClapFeatureExtractor(feature_size=16, max_length_s=1, truncation="rand_trunc")
    return save(folder, model, tokenizer("<s>", "</s>", "<pad>"), heard)


MAKERS: dict[str, Callable[[Path], Path]] = {
    maker.__name__: maker
    for maker in (
        *(bert, xlm_roberta, distilbert, mpnet, clip, siglip, siglip2, resnet, vit, convnext, dinov2),
        *(audio_spectrogram_transformer, wav2vec2, hubert, wavlm, whisper, clap),
    )
}


def make(family: str, folder: Path) -> Path:
    """A checkpoint of a family, the same every time."""
    torch.manual_seed(5)
    with quiet():
        return MAKERS[family](folder / family)
