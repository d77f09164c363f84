import math
from dataclasses import replace

import numpy as np
import pytest

from heterolith import boards
from heterolith.boards import DvfsDomain
from heterolith.errors import InputError

G2C_US = """2112 1228 566 650 612 624 628 697 660 541 544 618 482 535 421 436 518 404 537 594 536
565 473 483 514 474 132"""
C2G_US = """870 517 548 584 546 556 542 542 491 500 459 518 544 306 356 345 220 386 341 339 112 149
87 110 131 115 226"""
"""Transfers after each layer of ResNet-18 but the last: LaLaRAND's development profiles, V2."""


def test_tx2_has_the_operating_points_of_neuos() -> None:
    """28 A57 settings x (Denver off, or 14) x 7 GPU x 4 EMC steps are 11,760, all distinct."""
    tx2 = boards.load("jetson-tx2")
    settings = {domain.name: domain.settings() for domain in tx2.dvfs}
    assert {name: len(found) for name, found in settings.items()} == {
        "a57": 28,
        "denver": 15,
        "gpu": 7,
        "emc": 4,
    }
    points = set(tx2.operating_points())
    assert len(points) == tx2.n_operating_points == 11760
    off = [point for point in points if point.core_masks[1] == "00"]
    assert len(off) == 784
    assert {point.mhz[1] for point in off} == {345.6}


def test_tx2_points_run_from_the_first_to_the_last_line_of_neuos() -> None:
    """The first and last point are those of all-TX2.config."""
    first, *_, last = boards.load("jetson-tx2").operating_points()
    assert (first.mhz, first.core_masks[:2]) == ((345.6, 345.6, 140.25, 204), ("1000", "00"))
    assert (last.mhz, last.core_masks[:2]) == ((2035.2, 2035.2, 1300.5, 1866), ("1111", "11"))


def test_agx_xavier_has_the_operating_points_of_neuos() -> None:
    """29 x 128 CPU settings x 14 GPU steps x one EMC step are 51,968."""
    agx = boards.load("jetson-agx-xavier")
    cpu = next(domain for domain in agx.dvfs if domain.name == "cpu")
    assert len(set(cpu.core_masks)) == 128
    assert all(mask[0] == "1" and len(mask) == 8 for mask in cpu.core_masks)
    np.testing.assert_allclose(cpu.mhz, 115.2 + 76.8 * np.arange(29))
    assert agx.n_operating_points == sum(1 for _ in agx.operating_points()) == 51968


def test_a_platform_without_domains_has_one_point() -> None:
    """Without DVFS there is exactly one operating point, the empty one."""
    (point,) = boards.load("zcu104").operating_points()
    assert (point.mhz, point.core_masks) == ((), ())


def test_a_domain_without_cores_has_one_setting_per_clock() -> None:
    """A domain without masks has an empty mask; an off mask pins the clock to the lowest."""
    assert DvfsDomain(name="g", mhz=(1.0, 2.0)).settings() == ((1.0, ""), (2.0, ""))
    two = DvfsDomain(name="c", mhz=(1.0, 2.0), core_masks=("00", "01"))
    assert two.settings() == ((1.0, "00"), (1.0, "01"), (2.0, "01"))


def test_a_route_that_does_not_exist_is_a_key_error() -> None:
    """Without links no path joins two devices."""
    cut = replace(boards.load("zcu104"), links=())
    with pytest.raises(KeyError):
        cut.route("fpga", "cpu")
    with pytest.raises(KeyError):
        cut.device("gpu")


@pytest.mark.parametrize(
    ("board", "cores", "macs_per_cycle"),
    [
        ("ultra96-v2", 4, 4),
        ("zcu104", 4, 4),
        ("kv260", 4, 4),
        ("pynq-z1", 2, 2),
        ("zedboard", 2, 2),
        ("jetson-tk1", 4, 4),
        ("jetson-tx2", 4, 4),
        ("jetson-agx-xavier", 8, 8),
        ("jetson-orin-nano", 6, 8),
    ],
)
def test_cpu_peaks_follow_from_cores_and_clock(board: str, cores: int, macs_per_cycle: int) -> None:
    """The float32 peak is MACs per cycle and core x cores x clock."""
    cpu = boards.load(board).device("cpu")
    assert cpu.cores == cores
    assert cpu.fp32_gmacs == pytest.approx(macs_per_cycle * cores * cpu.mhz / 1e3, rel=2e-3)


