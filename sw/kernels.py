"""How one layer is computed on int8 codes: by the golden model, or as a job on a device.

Both take the same parameters, so that a device that is bit-exact gives the golden model's codes.
Views and concatenation move codes without arithmetic; they need no device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from heterolith.hw import golden
from heterolith.hw.compiler.single import ElementwiseParameters, Parameters, layer_job
from heterolith.hw.config import ArrayConfig
from heterolith.hw.device.protocol import Device
from heterolith.hw.fixed import Output, Residual
from heterolith.hw.shapes import ConvShape, FullyConnectedShape, PoolShape, Shape
from heterolith.sw.int8 import clamp, linear_parameters, rescaling
from heterolith.sw.network import Array, Layer
from heterolith.sw.offload import VIEWS, shape_of
from heterolith.sw.quantize import QuantizedNetwork

Kernel = Callable[[Mapping[str, Array]], Array]
"""From int8 inputs by name to the int8 result, of any shape with the right elements in order."""


def _average(
    quantized: QuantizedNetwork, layer: Layer, shape: PoolShape
) -> golden.AverageParameters:
    entry = quantized.scale_of(layer.inputs[0])
    target = quantized.scale_of(layer.outputs[0])
    output = clamp(quantized, layer)
    return golden.average_parameters(shape, entry.scale / target.scale, entry.zero_point, output)


def _scalings(quantized: QuantizedNetwork, layer: Layer) -> tuple[tuple[Residual, ...], Output]:
    names = layer.inputs[:2] if layer.op == "Add" else layer.inputs[:1]
    return tuple(rescaling(quantized, name, layer) for name in names), clamp(quantized, layer)


def _moved(layer: Layer) -> Kernel | None:
    """Return the kernel of a layer that only moves codes."""
    if layer.op in VIEWS:
        return lambda inputs: inputs[layer.inputs[0]]
    if layer.op == "Concat":
        return lambda inputs: golden.concat(tuple(inputs[name] for name in layer.inputs))
    return None


def _operands(layer: Layer, shape: Shape) -> Callable[[Mapping[str, Array]], list[Array]]:
    """Return what picks a layer's arrays in the shapes of its operation, the residual last."""
    source: tuple[int, ...]
    target: tuple[int, ...] = ()
    if isinstance(shape, FullyConnectedShape):
        source, target = (shape.rows, shape.in_features), (shape.rows, shape.out_features)
    elif isinstance(shape, ConvShape):
        source, target = shape.input_shape, shape.output_shape
    elif isinstance(shape, PoolShape):
        source = shape.input_shape
    else:
        names = layer.inputs[:2] if layer.op == "Add" else layer.inputs[:1]
        return lambda inputs: [inputs[name] for name in names]

    def pick(inputs: Mapping[str, Array]) -> list[Array]:
        arrays = [inputs[layer.inputs[0]].reshape(source)]
        if layer.residual:
            arrays.append(inputs[layer.residual].reshape(target))
        return arrays

    return pick


Operation = tuple[Shape, Parameters]
"""What a layer computes: its shape with the parameters of the golden model."""


def operation(
    quantized: QuantizedNetwork, layer: Layer, linear: golden.LinearParameters | None = None
) -> Operation:
    """Return shape and int8 parameters of a layer that the accelerator computes.

    Parameters
    ----------
    linear
        Parameters of a convolution or product, where they are known.

    Raises
    ------
    InputError
        If the accelerator cannot compute it, or a weight is not finite.
    """
    shape = shape_of(quantized.network, layer)
    if isinstance(shape, (ConvShape, FullyConnectedShape)):
        return shape, linear or linear_parameters(quantized, layer)
    if isinstance(shape, PoolShape):
        return shape, None if shape.kind == "max" else _average(quantized, layer, shape)
    scalings, output = _scalings(quantized, layer)
    second = scalings[1] if len(scalings) > 1 else None
    return shape, ElementwiseParameters(first=scalings[0], second=second, output=output)


def golden_kernel(
    quantized: QuantizedNetwork, layer: Layer, given: Operation | None = None
) -> Kernel:
    """Return the golden model of a layer that the accelerator computes.

    Parameters
    ----------
    given
        What `operation` returned for the layer, where that is known.
    """
    moved = _moved(layer)
    if moved is not None:
        shape_of(quantized.network, layer)
        return moved
    shape, parameters = given or operation(quantized, layer)
    pick = _operands(layer, shape)
    if isinstance(parameters, golden.LinearParameters):
        linear, convolution = parameters, shape if isinstance(shape, ConvShape) else None
        return lambda inputs: _linear(pick(inputs), linear, convolution)
    if isinstance(shape, PoolShape):
        pool, average = shape, parameters
        if isinstance(average, golden.AverageParameters):
            factors = average
            return lambda inputs: golden.average_pool(pick(inputs)[0], factors, pool)
        return lambda inputs: golden.max_pool(pick(inputs)[0], pool)
    assert isinstance(parameters, ElementwiseParameters)
    first, second, output = parameters.first, parameters.second, parameters.output
    if second is None:
        return lambda inputs: golden.rescale(pick(inputs)[0], first, output)
    pair = (first, second)

    def add(inputs: Mapping[str, Array]) -> Array:
        one, other = pick(inputs)
        return golden.add((one, other), pair, output)

    return add


def _linear(
    arrays: list[Array], parameters: golden.LinearParameters, shape: ConvShape | None
) -> Array:
    residual = arrays[1] if len(arrays) > 1 else None
    if shape is None:
        return golden.fully_connected(arrays[0], parameters, residual)
    return golden.conv2d(arrays[0], parameters, shape, residual)


def device_kernel(
    quantized: QuantizedNetwork, layer: Layer, config: ArrayConfig, device: Device
) -> Kernel:
    """Return a layer as a compiled job on a device, e.g. `heterolith.hw.FunctionalDevice`."""
    moved = _moved(layer)
    if moved is not None:
        shape_of(quantized.network, layer)
        return moved
    shape, parameters = operation(quantized, layer)
    job = layer_job(config, shape, parameters)
    pick = _operands(layer, shape)
    return lambda inputs: job.run(device, *pick(inputs))
