"""Where bundles are: a folder, or one that comes with Shoal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from models.bundle import Bundle, open_bundle
from models.encoders.buckets import Buckets
from models.manifest import BundleError
from models.providers import Gpu

if TYPE_CHECKING:
    from consumers.settings import Encode, Settings

_PACKAGE = Path(__file__).parent
_SHIPPED = (_PACKAGE / "shipped", _PACKAGE.parent / "onnx")
"""Inside an installed package, and in a checkout."""


def find_bundle(name: str) -> Path:
    """The folder of the bundle `name`: a path to a folder, or the name of a bundle that comes with Shoal.

    Raises:
        BundleError: there is none.
    """
    given = Path(name).expanduser()
    for folder in (given, *(shipped / name for shipped in _SHIPPED)):
        if (folder / "manifest.json").is_file():
            return folder
    known = sorted({path.parent.name for shipped in _SHIPPED for path in shipped.glob("*/manifest.json")})
    raise BundleError(
        f"bundle {name!r}: no such folder with a manifest.json; shipped with Shoal: {', '.join(known) or 'none'}"
    )


def open_encoders(settings: Settings, folder: Path | None = None) -> Bundle:
    """The bundle of the settings, or the one in `folder`, opened as the consumers open it.

    Raises:
        ManifestError, BundleError.
    """
    encode, folder = settings.encode, folder or find_bundle(settings.bundle)
    return open_bundle(folder, provider=encode.provider, intra_op_threads=encode.intra_op_threads, gpu=gpu_of(encode))


def gpu_of(encode: Encode) -> Gpu:
    """What the settings say of the GPU."""
    given = encode.gpu
    buckets = Buckets(tuple(sorted(set(given.batch_sizes))), tuple(sorted(set(given.text_lengths))), fixed=True)
    return Gpu(buckets, given.cuda_graphs, given.engine_cache)
