"""The process in which suspects are tried: it opens the bundle, then embeds one record after the other."""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from consumers.bundles import gpu_of
from consumers.encoding.prepare import prepare
from consumers.log import configure_logs
from consumers.steps.embed import embed
from models.bundle import Bundle, open_bundle
from models.encoders.buckets import Buckets
from models.manifest import BundleError

if TYPE_CHECKING:
    from consumers.settings import Encode, Limits, Log, Media

START_SECONDS = 120.0
IDLE_SECONDS = 30.0
ONE_ROW = Buckets((1,), (512,), fixed=True)


class TriedWith(NamedTuple):
    """What a worker embeds its posts with."""

    folder: Path
    encode: Encode
    media: Media
    limits: Limits
    log: Log


def embed_alone(connection: Any, tried_with: TriedWith) -> None:
    """Answer when ready, then after each record that is embedded; end when nothing comes for a while.

    A record that takes longer than `encode.stuck_seconds` ends the process, whatever it is doing, by an alarm that
    nobody handles: neither a library that hangs nor a parent that died can make it stay.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with suppress(OSError):
        # where memory ends, the system takes this process first
        Path("/proc/self/oom_score_adj").write_text("1000")
    configure_logs(tried_with.log.model_copy(update={"level": "error"}))
    bundle = _open(tried_with)
    connection.send(None)
    while connection.poll(IDLE_SECONDS):
        try:
            record = connection.recv()
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_REAL, tried_with.encode.stuck_seconds)
        work = prepare(record, bundle, encode=tried_with.encode, media=tried_with.media, limits=tried_with.limits)
        embed([work], bundle)
        signal.setitimer(signal.ITIMER_REAL, 0)
        connection.send(None)


def _open(tried_with: TriedWith) -> Bundle:
    """The bundle, where the worker runs it, with one small shape; on the CPU where the device has no room for two."""
    threads, provider = tried_with.encode.intra_op_threads, tried_with.encode.provider
    small = gpu_of(tried_with.encode)._replace(buckets=ONE_ROW, cuda_graphs=False)
    try:
        return open_bundle(tried_with.folder, provider=provider, intra_op_threads=threads, gpu=small)
    except BundleError:
        return open_bundle(tried_with.folder, provider="cpu", intra_op_threads=threads)
