"""How well one sound runs along another: a finer comparison than a cosine, of maps of loudness by band and time.

A stretch of one map is laid on the other at every moment, a little higher or lower and a little faster or slower,
and the score is the correlation of the two where they run along each other best. A copy that is cropped, shifted in
pitch, played faster, covered or filtered runs along for seconds; another sound of the same kind has its notes and
strokes elsewhere.

A score decides flags, so it is the same on every processor: sums are of whole numbers below 2 ** 24, which float32
holds in any order, and what follows is done value by value.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from models.registration import area_shares

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Search:
    """How a map is prepared, and where it is looked for in another.

    Attributes:
        bands, frames: sides of the surroundings whose mean is taken away from their middle, and whose deviation it is
            divided by.
        floor: added to the deviation, in steps of the map, so that what is even stays even.
        low, high: deviations beyond which a value is cut, and `steps` of one deviation.
        steady: share of a band's mean over the whole map that is taken away: two steady tones are no copies.
        shift: so many bands higher or lower.
        tempos: shares of its length that a map is shortened to, either of the two; 1 first.
        spans: frames that run along each other.
        slack: frames of mean energy that are added to both sides of a span, so that short and quiet ones agree less;
            a map agrees with itself by 1 all the same.
    """

    bands: int
    frames: int
    floor: float
    low: float
    high: float
    steps: int
    steady: float
    shift: int
    tempos: tuple[float, ...]
    spans: tuple[int, ...]
    slack: float


SOUND = Search(
    bands=13,
    frames=7,
    floor=12.0,
    low=-2.0,
    high=2.0,
    steps=4,
    steady=0.5,
    shift=3,
    tempos=(1.0, 0.95, 0.905, 0.86),
    spans=(24, 36, 56, 80, 120, 180, 255),
    slack=30.0,
)


class _Laid(NamedTuple):
    """A map as it is compared: values float32 (frames, bands), whole numbers, and the mean energy of a frame."""

    values: NDArray[np.float32]
    energy: float


def score(one: bytes, two: bytes, shape: tuple[int, int], search: Search = SOUND, *, enough: float = 2.0) -> float:
    """How well two maps run along each other: at most 1, which a map does along itself.

    Args:
        one, two: uint8 (bands, frames), row by row.
        shape: bands and frames.
        search: where to look.
        enough: a score that ends the search when it is reached: the result is then that or more.
    """
    best = -1.0
    away = [shift for shift in range(-search.shift, search.shift + 1) if shift]
    for tempo in search.tempos:
        for first, second in ((one, two),) if tempo == 1.0 else ((one, two), (two, one)):
            laid, ground = _laid(first, shape, search, tempo), _laid(second, shape, search, 1.0)
            for shifts in ([0], away) if tempo == 1.0 else ([0, *away],):
                best = max(best, _along(laid, ground, tuple(shifts), search))
                if best >= enough:
                    return best
    return best


@lru_cache(maxsize=256)
def _laid(values: bytes, shape: tuple[int, int], search: Search, tempo: float) -> _Laid:
    given = np.frombuffer(values, dtype=np.uint8).reshape(shape).astype(np.float64)
    frames = round(shape[1] * tempo)
    sums = given @ area_shares(shape[1], frames).T if frames < shape[1] else given * shape[1]
    prepared = _contrasts(sums, shape[1], search)
    return _Laid(np.ascontiguousarray(prepared.T), float(np.square(prepared, dtype=np.float64).sum()) / frames)


def _contrasts(sums: NDArray[np.float64], count: int, search: Search) -> NDArray[np.float32]:
    """What stands out of its surroundings, in steps: whole numbers.

    Args:
        sums: (bands, frames), means times `count`, whole numbers.
    """
    side = (search.frames, search.bands)
    near, squares = (
        cv2.boxFilter(values, cv2.CV_64F, side, normalize=False, borderType=cv2.BORDER_REFLECT)
        for values in (sums, sums * sums)
    )
    area = float(search.frames * search.bands)
    deviation = np.sqrt(np.maximum(area * squares - near * near, 0.0))
    contrasts = (area * sums - near) / (deviation + area * search.floor * count)
    steps = np.rint(np.clip(contrasts, search.low, search.high) * search.steps)
    steady = np.rint(search.steady * steps.sum(axis=1, keepdims=True) / steps.shape[1])
    return np.asarray(steps - steady, dtype=np.float32)


def _along(laid: _Laid, ground: _Laid, shifts: tuple[int, ...], search: Search) -> float:
    """The best score of a map beside another at these shifts and every delay."""
    frames, longer = len(laid.values), len(ground.values)
    moved, heard = _beside(laid.values, ground.values, shifts)
    running, own, theirs = _running_products(moved, ground.values), _running(moved), _running(heard)
    slack = np.float32(np.rint(search.slack * (laid.energy + ground.energy) / 2.0) + 1.0)
    width = running.shape[2]
    best = -1.0
    for span in sorted({min(wanted, frames, longer) for wanted in search.spans}):
        product = running[:, span:] - running[:, :-span]
        energy = own[:, span:] - own[:, :-span] + slack
        # by the last frame of the other map under the span; a span that is not all inside of it counts nothing
        last = np.arange(span - frames, width)
        under = np.full((len(shifts), len(last)), np.inf, dtype=np.float32)
        under[:, (last + 1 >= span) & (last < longer)] = theirs[:, span:] - theirs[:, :-span] + slack
        against = np.lib.stride_tricks.sliding_window_view(under, width, axis=1)[:, ::-1]
        best = max(best, float((product / np.sqrt(energy[:, :, None] * against)).max()))
    return best * (1.0 + search.slack / longer)


def _beside(
    laid: NDArray[np.float32], ground: NDArray[np.float32], shifts: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Both maps at each shift, float32 (shifts, frames, bands), the first read backwards; 0 where one has nothing."""
    bands = laid.shape[1]
    moved = np.zeros((len(shifts), *laid.shape), dtype=np.float32)
    heard = np.zeros((len(shifts), *ground.shape), dtype=np.float32)
    for place, shift in enumerate(shifts):
        low, high = max(0, shift), bands + min(0, shift)
        moved[place, :, low:high] = laid[::-1, low - shift : high - shift]
        heard[place, :, low:high] = ground[:, low:high]
    return moved, heard


def _running_products(moved: NDArray[np.float32], ground: NDArray[np.float32]) -> NDArray[np.float32]:
    """Products of all frames before each, along every delay, float32 (shifts, frames + 1, delays)."""
    count, frames, _ = moved.shape
    products = np.zeros((count, frames, len(ground) + frames), dtype=np.float32)
    np.matmul(moved, ground.T, out=products[:, :, : len(ground)])
    # read in rows that are one shorter, each is moved right by one more than the one above: a column is one delay
    width = len(ground) + frames - 1
    delays = products.reshape(count, -1)[:, : frames * width].reshape(count, frames, width)
    running = np.zeros((count, frames + 1, width), dtype=np.float32)
    np.cumsum(delays, axis=1, out=running[:, 1:])
    return running


def _running(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Energy of all frames before each, float32 (shifts, frames + 1)."""
    energy = np.square(values).sum(axis=2)
    found = np.zeros((energy.shape[0], energy.shape[1] + 1), dtype=np.float32)
    np.cumsum(energy, axis=1, out=found[:, 1:])
    return found
