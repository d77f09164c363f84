"""The accelerator as a worker: int8 codes in and out, computed by its golden model.

Every output is what the RTL must produce, to the last bit; cycles are those of the closed-form
model (`heterolith.hw.cycles`) at the configuration's clock, not of the host that computes.
`support`, `shape_of` and `layer_cycles` come from `heterolith.sw.offload` and touch no weight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter_ns

from heterolith.errors import InputError
from heterolith.hw import golden
from heterolith.hw.config import ArrayConfig
from heterolith.hw.shapes import ConvShape, FullyConnectedShape, PoolShape, Shape
from heterolith.sw.int8 import clamp, linear_parameters, rescaling
from heterolith.sw.network import Array, Layer, Network
from heterolith.sw.offload import VIEWS, layer_cycles, shape_of, support
from heterolith.sw.quantize import QuantizedNetwork

__all__ = ["FpgaWorker", "layer_cycles", "shape_of", "support"]

Kernel = Callable[[Mapping[str, Array]], Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    kernel: Kernel
    cycles: int


class FpgaWorker:
    """Computes the layers that `support` accepts; keeps `heterolith.sw.worker.Worker`.

    Parameters
    ----------
    quantized
        The network with its int8 scales.
    config
        The accelerator, for the modelled cycles; results do not depend on it.
    dram_gbs
        DRAM bandwidth in 1e9 bytes per second; by default what the AXI port can carry.
    """

    kind = "fpga"
    number_format = "int8"
    backend = "golden model of the accelerator (numpy, bit-exact int8)"

    def __init__(
        self, quantized: QuantizedNetwork, config: ArrayConfig, dram_gbs: float | None = None
    ) -> None:
        port_gbs = config.axi_data_bits / 8 * config.clock_mhz / 1e3
        self._quantized = quantized
        self._config = config
        self._dram_gbs = port_gbs if dram_gbs is None else dram_gbs
        self._network = quantized.network
        self._loaded: dict[str, _Loaded] = {}
        self._counters = {"layers": 0, "macs": 0, "modelled_cycles": 0, "busy_ns": 0}

    def load(self, network: Network, layer: Layer) -> None:
        """Quantize the weights of a layer.

        Raises
        ------
        InputError
            If the accelerator cannot compute the layer, or the network is not the quantized one.
        """
        self._check_network(network)
        shape = shape_of(network, layer)
        cycles = layer_cycles(network, layer, self._config, self._dram_gbs)
        self._loaded[layer.outputs[0]] = _Loaded(
            kernel=_kernel(self._quantized, layer, shape), cycles=cycles.total
        )

    def run(self, layer: Layer, inputs: Mapping[str, Array]) -> Sequence[Array]:
        """Compute a loaded layer on int8 codes; see `heterolith.sw.worker.Worker.run`.

        Raises
        ------
        InputError
            If the layer was not loaded or an input is not int8 of the network's shape.
        """
        name = layer.outputs[0]
        if name not in self._loaded:
            raise InputError(
                f"layer {layer.name!r} is not loaded on the accelerator; load it first"
            )
        for source in self._network.activations(layer):
            golden.check_codes(inputs[source], self._network.tensors[source].shape, source)
        loaded, begin_ns = self._loaded[name], perf_counter_ns()
        result = loaded.kernel(inputs).reshape(self._network.tensors[name].shape)
        self._counters["busy_ns"] += perf_counter_ns() - begin_ns
        self._counters["layers"] += 1
        self._counters["macs"] += layer.macs
        self._counters["modelled_cycles"] += loaded.cycles
        return (result,)

    def counters(self) -> Mapping[str, int]:
        """Return layers run, MACs, modelled accelerator cycles and host nanoseconds so far."""
        return dict(self._counters)

    def close(self) -> None:
        """Drop the quantized weights."""
        self._loaded.clear()

    def _check_network(self, network: Network) -> None:
        if network is self._network:
            return
        quantized, given = self._quantized.network.fingerprint(), network.fingerprint()
        if given != quantized:
            raise InputError(
                f"the layer belongs to network {given}, the int8 scales to {quantized}; "
                "quantize this network"
            )
        self._network = network


def _kernel(quantized: QuantizedNetwork, layer: Layer, shape: Shape) -> Kernel:
    """Return the function from int8 inputs by name to the int8 result of a layer."""
    if isinstance(shape, ConvShape):
        return _convolution(quantized, layer, shape)
    if isinstance(shape, FullyConnectedShape):
        return _fully_connected(quantized, layer, shape)
    if isinstance(shape, PoolShape):
        return _pool(quantized, layer, shape)
    first = layer.inputs[0]
    if layer.op in VIEWS:
        return lambda inputs: inputs[first]
    if layer.op == "Concat":
        return lambda inputs: golden.concat(tuple(inputs[name] for name in layer.inputs))
    output, scaling = clamp(quantized, layer), rescaling(quantized, first, layer)
    if layer.op != "Add":
        return lambda inputs: golden.rescale(inputs[first], scaling, output)
    second = layer.inputs[1]
    scalings = (scaling, rescaling(quantized, second, layer))
    return lambda inputs: golden.add((inputs[first], inputs[second]), scalings, output)


def _residual(layer: Layer, inputs: Mapping[str, Array], shape: tuple[int, ...]) -> Array | None:
    return inputs[layer.residual].reshape(shape) if layer.residual else None


def _convolution(quantized: QuantizedNetwork, layer: Layer, shape: ConvShape) -> Kernel:
    parameters = linear_parameters(quantized, layer)

    def kernel(inputs: Mapping[str, Array]) -> Array:
        residual = _residual(layer, inputs, shape.output_shape)
        x = inputs[layer.inputs[0]].reshape(shape.input_shape)
        return golden.conv2d(x, parameters, shape, residual)

    return kernel


def _fully_connected(
    quantized: QuantizedNetwork, layer: Layer, shape: FullyConnectedShape
) -> Kernel:
    parameters = linear_parameters(quantized, layer)

    def kernel(inputs: Mapping[str, Array]) -> Array:
        residual = _residual(layer, inputs, (shape.rows, shape.out_features))
        x = inputs[layer.inputs[0]].reshape(shape.rows, shape.in_features)
        return golden.fully_connected(x, parameters, residual)

    return kernel


def _pool(quantized: QuantizedNetwork, layer: Layer, shape: PoolShape) -> Kernel:
    source = layer.inputs[0]
    if shape.kind == "max":
        return lambda inputs: golden.max_pool(inputs[source].reshape(shape.input_shape), shape)
    entry, target = quantized.scale_of(source), quantized.scale_of(layer.outputs[0])
    parameters = golden.average_parameters(
        shape, entry.scale / target.scale, entry.zero_point, clamp(quantized, layer)
    )
    return lambda inputs: golden.average_pool(
        inputs[source].reshape(shape.input_shape), parameters, shape
    )
