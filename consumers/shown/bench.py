"""The encoders' rates as the command shows them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from consumers.bundles import find_bundle, open_encoders
from consumers.demo.encoder_rate import decoded_post, fresh
from consumers.demo.feed import post_of
from consumers.steps.embed import embed
from models.bundle import make_encoder
from models.encoder_rates import FlopCounter, RecordingSession, measure_rate, plain_run, plain_session
from models.peaks import peak_for
from models.providers import CPU, TENSORRT, choose_providers
from models.synthetic.posts import StreamPlan, generate_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from consumers.encoding.work import PostInWork
    from consumers.settings import Settings
    from models.bundle import Bundle
    from models.encoder_rates import Contender, Rate
    from models.manifest import Modality

SEED = 76
POSTS_FOR_AN_ITEM = 2
"""Posts made for each item of a batch: not every one has all modalities."""
WHOLE_POSTS = "posts"
"""Stands where a row is about all encoders together."""


@dataclass(frozen=True)
class Bench:
    """What is measured.

    Attributes:
        sizes: items a batch.
        seconds: for each measurement.
        checkpoints: by modality, what the bundle was made of: torch runs it beside; empty where there is none.
        say: told what cannot be measured, and why.
    """

    sizes: Sequence[int]
    seconds: float
    checkpoints: Mapping[str, Path] = field(default_factory=dict)
    say: Callable[[str], None] = lambda _: None


def encoder_rows(settings: Settings, bench: Bench) -> Iterator[dict[str, Any]]:
    """Each encoder at each batch size, on decoded posts of the simulated stream, then all together on whole posts.

    A vector's encoder gets its example.

    Raises:
        ManifestError, BundleError: the bundle cannot be used.
    """
    folder = find_bundle(settings.bundle)
    bundle = open_encoders(settings, folder)
    for remark in bundle.remarks:
        bench.say(remark)
    posts = _decoded(settings, bundle, max(bench.sizes))
    for modality in bundle.manifest.modalities:
        if modality.graph is not None:
            items = [item for work in posts for item in work.inputs.get(modality.name, ())]
            for variant, found in _rates(settings, bench, folder, bundle, modality, items):
                yield _row(modality.name, bundle.providers[modality.name], variant, found)
    for size in bench.sizes:
        batch = [posts[number % len(posts)] for number in range(size)]
        yield _posts_row(size, _seconds(partial(_embed_fresh, batch, bundle), bench.seconds))


def _rates(
    settings: Settings, bench: Bench, folder: Path, bundle: Bundle, modality: Modality, items: list[Any]
) -> Iterator[tuple[str, Rate]]:
    name, threads = modality.name, settings.encode.intra_op_threads
    graph = bundle.graphs[name]
    variant = bundle.manifest.variant_of(graph)
    providers: list[Any] = [CPU]
    if bundle.providers[name] != CPU:
        providers = [one for one in choose_providers(settings.encode.provider) if one != TENSORRT]
    recording = RecordingSession(bundle.sessions[name])
    encoder = make_encoder(folder, modality, recording)
    items = items or [encoder.example()]
    whole = {"plain": plain_run(plain_session(folder / graph, providers, threads, variant))}
    encoder.embed(items[:1])
    by_call = _torch(bench, bundle, modality, variant, threads, recording.calls[-1])
    counter, peak = FlopCounter(folder / str(modality.graph)), peak_for(providers, variant, threads)
    for size in bench.sizes:
        batch = [items[number % len(items)] for number in range(size)]
        yield (
            variant,
            measure_rate(
                encoder, recording, counter, batch, seconds=bench.seconds, peak=peak, whole=whole, by_call=by_call
            ),
        )


def _torch(
    bench: Bench, bundle: Bundle, modality: Modality, variant: str, threads: int, call: Any
) -> dict[str, Contender]:
    """The encoder in torch, as it is and compiled, as far as it can be run here."""
    if modality.name not in bench.checkpoints:
        return {}
    import torch  # noqa: PLC0415  # only there where bundles are made

    from models.export.reference import torch_runner  # noqa: PLC0415

    if threads:
        torch.set_num_threads(threads)
    device = "cpu" if bundle.providers[modality.name] == CPU or not torch.cuda.is_available() else "cuda"
    if device == "cpu" and bundle.providers[modality.name] != CPU:
        bench.say(f"{modality.name}: torch sees no GPU, so it is not compared")
        return {}
    found: dict[str, Contender] = {}
    for name, compiled in (("torch", False), ("compiled", True)):
        try:
            runner = torch_runner(
                modality.kind, bench.checkpoints[modality.name], bundle.manifest, variant, device, compiled=compiled
            )
            runner(call)
        except Exception as error:  # noqa: BLE001  # compilers fail in ways of their own
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            bench.say(f"{modality.name}: {name} does not run here: {reason}")
        else:
            found[name] = runner
    return found


def _row(name: str, provider: str, variant: str, found: Rate) -> dict[str, Any]:
    return {
        "encoder": name,
        "provider": provider.removesuffix("ExecutionProvider"),
        "variant": variant,
        "batch": found.items,
        "items/s": round(found.rate, 1),
        "fill": round(found.fill, 3),
        "padding": round(found.padding, 3),
        "GFLOP/s": None if found.flops is None else round(found.flops / 1e9, 1),
        "of peak": None if found.peak_share is None else round(found.peak_share, 3),
        **{f"over {other}": None if other not in found.over else round(found.over[other], 2) for other in OTHERS},
    }


OTHERS = ("plain", "torch", "compiled")
"""The columns of what is measured beside: plain onnxruntime, torch, and torch.compile."""


def _posts_row(size: int, seconds: float) -> dict[str, Any]:
    empty = dict.fromkeys(("fill", "padding", "GFLOP/s", "of peak", *(f"over {other}" for other in OTHERS)))
    return {
        "encoder": WHOLE_POSTS,
        "provider": None,
        "variant": None,
        "batch": size,
        "items/s": round(size / seconds, 1),
        **empty,
    }


def _seconds(work: Callable[[], object], seconds: float) -> float:
    """The shortest of some runs."""
    best, begun = float("inf"), time.perf_counter()
    while best == float("inf") or time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def _embed_fresh(batch: list[PostInWork], bundle: Bundle) -> None:
    embed([fresh(work) for work in batch], bundle)


def _decoded(settings: Settings, bundle: Bundle, count: int) -> list[PostInWork]:
    """Posts as the encoders get them."""
    stream = generate_stream(StreamPlan(seed=SEED, posts=POSTS_FOR_AN_ITEM * count))
    found = [decoded_post(settings, bundle, msgspec.json.encode(post_of(made))) for made in stream]
    return [work for work in found if work.failure is None]
