"""Rules that bring a node of one operator into canonical form (`heterolith.sw.canonical`).

Each changes a node in place and may add constants, or Reshape layers, to the draft. Source: ONNX
docs/Changelog.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from heterolith.errors import InputError
from heterolith.sw.draft import Draft
from heterolith.sw.network import Layer, TensorType
from heterolith.sw.onnx_check import RunTimeShapeError
from heterolith.sw.onnx_types import DATA_TYPES
from heterolith.sw.spatial import resolve_transposed, resolve_window


@dataclass(slots=True)
class Node:
    """One operator application while it is rewritten; names are those of the draft."""

    name: str
    op: str
    opset: int
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def what(self) -> str:
        """Node and operator as errors name them."""
        return f"node {self.name!r} ({self.op}, opset {self.opset})"

    def input(self, at: int) -> str:
        """Return the name of an input, ``""`` if absent."""
        return self.inputs[at] if at < len(self.inputs) else ""


Rule = Callable[[Node, Draft], None]


def _constant(node: Node, draft: Draft, what: str, value: ArrayLike, dtype: str = "int64") -> str:
    return draft.add_constant(f"{node.name}:{what}", np.asarray(value, dtype))


def _attribute_to_input(attribute: str, at: int, since: int) -> Rule:
    """Make a rule for integers that are an input from operator set ``since`` on."""

    def rule(node: Node, draft: Draft) -> None:
        value = node.attributes.pop(attribute, None)
        if node.opset < since and value is not None:
            node.inputs[at:] = [_constant(node, draft, attribute, value)]

    return rule


def _broadcast(node: Node, draft: Draft) -> None:
    """Align the second operand of operator sets below 7, which is not aligned at the last axis."""
    axis = node.attributes.pop("axis", None)
    if node.opset >= 7 or not node.attributes.get("broadcast") or axis is None:
        return
    rank = len(draft.type_of(node.inputs[0]).shape)
    shape = draft.type_of(node.inputs[1]).shape
    place = axis + rank if axis < 0 else axis
    aligned = (*shape, *(1,) * (rank - place - len(shape)))
    node.inputs[1] = _reshaped(node, draft, node.inputs[1], aligned)


def _prelu(node: Node, draft: Draft) -> None:
    """Align slopes of operator sets below 7, which belong to axis 1."""
    shape = draft.type_of(node.inputs[1]).shape
    rank = len(draft.type_of(node.inputs[0]).shape)
    if node.opset < 7 and len(shape) == 1 and shape[0] > 1 and rank > 2:
        aligned = (*shape, *(1,) * (rank - 2))
        node.inputs[1] = _reshaped(node, draft, node.inputs[1], aligned)


def _reshaped(node: Node, draft: Draft, name: str, shape: Sequence[int]) -> str:
    """Return a constant, or the result of a new layer, with the elements of ``name``."""
    if name in draft.constants:
        return draft.add_constant(f"{name}:aligned", draft.constants[name].reshape(shape))
    kind = draft.type_of(name)
    result = f"{node.name}:aligned"
    draft.tensors[result] = TensorType(tuple(shape), kind.dtype)
    target = _constant(node, draft, "shape", shape)
    draft.layers.append(
        Layer(
            name=f"{node.name}:align",
            op="Reshape",
            inputs=(name, target),
            outputs=(result,),
            attributes={"allowzero": 0},
        )
    )
    return result


def _batch_normalization(node: Node, draft: Draft) -> None:
    del draft
    if node.attributes.get("spatial", 1) != 1:
        raise InputError(f"{node.what} has spatial=0, statistics per pixel; export with spatial=1")


def _cast(node: Node, draft: Draft) -> None:
    if node.op == "CastLike":
        node.op = "Cast"
        node.attributes["to"] = DATA_TYPES[draft.type_of(node.inputs.pop()).dtype]
    elif isinstance(node.attributes["to"], str):
        from onnx import TensorProto

        node.attributes["to"] = int(TensorProto.DataType.Value(node.attributes["to"].upper()))


def _clip(node: Node, draft: Draft) -> None:
    if node.opset >= 11:
        return
    dtype = draft.type_of(node.inputs[0]).dtype
    for name in ("min", "max"):
        value = node.attributes.pop(name, None)
        limited = value is not None and abs(value) < np.finfo(np.float32).max
        node.inputs.append(_constant(node, draft, name, value, dtype) if limited else "")


def _concat(node: Node, draft: Draft) -> None:
    del draft
    node.attributes.setdefault("axis", 1)


def _convolution(node: Node, draft: Draft) -> None:
    weights = 3 if node.op == "QLinearConv" else 1
    size = draft.type_of(node.inputs[0]).shape[2:]
    kernel = draft.type_of(node.inputs[weights]).shape[2:]
    given = node.attributes.get("kernel_shape") or kernel
    if tuple(given) != kernel:
        raise InputError(
            f"{node.what}: kernel_shape {list(given)} is not that of W, {list(kernel)}"
        )
    channels = draft.type_of(node.inputs[weights]).shape[0]
    if node.op == "ConvTranspose":
        channels = draft.type_of(node.inputs[1]).shape[1] * node.attributes.get("group", 1)
    bias = node.input({"QLinearConv": 8, "DeformConv": 3}.get(node.op, 2))
    if bias and node.op != "ConvInteger" and draft.type_of(bias).shape != (channels,):
        raise InputError(
            f"{node.what}: a bias of shape {list(draft.type_of(bias).shape)} for {channels} "
            f"kernels; [{channels}] is needed"
        )
    resolve = resolve_transposed if node.op == "ConvTranspose" else resolve_window
    resolve(node.attributes, size, kernel)


def _pool(node: Node, draft: Draft) -> None:
    size = draft.type_of(node.inputs[0]).shape[2:]
    resolve_window(node.attributes, size, node.attributes["kernel_shape"])
    _norm(node, draft)


def _norm(node: Node, draft: Draft) -> None:
    del draft
    if "p" in node.attributes:
        node.attributes["p"] = int(node.attributes["p"])


def _pad(node: Node, draft: Draft) -> None:
    pads = node.attributes.pop("pads", None) or node.attributes.pop("paddings", None)
    value = node.attributes.pop("value", 0.0)
    if node.opset < 11:
        dtype = draft.type_of(node.inputs[0]).dtype
        amounts = _constant(node, draft, "pads", pads or ())
        node.inputs[1:] = [amounts, _constant(node, draft, "constant_value", value, dtype)]


def _reshape(node: Node, draft: Draft) -> None:
    shape = node.attributes.pop("shape", None)
    if node.opset < 5:
        node.inputs[1:] = [_constant(node, draft, "shape", shape or ())]


def _resize(node: Node, draft: Draft) -> None:
    if node.op == "Resize" and node.opset >= 11:
        return
    rank = len(draft.type_of(node.inputs[0]).shape)
    attributes = node.attributes
    if node.opset >= 9:
        scales_name = node.inputs[1]
        scales = draft.constants.get(scales_name)
        if scales is None:
            raise RunTimeShapeError(node.what, [scales_name])
    else:
        sides = [attributes.pop("height_scale", 1.0), attributes.pop("width_scale", 1.0)]
        scales = np.array(attributes.pop("scales", (*(1.0,) * (rank - 2), *sides)), np.float32)
        scales_name = draft.add_constant(f"{node.name}:scales", scales)
    shrinks = bool(np.any(scales < 1))
    if attributes["mode"] == "nearest" and shrinks and bool(np.any(scales > 1)):
        raise InputError(
            f"{node.what} shrinks and stretches at once; export with opset 11 or later"
        )
    node.op = "Resize"
    node.inputs = [node.inputs[0], "", scales_name]
    attributes["mode"] = {"bilinear": "linear"}.get(attributes["mode"], attributes["mode"])
    attributes["coordinate_transformation_mode"] = "asymmetric"
    attributes["nearest_mode"] = "ceil" if shrinks else "floor"


def _slice(node: Node, draft: Draft) -> None:
    if node.opset < 10:
        given = (node.attributes.pop(name, None) for name in ("starts", "ends", "axes"))
        node.inputs[1:] = [
            "" if value is None else _constant(node, draft, name, value)
            for name, value in zip(("starts", "ends", "axes"), given, strict=True)
        ]


def _softmax(node: Node, draft: Draft) -> None:
    if node.opset >= 13:
        return
    shape = draft.type_of(node.inputs[0]).shape
    axis = node.attributes["axis"] % max(len(shape), 1)
    long = [at for at in range(axis, len(shape)) if shape[at] > 1]
    if len(long) <= 1:
        node.attributes["axis"] = long[0] if long else axis
    else:
        node.attributes.update(axis=axis, flatten=1)


def _split(node: Node, draft: Draft) -> None:
    """Name the sizes as a constant input, whatever they come from."""
    axis = node.attributes.setdefault("axis", 0)
    sizes = node.attributes.pop("split", None)
    count = node.attributes.pop("num_outputs", None) or len(node.outputs)
    if node.input(1):
        return
    if sizes is None:
        length = draft.type_of(node.inputs[0]).shape[axis]
        step = -(-length // count)
        sizes = [min(step, length - at * step) for at in range(count)]
    node.inputs[1:] = [_constant(node, draft, "split", sizes)]


def _sum(node: Node, draft: Draft) -> None:
    del draft
    if len(node.inputs) == 2:
        node.op = "Add"


def _tile(node: Node, draft: Draft) -> None:
    if node.opset >= 6:
        return
    tiles, axis = (draft.constants.get(name) for name in node.inputs[1:3])
    if tiles is None or axis is None:
        raise RunTimeShapeError(node.what, node.inputs[1:3])
    repeats = np.ones(len(draft.type_of(node.inputs[0]).shape), np.int64)
    repeats[int(axis.item())] = int(tiles.item())
    node.inputs[1:] = [draft.add_constant(f"{node.name}:repeats", repeats)]


def _dft(node: Node, draft: Draft) -> None:
    axis = node.attributes.pop("axis", None)
    if node.opset < 20:
        node.inputs += [""] * (2 - len(node.inputs))
        node.inputs[2:] = [_constant(node, draft, "axis", axis)]


def _rnn(node: Node, draft: Draft) -> None:
    """The default names activations for two directions."""
    del draft
    names = node.attributes["activations"]
    if node.attributes["direction"] != "bidirectional" and names == ("Tanh", "Tanh"):
        node.attributes["activations"] = names[:1]


def _roi_align(node: Node, draft: Draft) -> None:
    """Operator sets below 16 do not shift by half a pixel."""
    del draft
    if node.opset < 16:
        node.attributes["coordinate_transformation_mode"] = "output_half_pixel"


def _scatter(node: Node, draft: Draft) -> None:
    del draft
    node.op = "ScatterElements"


def _top_k(node: Node, draft: Draft) -> None:
    k = node.attributes.pop("k", None)
    if node.opset < 10:
        node.inputs[1:] = [_constant(node, draft, "k", [k])]


_REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")
RULES: dict[str, Rule] = {
    **dict.fromkeys(
        ("Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor", "Equal", "Greater", "Less"),
        _broadcast,
    ),
    **dict.fromkeys(("Conv", "ConvInteger", "ConvTranspose", "QLinearConv"), _convolution),
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), _pool),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), _softmax),
    **dict.fromkeys(("Resize", "Upsample"), _resize),
    **dict.fromkeys(("Cast", "CastLike"), _cast),
    **{f"Reduce{name}": _attribute_to_input("axes", 1, 18) for name in _REDUCTIONS},
    "BatchNormalization": _batch_normalization,
    "Clip": _clip,
    "Concat": _concat,
    "DFT": _dft,
    "DeformConv": _convolution,
    "GlobalLpPool": _norm,
    "PRelu": _prelu,
    "Pad": _pad,
    "RNN": _rnn,
    "ReduceSum": _attribute_to_input("axes", 1, 13),
    "Reshape": _reshape,
    "RoiAlign": _roi_align,
    "Scatter": _scatter,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _attribute_to_input("axes", 1, 13),
    "Sum": _sum,
    "Tile": _tile,
    "TopK": _top_k,
    "Unsqueeze": _attribute_to_input("axes", 1, 13),
}
