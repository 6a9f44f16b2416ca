"""Where bundles are: a folder, or one that comes with Shoal."""

from __future__ import annotations

from pathlib import Path

from models.manifest import BundleError

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
