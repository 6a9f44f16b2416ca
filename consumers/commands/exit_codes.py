"""How the command ends: 0 done, 1 failed, 2 wrong use."""

from __future__ import annotations

FAILED = 1
WRONG_USE = 2
