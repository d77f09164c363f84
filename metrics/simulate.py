"""Rows of the accelerator without a board, by one of three back ends that must agree.

``model`` replays the commands of each layer's shape. ``functional`` compiles the int8 layer with
its constants, computes it on the HLS C++ device, and replays those commands. ``rtl`` runs the same
commands on the RTL in Verilator and reads its cycle counter. The latter two compare every code with
the golden model. The clock and the DRAM are those of the board that carries the configuration; how
far the model lies from the RTL is measured by ``benchmarks/cycle_model.py``.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from heterolith import boards, hw
from heterolith.boards import Device, Platform
from heterolith.errors import HeterolithError, unknown_name
from heterolith.hw.compiler.single import layer_job
from heterolith.hw.device.functional import FunctionalDevice
from heterolith.hw.device.protocol import RtlCounters
from heterolith.hw.device.verilated import DramModel, VerilatedDevice
from heterolith.hw.shapes import ConvShape, FullyConnectedShape, Shape
from heterolith.hw.timing import Dram, dram_of, job_cycles
from heterolith.metrics.estimate import layer_cost, picojoules
from heterolith.metrics.profile import Cost
from heterolith.sw import offload
from heterolith.sw.kernels import golden_kernel, operation
from heterolith.sw.network import Array, Layer, Network
from heterolith.sw.quantize import QuantizedNetwork, quantize

BACKENDS = {
    "model": "cycle model",
    "functional": "HLS C++, bit-exact, and the cycle model on its commands",
    "rtl": "RTL in Verilator, bit-exact, its cycle counter",
}
"""Back end -> what a result says of it."""

Refused = tuple[tuple[str, str], ...]
"""Layers that the accelerator does not compute, each with the reason."""
Place = tuple[Platform, Device]


def carrier(config: str) -> Place:
    """Return the first board whose fabric carries a named configuration, and its FPGA.

    Raises
    ------
    InputError
        If no board does.
    """
    found: dict[str, Place] = {}
    for name in boards.names():
        platform = boards.load(name)
        for device in platform.devices:
            if device.kind == "fpga":
                found.setdefault(device.array, (platform, device))
    if config not in found:
        raise unknown_name("configuration of a board", config, found)
    return found[config]


def _operands(shape: Shape, arrays: list[Array]) -> list[Array]:
    """Return the codes that a layer reads in the shapes of its operation, the residual last."""
    if isinstance(shape, FullyConnectedShape):
        forms: list[tuple[int, ...]] = [
            (shape.rows, shape.in_features),
            (shape.rows, shape.out_features),
        ]
    elif isinstance(shape, ConvShape):
        forms = [shape.input_shape, shape.output_shape]
    else:
        return arrays
    return [array.reshape(form) for array, form in zip(arrays, forms, strict=False)]


def computed_cycles(
    quantized: QuantizedNetwork,
    layer: Layer,
    device: FunctionalDevice | VerilatedDevice,
    dram: Dram,
    seed: int = 0,
) -> int:
    """Compute a layer of random int8 codes on a device; return its cycles.

    Returns
    -------
    int
        The device's own count, or that of the cycle model on the same commands where it has none.

    Raises
    ------
    HeterolithError
        If a code differs from the golden model's.
    """
    rng, network = np.random.default_rng(seed), quantized.network
    names = layer.inputs[:2] if layer.op == "Add" else layer.inputs[:1]
    names = (*names, layer.residual) if layer.residual else names
    codes = {name: rng.integers(-128, 128, network.tensors[name].shape, np.int8) for name in names}
    given = operation(quantized, layer)
    compiled = layer_job(device.config, *given, dram)
    memory = compiled.memory(*_operands(given[0], [codes[name] for name in names]))
    counters = device.run_job(compiled.job, memory)
    wanted = golden_kernel(quantized, layer, given)(codes)
    if not np.array_equal(compiled.result(memory).reshape(-1), wanted.reshape(-1)):
        raise HeterolithError(
            f"layer {layer.name!r}: the device's codes differ from the golden model's, so its "
            "cycles mean nothing; report this"
        )
    if isinstance(counters, RtlCounters):
        return counters.cycles
    return job_cycles(compiled.job, dram)


def _recounted(network: Network, rows: list[Cost], backend: str, place: Place) -> list[Cost]:
    """Return rows with latency and energy by the cycles of a device that computes."""
    platform, board = place
    config = replace(hw.config(board.array), clock_mhz=board.mhz)
    dram = dram_of(platform.memory_of(board.name).bandwidth_gbs, board.mhz)
    quantized = quantize(network)
    device: FunctionalDevice | VerilatedDevice = FunctionalDevice(config)
    if backend == "rtl":
        timing = DramModel(bytes_per_cycle=dram.bytes_per_cycle, latency_cycles=dram.latency_cycles)
        device = VerilatedDevice(config, timing)
    layers, found = {layer.name: layer for layer in network.layers}, []
    try:
        for row in rows:
            layer = layers[row.layer]
            if layer.op in (*offload.VIEWS, "Concat"):  # codes move, nothing is computed
                found.append(row)
                continue
            cycles = computed_cycles(quantized, layer, device, dram)
            latency_ns = math.ceil(board.launch_us * 1e3 + cycles * 1e3 / board.mhz)
            energy_pj = picojoules(board.active_w, latency_ns)
            found.append(replace(row, latency_ns=latency_ns, energy_pj=energy_pj))
    finally:
        device.close()
    return found


def simulate_fpga(
    network: Network, config: str, backend: str = "model"
) -> tuple[tuple[Cost, ...], Refused]:
    """Return simulated rows of the layers that the accelerator computes, and (layer, why not).

    Parameters
    ----------
    backend
        A name of `BACKENDS`.

    Raises
    ------
    InputError
        If no board carries the configuration, there is no such back end, or a tool it needs is
        missing.
    """
    if backend not in BACKENDS:
        raise unknown_name("back end", backend, BACKENDS)
    platform, board = place = carrier(config)
    rows, refused = [], []
    for layer in network.layers:
        reason = offload.support(network, layer)
        if reason:
            refused.append((layer.name, reason))
            continue
        cost = layer_cost(network, layer, platform, board)
        rows.append(replace(cost, source="simulated", point=f"{board.mhz:g} MHz"))
    if backend != "model" and rows:
        rows = _recounted(network, rows, backend, place)
    return tuple(rows), tuple(refused)
