"""Text towers: BERT and its kin with the pooling of sentence-transformers, and the text sides of CLIP and SigLIP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from tokenizers import Tokenizer, normalizers
from torch import nn

from models.export.checkpoint import Checkpoint, ExportError, read_json
from models.export.pooling import pooling_of
from models.export.towers import Options, Tower, load, processor, projection_of
from models.manifest import TextInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TOKENIZER = "tokenizer.json"
_FILES = (TOKENIZER, "tokenizer_config.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model")
_OFFSET_POSITIONS = frozenset(("roberta", "xlm-roberta", "camembert", "mpnet"))
"""Families whose positions begin after the padding's: two of their position embeddings are no tokens."""
_ENDLESS = 1_000_000
"""A tokenizer without a limit says more than this."""


class _Pooled(nn.Module):
    """Token ids -> the pooled vectors of the last layer."""

    def __init__(self, body: nn.Module, pooling: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.body, self.pooling, self.after = body, pooling, after

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        tokens = self.body(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        pooled: torch.Tensor = self.after(self.pooling(tokens, attention_mask))
        return pooled


class _Projected(nn.Module):
    """Token ids -> what the network itself gives as the vector of a text."""

    def __init__(self, body: nn.Module, output: str, *, masked: bool) -> None:
        super().__init__()
        self.body, self.output, self.masked = body, output, masked

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        mask = attention_mask if self.masked else None
        return getattr(self.body(input_ids=input_ids, attention_mask=mask), self.output).float()  # type: ignore[no-any-return]


def sentence_tower(checkpoint: Checkpoint, options: Options) -> Tower:
    """BERT, RoBERTa, XLM-R, DistilBERT, MPNet, ELECTRA, ALBERT: all tokens, then a pooling."""
    bare: dict[str, Any] = {"add_pooling_layer": False} if _has_pooler(checkpoint.model_type) else {}
    body = load(checkpoint, "AutoModel", **bare)
    after, pooling, name = pooling_of(checkpoint, options.pooling)
    tokenizer = _tokenizer(checkpoint)
    positions = int(getattr(body.config, "max_position_embeddings", _ENDLESS))
    offset = 2 if checkpoint.model_type in _OFFSET_POSITIONS else 0
    network = _Pooled(body, pooling, after)
    # a sentence-transformers config says what the training used, which may be less than there are positions
    told = (read_json(checkpoint.folder / "sentence_bert_config.json") or {}).get("max_seq_length")
    form = _form(checkpoint, tokenizer, options, min(positions - offset, told or _ENDLESS), full=False)
    width = len(pooling.modes) * int(getattr(body.config, "hidden_size", None) or body.config.dim)
    if len(after):
        width = int(after[-1].linear.out_features)  # type: ignore[union-attr, arg-type]

    def reference(items: Sequence[Any]) -> torch.Tensor:
        rows = []
        for text in items:
            given = _encoded(tokenizer, form, text)
            mask = given["attention_mask"]
            tokens = body(input_ids=given["input_ids"], attention_mask=mask).last_hidden_state
            rows.append(after(pooling(tokens, mask)))
        return torch.cat(rows)

    return Tower(
        "text", checkpoint.model_type, form, network, width, name, reference, _backend(checkpoint, tokenizer)
    )


def _has_pooler(model_type: str) -> bool:
    return model_type in {"bert", "roberta", "xlm-roberta", "camembert", "mpnet", "albert"}


def clip_tower(checkpoint: Checkpoint, options: Options) -> Tower:
    """CLIP's text side: the token that ends the text, projected."""
    return _two_sided(checkpoint, options, "CLIPTextModelWithProjection", "text_embeds", "end of text, projected")


def siglip_tower(checkpoint: Checkpoint, options: Options) -> Tower:
    """SigLIP's and SigLIP 2's text side: the last of 64 tokens, padding or not."""
    name = "Siglip2TextModel" if checkpoint.model_type == "siglip2" else "SiglipTextModel"
    return _two_sided(checkpoint, options, name, "pooler_output", "last position, projected", full=True)


def clap_tower(checkpoint: Checkpoint, options: Options) -> Tower:
    """CLAP's text side: a RoBERTa, projected beside its sounds."""
    return _two_sided(checkpoint, options, "ClapTextModelWithProjection", "text_embeds", "first token, projected")


def _two_sided(
    checkpoint: Checkpoint, options: Options, name: str, output: str, pooling: str, full: bool = False
) -> Tower:
    if options.pooling is not None:
        raise ExportError(f"{checkpoint.source}: {checkpoint.model_type} has a pooling of its own; leave pooling out")
    body = load(checkpoint, name, **projection_of(checkpoint))
    tokenizer = _tokenizer(checkpoint)
    masked = "attention_mask" in tokenizer.model_input_names
    offset = 2 if name.startswith("Clap") else 0
    form = _form(checkpoint, tokenizer, options, int(body.config.max_position_embeddings) - offset, full=full)
    network = _Projected(body, output, masked=masked)
    config = body.config
    width = int(getattr(config, "projection_size", None) or getattr(config, "projection_dim", config.hidden_size))

    def reference(items: Sequence[Any]) -> torch.Tensor:
        rows = []
        for text in items:
            given = _encoded(tokenizer, form, text)
            mask = given["attention_mask"] if masked else None
            rows.append(getattr(body(input_ids=given["input_ids"], attention_mask=mask), output))
        return torch.cat(rows)

    backend = _backend(checkpoint, tokenizer)
    return Tower("text", checkpoint.model_type, form, network, width, pooling, reference, backend)


def _tokenizer(checkpoint: Checkpoint) -> Any:
    tokenizer = processor(checkpoint, "AutoTokenizer", _FILES)
    if not getattr(tokenizer, "is_fast", False):
        raise ExportError(
            f"{checkpoint.folder}: its tokenizer is written in Python and has no {TOKENIZER}; take a checkpoint that "
            "has one (transformers' converters make it for most)"
        )
    return tokenizer


def _form(checkpoint: Checkpoint, tokenizer: Any, options: Options, most: int, *, full: bool) -> TextInput:
    most = min(most, int(tokenizer.model_max_length))
    if most >= _ENDLESS:
        raise ExportError(f"{checkpoint.folder}: nothing says how many tokens it takes; give max_tokens")
    if options.max_tokens is not None:
        if options.max_tokens > most or full:
            raise ExportError(f"max_tokens is {options.max_tokens}, {checkpoint.source} takes {most}")
        most = options.max_tokens
    if tokenizer.pad_token_id is None:
        raise ExportError(f"{checkpoint.folder}: its tokenizer has no padding token")
    prefix = options.prefix if options.prefix is not None else _default_prompt(checkpoint)
    return TextInput(
        tokenizer=TOKENIZER,
        max_tokens=most,
        padding=int(tokenizer.pad_token_id),
        full=full,
        left=full and tokenizer.padding_side == "left",
        prefix=prefix,
    )


def _default_prompt(checkpoint: Checkpoint) -> str:
    config = read_json(checkpoint.root / "config_sentence_transformers.json") or {}
    name = config.get("default_prompt_name")
    return str((config.get("prompts") or {}).get(name, "")) if name else ""


def _backend(checkpoint: Checkpoint, tokenizer: Any) -> Tokenizer:
    """The tokenizer as it goes into the bundle: padding and truncation are Shoal's."""
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_padding()
    backend.no_truncation()
    if (read_json(checkpoint.folder / "sentence_bert_config.json") or {}).get("do_lower_case"):
        steps = [normalizers.Lowercase(), *([backend.normalizer] if backend.normalizer else [])]
        backend.normalizer = normalizers.Sequence(steps)
    return backend


def _encoded(tokenizer: Any, form: TextInput, text: str) -> Any:
    return tokenizer(
        form.prefix + text,
        truncation=True,
        max_length=form.max_tokens,
        padding="max_length" if form.full else False,
        return_attention_mask=True,
        return_tensors="pt",
    )


TEXT: dict[str, Callable[[Checkpoint, Options], Tower]] = {
    **dict.fromkeys(
        ("bert", "roberta", "xlm-roberta", "camembert", "distilbert", "mpnet", "electra", "albert"), sentence_tower
    ),
    "clip": clip_tower,
    "siglip": siglip_tower,
    "siglip2": siglip_tower,
    "clap": clap_tower,
}
"""Text families by transformers' names."""
