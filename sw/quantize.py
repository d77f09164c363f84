"""Post-training quantization: a float32 network's activations as int8 codes.

Each float32 activation gets one scale and zero point (asymmetric; the range always contains 0, so
that padding and Relu are exact). Tensors that a layer only copies or picks from (`MaxPool`, views,
`Transpose`, and `Concat` over channels) share one scale with the layer's result, so that the layer
is a copy of codes. Weights are symmetric per output channel (`heterolith.sw.int8`). Source: Jacob
et al., CVPR 2018, sections 2 and 3, with ranges from calibration runs instead of training.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from heterolith.errors import InputError, unknown_name
from heterolith.hw.fixed import CODE_HIGH, CODE_LOW, dequantize_tensor, quantize_tensor
from heterolith.sw.execute import execute
from heterolith.sw.network import Array, Layer, Network
from heterolith.sw.offload import VIEWS, support

Range = tuple[float, float]

SYNTHETIC_SAMPLES = 2
"""Random inputs that stand in for calibration data when none are given."""

_SCALE_LOW, _SCALE_HIGH = 2.0**-100, 2.0**100
_PICKS = VIEWS | {"MaxPool", "GlobalMaxPool", "Transpose"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorScale:
    """Codes of one tensor: ``value = (code - zero_point) * scale``, ``scale`` a float32 number."""

    scale: float
    zero_point: int

    def code(self, value: float) -> int:
        """Return the code of a value, saturated; infinities are legal."""
        if math.isinf(value):
            return CODE_HIGH if value > 0 else CODE_LOW
        return int(quantize_tensor(np.array(value, np.float64), self.scale, self.zero_point))


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizedNetwork:
    """A network with a scale for every float32 activation.

    Attributes
    ----------
    scales
        Tensor name -> scale, for every float32 activation.
    calibration
        Where the ranges come from: ``"synthetic"`` or ``"N samples"``.
    """

    network: Network
    scales: Mapping[str, TensorScale]
    calibration: str

    def scale_of(self, tensor: str) -> TensorScale:
        """Return the scale of a tensor; raises `InputError` if it has none."""
        if tensor not in self.scales:
            raise unknown_name("quantized tensor", tensor, self.scales)
        return self.scales[tensor]

    def of(self, part: Network) -> QuantizedNetwork:
        """Return the scales of a network whose tensors are some of this one's."""
        scales = {name: self.scales[name] for name in part.tensors if name in self.scales}
        return QuantizedNetwork(network=part, scales=scales, calibration=self.calibration)

    def encode(self, tensor: str, values: Array) -> Array:
        """Return int8 codes of the float32 values of a tensor."""
        entry = self.scale_of(tensor)
        return quantize_tensor(values, entry.scale, entry.zero_point)

    def decode(self, tensor: str, codes: Array) -> Array:
        """Return float32 values of the int8 codes of a tensor."""
        entry = self.scale_of(tensor)
        return dequantize_tensor(codes, entry.scale, entry.zero_point)


def synthetic_samples(network: Network, seed: int = 0) -> tuple[dict[str, Array], ...]:
    """Return `SYNTHETIC_SAMPLES` standard-normal inputs; inputs that are no floats are zero."""
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(SYNTHETIC_SAMPLES):
        sample = {}
        for name in network.inputs:
            kind = network.tensors[name]
            values = rng.standard_normal(kind.shape)
            is_float = kind.dtype.startswith("float")
            sample[name] = (values if is_float else np.zeros(kind.shape)).astype(kind.dtype)
        samples.append(sample)
    return tuple(samples)


