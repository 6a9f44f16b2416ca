"""A post on its way through the encoding consumer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from consumers.contracts.post import Post
    from consumers.contracts.source import Source

USED = "used"
ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """A record of the posts topic as it was read: the original bytes stay with it for a dead letter."""

    source: Source
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a post is a dead letter. `reason` and `step` are from small closed sets, `detail` is for people."""

    reason: str
    step: str
    detail: str


@dataclass(slots=True)
class PostInWork:
    """What is known of a post so far; each step fills its part and frees what it used up.

    Attributes:
        parts: modality -> `used`, `absent` or the reason it was dropped.
        files: modality -> the media files as fetched; emptied by decode.
        inputs: modality -> what its encoder takes, stacked along a first axis: images uint8 (k, size, size, 3), audio
            float32 (k, window), vectors float32 (1, size); texts are a list of one string, and so are images and
            windows that differ in shape. Several items of one modality are averaged into one embedding.
        embeddings: modality -> float32 (dimension,), unit norm; emptied by fuse.
        vector: the fused vector, float32 (fused dimension,), unit norm.
        features: small features for verification, by modality.
    """

    record: SourceRecord
    post: Post | None = None
    failure: Failure | None = None
    time: int = 0
    parts: dict[str, str] = field(default_factory=dict)
    files: dict[str, list[bytes]] = field(default_factory=dict)
    inputs: dict[str, NDArray[np.float32] | NDArray[np.uint8] | list[Any]] = field(default_factory=dict)
    embeddings: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    vector: NDArray[np.float32] | None = None
    features: dict[str, bytes] = field(default_factory=dict)

    def fail(self, reason: str, step: str, detail: str) -> None:
        """Make this post a dead letter; the first failure stays."""
        if self.failure is None:
            self.failure = Failure(reason, step, detail)
        self.files.clear()
        self.inputs.clear()
