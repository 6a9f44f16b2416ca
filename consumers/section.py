"""What every part of the settings' tree has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the tree: immutable, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
