"""Towers that train in seconds, of one shape where a test asks for no other."""

from models.training.towers import TowerSizes

SMALL = TowerSizes(
    vocabulary=60,
    max_tokens=12,
    text_width=32,
    text_layers=1,
    image_size=32,
    image_widths=(8, 8, 8, 8),
    audio_widths=(8, 8, 8, 8),
    blocks=(1, 1, 1, 1),
)
