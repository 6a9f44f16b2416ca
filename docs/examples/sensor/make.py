"""A bundle of a text and a named vector, and readings to try it on: `python docs/examples/sensor/make.py FOLDER`.

The bundle takes the text tower of `compact`, and beside it a spectrum of 128 bands as it is: a vector that has the
joint dimension needs no graph. Its mean, which the fusion subtracts, is that of healthy machines.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.bundles import find_bundle
from models.manifest import (
    Manifest,
    Modality,
    Provenance,
    Thresholds,
    VectorInput,
    read_manifest,
    sha256_of,
    write_manifest,
)

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

BANDS = 128
SEED = 17
HISTORY, LATER = 120, 60
HEALTHY = ("routine check, nothing to report", "inspected, all values normal", "filter changed, runs quietly")
DAMAGED = "loud hum on the drive side, bearing is warm to the touch"
REPAIRED = "bearing regreased and shaft aligned this morning, test run recorded"


def main(folder: Path) -> None:
    """Write the bundle, the readings before and after somebody looks, and one spectrum to search by."""
    rng = np.random.default_rng(SEED)
    machines = [_resonances(rng) for _ in range(12)]
    healthy = np.stack([_unit(_spectrum(machines[n % 12], rng)) for n in range(600)])
    write_bundle(folder / "bundle", healthy.mean(axis=0))
    for name, count in (("history", HISTORY), ("later", LATER)):
        lines = [json.dumps(reading(name, number, machines, rng)) for number in range(count)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "reading.json").write_text(json.dumps(_rounded(_spectrum(machines[0], rng, damaged=True))))


def write_bundle(folder: Path, mean: NDArray[np.float64]) -> Manifest:
    """The text tower of `compact`, and the spectrum as it is."""
    compact = find_bundle("compact")
    manifest = read_manifest(compact)
    text = next(modality for modality in manifest.modalities if modality.kind == "text")
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: manifest.files[name] for name in (text.graph or "", text.text.tokenizer if text.text else "")}
    for name in files:
        shutil.copyfile(compact / name, folder / name)
    vibration = Modality(
        name="vibration", kind="vector", mean=tuple(float(one) for one in mean), vector=VectorInput(size=BANDS)
    )
    made = Manifest(
        name="machines",
        version="1",
        dimension=manifest.dimension,
        modalities=(text, vibration),
        # chosen for these readings; `shoal train` calibrates the thresholds of a bundle of its own
        thresholds=Thresholds(join=0.75, cohesion=0.55, centroid=0.7, exemplar=0.75, modality=0.6, twin=0.9),
        half_life_seconds=30 * 86_400.0,
        files={name: sha256_of(folder / name) for name in files},
        provenance=Provenance(
            command="python docs/examples/sensor/make.py",
            seed=SEED,
            created_at="",
            shoal="",
            data=manifest.provenance.data,
        ),
        licence=manifest.licence,
    )
    write_manifest(folder, made)
    return made


def reading(name: str, number: int, machines: list[NDArray[np.float64]], rng: Generator) -> dict[str, Any]:
    """One post. Every tenth has a damaged bearing; two more of ten have its words, or its spectrum, alone."""
    machine, kind = number % len(machines), {0: "damaged", 3: "words", 6: "spectrum"}.get(number % 10, "healthy")
    words = DAMAGED if kind in {"damaged", "words"} else REPAIRED if kind == "spectrum" else HEALTHY[number % 3]
    spectrum = _spectrum(machines[machine], rng, damaged=kind in {"damaged", "spectrum"})
    return {
        "post_id": f"{kind}-{name}-{number}",
        "caption": f"{words}, machine {machine + 1}",
        "vectors": {"vibration": _rounded(spectrum)},
        "attributes": {"machine": str(machine + 1)},
    }


def _resonances(rng: Generator) -> NDArray[np.float64]:
    """The bands in which one machine is loud."""
    spectrum = np.full(BANDS, 0.2)
    for band in rng.choice(BANDS, 6, replace=False):
        spectrum += np.exp(-0.5 * ((np.arange(BANDS) - band) / 2.0) ** 2) * rng.uniform(0.6, 1.4)
    return spectrum


def _spectrum(resonances: NDArray[np.float64], rng: Generator, *, damaged: bool = False) -> NDArray[np.float64]:
    """Loudness by band. A damaged bearing knocks at a frequency of its own and at all multiples of it."""
    spectrum = resonances * rng.uniform(0.9, 1.1, BANDS) + rng.uniform(0.0, 0.1, BANDS)
    if damaged:
        spectrum[13::14] += rng.uniform(3.5, 4.5)
    return spectrum


def _unit(spectrum: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(spectrum / np.linalg.norm(spectrum))


def _rounded(spectrum: NDArray[np.float64]) -> list[float]:
    return [round(float(one), 4) for one in spectrum]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
