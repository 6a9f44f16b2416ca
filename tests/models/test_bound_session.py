"""The buffered way gives, bit by bit, what the plain one gives; on every device that this machine has."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest

from models.bound_session import BoundSession
from models.encoders.buckets import Buckets
from models.providers import CUDA, NAMES, _gpu_present
from models.sessions import open_graph
from tests.bundles import IMAGE_SIZE, write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

DEVICES = ["cpu", *(["cuda"] if CUDA in onnxruntime.get_available_providers() and _gpu_present() else [])]
BUCKETS = Buckets((2, 4), (8, 16), fixed=True)
on_every_device = pytest.mark.parametrize("device", DEVICES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    write_tiny_bundle(folder, ("text", "image"))
    return folder


def opened(folder: Path, graph: str, device: str) -> Any:
    return open_graph(folder / graph, [NAMES[device]], 1)


def pixels(count: int, seed: int = 0) -> dict[str, NDArray[np.uint8]]:
    rng = np.random.default_rng(seed)
    return {"pixels": rng.integers(0, 256, (count, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)}


def tokens(count: int, width: int) -> dict[str, NDArray[np.int64]]:
    rng = np.random.default_rng(count * width)
    return {
        "input_ids": rng.integers(1, 200, (count, width)),
        "attention_mask": np.ones((count, width), dtype=np.int64),
    }


@on_every_device
def test_a_full_call_is_bit_equal_to_the_plain_one_again_and_again(folder: Path, device: str) -> None:
    plain = opened(folder, "image.onnx", device)
    bound = BoundSession(plain, device, BUCKETS)
    for seed in range(5):
        given = pixels(4, seed)
        assert np.array_equal(bound.run(["embedding"], given)[0], plain.run(["embedding"], given)[0])


@on_every_device
def test_a_call_that_is_filled_up_is_bit_equal_to_the_plain_one_filled_up_alike(folder: Path, device: str) -> None:
    plain = opened(folder, "image.onnx", device)
    bound = BoundSession(plain, device, BUCKETS)
    bound.run(["embedding"], pixels(4, 9))  # nothing of it may be left
    given = pixels(3)["pixels"]
    found = bound.run(["embedding"], {"pixels": given})[0]
    expected = plain.run(["embedding"], {"pixels": np.concatenate([given, given[-1:]])})[0][:3]
    assert np.array_equal(found, expected)


@on_every_device
def test_each_shape_has_its_buffers_once(folder: Path, device: str) -> None:
    plain = opened(folder, "text.onnx", device)
    bound = BoundSession(plain, device, BUCKETS)
    for count, width in [(1, 8), (2, 8), (3, 8), (4, 16), (4, 16), (1, 16)]:
        given = tokens(count, width)
        assert bound.run(["embedding"], given)[0].shape[0] == count
    assert bound.shapes == 4
    given = tokens(4, 16)
    assert np.array_equal(bound.run(["embedding"], given)[0], plain.run(["embedding"], given)[0])


@on_every_device
def test_what_a_call_gave_stays_when_the_next_one_comes(folder: Path, device: str) -> None:
    bound = BoundSession(opened(folder, "image.onnx", device), device, BUCKETS)
    first = bound.run(["embedding"], pixels(2, 1))[0]
    kept = first.copy()
    bound.run(["embedding"], pixels(2, 2))
    assert np.array_equal(first, kept)


@on_every_device
def test_many_threads_share_one_owner(folder: Path, device: str) -> None:
    session = Watched(opened(folder, "image.onnx", device))
    bound = BoundSession(session, device, BUCKETS)
    given = [pixels(2, seed) for seed in range(24)]
    expected = [bound.run(["embedding"], one)[0] for one in given]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda one: bound.run(["embedding"], one)[0], given))
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    assert len(session.threads) == 1
    assert threading.get_ident() not in session.threads


def test_every_shape_has_a_graph_of_its_own_and_the_first_run_has_none(folder: Path) -> None:
    session = Watched(opened(folder, "image.onnx", "cpu"))
    bound = BoundSession(session, "cpu", BUCKETS, graphs=True)
    for count in (2, 2, 4, 2):
        bound.run(["embedding"], pixels(count))
    assert session.graphs == ["-1", "1", "1", "-1", "2", "1"]


def test_a_call_that_fails_fails_for_its_caller_alone(folder: Path) -> None:
    bound = BoundSession(opened(folder, "image.onnx", "cpu"), "cpu", BUCKETS)
    with pytest.raises(Exception, match="pixels"):
        bound.run(["embedding"], {"pixels": np.zeros((2, 3, 3, 3), np.uint8)})
    with pytest.raises(ValueError, match="5 rows"):
        bound.run(["embedding"], pixels(5))
    assert bound.run(["embedding"], pixels(2))[0].shape[0] == 2


class Watched:
    """A session that notes which threads run it, and with which graphs."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.threads: set[int] = set()
        self.graphs: list[str] = []

    def io_binding(self) -> Any:
        return self._session.io_binding()

    def run_with_iobinding(self, binding: Any, options: Any) -> None:
        self.threads.add(threading.get_ident())
        try:
            self.graphs.append(options.get_run_config_entry("gpu_graph_id"))
        except RuntimeError:
            self.graphs.append("none")
        self._session.run_with_iobinding(binding, options)
