"""Modelled costs of layers and transfers."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from heterolith import api, hw
from heterolith.errors import InputError
from heterolith.metrics import estimate, numerical_cost
from heterolith.metrics.estimate import transfer_costs
from heterolith.metrics.work import activation_bytes, moved_bytes, operations
from heterolith.sw.offload import layer_cycles

PLATFORM = "ultra96-v2+jetson-tx2"


def test_cpu_and_gpu_rows_are_rooflines(cnn_path: Path) -> None:
    """Latency is launch time plus the larger of work over peak rate and bytes over bandwidth."""
    network, platform = api.load(cnn_path), api.platform(PLATFORM)
    gpu = platform.device("gpu")
    for row in estimate(network, platform).costs:
        if row.device != "gpu" or row.op in {"Flatten"}:
            continue
        layer = next(layer for layer in network.layers if layer.name == row.layer)
        compute_ns = operations(network, layer) / gpu.fp32_gmacs
        memory_ns = moved_bytes(network, layer) / platform.memory_of("gpu").bandwidth_gbs
        floor_ns = gpu.launch_us * 1e3 + max(compute_ns, memory_ns)
        assert floor_ns <= row.latency_ns < floor_ns + 1
        assert row.energy_pj == round(gpu.active_w * 1e3 * row.latency_ns)


def test_fpga_rows_are_cycles_at_the_boards_clock_and_memory(cnn_path: Path) -> None:
    """Latency is launch time plus the layer's cycles; bytes per cycle follow the board's clock."""
    network, platform = api.load(cnn_path), api.platform(PLATFORM)
    fpga = platform.device("fpga")
    config = replace(hw.config(fpga.array), clock_mhz=fpga.mhz)
    assert config.clock_mhz != hw.config(fpga.array).clock_mhz
    rows = [row for row in estimate(network, platform).costs if row.device == "fpga"]
    for row in rows:
        layer = next(layer for layer in network.layers if layer.name == row.layer)
        cycles = layer_cycles(network, layer, config, platform.memory_of("fpga").bandwidth_gbs)
        launch_ns = fpga.launch_us * 1e3 if cycles.total else 0
        assert row.latency_ns == math.ceil(launch_ns + cycles.total * 1e3 / fpga.mhz)
        assert row.source == "simulated"
    assert len(rows) > 5


def test_views_cost_nothing_anywhere(cnn_path: Path) -> None:
    """Flatten renames memory: no time and no energy on any device."""
    rows = estimate(api.load(cnn_path), api.platform(PLATFORM)).costs
    views = [row for row in rows if row.op == "Flatten"]
    assert {row.device for row in views} == {"fpga", "cpu", "gpu", "jetson-tx2.cpu"}
    assert all(row.latency_ns == 0 and row.energy_pj == 0 for row in views)


def test_unsupported_layers_come_with_a_reason(cnn_path: Path) -> None:
    """What the FPGA cannot compute is listed, not priced."""
    profile = estimate(api.load(cnn_path), api.platform(PLATFORM))
    reasons = {layer: why for layer, device, why in profile.unsupported if device == "fpga"}
    assert "LRN" in reasons["norm"]
    assert not [c for c in profile.costs if c.device == "fpga" and c.layer in reasons]


def test_transfers_pay_every_hop_and_int8_is_a_quarter(cnn_path: Path) -> None:
    """FPGA to GPU crosses three links with one byte per element, CPU to GPU two with four."""
    network, platform = api.load(cnn_path), api.platform(PLATFORM)
    elements = network.tensors["n0"].elements
    far = transfer_costs(network, platform, "n0", ("fpga", "gpu"))
    near = transfer_costs(network, platform, "n0", ("cpu", "gpu"))
    assert [hop.bytes for hop in far] == [elements] * 3
    assert [hop.bytes for hop in near] == [4 * elements] * 2
    for hop, link in zip(far, platform.route("fpga", "gpu"), strict=True):
        assert hop.latency_ns >= link.latency_us * 1e3 + elements * 1e3 / link.bandwidth_mbs


def test_measured_rows_replace_modelled_ones(cnn_path: Path) -> None:
    """A measured row takes the place of the model's; unknown names are refused."""
    network, platform = api.load(cnn_path), api.platform("ultra96-v2")
    modelled = next(
        row
        for row in estimate(network, platform).costs
        if (row.layer, row.device) == ("stem", "cpu")
    )
    measured = replace(modelled, latency_ns=123_456, energy_pj=None, source="measured")
    rows = estimate(network, platform, [measured]).costs
    assert measured in rows
    assert modelled not in rows
    with pytest.raises(InputError, match="unknown device in the profile 'gpu'"):
        estimate(network, platform, [replace(measured, device="gpu")])
    with pytest.raises(InputError, match="'root' is no layer"):
        estimate(network, platform, [replace(measured, layer="root")])


def test_activation_bytes_is_the_peak_of_live_tensors(cnn_path: Path) -> None:
    """The residual block holds both branches: concat, convolution and its result."""
    network = api.load(cnn_path)
    image, sixteen = 3 * 256 * 4, 16 * 256 * 4
    assert activation_bytes(network) == max(
        image + sixteen,
        2 * sixteen,
        3 * sixteen,
        4 * sixteen,
        4 * sixteen + 2 * sixteen - 2 * sixteen,
    )


def test_scalenet_cost_is_zero_for_the_best_choice_and_sums_to_at_most_one(cnn_path: Path) -> None:
    """Per layer the best of every objective costs nothing; the worst of all add up to one."""
    profile = estimate(api.load(cnn_path), api.platform("ultra96-v2"))
    numerical = numerical_cost(profile)
    worst = 0.0
    for layer in {row.layer for row in profile.costs}:
        costs = [numerical.of_layer(row) for row in profile.costs_of(layer)]
        assert min(costs) >= 0
        worst += max(costs)
    assert 0 < worst <= 1 + 1e-9
    with pytest.raises(InputError, match="min-energy"):
        numerical_cost(profile, "min-energi")