def calibrate(
    network: Network, samples: Iterable[Mapping[str, Array]], percentile: float = 100.0
) -> tuple[dict[str, Range], int]:
    """Run the float32 network on samples and record the range of every float32 activation.

    Parameters
    ----------
    samples
        Network inputs by name, one mapping per inference.
    percentile
        In (50, 100]: values outside the central part of a sample are left out of its range, and
        saturate later; 100 is minimum and maximum.

    Returns
    -------
    ranges, count
        Tensor name -> (low, high) over all samples, and the number of samples.

    Raises
    ------
    InputError
        If there is no sample, or a tensor is not finite.
    """
    if not 50.0 < percentile <= 100.0:
        raise InputError(f"percentile is {percentile}; it must be above 50 and at most 100")
    names = [name for name, kind in network.tensors.items() if kind.dtype == "float32"]
    ranges: dict[str, Range] = {}
    count = 0
    for sample in samples:
        count += 1
        values = execute(network, sample, keep=True)
        for name in names:
            low, high = _range(values[name], percentile)
            if not math.isfinite(low + high):
                raise InputError(
                    f"tensor {name!r} of {network.name} reaches {low}..{high} on sample {count}; "
                    "give calibration inputs on which the network is finite"
                )
            before = ranges.get(name, (low, high))
            ranges[name] = (min(low, before[0]), max(high, before[1]))
    if not count:
        raise InputError("there is no calibration sample; give at least one")
    return ranges, count


def _range(values: Array, percentile: float) -> Range:
    if not values.size:
        return 0.0, 0.0
    if percentile == 100.0:
        return float(values.min()), float(values.max())
    low, high = np.percentile(values, [100.0 - percentile, percentile])
    return float(low), float(high)


def scale_for(low: float, high: float) -> TensorScale:
    """Return the scale whose codes -128..127 cover [low, high] and 0.

    An empty range gets scale 1; scales stay in 2**-100..2**100.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    steps = CODE_HIGH - CODE_LOW
    width = high / steps - low / steps
    if width == 0.0:
        return TensorScale(scale=1.0, zero_point=0)
    scale = float(np.float32(min(max(width, _SCALE_LOW), _SCALE_HIGH)))
    zero_point = min(max(round(CODE_LOW - low / scale), CODE_LOW), CODE_HIGH)
    return TensorScale(scale=scale, zero_point=zero_point)


def shares_scale(network: Network, layer: Layer) -> bool:
    """Return whether a layer copies codes: its result and its activations have one scale."""
    if layer.op == "Concat":
        return not support(network, layer)
    return layer.op in _PICKS and layer.activation is None and not layer.residual


def scale_groups(network: Network) -> dict[str, str]:
    """Return tensor -> representative of the tensors that share its scale, float32 ones only."""
    names = {name for name, kind in network.tensors.items() if kind.dtype == "float32"}
    parent = {name: name for name in names}

    def find(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for layer in network.layers:
        if shares_scale(network, layer) and layer.outputs[0] in names:
            for name in network.activations(layer):
                if name in names:
                    parent[find(name)] = find(layer.outputs[0])
    return {name: find(name) for name in names}


def quantize(
    network: Network,
    samples: Iterable[Mapping[str, Array]] | None = None,
    seed: int = 0,
    percentile: float = 100.0,
) -> QuantizedNetwork:
    """Give every float32 activation of a network its int8 scale.

    Parameters
    ----------
    samples
        Representative inputs; without them synthetic ones are used, and `calibration` says so.
    seed
        Of the synthetic samples.
    percentile
        See `calibrate`.

    Raises
    ------
    InputError
        If a sample does not fit the network or a tensor is not finite.
    """
    given = samples is not None
    used = samples if samples is not None else synthetic_samples(network, seed)
    ranges, count = calibrate(network, used, percentile)
    groups = scale_groups(network)
    joined: dict[str, Range] = {}
    for name, (low, high) in ranges.items():
        before = joined.get(groups[name], (low, high))
        joined[groups[name]] = (min(low, before[0]), max(high, before[1]))
    shared = {name: scale_for(*bounds) for name, bounds in joined.items()}
    return QuantizedNetwork(
        network=network,
        scales={name: shared[groups[name]] for name in ranges},
        calibration=f"{count} samples" if given else "synthetic",
    )
