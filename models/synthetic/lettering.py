"""Pseudo-words and their rendering: text-like marks for documents, posters, captions and overlays."""

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_ONSETS = ("b", "br", "c", "ch", "d", "f", "fl", "g", "h", "j", "k", "l", "m", "n", "p", "pr", "qu", "r", "s", "st", "t", "th", "v", "w", "z")  # fmt: skip  # noqa: E501
_VOWELS = ("a", "e", "i", "o", "u", "ea", "ou", "y")
_CODAS = ("", "", "", "n", "r", "s", "t", "l", "ck", "nd", "m")
FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_PLAIN,
    cv2.FONT_HERSHEY_COMPLEX_SMALL,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)


def pseudo_words(rng: np.random.Generator, count: int) -> list[str]:
    """Make `count` pronounceable words that mean nothing, in mixed case."""
    words = []
    for syllables in rng.integers(1, 4, count):
        picks = rng.integers(0, 10_000, (int(syllables), 3))
        word = "".join(
            _ONSETS[first % len(_ONSETS)] + _VOWELS[second % len(_VOWELS)] + _CODAS[third % len(_CODAS)]
            for first, second, third in picks
        )
        style = picks[0, 0] % 7
        words.append(word.upper() if style == 0 else word.capitalize() if style < 3 else word)
    return words


def draw_line(
    canvas: "NDArray[np.uint8] | NDArray[np.float32]",
    text: str,
    origin: tuple[int, int],
    height: float,
    colour: "Sequence[float]",
    font: int = cv2.FONT_HERSHEY_SIMPLEX,
    thickness: int = 1,
    width: int | None = None,
) -> None:
    """Write one line in place, capital letters `height` pixels high, baseline starting at `origin` (x, y).

    With `width` the letters shrink until the line fits that many pixels.
    """
    scale = height / cv2.getTextSize("H", font, 1.0, 1)[0][1]
    if width is not None:
        needed = cv2.getTextSize(text, font, scale, thickness)[0][0]
        scale *= min(1.0, width / max(needed, 1))
    ink = [float(part) for part in colour]
    if canvas.dtype == np.uint8:
        cv2.putText(canvas, text, origin, font, scale, ink, thickness, cv2.LINE_AA)
        return
    # OpenCV writes on 8 bits only: take the rows that it touches there and back
    top = max(0, origin[1] - int(2 * height))
    rows = canvas[top : origin[1] + int(height) + 1]
    if len(rows):
        page = np.clip(rows, 0, 255).astype(np.uint8)
        cv2.putText(page, text, (origin[0], origin[1] - top), font, scale, ink, thickness, cv2.LINE_AA)
        rows[:] = page
