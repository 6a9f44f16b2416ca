"""Which providers are asked for, what a placement says, and what happens where a graph does not run on the GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnxruntime
import pytest

from models import providers, sessions
from models.bound_session import BoundSession
from models.bundle import open_bundle
from models.encoders.buckets import Buckets
from models.manifest import BundleError, Modality, TextInput
from models.providers import (
    CPU,
    CUDA,
    TENSORRT,
    Gpu,
    choose_providers,
    left_on_cpu,
    left_out,
    placed,
    with_engine_options,
    without_cuda_graphs,
)
from tests.bundles import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path

BUCKETS = Buckets((1, 4), (16, 32), fixed=True)
WORDS = Modality(name="text", kind="text", mean=(), text=TextInput(tokenizer="t", max_tokens=24))
TOKENS: dict[str, list[int | None]] = {"input_ids": [None, None], "attention_mask": [None, None]}


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that says it has a GPU; what it opens runs on the CPU."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    monkeypatch.setattr(providers, "_gpu_present", lambda: True)


@pytest.mark.usefixtures("gpu")
def test_cuda_graphs_and_tensorrt_are_asked_for() -> None:
    assert [one if isinstance(one, str) else one[0] for one in choose_providers("tensorrt")] == [TENSORRT, CUDA, CPU]
    (_, options), _ = choose_providers("cuda", cuda_graphs=True)
    assert options["enable_cuda_graph"] == "1"
    assert "enable_cuda_graph" not in without_cuda_graphs(choose_providers("cuda", cuda_graphs=True))[0][1]


@pytest.mark.parametrize("wanted", ["cuda", "tensorrt"])
def test_a_provider_that_is_not_installed_names_those_that_are(wanted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["AzureExecutionProvider", CPU])
    with pytest.raises(BundleError, match=rf"{wanted} and the installed onnxruntime has no .*it has Azure"):
        choose_providers(wanted)


def test_tensorrts_profile_spans_the_buckets_and_knows_the_precision(tmp_path: Path) -> None:
    given = with_engine_options([TENSORRT, CPU], TOKENS, WORDS, Gpu(BUCKETS, engine_cache=tmp_path), "bf16")
    name, options = given[0]
    assert name == TENSORRT
    assert options["trt_profile_min_shapes"] == "input_ids:1x16,attention_mask:1x16"
    assert options["trt_profile_max_shapes"] == "input_ids:4x24,attention_mask:4x24"
    assert (options["trt_fp16_enable"], options["trt_bf16_enable"]) == ("0", "1")
    assert options["trt_engine_cache_path"] == str(tmp_path)
    assert with_engine_options([CPU], TOKENS, WORDS, Gpu(), "fp16") == [CPU]


def test_a_placement_names_the_products_that_are_on_the_cpu(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path, ("image",))
    found = placed(sessions.open_graph(tmp_path / "image.onnx", [CPU], 1))
    assert set(found) == {CPU}
    assert sum(left_on_cpu(found).values()) > 0
    assert left_on_cpu({CPU: ["Shape", "Gather", "Concat"], CUDA: ["MatMul"]}) == {}
    assert left_on_cpu({CPU: ["MatMul", "Conv", "MatMul"]}) == {"Conv": 1, "MatMul": 2}


@pytest.mark.usefixtures("gpu")
def test_auto_sends_a_graph_that_fell_to_the_cpu_there_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_bundle(tmp_path, ("image",))
    _falls_to_the_cpu(monkeypatch)
    bundle = open_bundle(tmp_path, provider="auto", intra_op_threads=1)
    assert bundle.providers == {"image": CPU}
    assert "image runs on the CPU" in bundle.remarks[0]


@pytest.mark.usefixtures("gpu")
def test_products_left_on_the_cpu_are_an_error_where_the_gpu_is_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_bundle(tmp_path, ("image",))
    _falls_to_the_cpu(monkeypatch)
    monkeypatch.setattr(sessions, "provider_in_use", lambda *_: CUDA)
    with pytest.raises(BundleError, match=r"leaves computing operators on the CPU \(1 Gemm\)"):
        open_bundle(tmp_path, provider="cuda", intra_op_threads=1)


@pytest.mark.usefixtures("gpu")
def test_what_cannot_be_captured_runs_without_cuda_graphs_on_bound_buffers_with_every_shape_warm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU whose provider is played by the CPU: the whole way of opening, warming up and calling is the real one."""
    write_tiny_bundle(tmp_path, ("text", "image"))
    plain = open_bundle(tmp_path, provider="cpu", intra_op_threads=1)
    asked = _falls_to_the_cpu(monkeypatch, refusing="enable_cuda_graph")
    monkeypatch.setattr(sessions, "provider_in_use", lambda *_: CUDA)
    monkeypatch.setattr(sessions, "left_on_cpu", lambda _: {})
    monkeypatch.setattr(
        sessions,
        "BoundSession",
        lambda session, _, buckets, graphs: BoundSession(session, "cpu", buckets, graphs=graphs),
    )
    bundle = open_bundle(tmp_path, provider="cuda", intra_op_threads=1, gpu=Gpu(BUCKETS, cuda_graphs=True))
    assert [remark.split(":")[0] for remark in bundle.remarks] == [
        "text runs without CUDA graphs",
        "image runs without CUDA graphs",
    ]
    assert len(asked) == 4
    assert bundle.sessions["image"].shapes == 2
    assert bundle.sessions["text"].shapes == 2 * 9  # 16, and the multiples of 32 up to the encoder's 256
    texts = ["a fish", "two fish, red and blue" * 3, "x"]
    assert abs(bundle.encoders["text"].embed(texts) - plain.encoders["text"].embed(texts)).max() < 1e-5
    assert bundle.sessions["text"].shapes == 2 * 9


def test_what_pays_on_a_gpu_alone_is_left_out_where_there_is_none() -> None:
    assert left_out("fp32", [CPU]) == ["SkipLayerNormFusion"]
    assert left_out("fp32", [(CUDA, {}), CPU]) == []
    assert "NchwcTransformer" in left_out("fp16", [CPU])


def _falls_to_the_cpu(monkeypatch: pytest.MonkeyPatch, refusing: str = "") -> list[list[Any]]:
    """Sessions open on the CPU whatever is asked for, unless it has the refused option."""
    whole, asked = onnxruntime.InferenceSession, []

    def opened(path: str, options: Any = None, *, providers: list[Any], **more: Any) -> Any:
        asked.append(providers)
        if refusing and any(refusing in one[1] for one in providers if isinstance(one, tuple)):
            raise RuntimeError("This session cannot use the graph capture feature")
        return whole(path, options, providers=[CPU], **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", opened)
    return asked
