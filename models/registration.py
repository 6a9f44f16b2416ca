"""How well one picture lies on another: a finer comparison than a cosine, of small grey maps.

A map is laid on the other at many sizes and places, mirrored too; the best of these is fitted exactly, and the score
is the correlation of the two where they lie on each other. A copy that is cropped, framed, turned or recoloured lies
well; a look-alike has its edges elsewhere.

A score decides flags, so it is the same on every processor: sums are of whole numbers below 2 ** 53, or in the order
of `models.exact`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from scipy import fft

from models.exact import dot

if TYPE_CHECKING:
    from numpy.typing import NDArray

BOX = 5
"""Side of the square whose mean is taken away from its middle, and whose deviation it is divided by."""
FLOOR = 4.0
"""Grey levels added to the deviation, so that what is flat stays flat."""
CLIP, COARSE, FINE = 2.0, 4, 64
"""Deviations beyond which a value is cut, and the steps of one deviation in the search and in the fit."""
LEAST_ENERGY = 0.3
"""A flat place counts as if it had this share of the energy of what is laid on it."""
FITTED = 4
"""The best places of the search that are fitted."""
ROUNDS = 12
HOPELESS, GAIN = 0.4, 0.01
"""A fit that is below HOPELESS and has won less than GAIN in its last two rounds ends there. That spares images of
different things half of the rounds; of 2,086 copies that agree it loses one. What the search says of a place is no
reason: a fit that ends in agreement may begin at .1, and most of the others begin higher."""
MOST_BENT = 0.35
"""How far the fit may turn, stretch or shear what is laid."""
COSINE, SINE = 0.984807753012208, 0.17364817766693033
"""Of 10 degrees."""


@dataclass(frozen=True, slots=True)
class Search:
    """Where a map is looked for in another.

    Attributes:
        scales: pairs of height and width, of the whole map in the other; `parts` likewise where the other is a part
            of this one.
        mirrored: left and right may be exchanged.
        turned: about 10 degrees either way are looked at too.
    """

    scales: tuple[tuple[float, float], ...]
    parts: tuple[tuple[float, float], ...]
    mirrored: bool
    turned: bool


_SIDES = (1.0, 0.9, 0.8, 0.71, 0.63, 0.55)
IMAGE = Search(
    scales=tuple((down, across) for down in _SIDES for across in _SIDES),
    parts=tuple(
        (_SIDES[one], _SIDES[two]) for one in range(6) for two in range(6) if abs(one - two) <= 1 and one + two
    ),
    mirrored=True,
    turned=True,
)


Shape = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True, slots=True, eq=False)
class _Laid:
    """A map made smaller: its values in steps of FINE and of COARSE, the latter's energy, and how it is turned."""

    fine: NDArray[np.int16]
    coarse: NDArray[np.float32]
    energy: float
    turn: int


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """Maps that are laid on another at once.

    Attributes:
        spectra: complex64 (n, height, width / 2 + 1), of the coarse values, conjugate, at the size of a ground.
        energies: float64 (n, 1, 1).
        shapes: the different shapes among them; `of_shape` (n,) tells which is whose.
        outside: bool (n, down, across), places where they would stand over the border of a ground.
    """

    laid: tuple[_Laid, ...]
    spectra: NDArray[np.complex64]
    energies: NDArray[np.float64]
    shapes: tuple[Shape, ...]
    of_shape: NDArray[np.intp]
    outside: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class _Ground:
    """A map that others are laid on, with a margin of zeros.

    Attributes:
        fine: values as in _Laid.
        spectrum: complex64 (height, width / 2 + 1), of the coarse values.
        squares: sums of the squares of the coarse values above and left of each.
    """

    fine: NDArray[np.float64]
    spectrum: NDArray[np.complex64]
    squares: NDArray[np.float64]


def score(one: bytes, two: bytes, shape: Shape, search: Search, *, enough: float = 2.0) -> float:
    """How well two maps lie on each other, at most 1.

    Args:
        one, two: uint8 (height, width), row by row.
        shape: height and width.
        search: where to look.
        enough: a score that ends the search when it is reached: the result is then that or more.
    """
    best = -1.0
    for whole in (True, False):
        first, second = (one, two) if whole else (two, one)
        for number in range(2 if whole else 1):
            best = max(best, _laid_on(_laid(first, shape, search, whole, number), _ground(second, shape), enough))
            if best >= enough:
                return best
    return best


