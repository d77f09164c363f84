"""Cycles of a layer from its shape: the commands of the real compiler, without its data."""

from dataclasses import fields, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.hw import CONFIGS, config, shape_cycles
from heterolith.hw.compiler import cost
from heterolith.hw.compiler.cost import layer_commands, layer_outline
from heterolith.hw.compiler.schedule import choose
from heterolith.hw.compiler.single import layer_job
from heterolith.hw.shapes import ConvShape, ElementwiseShape, FullyConnectedShape, PoolShape
from heterolith.hw.timing import Dram, job_cycles

from .accel_cases import TESTED, case, layers

ULTRA96 = config("ultra96")
DRAM = Dram(bytes_per_cycle=14.2)
CONV = ConvShape(
    in_channels=64, out_channels=64, height=28, width=28, kernel=(3, 3), pads=(1, 1, 1, 1)
)
POOL = PoolShape(kind="average", channels=64, height=28, width=28, kernel=(3, 3), stride=(2, 2))
SHAPES = [
    CONV,
    replace(CONV, groups=64),
    FullyConnectedShape(in_features=1024, out_features=500),
    POOL,
    ElementwiseShape(kind="add", elements=100_352),
    ElementwiseShape(kind="copy", elements=100_352),
]

DATA = ("pad_value", "addend_zero", "output_zero", "addend_multiplier", "addend_shift")
DATA += ("low", "high")
"""Fields that hold the layer's data; they move no cycle."""


def shown(command):
    """Return the fields of a command that its cycles depend on."""
    names = [field.name for field in fields(command) if field.name not in DATA]
    return type(command), [getattr(command, name) for name in names]


@pytest.fixture(autouse=True)
def fresh_cache(tmp_path, monkeypatch):
    """Keep nothing from other tests or runs."""
    monkeypatch.setenv("HETEROLITH_CACHE", str(tmp_path))
    cost._cycles.cache_clear()


@settings(deadline=None, max_examples=80)
@given(layers(), st.sampled_from(sorted(TESTED)))
def test_commands_are_those_of_the_compiled_layer(layer, name):
    """Without data the compiler emits the same commands at the same addresses."""
    shape, parameters, _, _ = case(layer)
    job = layer_job(TESTED[name], shape, parameters, DRAM).job
    residual = getattr(parameters, "residual", None) is not None
    mapping = layer_outline(shape, residual, job.geometry)
    schedule, _ = choose(mapping, job.geometry, DRAM)
    commands, offset = layer_commands(mapping, schedule, getattr(shape, "batch", 1), job.geometry)
    assert offset == job.command_offset
    assert [shown(c) for c in commands] == [shown(c) for c in job.commands]


def test_cycles_are_those_of_the_job():
    """The cost of a layer is the replay of its job at the board's clock and bandwidth."""
    array = replace(ULTRA96, clock_mhz=300.0)
    parameters, _ = cost_parameters(CONV)
    dram = Dram(bytes_per_cycle=4.27e3 / 300, latency_cycles=120)
    job = layer_job(array, CONV, parameters, dram).job
    assert shape_cycles(CONV, array, 4.27).total == job_cycles(job, dram)


def cost_parameters(shape):
    """Return parameters and inputs of a convolution."""
    import numpy as np

    from .accel_cases import linear

    return linear(np.random.default_rng(0), shape, False, False)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["arty-a7-35t", "ultra96", "zcu104"])
def test_never_below_the_peak_rate(shape, name):
    """No configuration is modelled above its MACs per cycle or its port's bytes per cycle."""
    array = CONFIGS[name]
    cycles = shape_cycles(shape, array, 4.0)
    assert cycles.total > getattr(shape, "macs", 0) / array.macs_per_cycle
    assert cycles.total > shape.input_bytes / (array.axi_data_bits / 8)
    assert cycles.total >= cycles.compute
    assert cycles.load_bytes >= shape.input_bytes
    assert cycles.store_bytes >= shape.output_bytes


@pytest.mark.parametrize("shape", SHAPES)
def test_more_bandwidth_never_costs(shape):
    """Cycles fall, or stay within the noise of races, with DRAM bandwidth."""
    totals = [shape_cycles(shape, ULTRA96, gbs).total for gbs in (0.1, 0.5, 2.0, 8.0)]
    assert all(b <= 1.01 * a for a, b in pairwise(totals))
    assert totals[-1] < totals[0]


def test_a_residual_is_loaded_too():
    """A second operand adds its bytes."""
    plain, joined = (shape_cycles(CONV, ULTRA96, 4.0, residual) for residual in (False, True))
    assert joined.load_bytes - plain.load_bytes >= CONV.output_bytes
    assert joined.total >= plain.total


def test_further_images_take_as_long_as_the_third(monkeypatch):
    """A batch of eight, extrapolated from three, lies within 1 % of its replay."""
    batch = replace(CONV, batch=8)
    guessed = shape_cycles(batch, ULTRA96, 4.0)
    monkeypatch.setattr(cost, "REPLAY_IMAGES", 8)
    cost._cycles.cache_clear()
    monkeypatch.setattr(cost, "kept_figures", lambda name: None)
    replayed = shape_cycles(batch, ULTRA96, 4.0)
    assert guessed.total == pytest.approx(replayed.total, rel=0.01)
    assert guessed.load_bytes == pytest.approx(replayed.load_bytes, rel=0.01)


def test_the_largest_layer_is_priced_by_the_closed_form(monkeypatch):
    """What takes too long to replay is above its peak rate, and within a tenth of a replay."""
    largest = ConvShape(
        in_channels=4096, out_channels=4096, height=1024, width=1024, kernel=(3, 3), pads=(1,) * 4
    )
    assert shape_cycles(largest, ULTRA96, 4.0).total > largest.macs / ULTRA96.macs_per_cycle
    replayed = shape_cycles(CONV, ULTRA96, 4.0)
    monkeypatch.setattr(cost, "REPLAY_CYCLES", 0)
    cost._cycles.cache_clear()
    monkeypatch.setattr(cost, "kept_figures", lambda name: None)
    closed = shape_cycles(CONV, ULTRA96, 4.0)
    assert closed.total == pytest.approx(replayed.total, rel=0.1)


def test_a_layer_is_compiled_once(monkeypatch):
    """A second process finds what the first has kept."""
    first = shape_cycles(CONV, ULTRA96, 4.0)
    cost._cycles.cache_clear()
    monkeypatch.setattr(cost, "_compiled", None)
    assert shape_cycles(CONV, ULTRA96, 4.0) == first
    with pytest.raises(TypeError):
        shape_cycles(CONV, ULTRA96, 4.1)


def test_bandwidth_must_be_positive():
    """A DRAM without bandwidth is refused."""
    with pytest.raises(InputError, match="bandwidth"):
        shape_cycles(CONV, ULTRA96, 0.0)
