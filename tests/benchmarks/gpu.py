"""All that is owed for a GPU, in one call of less than eight minutes: python -m tests.benchmarks.gpu.

Makes bundles of reference size with random weights, proves on which provider they run, and measures each encoder
beside plain onnxruntime (which binds no buffers), torch and torch.compile: with buffers alone, with CUDA graphs, and
with TensorRT where it is installed. Everything goes to standard output and into a JSON file. What the time did not
allow is named there as left out.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnxruntime

from consumers.bundles import find_bundle, open_encoders
from consumers.commands.export import ServedFiles
from consumers.settings import Encode, Gpu, Settings
from consumers.shown.bench import Bench, encoder_rows
from consumers.terminal import print_rows
from models.export.reference import write_reference
from models.manifest import ManifestError
from models.providers import placed
from tests.servers import ROOT


@dataclass
class Run:
    """What one call measures.

    Attributes:
        deadline: by time.monotonic; no further part is begun after it.
    """

    folder: Path
    size: str
    provider: str
    batches: tuple[int, ...]
    seconds: float
    deadline: float
    result: dict[str, Any] = field(default_factory=dict)

    def say(self, line: str) -> None:
        """Into the result, and onto standard error."""
        self.result.setdefault("remarks", []).append(line)
        print(line, file=sys.stderr)

    def begin(self, part: str) -> bool:
        """Whether there is time for a part."""
        if time.monotonic() < self.deadline:
            return True
        self.result.setdefault("left_out", []).append(part)
        return False


def main(given: list[str] | None = None) -> int:
    """Measure what the command line asks for; 1 where the provider cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.gpu", description=__doc__)
    parser.add_argument("--size", choices=("tiny", "small", "base"), default="base")
    parser.add_argument("--provider", choices=("cuda", "cpu"), default="cuda", help="cpu only tries the script out")
    parser.add_argument("--variants", default="fp16,bf16", help="for the GPU; fp16, bf16")
    parser.add_argument("--batches", default="1,16,128")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each that takes turns")
    parser.add_argument("--budget", type=float, default=420.0, help="seconds after which nothing more is begun")
    parser.add_argument("--folder", type=Path, help="where bundles are kept, or found, made on an earlier call")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "gpu.json")
    options = parser.parse_args(given)
    with tempfile.TemporaryDirectory(prefix="shoal-gpu-") as temporary:
        run = Run(
            folder=options.folder or Path(temporary),
            size=options.size,
            provider=options.provider,
            batches=tuple(int(size) for size in options.batches.split(",")),
            seconds=options.seconds,
            deadline=time.monotonic() + options.budget,
        )
        run.result |= machine()
        variants: list[str | None] = [None] if options.provider == "cpu" else options.variants.split(",")
        try:
            for variant in variants:
                measure_variant(run, variant)
        except ManifestError as error:
            run.say(str(error))
        finally:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(run.result, indent=1) + "\n")
    return 0 if run.result.get("rows") else 1


def machine() -> dict[str, Any]:
    """What the figures are of."""
    import torch  # its libraries are opened before those of onnxruntime, which takes the same ones

    device = (
        torch.cuda.get_device_name(0) if torch.cuda.is_available() else platform.processor() or platform.machine()
    )
    return {
        "device": device,
        "onnxruntime": onnxruntime.__version__,
        "torch": torch.__version__,
        "providers": onnxruntime.get_available_providers(),
    }


def measure_variant(run: Run, variant: str | None) -> None:
    """One precision on the GPU: plain buffers, CUDA graphs, TensorRT; None is float32 on the CPU."""
    name = variant or "fp32"
    if not run.begin(name):
        return
    made, checkpoints = write_reference(
        run.folder,
        run.size,  # type: ignore[arg-type]  # one of the choices
        gpu_variant=variant,
        plain_attention=False,
        read=ServedFiles(),
        say=run.say,
    )
    ways: dict[str, Encode] = {"buffers": encode(run.provider, run.batches)}
    if run.provider != "cpu":
        ways["cuda_graphs"] = encode("cuda", run.batches, cuda_graphs=True)
        engines = run.folder / "engines"
        engines.mkdir(exist_ok=True)
        ways["tensorrt"] = encode("tensorrt", run.batches, engine_cache=engines)
    for way, wanted in ways.items():
        if not run.begin(f"{name}, {way}"):
            continue
        settings = Settings(bundle=str(made), encode=wanted)
        beside = checkpoints if way == "buffers" else {}  # once is enough for torch
        try:
            run.result.setdefault("proof", {})[f"{name}, {way}"] = proof(settings)
            rows = list(encoder_rows(settings, Bench(run.batches, run.seconds, beside, run.say)))
        except ManifestError as error:
            run.say(f"{name}, {way}: {error}")
            continue
        for row in rows:
            run.result.setdefault("rows", []).append({"way": way, **row})
        print_rows(rows, as_json=False, empty="nothing measured")


def encode(provider: str, batches: tuple[int, ...], **gpu: Any) -> Encode:
    """Settings in which only the shapes that are measured are warmed up, and those that their remains need."""
    sizes = tuple(sorted({1, 2, 4, 8, 16, 32, 64, *batches}))
    return Encode(provider=provider, intra_op_threads=0, gpu=Gpu(batch_sizes=sizes, **gpu))


def proof(settings: Settings) -> dict[str, Any]:
    """By encoder, the provider it runs on, its graph, and how many operators are placed where."""
    began = time.monotonic()
    bundle = open_encoders(settings, find_bundle(settings.bundle))
    found: dict[str, Any] = {"start_seconds": round(time.monotonic() - began, 1), "remarks": list(bundle.remarks)}
    for name, session in bundle.sessions.items():
        counts = {provider: len(operators) for provider, operators in placed(session).items()}
        found[name] = {"provider": bundle.providers[name], "graph": bundle.graphs[name], "operators": counts}
    return found


if __name__ == "__main__":
    sys.exit(main())