@lru_cache(maxsize=64)
def _laid(values: bytes, shape: Shape, search: Search, whole: bool, number: int) -> _Group:
    """What is laid: as it is and mirrored first, for most copies are no more than that; then everything else."""
    given = np.frombuffer(values, dtype=np.uint8).reshape(shape)
    scales = search.scales if whole else search.parts
    if whole:
        scales = scales[:1] if number == 0 else scales[1:]
    straight = [_made(given, shape, down, across, 0) for down, across in scales]
    mirrored = [_mirrored(one) for one in straight] if search.mirrored else []
    if search.turned and whole and number:
        turns = [(turn, scale) for turn in (-1, 1) for scale in (1.0, 0.9)]
        straight += [_made(given, shape, scale, scale, turn) for turn, scale in turns]
        side = np.ascontiguousarray(given[:, ::-1])
        mirrored += [_made(side, shape, scale, scale, turn) for turn, scale in turns if search.mirrored]
    return _group((*straight, *mirrored), _framed(shape))


def _group(laid: tuple[_Laid, ...], framed: Shape) -> _Group:
    coarse = np.zeros((len(laid), *framed), dtype=np.float32)
    for place, one in zip(coarse, laid, strict=True):
        place[: one.coarse.shape[0], : one.coarse.shape[1]] = one.coarse
    shapes = sorted({_shape(one) for one in laid})
    tall, wide = ([framed[axis] + 1 - _shape(one)[axis] for one in laid] for axis in (0, 1))
    down, across = np.arange(max(tall))[None, :, None], np.arange(max(wide))[None, None, :]
    return _Group(
        laid,
        np.conj(fft.rfft2(coarse)),
        np.array([one.energy for one in laid])[:, None, None],
        tuple(shapes),
        np.array([shapes.index(_shape(one)) for one in laid]),
        (down >= np.array(tall)[:, None, None]) | (across >= np.array(wide)[:, None, None]),
    )


def _shape(one: _Laid) -> Shape:
    return one.coarse.shape[0], one.coarse.shape[1]


