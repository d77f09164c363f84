"""Which layers the accelerator computes, and as what shape: static, no weight is touched.

Every layer is either one of the shapes of `heterolith.hw.shapes` or a reason in words. A 1-D
operation is a 2-D one of height 1; a view (`VIEWS`) moves nothing and has no shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from heterolith.errors import InputError
from heterolith.hw.compiler.cost import Cycles, shape_cycles
from heterolith.hw.config import ArrayConfig
from heterolith.hw.shapes import (
    ConvShape,
    ElementwiseShape,
    FullyConnectedShape,
    Pair,
    PoolShape,
    Shape,
    limit_reason,
)
from heterolith.sw.network import Layer, Network

VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"})
"""Operators that rename memory: codes stay where they are."""


class _RefusalError(Exception):
    """Carries the reason up to `support`."""


def _pair(values: tuple[int, ...]) -> Pair:
    """Return (rows, columns) of one or two spatial figures."""
    return (1, int(values[0])) if len(values) == 1 else (int(values[0]), int(values[1]))


def _pads(values: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return (top, left, bottom, right) of ONNX pads: begins, then ends."""
    if len(values) == 2:
        return (0, int(values[0]), 0, int(values[1]))
    top, left, bottom, right = (int(value) for value in values)
    return (top, left, bottom, right)


