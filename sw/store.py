"""A quantized network as JSON data and arrays, and back: what a board needs to run it.

Weights of the accelerator's layers are kept as int8 parameters (`Compiled.linear`); their float32
constants are replaced by zeros of the same shape that take no memory, so that shapes stay known.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from heterolith.errors import InputError
from heterolith.hw.fixed import Scaling
from heterolith.hw.golden import LinearParameters
from heterolith.hw.shapes import ConvShape, FullyConnectedShape
from heterolith.sw.int8 import clamp, linear_parameters, rescaling
from heterolith.sw.network import Activation, Array, Layer, Network, TensorType
from heterolith.sw.offload import VIEWS, shape_of
from heterolith.sw.quantize import QuantizedNetwork, TensorScale

Stored = tuple[dict[str, Any], dict[str, Array]]
"""JSON data, and arrays by the names under which the data refers to them."""


def stripped(network: Network, layers: Collection[str]) -> Network:
    """Return a network without the values that only products on the accelerator read.

    Parameters
    ----------
    layers
        Names of the layers whose weights and biases are kept as int8 parameters.
    """
    kept = {
        name
        for layer in network.layers
        for name in (*layer.inputs, layer.residual)
        if layer.name not in layers
    }
    constants = {
        name: value if name in kept else np.broadcast_to(value.dtype.type(0), value.shape)
        for name, value in network.constants.items()
    }
    return Network(
        name=network.name,
        inputs=network.inputs,
        outputs=network.outputs,
        layers=network.layers,
        tensors=network.tensors,
        constants=constants,
        opset=network.opset,
    )


def store_network(quantized: QuantizedNetwork) -> Stored:
    """Return a quantized network as data; a constant that repeats one value is stored once."""
    network = quantized.network
    arrays: dict[str, Array] = {}
    constants: dict[str, Any] = {}
    for index, (name, value) in enumerate(network.constants.items()):
        once = tuple(slice(0, 1) if step == 0 else slice(None) for step in value.strides)
        arrays[f"constant{index}"] = np.ascontiguousarray(value[once]).reshape(value[once].shape)
        constants[name] = {"array": f"constant{index}", "shape": value.shape}
    data = {
        "name": network.name,
        "inputs": network.inputs,
        "outputs": network.outputs,
        "opset": network.opset,
        "layers": [_layer_data(layer) for layer in network.layers],
        "tensors": {name: [kind.shape, kind.dtype] for name, kind in network.tensors.items()},
        "constants": constants,
        "scales": {name: [s.scale, s.zero_point] for name, s in quantized.scales.items()},
        "calibration": quantized.calibration,
    }
    return data, arrays


def restore_network(data: Mapping[str, Any], arrays: Mapping[str, Array]) -> QuantizedNetwork:
    """Return the network of `store_network`.

    Raises
    ------
    InputError
        If the data is no network.
    """
    try:
        network = Network(
            name=data["name"],
            inputs=tuple(data["inputs"]),
            outputs=tuple(data["outputs"]),
            layers=tuple(_layer(row) for row in data["layers"]),
            tensors={
                name: TensorType(tuple(shape), dtype)
                for name, (shape, dtype) in data["tensors"].items()
            },
            constants={
                name: np.broadcast_to(arrays[entry["array"]], tuple(entry["shape"]))
                for name, entry in data["constants"].items()
            },
            opset=data["opset"],
        )
        return QuantizedNetwork(
            network=network,
            scales={
                name: TensorScale(scale=scale, zero_point=zero)
                for name, (scale, zero) in data["scales"].items()
            },
            calibration=data["calibration"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the network is damaged ({error!r}); compile the plan again") from error


def store_linear(quantized: QuantizedNetwork, layer: Layer) -> dict[str, Array] | None:
    """Return int8 parameters of a convolution or product as arrays, ``None`` for other layers."""
    if layer.op in VIEWS:
        return None
    if not isinstance(shape_of(quantized.network, layer), (ConvShape, FullyConnectedShape)):
        return None
    p = linear_parameters(quantized, layer)
    return {
        "weights": np.ascontiguousarray(p.weights),
        "bias": p.bias,
        "multiplier": p.scaling.multiplier,
        "shift": p.scaling.shift,
    }


def restore_linear(
    quantized: QuantizedNetwork, layer: Layer, arrays: Mapping[str, Array]
) -> LinearParameters:
    """Return the parameters of `store_linear`; what depends on scales alone is made again."""
    return LinearParameters(
        weights=arrays["weights"],
        bias=arrays["bias"],
        scaling=Scaling(multiplier=arrays["multiplier"], shift=arrays["shift"]),
        output=clamp(quantized, layer),
        pad_value=quantized.scale_of(layer.inputs[0]).zero_point,
        residual=rescaling(quantized, layer.residual, layer) if layer.residual else None,
    )


def _layer_data(layer: Layer) -> dict[str, Any]:
    bounds = layer.activation and [_finite(layer.activation.low), _finite(layer.activation.high)]
    return {
        "name": layer.name,
        "op": layer.op,
        "inputs": layer.inputs,
        "outputs": layer.outputs,
        "attributes": dict(layer.attributes),
        "residual": layer.residual,
        "activation": bounds,
        "nodes": layer.nodes,
        "macs": layer.macs,
    }


def _layer(row: Mapping[str, Any]) -> Layer:
    bounds = row["activation"]
    activation = None
    if bounds is not None:
        low = -math.inf if bounds[0] is None else bounds[0]
        activation = Activation(low, math.inf if bounds[1] is None else bounds[1])
    return Layer(
        name=row["name"],
        op=row["op"],
        inputs=tuple(row["inputs"]),
        outputs=tuple(row["outputs"]),
        attributes={key: _tuples(value) for key, value in row["attributes"].items()},
        residual=row["residual"],
        activation=activation,
        nodes=tuple(row["nodes"]),
        macs=row["macs"],
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _tuples(value: Any) -> Any:  # noqa: ANN401
    """Return JSON data with tuples for lists."""
    return tuple(_tuples(entry) for entry in value) if isinstance(value, list) else value
