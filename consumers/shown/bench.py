"""The encoders' rates as the command shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from consumers.bundles import find_bundle
from consumers.demo.encoder_rate import decoded_post
from consumers.demo.feed import post_of
from models.bundle import make_encoder, open_bundle
from models.encoder_rates import RecordingSession, cpu_peak, measure_rate, plain_session
from models.sessions import choose_providers, open_graph
from models.synthetic.posts import StreamPlan, generate_stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from consumers.settings import Settings
    from models.bundle import Bundle

SEED = 76
POSTS_FOR_AN_ITEM = 2
"""Posts made for each item of a batch: not every one has all modalities."""


def encoder_rows(settings: Settings, sizes: Sequence[int], *, seconds: float) -> Iterator[dict[str, Any]]:
    """Each encoder at each batch size, on decoded posts of the simulated stream; a vector's on its example.

    Raises:
        ManifestError, BundleError: the bundle cannot be used.
    """
    provider, threads = settings.encode.provider, settings.encode.intra_op_threads
    folder = find_bundle(settings.bundle)
    bundle = open_bundle(folder, provider=provider, intra_op_threads=threads)
    decoded = _inputs(settings, bundle, max(sizes))
    peak = cpu_peak(threads)
    for modality in bundle.manifest.modalities:
        if modality.graph is None:
            continue
        path, providers = folder / modality.graph, choose_providers(provider)
        recording = RecordingSession(open_graph(path, providers, threads))
        encoder = make_encoder(folder, modality, recording)
        plain = plain_session(path, providers, threads)
        items = decoded.get(modality.name) or [encoder.example()]
        for size in sizes:
            batch = [items[number % len(items)] for number in range(size)]
            found = measure_rate(encoder, recording, plain, path, batch, seconds=seconds, peak=peak)
            yield {
                "encoder": modality.name,
                "provider": recording.get_providers()[0].removesuffix("ExecutionProvider"),
                "batch": found.items,
                "items/s": round(found.rate, 1),
                "fill": round(found.fill, 3),
                "padding": round(found.padding, 3),
                "GFLOP/s": None if found.flops is None else round(found.flops / 1e9, 1),
                "of peak": None if found.peak_share is None else round(found.peak_share, 3),
                "over plain": round(found.over_plain, 2),
            }


def _inputs(settings: Settings, bundle: Bundle, count: int) -> dict[str, list[Any]]:
    """What the encoders get of some posts, by modality."""
    found: dict[str, list[Any]] = {}
    for made in generate_stream(StreamPlan(seed=SEED, posts=POSTS_FOR_AN_ITEM * count)):
        work = decoded_post(settings, bundle, msgspec.json.encode(post_of(made)))
        for name, items in work.inputs.items():
            found.setdefault(name, []).extend(items)
    return found
