"""One layer as a job: arrays in, an array out, on any device that runs jobs.

`layer_job` takes a shape of `heterolith.hw.shapes` with the parameters of the golden model; the
result of `LayerJob.run` equals the golden model's to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from heterolith.errors import InputError
from heterolith.hw.compiler.job import Activation, Job, JobBuilder
from heterolith.hw.compiler.layout import ceil_div
from heterolith.hw.compiler.mapping import (
    Mapping,
    convolution,
    elementwise,
    fully_connected,
    image_layout_fits,
    pooling,
)
from heterolith.hw.config import ArrayConfig
from heterolith.hw.fixed import Array, Output, Residual
from heterolith.hw.golden import AverageParameters, LinearParameters
from heterolith.hw.shapes import (
    ConvShape,
    ElementwiseShape,
    FullyConnectedShape,
    PoolShape,
    Shape,
    limit_reason,
)
from heterolith.hw.timing.timeline import Dram

ELEMENTWISE_COLS = 512
"""Words per row into which an elementwise operation folds its operands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementwiseParameters:
    """Scalings of one operand or two, and the result's output stage."""

    first: Residual
    second: Residual | None
    output: Output


Parameters = LinearParameters | AverageParameters | ElementwiseParameters | None


class Device(Protocol):
    """What runs jobs: the functional device, the RTL model, a board."""

    def run_job(self, job: Job, memory: Array) -> object:
        """Run a job in ``memory``, in place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerJob:
    """A job of one layer with its inputs, the residual last, and its output."""

    shape: Shape
    job: Job
    inputs: tuple[Activation, ...]
    output: Activation

    def memory(self, *arrays: Array) -> Array:
        """Return a memory window with the input codes in place."""
        if len(arrays) != len(self.inputs):
            raise InputError(f"{len(arrays)} inputs were given, the layer takes {len(self.inputs)}")
        window = self.job.memory.copy()
        for tensor, array in zip(self.inputs, arrays, strict=True):
            tensor.write(window, self._folded(array, tensor))
        return window

    def result(self, window: Array) -> Array:
        """Return the output codes from a memory window after the run."""
        codes = self.output.read(window)
        if isinstance(self.shape, FullyConnectedShape):
            return np.ascontiguousarray(codes[0, :, 0].T)
        if isinstance(self.shape, ElementwiseShape):
            flat: Array = codes[0].transpose(1, 2, 0).reshape(-1)
            return flat[: self.shape.elements].copy()
        return codes

    def run(self, device: Device, *arrays: Array) -> Array:
        """Return the codes that a device computes.

        Parameters
        ----------
        arrays
            int8 codes: (N, C, H, W), rows (M, K) of a fully connected layer, or any array of an
            elementwise operation, whose result is flat.
        """
        window = self.memory(*arrays)
        device.run_job(self.job, window)
        return self.result(window)

    def _folded(self, array: Array, tensor: Activation) -> Array:
        """Return an input as (N, C, H, W) of its tensor."""
        if isinstance(self.shape, FullyConnectedShape):
            return np.ascontiguousarray(array.T)[None, :, None, :]
        if isinstance(self.shape, ElementwiseShape):
            _, lanes, rows, cols = tensor.shape
            flat = np.zeros(rows * cols * lanes, dtype=np.int8)
            flat[: array.size] = array.reshape(-1)
            return np.ascontiguousarray(flat.reshape(rows, cols, lanes).transpose(2, 0, 1))[None]
        return array


def _wrong(shape: Shape, parameters: Parameters) -> InputError:
    return InputError(
        f"{type(shape).__name__} does not go with parameters {type(parameters).__name__}"
    )


def _mapped(
    builder: JobBuilder, shape: Shape, parameters: Parameters
) -> tuple[Mapping, tuple[Activation, ...], Activation]:
    """Return (mapping, inputs, output) of a layer; a global pooling's input is refolded later."""
    g = builder.geometry
    if isinstance(shape, ConvShape) and isinstance(parameters, LinearParameters):
        image = image_layout_fits(shape)
        mapping = convolution(shape, parameters, g, image)
        return mapping, (builder.tensor(shape.input_shape, image),), _tensor(builder, shape)
    if isinstance(shape, FullyConnectedShape) and isinstance(parameters, LinearParameters):
        source = builder.tensor((1, shape.in_features, 1, shape.rows))
        target = builder.tensor((1, shape.out_features, 1, shape.rows))
        return fully_connected(shape.rows, parameters, g), (source,), target
    if isinstance(shape, PoolShape):
        if isinstance(parameters, AverageParameters) != (shape.kind == "average"):
            raise _wrong(shape, parameters)
        average = parameters if isinstance(parameters, AverageParameters) else None
        source = builder.tensor(shape.input_shape)
        return pooling(shape, g, average), (source,), _tensor(builder, shape)
    if isinstance(shape, ElementwiseShape) and isinstance(parameters, ElementwiseParameters):
        words = ceil_div(max(shape.elements, 1), g.lanes)
        cols = min(words, ELEMENTWISE_COLS)
        size = (1, g.lanes, ceil_div(words, cols), cols)
        p = parameters
        mapping = elementwise(size[2:], p.first, p.second, p.output, g)
        return mapping, (builder.tensor(size),), builder.tensor(size)
    raise _wrong(shape, parameters)


def _tensor(builder: JobBuilder, shape: ConvShape | PoolShape) -> Activation:
    return builder.tensor(shape.output_shape)


def layer_job(
    config: ArrayConfig, shape: Shape, parameters: Parameters, dram: Dram | None = None
) -> LayerJob:
    """Compile one layer.

    Parameters
    ----------
    parameters
        Of the golden model; ``None`` for max pooling. Elementwise kinds are ``add`` and
        ``requantize``; a copy needs no device.

    Raises
    ------
    InputError
        If the accelerator cannot take the shape or the parameters do not go with it.
    """
    reason = limit_reason(shape)
    if reason:
        raise InputError(reason)
    builder = JobBuilder(config, dram)
    mapping, inputs, output = _mapped(builder, shape, parameters)
    addend = None
    if mapping.residual is not None:
        addend = builder.tensor(output.shape)
        inputs = (*inputs, addend)
    source = inputs[0]
    if not source.first.image and (source.first.height, source.first.width) != mapping.size:
        source = source.view(*mapping.size)
    builder.layer(mapping, source, output, addend)
    return LayerJob(shape=shape, job=builder.finish(), inputs=inputs, output=output)
