"""Where networks are trained: a GPU or the processor."""

from __future__ import annotations

from typing import Literal

import torch

Device = Literal["auto", "cpu", "cuda"]


def device_of(wanted: Device) -> str:
    """The device in torch's words; `auto` takes a GPU where there is one.

    Raises:
        ValueError: no GPU where one is asked for.
    """
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise ValueError("--device cuda, and torch finds no GPU; take cpu or auto")
    return "cuda" if there and wanted != "cpu" else "cpu"
