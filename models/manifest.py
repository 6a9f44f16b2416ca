"""The manifest of a bundle: what its graphs take, how their embeddings are fused, which thresholds go with them."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME = "manifest.json"
WEIGHTS_SUFFIX = ".weights"
"""Beside a graph that is too large for one file: `image.onnx.weights`."""

GPU_SUFFIX = ".gpu"
"""Behind a modality's name, for its graph in half precision: `image.gpu.onnx`."""

LEAST_RATE = 2_000
"""Hertz, of audio that is verified by sound."""

Kind = Literal["text", "image", "audio", "vector"]
Resample = Literal["area", "nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
Fill = Literal["repeat", "repeat-zeros", "zeros"]
Positive = Annotated[int, msgspec.Meta(gt=0)]


class ManifestError(ValueError):
    """A manifest that cannot be used; the message says which file, what is wrong and what to do."""


class BundleError(ManifestError):
    """A bundle that cannot be used; the message says which file, what is wrong and what to do."""


# Fields with defaults are left out where they are as by default: bundles made before the fields keep their id.
class TextInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Preprocessing of a text: the tokenizer file and the longest input in tokens.

    Attributes:
        padding: the token that fills the rows of a batch up.
        full: every text is filled up to `max_tokens`, for encoders that look at the padding too.
        left: the padding stands before the text.
        prefix: written before every text.
    """

    tokenizer: str
    max_tokens: Positive
    padding: Annotated[int, msgspec.Meta(ge=0)] = 0
    full: bool = False
    left: bool = False
    prefix: str = ""


class ImageInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Preprocessing of an image: resized and cropped to `size` x `size` RGB uint8; normalising is in the graph.

    Attributes:
        edge: the shorter side's length before a square of `size` is cut from the middle. None stretches the whole
            image to the square instead.
        resample: `area` is Shoal's own (OpenCV, from a JPEG decoded at a smaller scale); the others are Pillow's, of
            the whole image, as the processors of transformers do it.
        patch: with it the image keeps its shape: it is resized to the most patches of this many pixels a side that
            a square of `size` holds, and goes into the graph as a row of patches.
    """

    size: Positive
    edge: Positive | None = None
    resample: Resample = "area"
    patch: Positive | None = None

    @property
    def patches(self) -> int:
        """The most patches of an image; only with `patch`."""
        return 0 if self.patch is None else (self.size // self.patch) ** 2


class AudioInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Preprocessing of audio: mono float32 at `rate` Hz, cut into windows of `window` samples, averaged.

    Attributes:
        fill: how a recording shorter than a window fills it: repeated to the end, repeated as often as it fits whole
            and then zeros, or zeros at once.
        lengths: the graph also takes how many samples of each window were heard.
    """

    rate: Positive
    window: Positive
    max_windows: Positive
    fill: Fill = "repeat"
    lengths: bool = False


class VectorInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named vector of `size` numbers that comes with the post."""

    size: Positive


class Modality(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One modality: its graph, its weight in the fusion and the mean of its embeddings.

    Exactly the field named by `kind` is set. A `vector` modality without a graph is used as it is, and then its
    size equals the joint dimension.
    """

    name: str
    kind: Kind
    weight: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    graph: str | None = None
    mean: tuple[float, ...]
    text: TextInput | None = None
    image: ImageInput | None = None
    audio: AudioInput | None = None
    vector: VectorInput | None = None


class Thresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Cosines calibrated with the bundle. They are not part of the bundle's id.

    Attributes:
        join: a post joins the nearest micro-cluster at this cosine to its centroid or above.
        cohesion: a cluster whose mean pairwise cosine would fall below this takes no further post.
        centroid: least cosine to the labelled cluster's centroid for a flag.
        exemplar: least cosine to the nearest exemplar for a flag.
        modality: least cosine to that exemplar in every modality both have, for conjunction policies.
        twin: two micro-clusters whose centroids are at least this close are merged.
        alone: by modality, a least cosine to an exemplar for policies that look at it alone. Such policies name their
            own `exemplar`; this is what to put there.
    """

    join: float
    cohesion: float
    centroid: float
    exemplar: float
    modality: float
    twin: float
    alone: dict[str, float] = {}

    def __str__(self) -> str:
        """Those that hold for whole posts, as `join 0.74, cohesion 0.58, ...`; without those of a modality alone."""
        told = msgspec.structs.asdict(self).items()
        return ", ".join(f"{name} {value:g}" for name, value in told if isinstance(value, float))


class Measured(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What posts say about a threshold; intervals are of 95%.

    Attributes:
        low, high: interval of the threshold.
        false_matches: share of the pairs of posts that show different things and reach it, with its interval.
        recall: share of altered copies that reach it beside their original, with its interval; None without copies.
    """

    low: float
    high: float
    false_matches: float
    false_matches_low: float
    false_matches_high: float
    recall: float | None
    recall_low: float | None
    recall_high: float | None


class Calibration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the thresholds come from, when they were calibrated on posts of a platform.

    Attributes:
        data: the posts, in words.
        false_match_rate: what was asked for.
        repeats: pairs that were taken for one thing posted twice, and do not count.
        measured: by threshold; those of `alone` as "alone image".
    """

    command: str
    created_at: str
    data: str
    seed: int
    false_match_rate: float
    posts: int
    pairs: int
    repeats: int
    measured: dict[str, Measured]


class Verification(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How posts are compared more finely in one modality before a flag (models/verification.py).

    Like other thresholds it is not part of the bundle's id.

    Attributes:
        layout: what the maps, uint8 (height, width), show, and so how two are compared. `image`: the part in greys,
            which the graph gives as `features` [batch, height, width]. `sound`: the loudness of a window by band and
            time (models/sound_map.py), made of the waveform without the graph. `text`: its letters as people read
            them (models/folded_text.py), made of the text without the graph.
        threshold: least agreement with the exemplar for a flag.
        cosine: what `exemplar` and `centroid` of the thresholds are instead, where they are higher, for posts of this
            modality alone that agree so well; None where they stay.
        false_match_rate: at most this share of `originals` was to have another one for a neighbour that agrees;
            `found` of them have, and `interval` is the 95% confidence interval of their share (Clopper-Pearson).
    """

    layout: Literal["image", "sound", "text"]
    height: Annotated[int, msgspec.Meta(ge=16, le=255)]
    width: Annotated[int, msgspec.Meta(ge=16, le=255)]
    threshold: Annotated[float, msgspec.Meta(ge=-1, le=1)]
    cosine: Annotated[float, msgspec.Meta(ge=-1, le=1)] | None = None
    false_match_rate: float
    originals: int
    found: int
    interval: tuple[float, float]


class Provenance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the weights come from: the command and seed that repeat them, and the data they were trained on."""

    command: str
    seed: int
    created_at: str
    shoal: str
    data: tuple[str, ...]


class Export(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a graph was exported from a checkpoint, and what was measured on it.

    Attributes:
        checkpoint: a Hugging Face id with its revision, or the name of a folder.
        weights: sha256 of the weight files.
        family: the architecture.
        pooling: what becomes the vector of a text, image or window.
        variant: fp32, fp16, bf16 or int8.
        parity: the largest |1 - cosine| between transformers and Shoal, from the same files to the unit vector.
        attention_layers: how many there are in the network, and of them `fused_attention` are one operator.
        bytes: of the graph with its weights.
        flops: of one text, image or window.
        rate: items a second where it was exported, on `rate_on`.
    """

    checkpoint: str
    weights: dict[str, str]
    family: str
    pooling: str
    variant: Literal["fp32", "fp16", "bf16", "int8"]
    parity: float
    parity_items: int
    attention_layers: int
    fused_attention: int
    bytes: int
    flops: int
    rate: float
    rate_on: str
    remarks: tuple[str, ...] = ()


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """The whole manifest.

    Attributes:
        gpu_graphs: modality -> a graph of the same encoder in half precision, taken instead where it runs on a GPU.
        verification: by modality; those not in it are not verified.
        exports: by modality; of a graph for the GPU, by its name, as in "image.gpu".
        files: every other file of the bundle -> its sha256 in hexadecimal.
    """

    schema: Literal["shoal.bundle/1"] = "shoal.bundle/1"
    name: str
    version: str
    dimension: Positive
    modalities: Annotated[tuple[Modality, ...], msgspec.Meta(min_length=1)]
    gpu_graphs: dict[str, str] = {}
    quantizer: str | None = None
    thresholds: Thresholds
    verification: dict[str, Verification] = {}
    half_life_seconds: Annotated[float, msgspec.Meta(gt=0)]
    files: dict[str, str]
    provenance: Provenance
    licence: str
    quality: dict[str, float] = {}
    parity: dict[str, float] = {}
    exports: dict[str, Export] = {}
    calibration: Calibration | None = None

    @property
    def fused_dimension(self) -> int:
        """Length of the fused vector: one block of `dimension` numbers for each modality."""
        return self.dimension * len(self.modalities)

    @cached_property
    def bundle_id(self) -> str:
        """`name-` and the first 8 hex digits of the digest over everything that changes a vector or its cell.

        Thresholds are left out: recalibrating must not lose labels.
        """
        identity: dict[str, object] = {
            "dimension": self.dimension,
            "modalities": msgspec.to_builtins(self.modalities),
            "files": {name: digest for name, digest in sorted(self.files.items()) if name in self._weights()},
        }
        if self.gpu_graphs:  # bundles made before there were any keep their id
            identity["gpu_graphs"] = self.gpu_graphs
        digest = hashlib.sha256(msgspec.json.encode(identity, order="deterministic")).hexdigest()
        return f"{self.name}-{digest[:8]}"

    def variant_of(self, graph: str) -> str:
        """The precision of a graph by its file's name; graphs that were not exported are in float32."""
        export = self.exports.get(graph.removesuffix(".onnx"))
        return "fp32" if export is None else export.variant

    def _weights(self) -> set[str]:
        names = {m.graph for m in self.modalities if m.graph is not None}
        names |= set(self.gpu_graphs.values())
        names |= {name for name in self.files if name.removesuffix(WEIGHTS_SUFFIX) in names}
        names |= {m.text.tokenizer for m in self.modalities if m.text is not None}
        return names | ({self.quantizer} if self.quantizer is not None else set())


def read_manifest(folder: Path) -> Manifest:
    """Read and validate `folder`/manifest.json.

    Raises:
        ManifestError: the file is missing, is not JSON of the known schema, or contradicts itself.
    """
    path = folder / FILE_NAME
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror}); give the folder of a bundle") from error
    except msgspec.DecodeError as error:
        raise ManifestError(f"{path}: {error}") from error
    for modality in manifest.modalities:
        _check_modality(path, manifest, modality)
    names = [m.name for m in manifest.modalities]
    if len(set(names)) != len(names):
        raise ManifestError(f"{path}: two modalities have the same name")
    for name in manifest.gpu_graphs:
        if name not in {m.name for m in manifest.modalities if m.graph is not None}:
            raise ManifestError(f"{path}: gpu_graphs of {name!r}, which is no modality with a graph")
    for name in manifest.verification:
        if name not in {m.name for m in manifest.modalities if m.graph is not None}:
            raise ManifestError(f"{path}: verification of {name!r}, which is no modality with a graph")
        _check_verification(path, manifest, name)
    return manifest


def _check_verification(path: Path, manifest: Manifest, name: str) -> None:
    given = manifest.verification[name]
    modality = next(one for one in manifest.modalities if one.name == name)
    if given.layout == "text" and modality.text is None:
        raise ManifestError(f"{path}: verification of {name!r} by text needs a modality of texts")
    form = modality.audio
    if given.layout != "sound":
        return
    if form is None or form.rate < LEAST_RATE or form.window < given.width:
        raise ManifestError(
            f"{path}: verification of {name!r} by sound needs audio at {LEAST_RATE} Hz or more, and windows of at "
            f"least {given.width} samples"
        )


def _check_modality(path: Path, manifest: Manifest, modality: Modality) -> None:
    where = f"{path}: modality {modality.name!r}"
    inputs = {kind for kind in ("text", "image", "audio", "vector") if getattr(modality, kind) is not None}
    if inputs != {modality.kind}:
        raise ManifestError(f"{where}: kind {modality.kind!r} needs exactly the field {modality.kind!r}")
    if len(modality.mean) != manifest.dimension:
        raise ManifestError(f"{where}: mean has {len(modality.mean)} numbers, dimension is {manifest.dimension}")
    if modality.image is not None:
        _check_image(where, modality.image)
    if modality.graph is None and (modality.vector is None or modality.vector.size != manifest.dimension):
        raise ManifestError(f"{where}: without a graph it must be a vector of {manifest.dimension} numbers")


def _check_image(where: str, form: ImageInput) -> None:
    if form.resample == "area" and (form.edge is not None or form.patch is not None):
        raise ManifestError(f"{where}: resample must be one of Pillow's where the image is not just stretched")
    if form.edge is not None and form.patch is not None:
        raise ManifestError(f"{where}: edge and patch exclude each other")
    if form.patch is not None and form.size % form.patch:
        raise ManifestError(f"{where}: size {form.size} is no multiple of the patch, {form.patch}")


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `folder`/manifest.json, indented so that people can read and compare it."""
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    (folder / FILE_NAME).write_bytes(text + b"\n")


def sha256_of(path: Path) -> str:
    """The sha256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
