"""The same work under the libraries' code for other processors: what differs there must not reach a result.

OpenBLAS, numpy and the C library choose their code by the processor when they are loaded, and can be told otherwise.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.cluster_table import ClusterTable
from models.exact import lengths
from models.fusion import FusionLayout
from models.verification import agreement, pack
from tests.pictures import picture, small
from tests.servers import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

CORES = {
    "Prescott": "pni",
    "Nehalem": "sse4_2",
    "Sandybridge": "avx",
    "Haswell": "fma",
    "Zen": "fma",
    "SkylakeX": "avx512f",
}
"""OpenBLAS's names of processors, and what one must have to run their code."""

SIZE = 768


class Digests(NamedTuple):
    """Of what one child did: the fold's outputs and state, placements, agreements of features, a plain product."""

    fold: str
    clusters: str
    agreements: str
    product: str


def settings() -> Iterator[dict[str, str]]:
    """Environments that choose other code, as far as this processor can run it."""
    flags = _flags()
    yield {}
    for core, needed in CORES.items():
        if needed in flags:
            yield {"OPENBLAS_CORETYPE": core}
    features = [name for name in np._core._multiarray_umath.__cpu_dispatch__ if _has(name)]  # type: ignore[attr-defined]
    for start in range(len(features)):
        yield {"NPY_DISABLE_CPU_FEATURES": " ".join(features[start:])}
    yield {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX512F"}
    yield {"OPENBLAS_NUM_THREADS": "1"}
    yield {"OPENCV_CPU_DISABLE": "SSE4_2,AVX,FP16,AVX2,FMA3,AVX512_SKX"}


def digests_under(environment: dict[str, str]) -> Digests:
    """What a child process gets under these settings."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.processors"],
        env=os.environ | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{environment}: {done.stderr[-2000:]}"
    return Digests(*json.loads(done.stdout))


def digests() -> Digests:
    """What this process gets."""
    rng = np.random.default_rng(0)
    one, two = rng.standard_normal((2, 64, SIZE)).astype(np.float32)
    return Digests(_fold(), _clusters(), _agreements(), hashlib.sha256((one @ two.T).tobytes()).hexdigest())


def _fold() -> str:
    """Outputs and state of the random logs of the fold's own tests."""
    from tests.cells.test_fold import random_log, run_log

    digest = hashlib.sha256()
    for seed in range(12):
        outputs, store, _ = run_log(random_log(random.Random(seed), 90), [30, 60], restarts=True)
        digest.update(outputs)
        for kind, fields in sorted(store.contents().items()):
            for name, value in sorted(fields.items()):
                digest.update(f"{kind} {name} ".encode() + value)
    return digest.hexdigest()


def _clusters() -> str:
    """Placements and features in many dimensions, fading and merging."""
    rng = np.random.default_rng(1)
    middle = rng.standard_normal((40, SIZE))
    rows = middle[rng.integers(0, 40, 1500)] + rng.standard_normal((1500, SIZE)) * rng.uniform(0.4, 1.0, (1500, 1))
    vectors = np.asarray((rows / lengths(rows)[:, None]).astype(np.float16), dtype=np.float32)
    layout = FusionLayout(("text", "image", "audio"), 256, np.ones(3, np.float32), np.zeros((3, 256), np.float32))
    table = ClusterTable(layout, half_life=900.0, join=0.7, cohesion=0.3, attention=0.5)
    table.learn_many(vectors[:500], range(500), range(500))
    for key in sorted(table)[:5]:
        table.watch(key, 500)
    placed = table.learn_many(vectors[500:], range(500, 1500), range(500, 1500))
    digest = hashlib.sha256()
    for placement in placed:
        digest.update(repr((*placement[:3], placement.rival)).encode() + placement.shares.tobytes())
        digest.update(repr([(near.cluster, near.similarity, near.cohesion) for near in placement.watched]).encode())
    for key in table:
        feature = table.feature(key)
        digest.update(repr((key, feature.weight, feature.squares, feature.time)).encode() + feature.sums.tobytes())
    digest.update(repr((table.faded(3000, 0.3), table.faintest(20))).encode())
    return digest.hexdigest()


def _agreements() -> str:
    """How well copies and strangers lie on each other, to the last bit."""
    drawn = [picture(seed) for seed in range(3)]
    changed = [*drawn, drawn[0][15:140, 5:135], drawn[1][:, ::-1], np.rot90(drawn[2])]
    shown = [pack(small(np.ascontiguousarray(one))[None], "image") for one in changed]
    played = [*drawn, np.roll(drawn[0], 40, axis=1), np.roll(drawn[1], 3, axis=0), drawn[2][:, :140]]
    heard = [pack(small(np.ascontiguousarray(one), 48)[None], "sound") for one in played]
    return repr([agreement(one, two) for kind in (shown, heard) for one in kind[:3] for two in kind])


def _flags() -> set[str]:
    """What the processor can do, in the kernel's words; nothing where the kernel does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith("flags") for flag in line.split()}


def _has(feature: str) -> bool:
    return bool(np._core._multiarray_umath.__cpu_features__.get(feature))  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(digests()))
