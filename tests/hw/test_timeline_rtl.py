"""The cycle model against the RTL's cycle counter."""

import numpy as np
import pytest

from heterolith.hw.compiler.single import layer_job
from heterolith.hw.fixed import Output
from heterolith.hw.golden import average_parameters
from heterolith.hw.shapes import ConvShape, PoolShape
from heterolith.hw.timing.timeline import Dram, simulate

from .accel_cases import SMALL, linear
from .rtl_cases import STEADY, machine

SHAPES = {
    "dense": ConvShape(
        in_channels=32, out_channels=48, height=20, width=19, kernel=(3, 3), pads=(1,) * 4
    ),
    "pointwise": ConvShape(in_channels=64, out_channels=64, height=16, width=16, kernel=(1, 1)),
    "depthwise": ConvShape(
        in_channels=40,
        out_channels=40,
        height=24,
        width=24,
        kernel=(3, 3),
        pads=(1,) * 4,
        groups=40,
    ),
    "image": ConvShape(
        in_channels=3, out_channels=16, height=40, width=40, kernel=(5, 5), stride=(2, 2)
    ),
    "average": PoolShape(kind="average", channels=64, height=14, width=14, kernel=(14, 14)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_model_agrees_with_the_counter(name):
    """Modelled cycles of a layer on the smallest build are within 2 % of the RTL's."""
    shape = SHAPES[name]
    if isinstance(shape, ConvShape):
        parameters, _ = linear(np.random.default_rng(5), shape, False, name == "pointwise")
    else:
        parameters = average_parameters(shape, 2.0, 0, Output())
    dram = Dram(bytes_per_cycle=STEADY.bytes_per_cycle, latency_cycles=STEADY.latency_cycles)
    job = layer_job(SMALL, shape, parameters, dram).job
    cycles = machine("small").run_job(job, job.memory.copy()).cycles
    model = simulate(job.commands, job.geometry, dram, job.command_offset)
    assert model.cycles == pytest.approx(cycles, rel=0.02)