def _framed(shape: Shape) -> Shape:
    """Of a ground of this shape, margin included."""
    return shape[0] + 2 * (shape[0] // 8), shape[1] + 2 * (shape[1] // 8)


def _made(given: NDArray[np.uint8], shape: Shape, down: float, across: float, turn: int) -> _Laid:
    height, width = round(shape[0] * down), round(shape[1] * across)
    fine, coarse = _edges(_smaller(given, height, width), given.size)
    if turn:
        coarse = _edges(_smaller(given[_turned(shape, turn)], height, width), given.size)[1]
    return _Laid(fine.astype(np.int16), coarse, float((coarse.astype(np.float64) ** 2).sum()), turn)


def _mirrored(one: _Laid) -> _Laid:
    """What the mirrored map gives: every sum is of whole numbers, so to the last bit."""
    fine, coarse = np.ascontiguousarray(one.fine[:, ::-1]), np.ascontiguousarray(one.coarse[:, ::-1])
    return replace(one, fine=fine, coarse=coarse)


@lru_cache(maxsize=128)
def _ground(values: bytes, shape: Shape) -> _Ground:
    given = np.frombuffer(values, dtype=np.uint8).reshape(shape)
    fine, coarse = _edges(_smaller(given, *shape), given.size)
    margin = [(side // 8, side // 8) for side in shape]
    framed = np.pad(coarse, margin)
    squares = np.asarray(cv2.integral(np.square(framed, dtype=np.float64), sdepth=cv2.CV_64F), dtype=np.float64)
    return _Ground(np.pad(fine, margin), fft.rfft2(framed), squares)


@lru_cache(maxsize=256)
def area_shares(large: int, small: int) -> NDArray[np.float64]:
    """How much of each of `large` equal pieces lies in each of `small`, in units of 1 / (large * small)."""
    starts, pieces = np.arange(small)[:, None] * large, np.arange(large)[None, :] * small
    shared = np.minimum(starts + large, pieces + small) - np.maximum(starts, pieces)
    return np.asarray(shared.clip(0, None), dtype=np.float64)


def _smaller(given: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float64]:
    """Means over areas, times the number of values given: whole numbers."""
    rows, columns = area_shares(given.shape[0], height), area_shares(given.shape[1], width)
    return np.asarray(rows @ given.astype(np.float64) @ columns.T)


def _edges(sums: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """What is left of a map without its mean and deviation of the surroundings, in steps of FINE and of COARSE.

    Args:
        sums: means times `count`, whole numbers.
    """
    near, squares = (
        cv2.boxFilter(values, cv2.CV_64F, (BOX, BOX), normalize=False, borderType=cv2.BORDER_REFLECT)
        for values in (sums, sums * sums)
    )
    area = float(BOX * BOX)
    deviation = np.sqrt(np.maximum(area * squares - near * near, 0.0))
    edges = np.clip((area * sums - near) / (deviation + area * FLOOR * count), -CLIP, CLIP)
    return np.rint(edges * FINE), np.rint(edges * COARSE).astype(np.float32)


def _laid_on(group: _Group, ground: _Ground, enough: float) -> float:
    """The best score of what is laid on a map: the best places of the search, fitted one after the other."""
    best = -1.0
    for _, number, down, across in _places(group, ground)[:FITTED]:
        best = max(best, _fitted(group.laid[number], ground.fine, float(down), float(across)))
        if best >= enough:
            break
    return best


def _places(group: _Group, ground: _Ground) -> list[tuple[float, int, int, int]]:
    """Where each of the maps lies best, the best first: how well, which one, how far down and how far across."""
    _, rows, columns = group.outside.shape
    scores = products(group.spectra * ground.spectrum, ground.fine.shape[1], (rows, columns))
    under = _energies(ground, group.shapes, (rows, columns))[group.of_shape]
    scores /= np.sqrt(np.maximum(under, LEAST_ENERGY * group.energies) * group.energies + 1.0)
    scores[group.outside] = -np.inf
    flat = scores.reshape(len(scores), -1)
    best = flat.argmax(axis=1)
    found = zip(flat[np.arange(len(flat)), best].tolist(), best.tolist(), strict=True)
    return sorted(((score, number, *divmod(at, columns)) for number, (score, at) in enumerate(found)), reverse=True)


def products(spectra: NDArray[np.complex64], width: int, places: Shape) -> NDArray[np.float64]:
    """What `fft.irfft2` gives of some spectra at the first places down and across, rounded: float64 (n, *places).

    These are sums of products of whole numbers, except where a map stands over the border. They are at most a few
    hundred thousand: float32 is off by far less than what rint takes away.
    """
    rows = fft.ifft(spectra, axis=1, overwrite_x=True)[:, : places[0]]
    found = fft.irfft(rows, n=width, axis=2)[:, :, : places[1]]
    return np.asarray(np.rint(found), dtype=np.float64)


@lru_cache(maxsize=64)
def _energies(ground: _Ground, shapes: tuple[Shape, ...], places: Shape) -> NDArray[np.float64]:
    """Of what lies under maps of these shapes, at every place: (shapes, down, across), 0 over the border."""
    sums, energies = ground.squares, np.zeros((len(shapes), *places))
    for under, (height, width) in zip(energies, shapes, strict=True):
        found = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
        under[: found.shape[0], : found.shape[1]] = found
    return energies


def _fitted(laid: _Laid, ground: NDArray[np.float64], down: float, across: float) -> float:
    """The best correlation while an affine map is fitted to a place (Gauss-Newton, the inverse compositional way)."""
    values, steepest, inverse, points = _prepared(laid)
    height, width = laid.fine.shape
    energy = float(dot(values, values))
    sine = SINE * laid.turn
    cosine = COSINE if laid.turn else 1.0
    # target = matrix @ (x, y) + shift, from the middle of what is laid
    matrix = [cosine, -sine, sine, cosine]
    shift = [across + (width - 1) / 2.0, down + (height - 1) / 2.0]
    best = -1.0
    before = [-1.0, -1.0]
    for _ in range(ROUNDS):
        seen = _sampled(ground, points, matrix, shift)
        power, product = float(dot(seen, seen)), float(dot(seen, values))
        best = max(best, product / np.sqrt(max(power, LEAST_ENERGY * energy) * energy + 1.0))
        if power < 1.0 or (best < HOPELESS and best - before[0] < GAIN):
            break
        before = [before[1], best]
        wrong = seen * np.sqrt(energy / power) - values
        change = [float(part) for part in dot(inverse, dot(steepest, wrong[None, :])[None, :])]
        matrix, shift = _composed(matrix, shift, change, max(height, width) / 2.0)
        bent = max(abs(matrix[0] - 1.0), abs(matrix[1]), abs(matrix[2]), abs(matrix[3] - 1.0))
        if bent > MOST_BENT or max(abs(part) for part in change) < 1e-3:
            break
    return best


class _Prepared(NamedTuple):
    values: NDArray[np.float64]
    steepest: NDArray[np.float64]
    inverse: NDArray[np.float64]
    points: tuple[NDArray[np.float64], NDArray[np.float64]]


@lru_cache(maxsize=128)
def _prepared(laid: _Laid) -> _Prepared:
    """What the fit needs of a map: values (p,), their changes with each of six numbers (6, p), the inverse (6, 6)."""
    fine = laid.fine.astype(np.float64)
    height, width = fine.shape
    reach = max(height, width) / 2.0
    x, y = _points(height, width)
    edge = np.pad(fine, 1, mode="edge")
    along, down = (edge[1:-1, 2:] - edge[1:-1, :-2]) / 2.0, (edge[2:, 1:-1] - edge[:-2, 1:-1]) / 2.0
    parts = [along * x / reach, along * y / reach, along, down * x / reach, down * y / reach, down]
    steepest = np.stack([part.ravel() for part in parts])
    normal = dot(steepest[:, None, :], steepest[None, :, :])
    return _Prepared(fine.ravel(), steepest, _inverse(normal), (x.ravel(), y.ravel()))


@lru_cache(maxsize=64)
def _points(height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far each place of a map is to the right of its middle, and below."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    return x - (width - 1) / 2.0, y - (height - 1) / 2.0


def _inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of a positive definite matrix, by elimination in a fixed order; what is flat is held a little."""
    count = len(matrix)
    rows = np.concatenate([matrix + np.eye(count) * (1.0 + 1e-3 * matrix.diagonal().max()), np.eye(count)], axis=1)
    for at in range(count):
        rows[at] /= rows[at, at]
        for other in range(count):
            if other != at:
                rows[other] -= rows[at] * rows[other, at]
    return np.ascontiguousarray(rows[:, count:])


def _sampled(
    ground: NDArray[np.float64],
    points: tuple[NDArray[np.float64], NDArray[np.float64]],
    matrix: list[float],
    shift: list[float],
) -> NDArray[np.float64]:
    """Values between four neighbours each; the margin counts outside too."""
    x, y = points
    margin_y, margin_x = (ground.shape[0] - 1.0), (ground.shape[1] - 1.0)
    across = np.minimum(np.maximum(matrix[0] * x + matrix[1] * y + shift[0], 0.0), margin_x - 1e-6)
    down = np.minimum(np.maximum(matrix[2] * x + matrix[3] * y + shift[1], 0.0), margin_y - 1e-6)
    left, top = across.astype(np.intp), down.astype(np.intp)
    right_share, lower_share = across - left, down - top
    left_share = 1.0 - right_share
    flat, first = ground.ravel(), top * ground.shape[1] + left
    below = first + ground.shape[1]
    upper = flat.take(first) * left_share + flat.take(first + 1) * right_share
    lower = flat.take(below) * left_share + flat.take(below + 1) * right_share
    return np.asarray(upper * (1.0 - lower_share) + lower * lower_share)


def _composed(
    matrix: list[float], shift: list[float], change: list[float], reach: float
) -> tuple[list[float], list[float]]:
    """The map after another that undoes a small change of what is laid."""
    a, b, c, d = 1.0 + change[0] / reach, change[1] / reach, change[3] / reach, 1.0 + change[4] / reach
    determinant = a * d - b * c
    if determinant < 0.1:
        return [9.0, 0.0, 0.0, 9.0], shift
    e, f, g, h = d / determinant, -b / determinant, -c / determinant, a / determinant
    u, v = -(e * change[2] + f * change[5]), -(g * change[2] + h * change[5])
    m, n, o, p = matrix
    return (
        [m * e + n * g, m * f + n * h, o * e + p * g, o * f + p * h],
        [shift[0] + m * u + n * v, shift[1] + o * u + p * v],
    )


@lru_cache(maxsize=8)
def _turned(shape: Shape, turn: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each place of a map the nearest one when it is turned by 10 degrees about its middle."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float64)
    middle_y, middle_x = (shape[0] - 1) / 2.0, (shape[1] - 1) / 2.0
    x, y = x - middle_x, y - middle_y
    across = np.rint(COSINE * x + SINE * turn * y + middle_x).clip(0, shape[1] - 1)
    down = np.rint(COSINE * y - SINE * turn * x + middle_y).clip(0, shape[0] - 1)
    return down.astype(np.int64), across.astype(np.int64)
