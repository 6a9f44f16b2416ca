"""What procedural images show: one painter a scene.

A painter has two sources of randomness: `style` is the same for all siblings (surfaces, proportions), `layout` is
each image's own (which things, where). It fills the canvas and returns English nouns of what it drew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from models.synthetic.lettering import FONTS, draw_line, pseudo_words
from models.synthetic.silhouettes import GARMENTS, polygon
from models.synthetic.textures import as_field, noise, texture, unit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Field = NDArray[np.float32]
    Painter = Callable[["Painting"], list[str]]


@dataclass(frozen=True, slots=True)
class Painting:
    """A canvas with what its painter may draw on.

    Attributes:
        canvas: (size, size, 3) float32 RGB, about 0..255; filled in place.
        layout: each image's own randomness.
        style: randomness that siblings share.
        palette: (n, 3) float32 RGB.
    """

    canvas: Field
    layout: np.random.Generator
    style: np.random.Generator
    palette: Field

    @property
    def size(self) -> int:
        """Side of the canvas in pixels."""
        return int(self.canvas.shape[0])

    def surface(self, kind: str | None = None) -> Field:
        """A textured surface of the canvas's size; siblings get the same one."""
        return texture(self.style, self.size, self.palette, kind)

    def colour(self) -> Field:
        """One of the palette's colours, by layout."""
        picked: Field = self.palette[self.layout.integers(len(self.palette))]
        return picked

    def cover(self, surface: Field, mask: NDArray[np.uint8], shade: Field | None = None) -> None:
        """Lay a surface (size, size, 3) or a colour (3,) where the mask (0..255) is, optionally shaded."""
        x, y, width, height = cv2.boundingRect(mask)
        if width == 0 or height == 0:
            return
        place = (slice(y, y + height), slice(x, x + width))
        part = surface[place] if surface.ndim == 3 else surface[None, None]
        if shade is not None:
            part = part * shade[place][..., None]
        alpha = mask[place].astype(np.float32)[..., None] / np.float32(255)
        self.canvas[place] += alpha * (part - self.canvas[place])

    def mask_of(self, points: Field) -> NDArray[np.uint8]:
        """Antialiased mask of a polygon (n, 2) in canvas coordinates 0..1."""
        mask = np.zeros((self.size, self.size), dtype=np.uint8)
        fixed = np.round(points * np.float32(self.size * 16)).astype(np.int32)
        cv2.fillPoly(mask, [fixed], 255, cv2.LINE_AA, 4)
        return mask

    def relief(self, depth: float, coarsest: int = 3) -> Field:
        """Folds and dents: a shading field around 1, each image's own."""
        field = noise(self.layout, self.size, 0.6, coarsest, finest=24)
        return 1 + np.float32(depth) * (field - np.float32(0.5))


