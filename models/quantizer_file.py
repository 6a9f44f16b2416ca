"""The quantizers' file in a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

QUANTIZER = "quantizer.safetensors"


def write_quantizer(folder: Path, cells: Mapping[str, NDArray[np.float32]]) -> str:
    """Write the centres of each quantizer by its name, `cells_n`: (n, dimension) float32; gives the file's name.

    Whoever may read the bundle's other files may read it: `safetensors.save_file` would make it for its owner alone.
    """
    (folder / QUANTIZER).write_bytes(save({name: np.ascontiguousarray(rows) for name, rows in cells.items()}))
    return QUANTIZER
