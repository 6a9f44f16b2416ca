"""`shoal run` with a decoder that some captions kill, as a fault in a library would.

The process in which suspects are tried begins with the same main module, so it has the same decoder.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from consumers.cli import main
from consumers.encoding import prepare
from consumers.steps import decode as step
from tests.faults import mutants

if TYPE_CHECKING:
    from consumers.encoding.work import PostInWork
    from consumers.settings import Limits
    from models.bundle import Bundle

MOST_BYTES = 600 * 2**20
"""Where the system ends the process for want of memory."""

_decode = step.decode


def decode(work: PostInWork, bundle: Bundle, limits: Limits) -> None:
    """Decode, unless the caption says otherwise."""
    caption = "" if work.post is None else work.post.caption or ""
    if "crash" in caption:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "memory" in caption:
        eat()
    if "raise" in caption:
        raise RuntimeError("nobody foresaw this")
    if "hang" in caption:
        time.sleep(1000)
    _decode(work, bundle, limits)


def eat() -> None:
    """Take more and more memory."""
    eaten: list[bytes] = []
    while len(eaten) * 2**25 < MOST_BYTES:
        eaten.append(b"x" * 2**25)
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGKILL)


vars(prepare)["decode"] = decode

if __name__ == "__main__":
    mutants.install(os.environ.get("SHOAL_TEST_MUTANT"))
    main()
