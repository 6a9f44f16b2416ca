"""Putting another function in the place of one, in a child process that ends soon."""

from __future__ import annotations

from typing import Any


def put(owner: Any, name: str, function: Any) -> None:
    """From now on `owner.name` is `function`."""
    setattr(owner, name, function)
