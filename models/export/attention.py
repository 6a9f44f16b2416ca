"""Attention as onnxruntime's own fused operator, written while the graph is exported and counted afterwards.

torch keeps scaled dot product attention as one operation until the very end. It is translated here into one
MultiHeadAttention instead of two products and a softmax: nothing has to be found again in the graph by its pattern,
so a new network is fused as well as an old one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from onnxscript import opset18
from onnxscript.values import Op, Opset

import onnx

if TYPE_CHECKING:
    from collections.abc import Callable

DOMAIN = "com.microsoft"
FUSED = "MultiHeadAttention"

op: Any = opset18  # its annotations are of numpy's scalars, and these are values of a graph
_Schema = onnx.defs.OpSchema
_NUMBERS = ["tensor(float)", "tensor(float16)", "tensor(bfloat16)"]
_OPTIONAL = {
    "query": False,
    "key": True,
    "value": True,
    "bias": True,
    "key_padding_mask": True,
    "attention_bias": True,
}
_SCHEMA = _Schema(
    FUSED,
    DOMAIN,
    1,
    inputs=[
        _Schema.FormalParameter(
            name,
            "T",
            param_option=_Schema.FormalParameterOption.Optional if optional else _Schema.FormalParameterOption.Single,
        )
        for name, optional in _OPTIONAL.items()
    ],
    outputs=[_Schema.FormalParameter("output", "T")],
    type_constraints=[("T", _NUMBERS, "")],
    attributes=[
        _Schema.Attribute("num_heads", _Schema.AttrType.INT),
        _Schema.Attribute("unidirectional", _Schema.AttrType.INT, required=False),
        _Schema.Attribute("scale", _Schema.AttrType.FLOAT, required=False),
    ],
)
"""What is used of the operator: onnx itself does not know the operators of onnxruntime."""

_attend = Op(Opset(DOMAIN, 1), FUSED, _SCHEMA)


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """For `custom_translation_table` of torch.onnx.export."""
    return {torch.ops.aten.scaled_dot_product_attention.default: fused_attention}


def fused_attention(  # the arguments of torch's operation
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """Attention over query, key and value (batch, heads, tokens, size) with a mask that is added, or of booleans."""
    if dropout_p or enable_gqa:
        raise NotImplementedError("attention with dropout or with fewer heads of keys than of queries")
    heads = int(query.shape[1])
    settings: dict[str, Any] = {"num_heads": heads, "unidirectional": int(bool(is_causal))}
    if scale is not None:
        settings["scale"] = float(scale)
    rows = [_joined(part) for part in (query, key, value)]
    bias = None if attn_mask is None else _added(attn_mask, query, key)
    attended = _attend(*rows, None, None, bias, **settings)
    apart = op.Reshape(attended, op.Constant(value_ints=[0, 0, heads, -1]))
    return op.Transpose(apart, perm=[0, 2, 1, 3])


def _joined(part: Any) -> Any:
    """(batch, heads, tokens, size) -> (batch, tokens, heads * size)."""
    return op.Reshape(op.Transpose(part, perm=[0, 2, 1, 3]), op.Constant(value_ints=[0, 0, -1]))


def _added(mask: Any, query: Any, key: Any) -> Any:
    """The mask as numbers that are added to the products, (batch or 1, heads or 1, queries, keys)."""
    rank = len(mask.shape)
    if mask.dtype is not None and mask.dtype.name == "BOOL":
        allowed = op.CastLike(op.Constant(value_float=0.0), query)
        # the least float16: a row that is masked as a whole stays a row of numbers
        forbidden = op.CastLike(op.Constant(value_float=-65504.0), query)
        mask = op.Where(mask, allowed, forbidden)
    if rank == 2:
        mask = op.Unsqueeze(mask, op.Constant(value_ints=[0, 1]))
    queries = op.Shape(query, start=2, end=3)
    keys = op.Shape(key, start=2, end=3)
    ones = op.Constant(value_ints=[1, 1])
    return op.Expand(mask, op.Concat(ones, queries, keys, axis=0))


def count_fused(model: onnx.ModelProto) -> int:
    """How many attention operators of the graph are onnxruntime's fused ones."""
    return sum(node.op_type == FUSED and node.domain == DOMAIN for node in model.graph.node)