def blob(layout: np.random.Generator, centre: tuple[float, float], radius: float, rough: float = 0.3) -> Field:
    """A closed rounded outline (24, 2) around `centre`, in canvas coordinates."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    waves = sum(
        layout.normal(0, rough / order) * np.cos(order * angles + layout.uniform(0, 6.3)) for order in range(2, 6)
    )
    radii = radius * np.clip(1 + waves, 0.3, 2.0)
    stretch = layout.uniform(0.5, 1.0)
    turn = layout.uniform(0, np.pi)
    across, down = radii * np.cos(angles), radii * stretch * np.sin(angles)
    x = centre[0] + across * np.cos(turn) - down * np.sin(turn)
    y = centre[1] + across * np.sin(turn) + down * np.cos(turn)
    return np.stack([x, y], axis=1).astype(np.float32)


def ball_shade(size: int, centre: tuple[float, float], radius: float, light: float) -> Field:
    """Shading of a ball lit from the angle `light`."""
    axis = np.linspace(0, 1, size, dtype=np.float32)
    across = (axis[None, :] - np.float32(centre[0])) / np.float32(radius)
    down = (axis[:, None] - np.float32(centre[1])) / np.float32(radius)
    toward = across * np.float32(np.cos(light)) + down * np.float32(np.sin(light))
    depth = np.sqrt(np.clip(1 - across**2 - down**2, 0, 1))
    shade: Field = np.clip(0.45 + 0.45 * depth + 0.4 * toward, 0.15, 1.5).astype(np.float32)
    return shade


def landscape(p: Painting) -> list[str]:
    """Sky, sun or clouds, two to four ridges one behind the other, trees or a lake."""
    words = ["sky", "hills"]
    p.canvas[:] = p.surface("gradient" if p.style.random() < 0.6 else "clouds")
    if p.layout.random() < 0.4:
        words.append("sun")
        centre = (p.layout.uniform(0.1, 0.9), p.layout.uniform(0.05, 0.4))
        p.cover(as_field([250, 236, 190]), p.mask_of(blob(p.layout, centre, p.layout.uniform(0.03, 0.1), 0.0)))
    ridges = int(p.style.integers(2, 5))
    columns = np.linspace(0, 1, 40)
    for rank in range(ridges):
        height = 0.35 + 0.5 * rank / ridges + p.layout.normal(0, 0.05)
        line = height + sum(
            p.layout.normal(0, 0.09 / order) * np.cos(order * 2 * columns + p.layout.uniform(0, 6.3))
            for order in range(1, 9)
        )
        points = np.concatenate([np.stack([columns, line], axis=1), [[1, 1.2], [0, 1.2]]]).astype(np.float32)
        p.cover(p.surface(), p.mask_of(points), p.relief(0.8, 4))
    if p.layout.random() < 0.5:
        words.append("trees")
        colour = p.colour() * np.float32(0.6)
        for _ in range(int(p.layout.integers(2, 16))):
            x, y, s = p.layout.uniform(0, 1), p.layout.uniform(0.5, 0.95), p.layout.uniform(0.03, 0.16)
            crown = as_field([[x - s / 2, y], [x, y - 2 * s], [x + s / 2, y]])
            p.cover(colour * np.float32(p.layout.uniform(0.6, 1.4)), p.mask_of(crown))
    return words


def leaves(p: Painting) -> list[str]:
    """Dead leaves: shapes of all sizes that hide each other."""
    p.canvas[:] = p.surface()
    surfaces = [p.surface() for _ in range(2)]
    radii = 0.4 / (1 + p.layout.pareto(1.2, int(p.style.integers(18, 70))))
    shade = p.relief(0.7)
    for radius in np.sort(radii)[::-1]:
        centre = (p.layout.uniform(-0.1, 1.1), p.layout.uniform(-0.1, 1.1))
        outline = blob(p.layout, centre, float(max(radius, 0.015)), float(p.layout.choice([0.0, 0.25])))
        if p.layout.random() < 0.4:
            outline = outline[:: int(p.layout.choice([4, 6, 8]))]
        textured = radius > 0.08 and p.layout.random() < 0.6
        covering = surfaces[p.layout.integers(2)] if textured else p.colour() * np.float32(p.layout.uniform(0.5, 1.2))
        p.cover(covering, p.mask_of(outline), shade if textured else None)
    return ["leaves", "pebbles"] if p.style.random() < 0.5 else ["leaves"]


def masks(p: Painting) -> list[str]:
    """Surfaces that show through each other where a noise field passes a level."""
    p.canvas[:] = p.surface()
    for _ in range(int(p.style.integers(1, 4))):
        field = noise(p.layout, p.size, float(p.style.uniform(0.4, 0.8)), int(p.style.integers(1, 5)))
        level = np.float32(p.layout.uniform(0.4, 0.65))
        mask = np.clip((field - level) * np.float32(p.style.choice([255, 1500, 6000])) + 127, 0, 255)
        p.cover(p.surface(), mask.astype(np.uint8), p.relief(0.4))
    return ["pattern"]


def building(p: Painting) -> list[str]:
    """A house front with rows of windows, a door, a roof, in front of a sky."""
    p.canvas[:] = p.surface("gradient")
    left, right = p.layout.uniform(-0.1, 0.25), p.layout.uniform(0.7, 1.1)
    top, lean = p.layout.uniform(0.05, 0.4), p.layout.normal(0, 0.06)
    front = as_field([[left, top], [right, top + lean], [right, 1.1], [left, 1.1]])
    p.cover(p.surface(str(p.style.choice(["bricks", "grain", "clouds"]))), p.mask_of(front), p.relief(0.3))
    words = ["building", "windows"]
    if p.style.random() < 0.5:
        words.append("roof")
        middle = p.layout.uniform(0.3, 0.7)
        tip = top - p.layout.uniform(0.05, 0.25)
        peak = [left + (right - left) * middle, tip]
        p.cover(p.surface(), p.mask_of(as_field([[left - 0.04, top], peak, [right + 0.04, top + lean]])))
    rows, columns = int(p.layout.integers(2, 8)), int(p.layout.integers(2, 8))
    pane, frame = p.palette[0] * np.float32(0.4), p.palette[-1]
    for row in range(rows):
        for column in range(columns):
            x = left + (right - left) * (column + 0.5) / columns
            y = top + lean * (x - left) + (1.0 - top) * (row + 0.5) / rows
            w, h = 0.3 * (right - left) / columns, 0.32 * (1 - top) / rows
            box = as_field([[x - w, y - h], [x + w, y - h], [x + w, y + h], [x - w, y + h]])
            p.cover(frame, p.mask_of(box))
            lit = pane if p.layout.random() < 0.75 else as_field([240, 215, 140])
            p.cover(
                lit * np.float32(p.layout.uniform(0.7, 1.5)),
                p.mask_of(box * np.float32(0.86) + as_field([x, y]) * np.float32(0.14)),
            )
    return words


def fractal(p: Painting) -> list[str]:
    """A Julia set in the palette's colours."""
    side = max(48, p.size // 2)
    reach = p.layout.uniform(0.5, 1.6)
    axis = np.linspace(-reach, reach, side)
    turn = np.exp(1j * p.layout.uniform(0, 6.3))
    z = ((axis[None, :] + 1j * axis[:, None]) * turn + p.layout.normal(0, 0.3) + 1j * p.layout.normal(0, 0.3)).astype(
        np.complex64
    )
    angle = p.layout.uniform(0, 2 * np.pi)
    c = np.complex64(0.7885 * np.exp(1j * angle))
    age = np.zeros(z.shape, dtype=np.float32)
    for _ in range(28):
        z = np.where(np.abs(z) < 4, z * z + c, z)
        age += np.abs(z) < 4
    field = cv2.resize(unit(np.sqrt(age)), (p.size, p.size), interpolation=cv2.INTER_CUBIC)
    places = np.linspace(0, 1, len(p.palette))
    for channel in range(3):
        p.canvas[..., channel] = np.interp(field, places, p.palette[:, channel])
    np.multiply(p.canvas, p.relief(0.4)[..., None], out=p.canvas)
    return ["fractal", "spiral"]


def strokes(p: Painting) -> list[str]:
    """Brush strokes over a ground."""
    p.canvas[:] = p.surface()
    for _ in range(int(p.style.integers(12, 60))):
        start = p.layout.uniform(-0.1, 1.1, 2)
        steps = p.layout.normal(0, 0.12, (int(p.layout.integers(2, 7)), 2))
        line = np.cumsum(np.concatenate([start[None], steps]), axis=0) * p.size * 16
        width = max(1, int(p.size * p.layout.choice([0.01, 0.02, 0.05, 0.1])))
        colour = (p.colour() * np.float32(p.layout.uniform(0.5, 1.3))).tolist()
        cv2.polylines(
            p.canvas,
            [np.round(line).astype(np.int32)],
            isClosed=False,
            color=colour,
            thickness=width,
            lineType=cv2.LINE_AA,
            shift=4,
        )
    return ["painting", "strokes"]


def document(p: Painting) -> list[str]:
    """A page: headline, columns of text, a picture, a table."""
    p.canvas[:] = np.float32(p.style.uniform(215, 255)) - as_field([0, 3, 10]) * np.float32(p.style.random())
    ink = (p.palette.min(axis=0) * 0.5).tolist()
    font = int(p.style.choice(FONTS[:4]))
    margin = int(p.size * p.style.uniform(0.05, 0.12))
    y = margin + int(p.size * 0.09)
    words = ["document", "text"]
    draw_line(
        p.canvas, " ".join(pseudo_words(p.layout, 3)), (margin, y), p.size * 0.07, ink, font, 2, p.size - 2 * margin
    )
    columns = int(p.style.integers(1, 3))
    width = (p.size - 2 * margin) // columns
    height = p.size * p.style.uniform(0.025, 0.045)
    for column in range(columns):
        down = float(y) + 2.4 * height
        while down < p.size - margin:
            x = margin + column * width
            if p.layout.random() < 0.1:
                words.append("picture")
                box_height = int(p.size * p.layout.uniform(0.12, 0.3))
                box = p.canvas[int(down) : int(down) + box_height, x : x + width - 6]
                box[:] = texture(p.layout, p.size, p.palette)[: box.shape[0], : box.shape[1]]
                down += box_height + 2 * height
                continue
            length = int((width - 6) * (p.layout.uniform(0.3, 0.9) if p.layout.random() < 0.2 else 1.0))
            text = " ".join(pseudo_words(p.layout, 5))
            draw_line(p.canvas, text, (x, int(down)), height, ink, font, 1, length)
            down += 1.9 * height
    return words


def poster(p: Painting) -> list[str]:
    """Few large words on a ground with simple shapes."""
    p.canvas[:] = p.surface()
    words = ["poster", "text"]
    for _ in range(int(p.layout.integers(0, 4))):
        centre = (p.layout.uniform(0, 1), p.layout.uniform(0, 1))
        p.cover(p.colour(), p.mask_of(blob(p.layout, centre, p.layout.uniform(0.1, 0.4), 0.1)))
    if p.layout.random() < 0.3:
        words.append("star")
        p.cover(p.colour(), p.mask_of(polygon("star") * np.float32(0.3) + as_field(p.layout.uniform(0.3, 0.7, 2))))
    lines = int(p.layout.integers(1, 5))
    dark = bool(p.style.random() < 0.5)
    font = int(p.style.choice(FONTS))
    for line in range(lines):
        y = int(p.size * (0.2 + 0.7 * (line + 0.6) / lines))
        x = int(p.size * p.layout.uniform(0.03, 0.15))
        ink = [15.0, 15.0, 20.0] if dark else [250.0, 248.0, 240.0]
        text = " ".join(pseudo_words(p.layout, int(p.layout.integers(1, 3))))
        draw_line(
            p.canvas,
            text,
            (x, y),
            p.size * p.layout.uniform(0.07, 0.16),
            ink,
            font,
            int(p.layout.integers(1, 4)),
            p.size - x - 4,
        )
    return words


def garment(p: Painting) -> list[str]:
    """One thing to wear in the middle of a plain ground: the hardest look-alikes are others in the same pose."""
    p.canvas[:] = p.surface(str(p.style.choice(["clouds", "gradient", "wood", "grain", "weave"])))
    name = str(p.style.choice(list(GARMENTS))) if p.style.random() < 0.7 else str(p.layout.choice(list(GARMENTS)))
    outline = polygon(name) * np.float32(p.layout.uniform(0.6, 0.85))
    turn = np.float32(p.layout.normal(0, 0.08))
    across = outline[:, 0] * np.cos(turn) - outline[:, 1] * np.sin(turn)
    down = outline[:, 0] * np.sin(turn) + outline[:, 1] * np.cos(turn)
    outline = np.stack([across, down], axis=1) * (1 + p.layout.normal(0, 0.05, (1, 2))) + p.layout.normal(
        0, 0.004, outline.shape
    )
    outline = as_field(outline + 0.5 + p.layout.normal(0, 0.03, 2))
    mask = p.mask_of(outline)
    shadow = cv2.GaussianBlur(np.roll(mask, (p.size // 40, p.size // 50), (0, 1)), (0, 0), p.size / 50)
    np.multiply(p.canvas, (1 - np.float32(0.4 / 255) * shadow)[..., None], out=p.canvas)
    cloth = texture(p.layout, p.size, p.palette) if p.layout.random() < 0.6 else p.surface()
    p.cover(cloth, mask, p.relief(float(p.style.uniform(0.4, 1.1)), 5))
    if p.layout.random() < 0.35:
        size = p.size * p.layout.uniform(0.03, 0.07)
        place = (int(p.size * p.layout.uniform(0.3, 0.45)), int(p.size * p.layout.uniform(0.35, 0.6)))
        draw_line(
            p.canvas,
            pseudo_words(p.layout, 1)[0],
            place,
            size,
            p.colour().tolist(),
            int(p.layout.choice(FONTS)),
            2,
            p.size // 3,
        )
    elif p.layout.random() < 0.4:
        centre = (0.5 + p.layout.normal(0, 0.07), 0.45 + p.layout.normal(0, 0.08))
        print_mask = cv2.min(p.mask_of(blob(p.layout, centre, p.layout.uniform(0.05, 0.15))), mask)
        p.cover(texture(p.layout, p.size, p.palette), np.asarray(print_mask, dtype=np.uint8))
    return [name]


def portrait(p: Painting) -> list[str]:
    """Head and shoulders in front of a blurred ground."""
    p.canvas[:] = cv2.GaussianBlur(p.surface(), (0, 0), p.size / 24)
    x, y = 0.5 + p.layout.normal(0, 0.07), 0.42 + p.layout.normal(0, 0.04)
    r = p.layout.uniform(0.14, 0.22)
    skin = as_field([225, 180, 150]) * np.float32(p.layout.uniform(0.35, 1.08))
    body = as_field(
        [
            [x - 2.3 * r, 1.1],
            [x - 1.9 * r, y + 1.9 * r],
            [x - 0.5 * r, y + 1.3 * r],
            [x + 0.5 * r, y + 1.3 * r],
            [x + 1.9 * r, y + 1.9 * r],
            [x + 2.3 * r, 1.1],
        ]
    )
    p.cover(texture(p.layout, p.size, p.palette), p.mask_of(body), p.relief(0.7, 5))
    hair = p.colour() * np.float32(0.5)
    hair_mask = p.mask_of(blob(p.layout, (x, y - 0.15 * r), r * p.layout.uniform(1.15, 1.6), 0.12))
    p.cover(hair, hair_mask, p.relief(1.2, 12))
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    face = np.stack([x + 0.82 * r * np.cos(angles), y + 0.1 * r + r * np.sin(angles)], axis=1).astype(np.float32)
    p.cover(skin, p.mask_of(face), ball_shade(p.size, (x, y), 1.3 * r, p.style.uniform(0, 6.3)))
    for side in (-1, 1):
        eye = blob(p.layout, (x + side * 0.33 * r, y), 0.11 * r, 0.0)
        p.cover(as_field([30, 25, 25]), p.mask_of(eye))
    mouth = as_field(
        [
            [x - 0.3 * r, y + 0.6 * r],
            [x, y + p.layout.uniform(0.55, 0.75) * r],
            [x + 0.3 * r, y + 0.6 * r],
            [x, y + 0.72 * r],
        ]
    )
    p.cover(as_field([150, 60, 60]), p.mask_of(mouth))
    return ["person", "face"]


def still_life(p: Painting) -> list[str]:
    """Balls, boxes and bottles on a table, with their shadows."""
    p.canvas[:] = p.surface()
    horizon = float(p.style.uniform(0.4, 0.7))
    p.cover(p.surface("wood"), p.mask_of(as_field([[-0.1, horizon], [1.1, horizon], [1.1, 1.1], [-0.1, 1.1]])))
    light = float(p.style.uniform(0, 6.3))
    words = ["table"]
    places = np.sort(p.layout.uniform(horizon, 0.95, int(p.layout.integers(2, 7))))
    for y in places:
        x, r = p.layout.uniform(0.1, 0.9), p.layout.uniform(0.06, 0.2)
        covering = texture(p.layout, p.size, p.palette) if p.layout.random() < 0.4 else p.colour()
        shadow = cv2.GaussianBlur(p.mask_of(blob(p.layout, (x + 0.3 * r, y), r, 0.0)), (0, 0), p.size / 40)
        p.cover(p.canvas * np.float32(0.55), np.asarray(shadow, dtype=np.uint8))
        kind = str(p.layout.choice(["ball", "box", "bottle"]))
        words.append(kind)
        if kind == "ball":
            angles = np.linspace(0, 2 * np.pi, 28, endpoint=False)
            outline = np.stack([x + r * np.cos(angles), y - r + r * np.sin(angles)], axis=1).astype(np.float32)
        elif kind == "box":
            w, h = r * p.layout.uniform(0.6, 1.3), r * p.layout.uniform(0.8, 2.2)
            outline = as_field(
                [[x - w, y], [x - w, y - h], [x - 0.6 * w, y - 1.25 * h], [x + w, y - 1.2 * h], [x + w, y]]
            )
        else:
            outline = polygon("bottle") * np.float32(2.2 * r) + as_field([x, y - 1.1 * r])
        p.cover(covering, p.mask_of(outline), ball_shade(p.size, (x, y - r), 1.4 * r, light))
    return words


def room(p: Painting) -> list[str]:
    """Walls and a floor in perspective, a window, pieces of furniture."""
    x, y = p.layout.uniform(0.35, 0.65), p.layout.uniform(0.35, 0.6)
    w, h = p.layout.uniform(0.15, 0.35), p.layout.uniform(0.12, 0.3)
    back = as_field([[x - w, y - h], [x + w, y - h], [x + w, y + h], [x - w, y + h]])
    corners = as_field([[-0.05, -0.05], [1.05, -0.05], [1.05, 1.05], [-0.05, 1.05]])
    wall = p.surface()
    p.canvas[:] = wall * np.float32(0.9)
    for side, light in enumerate((1.15, 0.75, 0.95, 0.85)):
        quad = np.stack([corners[side], corners[(side + 1) % 4], back[(side + 1) % 4], back[side]])
        p.cover((p.surface("wood") if side == 2 else wall) * np.float32(light), p.mask_of(quad))
    words = ["room", "floor"]
    if p.layout.random() < 0.6:
        words.append("window")
        pane = back * np.float32(0.4) + as_field([x + p.layout.normal(0, 0.4 * w), y - 0.2 * h]) * np.float32(0.6)
        p.cover(as_field([215, 230, 245]), p.mask_of(pane))
    for _ in range(int(p.layout.integers(1, 5))):
        words.append(str(p.layout.choice(["chair", "sofa", "cupboard"])))
        left, foot = p.layout.uniform(0, 0.8), p.layout.uniform(y + h, 1.0)
        wide, high = p.layout.uniform(0.1, 0.35), p.layout.uniform(0.1, 0.4)
        box = as_field([[left, foot], [left, foot - high], [left + wide, foot - high], [left + wide, foot]])
        p.cover(p.canvas * np.float32(0.6), p.mask_of(box + as_field([0.015, 0.015])))
        p.cover(texture(p.layout, p.size, p.palette), p.mask_of(box), p.relief(0.5))
    return words


def street(p: Painting) -> list[str]:
    """A road towards a vanishing point between two rows of fronts, with cars."""
    p.canvas[:] = p.surface("gradient")
    x, y = p.layout.uniform(0.3, 0.7), p.layout.uniform(0.3, 0.5)
    for side in (0.0, 1.0):
        edge = 0.0
        while edge < 0.92:
            step = p.layout.uniform(0.12, 0.35)
            near, far = side + (x - side) * edge, side + (x - side) * min(edge + step, 0.95)
            top = p.layout.uniform(-0.6, 0.05)
            roof_near, roof_far = y + (top - y) * (1 - edge), y + (top - y) * (1 - min(edge + step, 0.95))
            foot_near, foot_far = y + (0.95 - y) * (1 - edge), y + (0.95 - y) * (1 - min(edge + step, 0.95))
            quad = as_field([[near, foot_near], [near, roof_near], [far, roof_far], [far, foot_far]])
            covering = (
                p.surface("bricks")
                if p.layout.random() < 0.3
                else p.colour() * np.float32(p.layout.uniform(0.5, 1.1))
            )
            p.cover(covering, p.mask_of(quad), p.relief(0.4, 8))
            edge += step
    road = as_field([[x - 0.02, y], [x + 0.02, y], [1.2, 1.1], [-0.2, 1.1]])
    p.cover(p.surface("grain") * np.float32(0.3) + np.float32(70), p.mask_of(road))
    words = ["street", "houses"]
    for _ in range(int(p.layout.integers(0, 4))):
        words.append("car")
        depth = p.layout.uniform(0.25, 1.0)
        cx, cy, s = x + (p.layout.uniform(0.1, 0.9) - x) * depth, y + (0.95 - y) * depth, 0.22 * depth
        p.cover(p.colour(), p.mask_of(polygon("car") * np.float32(s) + as_field([cx, cy - 0.4 * s])), p.relief(0.5))
    return words


SCENE_PAINTERS: dict[str, tuple[Painter, float]] = {
    "landscape": (landscape, 1.2),
    "leaves": (leaves, 1.6),
    "masks": (masks, 1.2),
    "building": (building, 1.0),
    "fractal": (fractal, 0.5),
    "strokes": (strokes, 0.7),
    "document": (document, 0.5),
    "poster": (poster, 0.8),
    "garment": (garment, 1.4),
    "portrait": (portrait, 0.9),
    "still life": (still_life, 1.2),
    "room": (room, 0.9),
    "street": (street, 0.9),
}
"""Scene -> its painter and how often it is drawn."""