def map_size(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return (N, C, H, W) of a tensor of rank 3 or 4; a 1-D map has height 1."""
    if len(shape) == 3:
        return (shape[0], shape[1], 1, shape[2])
    if len(shape) == 4:
        return (shape[0], shape[1], shape[2], shape[3])
    raise _RefusalError(f"input has rank {len(shape)}, the accelerator takes maps of rank 3 or 4")


def _activation(network: Network, layer: Layer, index: int = 0) -> str:
    """Return the name of an input that must be a float32 activation."""
    name = layer.inputs[index] if index < len(layer.inputs) else ""
    if name not in network.tensors:
        raise _RefusalError(f"input {index} is a constant, the accelerator reads an activation")
    return name


def _weights(network: Network, layer: Layer, ranks: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of the weights, which must be constant."""
    name = layer.inputs[1]
    if name not in network.constants:
        raise _RefusalError("weights are computed at run time, the accelerator needs constants")
    shape = network.constants[name].shape
    if len(shape) not in ranks:
        wanted = " or ".join(map(str, ranks))
        raise _RefusalError(f"weights have rank {len(shape)}, the accelerator takes rank {wanted}")
    return shape


def _bias(network: Network, layer: Layer, index: int, channels: int) -> None:
    name = layer.inputs[index] if index < len(layer.inputs) else ""
    if not name:
        return
    if name not in network.constants:
        raise _RefusalError("bias is computed at run time, the accelerator needs a constant")
    shape = network.constants[name].shape
    if math.prod(shape) not in (1, channels) or math.prod(shape[:-1]) != 1:
        raise _RefusalError(f"bias has shape {shape}, the accelerator adds one value per channel")


def _conv(network: Network, layer: Layer) -> Shape:
    batch, in_channels, height, width = map_size(network.tensors[_activation(network, layer)].shape)
    weights = _weights(network, layer, (3, 4))
    _bias(network, layer, 2, weights[0])
    attributes = layer.attributes
    return ConvShape(
        batch=batch,
        in_channels=in_channels,
        out_channels=weights[0],
        height=height,
        width=width,
        kernel=_pair(weights[2:]),
        stride=_pair(attributes["strides"]),
        pads=_pads(attributes["pads"]),
        dilation=_pair(attributes["dilations"]),
        groups=int(attributes["group"]),
    )


def _gemm(network: Network, layer: Layer) -> Shape:
    rows, features = network.tensors[_activation(network, layer)].shape
    weights = _weights(network, layer, (2,))
    if layer.attributes.get("transA", 0):
        raise _RefusalError("transA is set, the accelerator reads the input as it lies")
    outputs = weights[0] if layer.attributes.get("transB", 0) else weights[1]
    _bias(network, layer, 2, outputs)
    return FullyConnectedShape(rows=rows, in_features=features, out_features=outputs)


def _matmul(network: Network, layer: Layer) -> Shape:
    shape = network.tensors[_activation(network, layer)].shape
    if len(shape) < 2:
        raise _RefusalError("input has rank 1, the accelerator takes rows of features")
    outputs = _weights(network, layer, (2,))[1]
    rows = math.prod(shape[:-1])
    return FullyConnectedShape(rows=rows, in_features=shape[-1], out_features=outputs)


def _pool(network: Network, layer: Layer) -> Shape:
    source = network.tensors[_activation(network, layer)].shape
    batch, channels, height, width = map_size(source)
    attributes, size = layer.attributes, (height, width)
    if any(step != 1 for step in attributes.get("dilations", ())):
        raise _RefusalError("the window is dilated, the accelerator pools dense windows")
    kernel, stride = _pair(attributes["kernel_shape"]), _pair(attributes["strides"])
    top, left, *ends = _pads(attributes["pads"])
    out = map_size(network.tensors[layer.outputs[0]].shape)[2:]
    # ceil_mode: the last window reaches past the padding, which is then that much wider
    reach = [(out[i] - 1) * stride[i] + kernel[i] - size[i] - (top, left)[i] for i in (0, 1)]
    wider = [max(end, need) for end, need in zip(ends, reach, strict=True)]
    average = layer.op == "AveragePool"
    count_pads = bool(average and attributes.get("count_include_pad", 0))
    if count_pads and wider != ends:
        raise _RefusalError("ceil_mode with count_include_pad averages windows of mixed sizes")
    return PoolShape(
        kind="average" if average else "max",
        batch=batch,
        channels=channels,
        height=height,
        width=width,
        kernel=kernel,
        stride=stride,
        pads=(top, left, wider[0], wider[1]),
        count_pads=count_pads,
    )


def _global_pool(network: Network, layer: Layer) -> Shape:
    shape = network.tensors[_activation(network, layer)].shape
    batch, channels, height, width = map_size(shape)
    return PoolShape(
        kind="average" if layer.op == "GlobalAveragePool" else "max",
        batch=batch,
        channels=channels,
        height=height,
        width=width,
        kernel=(height, width),
    )


def _add(network: Network, layer: Layer) -> Shape:
    types = [network.tensors[_activation(network, layer, index)] for index in (0, 1)]
    if types[0].shape != types[1].shape:
        raise _RefusalError(
            f"operands have shapes {types[0].shape} and {types[1].shape}, "
            "the accelerator adds equal ones"
        )
    if layer.residual:
        raise _RefusalError("the sum has three operands, the accelerator adds two")
    return ElementwiseShape(kind="add", elements=types[0].elements)


def _clamp(network: Network, layer: Layer) -> Shape:
    elements = network.tensors[_activation(network, layer)].elements
    if any(name and name not in network.constants for name in layer.inputs[1:]):
        raise _RefusalError("bounds are computed at run time, the accelerator needs constants")
    return ElementwiseShape(kind="requantize", elements=elements)


def _concat(network: Network, layer: Layer) -> Shape:
    out = network.tensors[layer.outputs[0]]
    for index in range(len(layer.inputs)):
        _activation(network, layer, index)
    if layer.attributes["axis"] % len(out.shape) != 1:
        raise _RefusalError("axis is not that of channels, the only one the accelerator joins")
    return ElementwiseShape(kind="copy", elements=out.elements)


def _view(network: Network, layer: Layer) -> Shape:
    _activation(network, layer)
    return ElementwiseShape(kind="copy", elements=0)


_SHAPES: dict[str, Callable[[Network, Layer], Shape]] = {
    "Conv": _conv,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "GlobalMaxPool": _global_pool,
    "GlobalAveragePool": _global_pool,
    "Add": _add,
    "Relu": _clamp,
    "Clip": _clamp,
    "Concat": _concat,
    **dict.fromkeys(VIEWS, _view),
}
_RESIDUAL = ("Conv", "Gemm", "MatMul")
_CLAMPED = (*_RESIDUAL, "Add", "AveragePool", "GlobalAveragePool", "Relu", "Clip")


def _check_format(network: Network, layer: Layer) -> None:
    """Refuse what holds for every operator: other dtypes, empty tensors, foreign fusions."""
    if any(layer.outputs[1:]):
        raise _RefusalError(f"{len(layer.outputs)} outputs, the accelerator writes one")
    for name in (*network.activations(layer), layer.outputs[0]):
        kind = network.tensors[name]
        if kind.dtype != "float32":
            raise _RefusalError(f"{name!r} is {kind.dtype}, only float32 has int8 codes")
        if not kind.elements:
            raise _RefusalError(f"{name!r} is empty")
    if layer.activation and layer.op not in _CLAMPED:
        raise _RefusalError(f"an activation fused into {layer.op} has no place on the accelerator")
    if layer.residual and layer.op != "Add":
        if layer.op not in _RESIDUAL:
            raise _RefusalError(f"a residual fused into {layer.op} has no place on the accelerator")
        shapes = [network.tensors[name].shape for name in (layer.residual, layer.outputs[0])]
        if shapes[0] != shapes[1]:
            raise _RefusalError(
                f"residual has shape {shapes[0]}, the accelerator adds one of {shapes[1]}"
            )


def _classify(network: Network, layer: Layer) -> Shape:
    if layer.op not in _SHAPES:
        raise _RefusalError(f"the accelerator has no {layer.op}")
    _check_format(network, layer)
    try:
        shape = _SHAPES[layer.op](network, layer)
    except InputError as error:
        raise _RefusalError(str(error)) from error
    reason = limit_reason(shape)
    if reason:
        raise _RefusalError(reason)
    return shape


def support(network: Network, layer: Layer) -> str:
    """Return ``""`` if the accelerator computes a layer, else the reason why it cannot."""
    try:
        _classify(network, layer)
    except _RefusalError as refusal:
        return str(refusal)
    return ""


def shape_of(network: Network, layer: Layer) -> Shape:
    """Return the accelerator's shape of a layer; a view is a copy of no elements.

    Raises
    ------
    InputError
        If the accelerator cannot compute it; the message names layer, operator and reason.
    """
    try:
        return _classify(network, layer)
    except _RefusalError as refusal:
        raise InputError(f"layer {layer.name!r} ({layer.op}): {refusal}") from refusal


def layer_cycles(network: Network, layer: Layer, config: ArrayConfig, dram_gbs: float) -> Cycles:
    """Return the modelled cycles of a layer alone, 0 for a view; raises like `shape_of`.

    Operands and result lie in DRAM; in a job of several layers some never leave the chip
    (`heterolith.hw.job_cycles`).

    Parameters
    ----------
    config
        Its clock turns the bandwidth into bytes per cycle.
    dram_gbs
        DRAM bandwidth the accelerator gets, 1e9 bytes per second.
    """
    shape = shape_of(network, layer)
    if layer.op in VIEWS:
        return Cycles(compute=0, load=0, store=0, total=0)
    return shape_cycles(shape, config, dram_gbs, residual=bool(layer.residual))
