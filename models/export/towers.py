"""A tower: a network from a checkpoint with its own preprocessing, made ready to become a graph."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
import transformers
from torch import nn

from models.export.checkpoint import Checkpoint, ExportError
from models.manifest import AudioInput, ImageInput, TextInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tokenizers import Tokenizer

Form = TextInput | ImageInput | AudioInput


class Reference(Protocol):
    """What transformers itself makes of the raw parts of posts."""

    def __call__(self, items: Sequence[Any]) -> torch.Tensor:
        """Texts, or images (height, width, 3) uint8, or windows (samples,) float32: float32 (n, width)."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the user says where the checkpoint is silent.

    Attributes:
        pooling: of texts: mean, cls, max or last.
        window: seconds of an audio window.
        seconds: of a recording that are listened to; more than that is covered by windows spread over it.
        max_tokens: fewer than the checkpoint takes.
        prefix: written before every text; None takes the checkpoint's default prompt.
    """

    pooling: str | None = None
    window: float | None = None
    seconds: float = 60.0
    max_tokens: int | None = None
    prefix: str | None = None


@dataclass(slots=True)
class Tower:
    """A network and what stands around it.

    Attributes:
        network: the graph's inputs -> (batch, width); its submodule `body` may be brought to half precision, what is
            before (`front`) stays in float32.
        width: numbers of its vectors.
        family: as in the table of families.
        pooling: in words.
        tokenizer: of a text tower.
    """

    kind: str
    family: str
    form: Form
    network: nn.Module
    width: int
    pooling: str
    reference: Reference
    tokenizer: Tokenizer | None = None
    remarks: list[str] = field(default_factory=list)


def load(checkpoint: Checkpoint, name: str, *, unused: tuple[str, ...] = (), **arguments: Any) -> Any:
    """The network of a class of transformers with the checkpoint's weights, float32, in evaluation mode.

    Args:
        name: the class.
        unused: beginnings of the names of weights that may be missing, since what they make is not used.
        arguments: further ones of the class.

    Raises:
        ExportError: it cannot be loaded, or weights that count are missing: transformers would draw them at random.
    """
    with quiet():
        try:
            model, report = _from_pretrained(checkpoint, name, "sdpa", arguments)
        except Exception as error:  # config, weights and classes fail in ways of their own
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ExportError(f"{checkpoint.folder}: transformers cannot load it as {name}: {reason}") from error
    missing = sorted(key for key in report["missing_keys"] if not key.startswith(unused))
    if missing:
        raise ExportError(
            f"{checkpoint.folder}: {len(missing)} weights of {name} are missing, as {missing[0]}; "
            "the checkpoint is of another network, or incomplete"
        )
    return model.eval()


def _from_pretrained(checkpoint: Checkpoint, name: str, attention: str, arguments: dict[str, Any]) -> Any:
    try:
        return getattr(transformers, name).from_pretrained(
            checkpoint.folder,
            dtype=torch.float32,
            attn_implementation=attention,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            **arguments,
        )
    except ValueError as error:
        # some classes have only their own attention; it stays as it is, in single steps
        if attention == "eager" or "scaled_dot_product_attention" not in str(error):
            raise
        return _from_pretrained(checkpoint, name, "eager", arguments)


def processor(checkpoint: Checkpoint, name: str, files: tuple[str, ...], **arguments: Any) -> Any:
    """The checkpoint's tokenizer, image processor or feature extractor.

    Raises:
        ExportError: the files that describe it are missing, or transformers does not know it.
    """
    if not any((checkpoint.folder / file).is_file() for file in files):
        raise ExportError(
            f"{checkpoint.folder}: none of {', '.join(files)}; preprocessing is read from the checkpoint and never "
            "guessed: save its processor there (save_pretrained)"
        )
    with quiet():
        try:
            return getattr(transformers, name).from_pretrained(checkpoint.folder, local_files_only=True, **arguments)
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ExportError(f"{checkpoint.folder}: transformers cannot load its {name}: {reason}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without what transformers and torch say on the way."""
    names = ("transformers", "torch.onnx", "torch.export", "onnxscript", "onnx_ir", "root")
    levels = {name: logging.getLogger(name).level for name in names}
    bars = transformers.utils.logging.is_progress_bar_enabled()
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        if bars:
            transformers.utils.logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def projection_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """The projection's size of a checkpoint with two sides, for a class of one of them.

    It stands beside the two sides' own configs, where loading one side alone does not look.
    """
    size = checkpoint.config.get("projection_dim")
    return {} if size is None else {"projection_dim": size}


def precision(module: nn.Module) -> torch.dtype:
    """The type of a module's weights."""
    return next(module.parameters()).dtype


def attention_layers(network: nn.Module) -> int:
    """How many of its modules attend: those called so that hold no other called so."""
    attending = [module for module in network.modules() if "Attention" in type(module).__name__]
    return sum(
        any(True for _ in module.parameters())
        and not any("Attention" in type(part).__name__ for part in module.modules() if part is not module)
        for module in attending
    )
