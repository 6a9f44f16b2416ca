"""A small bundle, posts around a few directions, and a store in memory: what the tests of the fold are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.cells.fold import Fold, Folded
from consumers.cells.fold_settings import fold_settings
from consumers.contracts.cell_log import DeadRecord, PostRecord, Record, VerdictRecord
from consumers.contracts.source import Source
from consumers.settings import Assign, Policy, Settings, Verdicts
from consumers.state.codec import Entry
from models.exact import dot, lengths
from models.fusion import FusionLayout
from models.manifest import Manifest, Modality, Provenance, Thresholds, VectorInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from consumers.contracts.fold_settings import FoldSettings
    from consumers.state.codec import StateChanges

DIMENSION = 8
SIZE = 3 * DIMENSION
NAMES = ("text", "image", "audio")
START = 1_700_000_000_000


def manifest() -> Manifest:
    """A bundle of three modalities that come as vectors."""
    return Manifest(
        name="small",
        version="1",
        dimension=DIMENSION,
        modalities=tuple(
            Modality(name=name, kind="vector", mean=(0.0,) * DIMENSION, vector=VectorInput(size=DIMENSION))
            for name in NAMES
        ),
        thresholds=Thresholds(join=0.75, cohesion=0.5, centroid=0.75, exemplar=0.75, modality=0.5, twin=0.93),
        half_life_seconds=1000.0,
        files={},
        provenance=Provenance(command="", seed=0, created_at="", shoal="", data=()),
        licence="none",
    )


def settings(*policies: Policy, verdicts: Any = None, **assign: Any) -> Settings:
    """The defaults with these policies and these settings of the fold."""
    return Settings(policies=policies, verdicts=verdicts or Verdicts(), assign=Assign(**assign))


def rules(*policies: Policy, **assign: Any) -> FoldSettings:
    """The same, as the fold obeys them."""
    return fold_settings(settings(*policies, **assign), manifest())


def layout() -> FusionLayout:
    """Of the bundle."""
    return FusionLayout.of(manifest())


def directions(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Unit vectors that are far from each other, with all three parts."""
    rng = np.random.default_rng(seed)
    blocks = rng.standard_normal((count, 3, DIMENSION))
    blocks /= np.linalg.norm(blocks, axis=2, keepdims=True) * np.sqrt(3)
    return np.asarray(blocks.reshape(count, SIZE), dtype=np.float32)


def near(vector: NDArray[np.float32], cosine: float, seed: int = 0) -> NDArray[np.float32]:
    """A unit vector at this cosine to `vector`."""
    other = np.random.default_rng(seed).standard_normal(len(vector))
    other -= dot(other, vector) * vector
    leaning = cosine * vector + np.sqrt(1 - cosine**2) * other / lengths(other)
    return np.asarray(leaning, dtype=np.float32)


def source(offset: int, partition: int = 0) -> Source:
    """A record of the posts topic."""
    return Source("posts", "topic", partition, offset, START + offset)


def post(number: int, vector: NDArray[np.float32], **changes: Any) -> PostRecord:
    """Post number `number`, a second after the one before."""
    given: dict[str, Any] = {
        "post_id": f"post-{number}",
        "source": source(number),
        "time": START + 1000 * number,
        "parts": dict.fromkeys(NAMES, "used"),
        "vector": vector.astype("<f2").tobytes(),
    }
    return PostRecord(**given | changes)


def dead(number: int) -> DeadRecord:
    """Post number `number` as a dead letter."""
    return DeadRecord(
        post_id=None, source=source(number), time=START + 1000 * number, reason="not-json", step="parse"
    )


def verdict(number: int, decision: str = "uphold", **changes: Any) -> VerdictRecord:
    """Verdict number `number`."""
    given: dict[str, Any] = {
        "verdict_id": f"verdict-{number}",
        "decision": decision,
        "policy": "scam",
        "actor": "ada",
        "time": START,
    }
    return VerdictRecord(**given | changes)


@dataclass
class StoreInMemory:
    """What a store holds after the changes it was given."""

    hashes: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def apply(self, changes: StateChanges) -> None:
        """Set and delete fields."""
        for kind, fields in changes.sets.items():
            self.hashes.setdefault(kind, {}).update(fields)
        for kind, gone in changes.deletes.items():
            for name in gone:
                self.hashes.get(kind, {}).pop(name, None)

    def entries(self) -> list[Entry]:
        """Everything, in an order that says nothing."""
        found = [Entry(kind, name, value) for kind, held in self.hashes.items() for name, value in held.items()]  # type: ignore[arg-type]
        return sorted(found, key=lambda entry: entry.value)

    def contents(self) -> dict[str, dict[str, bytes]]:
        """The hashes that are not empty."""
        return {kind: held for kind, held in self.hashes.items() if held}


class Cell:
    """A fold with a store and a log that grows by one record at a time."""

    def __init__(self, given: Settings | None = None, position: int = 0) -> None:
        self.settings = given or settings()
        self.fold = Fold(fold_settings(self.settings, manifest()), manifest(), 0, position=position)
        self.store = StoreInMemory()
        self.store.apply(self.fold.first_changes())

    def add(self, *records: Record) -> Folded:
        """Fold records that follow each other without a gap."""
        start = self.fold.position
        return self.add_at(list(enumerate(records, start)), start + len(records))

    def add_at(self, records: Sequence[tuple[int, Record]], position: int) -> Folded:
        """Fold records at these offsets."""
        folded = self.fold.fold(records, position=position)
        self.store.apply(folded.changes)
        return folded

    def restart(self) -> None:
        """Throw the fold away and restore another from the store."""
        self.fold = Fold(fold_settings(self.settings, manifest()), manifest(), 0, position=self.fold.position)
        self.fold.restore(self.store.entries())
