"""Bit-exact model of the accelerator in numpy: what HLS C++ and RTL must reproduce.

Activations are int8 arrays (N, C, H, W). Padding holds the input's zero point, so that a padded
element stands for 0 and the zero point of the whole input folds into the bias
(``bias - zero_point * sum(w)``). `conv2d` goes through float32 BLAS with a proof of exactness
(`heterolith.hw.gemm`); `conv2d_reference` is the formula in int64 and its oracle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heterolith.errors import InputError
from heterolith.hw.fixed import (
    ACCUMULATOR_HIGH,
    CODE_LOW,
    Array,
    Output,
    Residual,
    Scaling,
    accumulator_bound,
    requantize,
    saturate,
    scaled,
)
from heterolith.hw.gemm import exact_matrix
from heterolith.hw.shapes import ConvShape, PoolShape
from heterolith.hw.windows import TILE_BYTES, pad, tap, taps, tiles, windows


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearParameters:
    """What a convolution or a fully connected layer knows besides its shape.

    Attributes
    ----------
    weights
        int8 array (Co, Ci / groups, Kh, Kw) of a convolution, (Co, Ci) of a fully connected layer.
    bias
        int32 array (Co,) with the input's zero point folded in.
    scaling
        From sums to codes, one pair per output channel.
    pad_value
        Zero point of the input.
    residual
        How a second operand is added before the clamp, or ``None``.
    """

    weights: Array
    bias: Array
    scaling: Scaling
    output: Output
    pad_value: int = 0
    residual: Residual | None = None

    def __post_init__(self) -> None:
        channels = (len(self.weights),)
        if self.weights.dtype != np.int8 or self.bias.dtype != np.int32:
            raise InputError(
                f"weights and bias are {self.weights.dtype} and {self.bias.dtype}; "
                "they must be int8 and int32"
            )
        if self.bias.shape != channels or self.scaling.multiplier.shape != channels:
            raise InputError(
                f"bias {self.bias.shape} and scaling {self.scaling.multiplier.shape} "
                f"must have shape {channels}, one entry per output channel"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class AverageParameters:
    """Average pooling: ``scaling`` entry i is the factor of windows with ``counts[i]`` elements."""

    counts: tuple[int, ...]
    scaling: Scaling
    zero_point: int
    output: Output


def check_codes(x: Array, shape: tuple[int, ...], what: str = "input") -> None:
    """Raise `InputError` unless ``x`` is an int8 array of that shape."""
    if x.dtype != np.int8 or x.shape != shape:
        raise InputError(
            f"{what} is {x.dtype} of shape {x.shape}; the accelerator expects int8 of {shape}"
        )


def _finish(sums: Array, p: LinearParameters, channels: slice, residual: Array | None) -> Array:
    """Add the bias to sums (Co, ...) in place, rescale and saturate."""
    spread = (-1,) + (1,) * (sums.ndim - 1)
    sums += p.bias[channels].reshape(spread)
    multiplier = p.scaling.multiplier[channels].reshape(spread)
    shift = p.scaling.shift[channels].reshape(spread)
    if residual is None:
        out = p.output
        return requantize(sums, multiplier, shift, out.zero_point, out.low, out.high)
    assert p.residual is not None
    total = scaled(sums, multiplier, shift)
    total += p.residual.term(residual)
    return saturate(total, p.output.zero_point, p.output.low, p.output.high)


def _check_sums(abs_sums: Array, bias: Array) -> None:
    worst = int(accumulator_bound(abs_sums, bias).max(initial=0))
    if worst > ACCUMULATOR_HIGH:
        raise InputError(
            f"a sum of products and bias can reach {worst}, the 32-bit accumulator holds "
            f"{ACCUMULATOR_HIGH}; quantize the layer with a larger weight scale"
        )


def _check_residual(p: LinearParameters, residual: Array | None, shape: tuple[int, ...]) -> None:
    if (residual is None) != (p.residual is None):
        raise InputError("a residual operand and its scaling come together; one is missing")
    if residual is not None:
        check_codes(residual, shape, "residual")


def conv2d(
    x: Array, parameters: LinearParameters, shape: ConvShape, residual: Array | None = None
) -> Array:
    """Convolve int8 codes (N, Ci, H, W) into codes (N, Co, Ho, Wo); grouped and depthwise too.

    Raises
    ------
    InputError
        If an array does not have the shape's size or a sum of products can leave 32 bits.
    """
    check_codes(x, shape.input_shape)
    check_codes(parameters.weights, shape.weight_shape, "weights")
    _check_residual(parameters, residual, shape.output_shape)
    padded = pad(x, shape, parameters.pad_value)
    if shape.in_channels == shape.groups and shape.groups > 1:
        return _depthwise(padded, parameters, shape, residual)
    out = np.empty(shape.output_shape, dtype=np.int8)
    size_in, size_out = (n // shape.groups for n in (shape.in_channels, shape.out_channels))
    chunk = max(1, 2 * TILE_BYTES // (4 * shape.reduction))
    for group in range(shape.groups):
        inputs = slice(group * size_in, (group + 1) * size_in)
        for begin in range(group * size_out, (group + 1) * size_out, chunk):
            channels = slice(begin, min(begin + chunk, (group + 1) * size_out))
            _convolve(padded[:, inputs], parameters, shape, channels, (out, residual))
    return out


def _convolve(
    padded: Array,
    parameters: LinearParameters,
    shape: ConvShape,
    channels: slice,
    arrays: tuple[Array, Array | None],
) -> None:
    """Compute some output channels of one group into ``arrays[0]``; the other is the residual."""
    out, residual = arrays
    weights = parameters.weights[channels]
    matrix = exact_matrix(weights.reshape(len(weights), -1))
    _check_sums(matrix.abs_sums, parameters.bias[channels])
    for image, planes in enumerate(padded):
        view = windows(planes, shape)
        for rows, columns in tiles(shape.output_size, 4 * max(shape.reduction, len(weights))):
            tile = view[:, :, :, rows, columns]
            gathered = tile.astype(np.float32, order="C").reshape(shape.reduction, -1)
            sums = (matrix @ gathered).reshape(-1, *tile.shape[3:])
            other = None if residual is None else residual[image, channels, rows, columns]
            out[image, channels, rows, columns] = _finish(sums, parameters, channels, other)


def _depthwise(
    padded: Array, parameters: LinearParameters, shape: ConvShape, residual: Array | None
) -> Array:
    """Convolve each input channel alone, tap by tap in int32."""
    weights = parameters.weights[:, 0]
    _check_sums(np.abs(weights.astype(np.int64)).sum(axis=(1, 2)), parameters.bias)
    out = np.empty(shape.output_shape, dtype=np.int8)
    copies = shape.out_channels // shape.groups
    for image in range(shape.batch):
        planes = padded[image : image + 1]
        sums = np.zeros(shape.output_shape[1:], dtype=np.int32)
        for i, j in taps(shape.kernel):
            seen = tap(planes, shape, (i, j))[0]
            seen = seen if copies == 1 else np.repeat(seen, copies, axis=0)
            sums += seen * weights[:, i, j].astype(np.int32)[:, None, None]
        other = None if residual is None else residual[image]
        out[image] = _finish(sums, parameters, slice(None), other)
    return out


def conv2d_reference(
    x: Array, parameters: LinearParameters, shape: ConvShape, residual: Array | None = None
) -> Array:
    """Compute the same as `conv2d` from `sums_reference`: the oracle."""
    spread = (1, -1, 1, 1)
    p = parameters
    total = scaled(
        sums_reference(x, p, shape),
        p.scaling.multiplier.reshape(spread),
        p.scaling.shift.reshape(spread),
    )
    if residual is not None and p.residual is not None:
        total = total + p.residual.term(residual)
    return saturate(total, p.output.zero_point, p.output.low, p.output.high)


def sums_reference(x: Array, parameters: LinearParameters, shape: ConvShape) -> Array:
    """Return the sums (N, Co, Ho, Wo) of a convolution, bias included, in int64 throughout."""
    padded = pad(x, shape, parameters.pad_value).astype(np.int64)
    weights = parameters.weights.astype(np.int64)
    size_in, size_out = (n // shape.groups for n in (shape.in_channels, shape.out_channels))
    sums = np.zeros(shape.output_shape, dtype=np.int64)
    sums += parameters.bias.reshape(1, -1, 1, 1)
    for group in range(shape.groups):
        ci = slice(group * size_in, (group + 1) * size_in)
        co = slice(group * size_out, (group + 1) * size_out)
        for i, j in taps(shape.kernel):
            seen = tap(padded[:, ci], shape, (i, j))
            sums[:, co] += np.einsum("oc,nchw->nohw", weights[co, :, i, j], seen)
    return sums


def fully_connected(x: Array, parameters: LinearParameters, residual: Array | None = None) -> Array:
    """Multiply int8 rows (M, K) by weights (Co, K) into codes (M, Co); raises like `conv2d`."""
    weights = parameters.weights
    features = weights.shape[1]
    check_codes(x, (len(x), features))
    _check_residual(parameters, residual, (len(x), len(weights)))
    out = np.empty((len(x), len(weights)), dtype=np.int8)
    columns = x.T.astype(np.float32)
    chunk = max(1, 2 * TILE_BYTES // (4 * features))
    for begin in range(0, len(weights), chunk):
        channels = slice(begin, begin + chunk)
        matrix = exact_matrix(weights[channels])
        _check_sums(matrix.abs_sums, parameters.bias[channels])
        other = None if residual is None else residual[:, channels].T
        out[:, channels] = _finish(matrix @ columns, parameters, channels, other).T
    return out


def max_pool(x: Array, shape: PoolShape) -> Array:
    """Return the largest code of each window; padding never wins."""
    check_codes(x, shape.input_shape)
    padded = pad(x, shape, CODE_LOW)
    out = np.full(shape.output_shape, CODE_LOW, dtype=np.int8)
    for position in taps(shape.kernel):
        np.maximum(out, tap(padded, shape, position), out=out)
    return out


def window_counts(shape: PoolShape) -> Array:
    """Return how many elements each window averages, int64 (Ho, Wo)."""
    if shape.count_pads:
        return np.full(shape.output_size, shape.kernel[0] * shape.kernel[1], dtype=np.int64)
    size, sides = (shape.height, shape.width), []
    for i in (0, 1):
        begin = np.arange(shape.output_size[i]) * shape.stride[i] - shape.pads[i]
        sides.append(np.minimum(begin + shape.kernel[i], size[i]) - np.maximum(begin, 0))
    return np.outer(sides[0], sides[1])


def average_parameters(
    shape: PoolShape, ratio: float, zero_point: int, output: Output
) -> AverageParameters:
    """Return the factor per window size: ``ratio / count``, ratio = input scale / output scale."""
    counts = np.unique(window_counts(shape))
    return AverageParameters(
        counts=tuple(int(count) for count in counts),
        scaling=Scaling.of(ratio / counts),
        zero_point=zero_point,
        output=output,
    )


def average_pool(x: Array, parameters: AverageParameters, shape: PoolShape) -> Array:
    """Return the mean code of each window; padding holds the zero point, that is 0.

    The sum of ``x - zero_point`` over a window is rescaled by the factor of its element count.
    """
    check_codes(x, shape.input_shape)
    p, counts = parameters, window_counts(shape)
    if not np.isin(counts, p.counts).all():
        raise InputError(
            f"windows of {np.unique(counts).tolist()} elements, factors for {p.counts}"
        )
    index = np.searchsorted(np.array(p.counts), counts)
    padded = pad(x, shape, p.zero_point)
    sums = np.zeros(shape.output_shape, dtype=np.int32)
    if shape.is_global:
        sums += x.sum(axis=(2, 3), dtype=np.int32, keepdims=True)
    else:
        for position in taps(shape.kernel):
            sums += tap(padded, shape, position)
    sums -= shape.kernel[0] * shape.kernel[1] * p.zero_point
    multiplier, shift = p.scaling.multiplier[index], p.scaling.shift[index]
    return requantize(sums, multiplier, shift, p.output.zero_point, p.output.low, p.output.high)


def add(
    operands: tuple[Array, Array], scalings: tuple[Residual, Residual], output: Output
) -> Array:
    """Add two int8 arrays of one shape, each rescaled from its own scale."""
    check_codes(operands[1], operands[0].shape, "second operand")
    total = scalings[0].term(operands[0])
    total += scalings[1].term(operands[1])
    return saturate(total, output.zero_point, output.low, output.high)


def rescale(x: Array, scaling: Residual, output: Output) -> Array:
    """Move int8 codes to another scale, zero point and clamp: a Relu or Clip that stands alone."""
    return saturate(scaling.term(x), output.zero_point, output.low, output.high)


def concat(operands: tuple[Array, ...], axis: int = 1) -> Array:
    """Join int8 arrays; a copy, since the quantizer gives all of them one scale."""
    return np.concatenate(operands, axis=axis)
