"""3x3 convolutions as products of matrices, with a quarter of the multiplications: Winograd's minimal filtering.

A tile of the input and a kernel are each brought to the values of a polynomial at some points. There convolving is
multiplying value by value, which over all tiles and channels is one product of matrices for each point; from there
the tile of the output is brought back. Each step is a product with a constant, so any runtime can do it. With rows,
columns, batch and channels in this order almost nothing has to change places between the steps, and onnxruntime
takes out what changes places before and after where two such convolutions follow each other. Kernels stay in the
graph as they were: they are brought to their points when it is opened.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

import onnx
from models.export.graphs import save_graph
from onnx import helper, numpy_helper, shape_inference

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

LEAST_CHANNELS = 64
"""With fewer, changing to points and back takes longer than it saves."""

MOST_PIXELS = 300
"""Of a picture inside the network; larger ones have few channels, and fit into no cache as values at points."""

LEAST_TILES = 16
"""Of one picture. They share the kernels at a point, which are many more numbers than the kernels: with fewer, one
picture alone takes longer than a convolution does."""

_KERNEL = 3
_POINTS = {4: (0.0, 0.5, -0.5, 2.0, -2.0), 2: (0.0, 1.0, -1.0)}
"""By the side of an output tile; one more is at infinity. These lose the fewest digits."""


@dataclass(frozen=True)
class Filtering:
    """The three matrices of minimal filtering: outputs @ ((kernels @ kernel) * (inputs @ tile)) convolves.

    Attributes:
        inputs: (points, points), from a tile of the input that overlaps the next by two.
        kernels: (points, 3).
        outputs: (tile, points).
    """

    inputs: NDArray[np.float64]
    kernels: NDArray[np.float64]
    outputs: NDArray[np.float64]


def filtering(tile: int) -> Filtering:
    """Minimal filtering of so many outputs, 2 or 4.

    Two polynomials are multiplied by their values at points; filtering is the transpose of that.
    """
    points = _POINTS[tile]
    count = len(points) + 1

    def values(size: int) -> NDArray[np.float64]:
        return np.vstack([np.vander(points, size, increasing=True), np.eye(size)[-1]])

    inputs: NDArray[np.float64] = np.linalg.inv(values(count)).T.astype(np.float64)
    kernels = values(_KERNEL)
    for place, point in enumerate(points):  # without fractions, so that half precision and TF32 hold them
        apart = float(np.prod([point - other for other in points if other != point]))
        inputs[place] *= apart
        kernels[place] /= apart
    return Filtering(inputs, kernels, values(tile).T)


@dataclass(frozen=True)
class _Axis:
    """Rows or columns of a picture: (points * tiles, size) to the points, (size, points * tiles) back."""

    points: int
    tiles: int
    there: NDArray[np.float64]
    back: NDArray[np.float64]
    kernels: NDArray[np.float64]


def _axis(size: int, tile: int) -> _Axis:
    used, tiles = filtering(tile), -(-size // tile)
    points = len(used.inputs)
    there, back = np.zeros((points, tiles, size + points)), np.zeros((tiles * tile, points, tiles))
    for number in range(tiles):
        start = tile * number
        there[:, number, start : start + points] = used.inputs  # one to the right: before the first stands a zero
        back[start : start + tile, :, number] = used.outputs
    inner = there[:, :, 1 : size + 1].reshape(points * tiles, size)
    return _Axis(points, tiles, inner, back[:size].reshape(size, points * tiles), used.kernels)


@dataclass
class _Nodes:
    """Nodes and constants that take the place of one convolution."""

    prefix: str
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)

    def add(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        """A node with one output, which is named."""
        name = f"{self.prefix}.products.{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """A constant; one of the same name is the same."""
        self.constants[f"products.{name}"] = np.ascontiguousarray(values)
        return f"products.{name}"

    def matrix(self, name: str, values: NDArray[np.float64]) -> str:
        """One in float32."""
        return self.constant(name, values.astype(np.float32))

    def shaped(self, value: str, *shape: int) -> str:
        """The same numbers in another shape; -1 is what is left over."""
        name = self.constant(
            "shape_" + "_".join(map(str, shape)).replace("-1", "any"), np.array(shape, dtype=np.int64)
        )
        return self.add("Reshape", [value, name])


@dataclass(frozen=True)
class _Site:
    """A convolution that can be written as products."""

    node: onnx.NodeProto
    inputs: int
    outputs: int
    height: int
    width: int
    tile: int


def convolve_by_products(path: Path) -> int:
    """Write the 3x3 convolutions of the graph in `path`, so far as it pays, as products of matrices.

    Those of stride 1 in float32 are, with many channels and few pixels. What the graph computes stays the same up to
    rounding.

    Returns:
        How many were.
    """
    model = shape_inference.infer_shapes(onnx.load(str(path)))
    graph = model.graph
    sites = {site.node.output[0]: site for site in _sites(graph)}
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, NDArray[Any]] = {}
    for node in graph.node:
        site = sites.get(node.output[0])
        if site is None:
            nodes.append(node)
            continue
        written = _Nodes(node.output[0])
        _write(site, written)
        nodes += written.nodes
        constants |= written.constants
    if sites:
        del graph.node[:]
        graph.node.extend(nodes)
        graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in constants.items())
        save_graph(model, path)
    return len(sites)


def _sites(graph: onnx.GraphProto) -> list[_Site]:
    weights = {one.name: one for one in graph.initializer}
    shapes = {one.name: [size.dim_value for size in one.type.tensor_type.shape.dim] for one in graph.value_info}
    found = []
    for node in graph.node:
        weight = weights.get(node.input[1]) if node.op_type == "Conv" else None
        shape = shapes.get(node.output[0], []) if node.output else []
        if (
            weight is None
            or weight.data_type != onnx.TensorProto.FLOAT
            or len(shape) != 4
            or not _plain(node, weight)
        ):
            continue
        height, width = shape[2:]
        tile = next((side for side in _POINTS if -(-height // side) * -(-width // side) >= LEAST_TILES), 0)
        if tile and min(weight.dims[:2]) >= LEAST_CHANNELS and height * width <= MOST_PIXELS:
            found.append(_Site(node, weight.dims[1], weight.dims[0], height, width, tile))
    return found


def _plain(node: onnx.NodeProto, weight: onnx.TensorProto) -> bool:
    """Whether it is a 3x3 convolution of stride 1 that keeps the size."""
    given = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    wanted = {"strides": [1, 1], "dilations": [1, 1], "group": 1, "auto_pad": b"NOTSET"}
    same = all(given.get(name, value) == value for name, value in wanted.items())
    return same and list(weight.dims[2:]) == [_KERNEL, _KERNEL] and given.get("pads") == [1, 1, 1, 1]


def _write(site: _Site, to: _Nodes) -> None:
    """The nodes of one convolution, from its input to its output."""
    rows, columns = _axis(site.height, site.tile), _axis(site.width, site.tile)
    picture = to.add("Transpose", [site.node.input[0]], perm=[2, 3, 0, 1])
    kernels = _kernels_at_points(site, rows, columns, to)
    made = _products(site, rows, columns, (picture, kernels), to)
    if len(site.node.input) > 2:
        made = to.add("Add", [made, site.node.input[2]])
    to.nodes.append(helper.make_node("Transpose", [made], [site.node.output[0]], perm=[2, 3, 0, 1]))


def _kernels_at_points(site: _Site, rows: _Axis, columns: _Axis, to: _Nodes) -> str:
    """(points of rows, points of columns, inputs * outputs); made of constants alone, so when the graph is opened."""
    pairs = site.inputs * site.outputs
    given = to.shaped(to.add("Transpose", [site.node.input[1]], perm=[2, 3, 1, 0]), _KERNEL, _KERNEL * pairs)
    down = to.add("MatMul", [to.matrix(f"kernels_{rows.points}", rows.kernels), given])
    parts = to.shaped(down, rows.points, _KERNEL, pairs)
    return to.add("MatMul", [to.matrix(f"kernels_{columns.points}", columns.kernels), parts])


def _products(site: _Site, rows: _Axis, columns: _Axis, given: tuple[str, str], to: _Nodes) -> str:
    """Columns to their points, then rows; there the products; and back: (height, width, batch, outputs)."""
    picture, kernels = given
    flat = to.shaped(picture, site.height, site.width, -1)
    across = to.add("MatMul", [to.matrix(f"there_{site.tile}_{site.width}", columns.there), flat])
    both = to.add(
        "MatMul", [to.matrix(f"there_{site.tile}_{site.height}", rows.there), to.shaped(across, site.height, -1)]
    )
    points = rows.points * columns.points
    apart = to.add("Transpose", [to.shaped(both, rows.points, rows.tiles, columns.points, -1)], perm=[0, 2, 1, 3])
    each = [to.shaped(apart, points, -1, site.inputs), to.shaped(kernels, points, site.inputs, site.outputs)]
    made = to.shaped(to.add("MatMul", each), rows.points, columns.points, rows.tiles, -1)
    beside = to.shaped(to.add("Transpose", [made], perm=[0, 2, 1, 3]), rows.points * rows.tiles, -1)
    up = to.add("MatMul", [to.matrix(f"back_{site.tile}_{site.height}", rows.back), beside])
    lined = to.shaped(up, site.height, columns.points * columns.tiles, -1)
    result = to.add("MatMul", [to.matrix(f"back_{site.tile}_{site.width}", columns.back), lined])
    return to.shaped(result, site.height, site.width, -1, site.outputs)
