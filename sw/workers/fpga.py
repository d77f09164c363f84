"""The accelerator as a worker: int8 codes in and out, by its golden model or on a device.

A device takes whole segments: one command stream and one doorbell for connected layers, whose
tensors stay in its memory. The golden model takes layer by layer. Whatever computes, the codes are
the same to the last bit; modelled cycles are those of the replayed commands
(`heterolith.hw.timing`) at the configuration's clock, not of the host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter_ns

from heterolith.errors import InputError
from heterolith.hw import golden
from heterolith.hw.config import ArrayConfig
from heterolith.hw.timing import dram_of
from heterolith.sw.kernels import Kernel, device_kernel, golden_kernel
from heterolith.sw.network import Array, Layer, Network
from heterolith.sw.offload import layer_cycles, shape_of, support
from heterolith.sw.quantize import QuantizedNetwork
from heterolith.sw.segments.forms import moves
from heterolith.sw.segments.partition import Unit
from heterolith.sw.segments.runner import SegmentOptions, SegmentReport, SegmentRunner
from heterolith.sw.workers.devices import DEVICES, open_device

__all__ = ["FpgaWorker", "layer_cycles", "shape_of", "support"]


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
        One of `heterolith.sw.workers.devices.DEVICES`.
    dram_gbs
        DRAM bandwidth in 1e9 bytes per second for simulated and modelled cycles; by default what
        the AXI port can carry.

    Attributes
    ----------
    lanes
        Channels of a block if the worker takes segments, else 0.

    Raises
    ------
    InputError
        If there is no such device, or a tool that it needs is missing.
    """

    kind = "fpga"
    number_format = "int8"
    stretches = False

    def __init__(
        self,
        quantized: QuantizedNetwork,
        config: ArrayConfig,
        device: str = "golden",
        dram_gbs: float | None = None,
        options: SegmentOptions | None = None,
    ) -> None:
        port_gbs = config.axi_data_bits / 8 * config.clock_mhz / 1e3
        self._dram_gbs = port_gbs if dram_gbs is None else dram_gbs
        dram = dram_of(self._dram_gbs, config.clock_mhz)
        self._options = options or SegmentOptions()
        self._device = open_device(device, config, dram)
        self._runner: SegmentRunner | None = None
        if self._device is not None:
            self._runner = SegmentRunner(quantized, config, self._device, dram, self._options)
        self.backend = DEVICES[device]
        self.lanes = 0 if self._device is None else config.lanes
        self._quantized = quantized
        self._config = config
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
        known = self._loaded.get(layer.outputs[0])
        if known is not None and known.layer is layer:
            return
        cycles = layer_cycles(network, layer, self._config, self._dram_gbs).total
        if self._device is None or moves(layer):
            given = None
            if not moves(layer):
                given = self._options.compiled.operation(self._quantized, layer)
            kernel = golden_kernel(self._quantized, layer, given)
        else:
            kernel = device_kernel(self._quantized, layer, self._config, self._device)
        self._loaded[layer.outputs[0]] = _Loaded(layer=layer, kernel=kernel, cycles=cycles)

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
        self._check_codes(self._network.activations(layer), inputs)
        loaded, begin_ns = self._loaded[name], perf_counter_ns()
        result = loaded.kernel(inputs).reshape(self._network.tensors[name].shape)
        self._count((layer,), loaded.cycles, begin_ns)
        return (result,)

    def load_unit(self, network: Network, unit: Unit) -> None:
        """Compile a unit into one command stream and place it in the device's memory.

        Raises
        ------
        InputError
            As `load`, or if the device has not enough memory.
        """
        self._check_network(network)
        if self._runner is not None and unit.computes:
            self._runner.load(unit)
        else:
            for layer in unit.layers:
                self.load(network, layer)

    def run_unit(self, unit: Unit, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Compute a loaded unit.

        Parameters
        ----------
        inputs
            int8 codes of ``unit.inputs`` by name, in the network's shapes.

        Returns
        -------
        mapping
            int8 codes of ``unit.outputs`` by name.

        Raises
        ------
        InputError
            If the unit was not loaded or an input is not int8 of the network's shape.
        DeviceError
            If a command fails; its layer is named.
        """
        if self._runner is None or not unit.computes:
            codes = dict(inputs)
            for layer in unit.layers:
                codes[layer.outputs[0]] = self.run(layer, codes)[0]
            return {name: codes[name] for name in unit.outputs}
        self._check_codes(unit.inputs, inputs)
        begin_ns = perf_counter_ns()
        outputs = self._runner.run(unit, inputs)
        cycles = (
            layer_cycles(self._network, layer, self._config, self._dram_gbs).total
            for layer in unit.layers
        )
        self._count(unit.layers, sum(cycles), begin_ns)
        return outputs

    def reports(self) -> tuple[SegmentReport, ...]:
        """Return each segment with its last run."""
        return self._runner.reports() if self._runner is not None else ()

    def counters(self) -> Mapping[str, int]:
        """Return layers run, MACs, modelled accelerator cycles and host nanoseconds so far."""
        return dict(self._counters)

    def close(self) -> None:
        """Drop the quantized weights and give the device back."""
        self._loaded.clear()
        if self._runner is not None:
            self._runner.close()

    def _check_codes(self, names: Sequence[str], inputs: Mapping[str, Array]) -> None:
        for name in names:
            golden.check_codes(inputs[name], self._network.tensors[name].shape, name)

    def _count(self, layers: Sequence[Layer], cycles: int, begin_ns: int) -> None:
        self._counters["busy_ns"] += perf_counter_ns() - begin_ns
        self._counters["layers"] += len(layers)
        self._counters["macs"] += sum(layer.macs for layer in layers)
        self._counters["modelled_cycles"] += cycles

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
