"""The command-level cycle model: bounds it cannot beat, cases worked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.hw.compiler.single import layer_job
from heterolith.hw.config import CONFIGS
from heterolith.hw.geometry import geometry
from heterolith.hw.program import Compute, Load, Store
from heterolith.hw.shapes import ConvShape
from heterolith.hw.timing.timeline import CHECK_CYCLES, Dram, compute_cycles, simulate

from .accel_cases import TESTED, case, layers, linear

ULTRA96 = geometry(CONFIGS["ultra96"])
PEAK = 512


@pytest.mark.parametrize(
    ("command", "cycles"),
    [
        # 56 x 56 pixels in pairs, 36 steps each.
        (Compute(rows=56, cols=56, k_rows=3, k_cols=3, k_blocks=4), 1568 * 36),
        # One step less than the two words of a pair take at the requantizers.
        (Compute(rows=4, cols=4), 8 * 2),
        # The residual is one more step; three blocks one after the other.
        (Compute(rows=4, cols=4, k_blocks=9, residual=1, blocks=3), 3 * 8 * 10),
        # Depthwise 3 x 3: nine words for a row's first pixel pair, three for each next.
        (Compute(rows=8, cols=7, per_channel=1, window=3, k_rows=3, col_step=1), 4 * (9 + 6 * 3)),
        (Compute(rows=8, cols=7, per_channel=1, window=3, k_rows=3, col_step=2), 4 * (9 + 6 * 6)),
    ],
)
def test_steps_of_a_compute_by_hand(command, cycles):
    """The cycles are those of the documented formula on ultra96 with 16 requantizers."""
    assert ULTRA96.requantizers == 16
    assert compute_cycles(command, ULTRA96) == cycles


def test_one_command_after_the_other_by_hand():
    """LOAD, COMPUTE, STORE that wait for each other add up."""
    commands = (
        Load(cols=100),
        Compute(wait_load=1, rows=10, cols=10, k_blocks=5),
        Store(wait_compute=1, cols=100),
    )
    run = simulate(commands, ULTRA96, Dram(bytes_per_cycle=8.0, latency_cycles=50))
    fetch = 50 + 12 * 2 + CHECK_CYCLES
    load = 50 + 200
    compute = 2 + 250 + 20
    # Eight bursts at most wait for their response, so the last begins when the first is answered.
    assert run.cycles == pytest.approx(fetch + load + compute + 16 + 200 + 50, abs=20)
    assert run.read_bytes == 100 * 16 + 3 * 64
    assert run.write_bytes == 1600


def test_computes_that_wait_for_nothing_leave_no_gap():
    """Twenty COMPUTEs behind one LOAD take their steps and nothing else between them."""
    one = Compute(wait_load=1, rows=10, cols=10, k_blocks=5)
    dram = Dram(bytes_per_cycle=16.0)
    few, many = (simulate((Load(), *[one] * n), ULTRA96, dram).cycles for n in (1, 21))
    assert many - few == 20 * 250


def test_short_rows_are_bound_by_latency():
    """Sixteen bursts are under way at most, whatever their beats and the bandwidth."""
    rows = Load(cols=2, rows=320, row_pitch=16, buffer_row_pitch=2)
    run = simulate((rows,), ULTRA96, Dram(bytes_per_cycle=64.0, latency_cycles=200))
    assert 320 / 16 * 200 < run.cycles < 320 / 16 * 215 + 250


def test_results_on_chip_hold_loads_back():
    """A LOAD of activations waits while a COMPUTE fills the activation buffer every cycle."""
    k = {"wait_load": 1, "rows": 40, "cols": 50, "target_row_pitch": 50}
    commands = [Load(), Compute(**k), Load(cols=64, wait_load=1)]
    chained = [Load(), Compute(to_activation=1, **k), Load(cols=64, wait_load=1)]
    dram = Dram(bytes_per_cycle=16.0)
    free, held = (simulate(c, ULTRA96, dram).completions for c in (commands, chained))
    assert free[2] < free[1]
    assert held[2] > held[1]


def test_loads_and_compute_overlap():
    """A second LOAD runs behind the first COMPUTE: the longer of both counts."""
    pair = (Load(cols=1000), Compute(wait_load=1, rows=20, cols=20, k_blocks=10))
    more = (Load(cols=1000, buffer=2000), Compute(wait_load=2, rows=20, cols=20, k_blocks=10))
    dram = Dram(bytes_per_cycle=16.0)
    one, two = simulate(pair, ULTRA96, dram), simulate((*pair, *more), ULTRA96, dram)
    assert two.cycles - one.cycles == pytest.approx(2000, abs=10)


@settings(deadline=None, max_examples=60)
@given(layers(), st.sampled_from(sorted(TESTED)), st.floats(2.0, 16.0))
def test_no_run_beats_its_bounds(layer, name, rate):
    """A job takes at least its steps and its bytes, and never longer on a better DRAM."""
    shape, parameters, _, _ = case(layer)
    job = layer_job(TESTED[name], shape, parameters).job
    run = simulate(job.commands, job.geometry, Dram(bytes_per_cycle=rate))
    better = simulate(job.commands, job.geometry, Dram(bytes_per_cycle=2 * rate))
    assert run.cycles >= run.compute_busy
    commands = 64 * len(job.commands)
    assert run.cycles * rate >= run.read_bytes - commands + run.write_bytes
    assert better.cycles <= run.cycles * 1.01 + 10
    assert len(run.completions) == len(job.commands)


def test_a_wide_layer_keeps_the_array_busy():
    """3 x 3, 64 channels, 28 x 28 on ultra96: above 95 % of the peak in the model."""
    shape = ConvShape(
        in_channels=64, out_channels=64, height=28, width=28, kernel=(3, 3), pads=(1,) * 4
    )
    p, _ = linear(np.random.default_rng(0), shape, False, False)
    job = layer_job(CONFIGS["ultra96"], shape, p).job
    run = simulate(job.commands, job.geometry, Dram(bytes_per_cycle=16.0))
    assert shape.macs / (run.cycles * PEAK) > 0.95
