"""Towers that train in seconds, of one shape where a test asks for no other."""

import torch
from torch import nn

from models.training.kinds import Kind
from models.training.towers import TowerSizes, build_towers

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


def drawn_towers(sizes: TowerSizes, seed: int) -> dict[Kind, nn.Module]:
    """Towers as if they were trained: what is equal in two layers would be written once."""
    torch.manual_seed(seed)
    towers = build_towers(sizes)
    for tower in towers.values():
        for parameter in tower.parameters():
            if parameter.ndim == 1:
                nn.init.normal_(parameter, mean=0.7, std=0.1)
        for module in tower.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.3)
                module.running_mean = torch.randn_like(module.bias) * 0.1
                module.running_var = torch.rand_like(module.bias) + 0.5
    return towers
