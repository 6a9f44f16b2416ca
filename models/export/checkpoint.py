"""A checkpoint: the folder with its config, weights and processor files, local or from Hugging Face."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from models.manifest import ManifestError, sha256_of

CONFIG = "config.json"
MODULES = "modules.json"
WANTED_FILES = ["*.json", "*.txt", "*.model", "*.safetensors", "README.md"]
_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_LICENCE = re.compile(r"^license:\s*(\S+)\s*$", re.MULTILINE)


class ExportError(ManifestError):
    """A checkpoint that cannot be exported; the message says why and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on this machine.

    Attributes:
        source: the Hugging Face id with its revision, or the folder's name.
        folder: of the network: its config.json, weights and processor files.
        root: of the whole: for sentence-transformers it holds modules.json, and may be above `folder`.
    """

    source: str
    folder: Path
    root: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """The network's config.json."""
        return read_json(self.folder / CONFIG) or {}

    @property
    def model_type(self) -> str:
        """The architecture by transformers' name, as in `bert`."""
        return str(self.config.get("model_type", ""))

    @cached_property
    def weights(self) -> dict[str, str]:
        """The sha256 of every weight file."""
        return {path.name: sha256_of(path) for path in sorted(self.folder.glob("*.safetensors"))}

    @property
    def licence(self) -> str | None:
        """As its README.md states it; None where it does not."""
        for path in (self.root / "README.md", self.folder / "README.md"):
            if path.is_file():
                head = path.read_text(encoding="utf-8", errors="replace")[:4096]
                found = _LICENCE.search(head)
                if head.startswith("---") and found:
                    return found[1]
        return None


def read_json(path: Path) -> Any:
    """The content of a JSON file; None where there is none.

    Raises:
        ExportError: it is not JSON.
    """
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ExportError(f"{path}: not JSON: {error}") from error


def find_checkpoint(source: str) -> Checkpoint:
    """The checkpoint in a local folder, or that of a Hugging Face id (`organisation/name`, `@revision` after it).

    Raises:
        ExportError: there is none, or its weights are not safetensors.
    """
    given = Path(source).expanduser()
    if given.is_dir():
        return _opened(given.resolve().name, given.resolve())
    name, _, revision = source.partition("@")
    if not _ID.fullmatch(name):
        raise ExportError(f"checkpoint {source!r}: no such folder, and not a Hugging Face id")
    folder = _downloaded(name, revision or None)
    return _opened(f"{name}@{folder.name}", folder)


def _downloaded(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415  # only where something is fetched

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=WANTED_FILES))
    except Exception as error:  # what a network can do, and what the hub answers, has no common base
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ExportError(
            f"checkpoint {name!r}: no such folder here, and Hugging Face does not give it: {reason}"
        ) from error


def _opened(source: str, root: Path) -> Checkpoint:
    folder = root
    for module in read_json(root / MODULES) or []:
        if str(module.get("type", "")).endswith("Transformer"):
            folder = root / module.get("path", "")
    if not (folder / CONFIG).is_file():
        raise ExportError(f"{folder}: no {CONFIG}; give the folder that transformers' save_pretrained wrote")
    if not any(folder.glob("*.safetensors")):
        raise ExportError(
            f"{folder}: no .safetensors file; load the checkpoint with transformers and save it again "
            "(save_pretrained), other weight files may run code"
        )
    return Checkpoint(source, folder, root)
