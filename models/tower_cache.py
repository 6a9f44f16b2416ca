"""What towers made of posts, kept on disk: embedding is what takes long, and towers do not change."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

View = dict[str, "NDArray[np.float32]"]
"""One view of a post: modality -> its items, float32 (items, width), unit rows. Absent modalities are not in it."""

KEY_BYTES = 32


class TowerCache:
    """Views by a key of KEY_BYTES bytes, in one folder for each bundle.

    A file holds some views and is never changed; a damaged one is left aside and its views are made again.
    """

    def __init__(self, folder: Path, bundle_id: str, names: Sequence[str]) -> None:
        self._folder, self._names = folder / bundle_id, tuple(names)
        self._views: dict[bytes, View] = {}
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(self._folder.glob("*.safetensors")):
            try:
                self._views.update(self._read(load_file(path)))
            except (SafetensorError, OSError, KeyError, ValueError):
                continue

    def __len__(self) -> int:
        return len(self._views)

    def get(self, key: bytes) -> View | None:
        """A view, None where it is not kept."""
        return self._views.get(key)

    def put(self, views: Mapping[bytes, View]) -> None:
        """Keep some more, in one file."""
        if not views:
            return
        self._views.update(views)
        tensors: dict[str, NDArray[np.generic]] = {
            "keys": np.frombuffer(b"".join(views), dtype=np.uint8).reshape(-1, KEY_BYTES)
        }
        for name in self._names:
            rows = [view[name] for view in views.values() if name in view]
            if rows:
                tensors[f"items {name}"] = np.concatenate(rows)
                counts = [len(view[name]) if name in view else 0 for view in views.values()]
                tensors[f"counts {name}"] = np.array(counts, dtype=np.int64)
        numbers = itertools.count(len(list(self._folder.glob("*.safetensors"))))
        path = next(p for n in numbers if not (p := self._folder / f"{n:06d}.safetensors").exists())
        written = path.with_suffix(".new")
        save_file(tensors, str(written))
        written.replace(path)

    def _read(self, tensors: Mapping[str, NDArray[np.generic]]) -> dict[bytes, View]:
        keys = [row.tobytes() for row in tensors["keys"]]
        views: list[View] = [{} for _ in keys]
        for name in self._names:
            if f"items {name}" not in tensors:
                continue
            counts = tensors[f"counts {name}"].astype(np.int64)
            pieces = np.split(tensors[f"items {name}"].astype(np.float32), np.cumsum(counts)[:-1])
            for view, piece in zip(views, pieces, strict=True):
                if len(piece):
                    view[name] = piece
        return dict(zip(keys, views, strict=True))