@pytest.mark.parametrize(
    ("board", "fp32_gflops", "bandwidth_gbs"),
    [
        ("jetson-tk1", 327.2, 14.78),
        ("jetson-tx2", 665.9, 59.7),
        ("jetson-agx-xavier", 1410.0, 136.5),
        ("jetson-orin-nano", 1280.0, 68.3),
    ],
)
def test_gpu_peaks_are_the_published_ones(
    board: str, fp32_gflops: float, bandwidth_gbs: float
) -> None:
    """A GPU's rate is half its published GFLOP/s; DRAM bandwidth is the published peak."""
    platform = boards.load(board)
    assert 2 * platform.device("gpu").fp32_gmacs == pytest.approx(fp32_gflops, rel=1e-3)
    assert platform.memory_of("gpu").bandwidth_gbs == bandwidth_gbs


@pytest.mark.parametrize(
    ("board", "device", "full_w"),
    [
        ("ultra96-v1", "fpga", 8.25072),
        ("zcu104", "fpga", 21.4111),
        ("jetson-tx2", "gpu", 14.58),
        ("kv260", "fpga", 9.27),
    ],
)
def test_idle_and_active_power_add_up_to_the_measured_full_load(
    board: str, device: str, full_w: float
) -> None:
    """Idle plus active power is what was measured under full load, to 10 mW."""
    platform = boards.load(board)
    assert platform.idle_w + platform.device(device).active_w == pytest.approx(full_w, abs=0.01)


def test_tx2_cpu_bound_is_what_the_power_mode_leaves() -> None:
    """15 W of MAXP_CORE_ARM less the 10.54 W measured at full GPU load bound four A57 cores."""
    assert boards.load("jetson-tx2").device("cpu").active_w == pytest.approx(15 - 10.54)


def test_ultra96_rails_agree_with_the_measured_base() -> None:
    """PMBus rails of the V2 sum to 2.64 W, within 6 % of QuTiBench's 2.5 W for the board."""
    assert boards.load("ultra96-v2").idle_w == pytest.approx(2.640625)
    assert boards.load("ultra96-v2").idle_w == pytest.approx(2.5, rel=0.06)


def test_zynq7_power_lies_between_what_users_saw() -> None:
    """The derived Zynq-7020 load is above the 2.5 W of a USB port, below the 5 W once reported."""
    z2 = boards.load("pynq-z2")
    assert 2.5 < z2.idle_w + z2.device("fpga").active_w < 5


def test_jetson_transfers_are_the_least_squares_fit_of_published_ones() -> None:
    """Latency and bandwidth follow from 54 transfers over the sizes of ResNet-18's layers."""
    shapes = [(64, 128), *[(64, 64)] * 7, *[(128, 32)] * 6, *[(256, 16)] * 6, *[(512, 8)] * 6]
    sizes = [4 * channels * side**2 for channels, side in [*shapes, (512, 1)]]
    times_us = np.array([float(t) for t in (G2C_US + " " + C2G_US).split()])
    slope, latency_us = np.polyfit(np.array(sizes * 2, dtype=float), times_us, 1)
    for board in boards.names():
        for link in boards.load(board).links:
            if link.name == "gpu-cpu":
                assert link.latency_us == pytest.approx(latency_us, abs=0.5)
                assert link.bandwidth_mbs == pytest.approx(1 / slope, abs=0.5)


@pytest.mark.parametrize("board", ["ultra96-v1", "zcu104", "kv260", "pynq-z2", "zedboard"])
def test_shared_dram_carries_half_its_peak(board: str) -> None:
    """A byte between FPGA and CPU is written once and read once."""
    platform = boards.load(board)
    (link,) = platform.links
    half_mbs = platform.memories[0].bandwidth_gbs * 1e3 / 2
    assert link.bandwidth_mbs == pytest.approx(half_mbs, rel=1e-3)


@pytest.mark.parametrize("board", ["ultra96-v2", "kv260", "arty-a7-35t", "zedboard"])
def test_figures_name_what_they_are(board: str) -> None:
    """A launch cost, which nobody measured here, says that it is assumed."""
    for device in boards.load(board).devices:
        assert dict(device.sources)["launch_us"].startswith("assumed")


@pytest.mark.parametrize("bandwidth", [0.0, -1.0, math.nan, math.inf])
def test_a_link_or_memory_without_a_bandwidth_is_refused(bandwidth: float) -> None:
    """A platform made in Python is held to what a board file is."""
    platform = boards.load("ultra96-v2")
    with pytest.raises(InputError, match=r"bandwidth_mbs of link .* must be a number above 0"):
        replace(platform.links[0], bandwidth_mbs=bandwidth)
    with pytest.raises(InputError, match=r"bandwidth_gbs of memory .* must be a number above 0"):
        replace(platform.memories[0], bandwidth_gbs=bandwidth)
