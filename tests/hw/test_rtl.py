"""The RTL in Verilator against golden model and functional device.

`make soak` sets HETEROLITH_SOAK=1: 1,000 random layers instead of 40.
"""

import os
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.hw.commands import Memory
from heterolith.hw.compiler.job import JobBuilder
from heterolith.hw.compiler.mapping import convolution
from heterolith.hw.compiler.single import layer_job
from heterolith.hw.config import CONFIGS
from heterolith.hw.device.functional import Counters
from heterolith.hw.device.verilated import DramModel, VerilatedDevice
from heterolith.hw.program import Compute, Load, Store, encode
from heterolith.hw.regmap import MAGIC, VERSION
from heterolith.hw.shapes import ConvShape, ElementwiseShape

from .accel_cases import SMALL, case, layers, linear
from .rtl_cases import BUILDS, STEADY, UNEVEN, functional, machine


def check(job, memory, name, dram):
    """Run a job on both devices: same memory, same counters, no bus rule broken."""
    expected = memory.copy()
    reference = functional(name).run_job(job, expected)
    core = machine(name, dram)
    before = core.violations
    counters = core.run_job(job, memory)
    assert np.array_equal(memory, expected)
    for field in fields(Counters):
        assert getattr(counters, field.name) == getattr(reference, field.name), field.name
    assert core.violations == before
    return counters


@settings(deadline=None, max_examples=1000 if os.environ.get("HETEROLITH_SOAK") else 40)
@given(layers(), st.sampled_from(sorted(BUILDS)), st.booleans())
def test_layers_equal_golden_model_and_functional_device(layer, name, steady):
    """Any layer on any memory: the codes of the golden model, the memory of the functional one."""
    shape, parameters, arrays, expected = case(layer)
    job = layer_job(BUILDS[name], shape, parameters)
    memory = job.memory(*arrays)
    check(job.job, memory, name, STEADY if steady else UNEVEN)
    assert np.array_equal(job.result(memory).reshape(expected.shape), expected)


def exact(shape, name, residual=False):
    """Run a layer of random codes and compare it with the golden model."""
    layer = (shape, 17, False, residual)
    _, parameters, arrays, expected = case(layer)
    job = layer_job(BUILDS[name], shape, parameters)
    memory = job.memory(*arrays)
    check(job.job, memory, name, STEADY)
    assert np.array_equal(job.result(memory).reshape(expected.shape), expected)


@pytest.mark.parametrize("name", sorted(BUILDS))
@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 6])
def test_depthwise_windows(width, name):
    """Each window width, with strides below, at and above it, and rows that leave slots idle."""
    for stride in ((1, 1), (2, 2), (1, width + 1)):
        size = (7, width + 2 * stride[1] + 1)
        pads = (1, width // 2, 0, width // 2)
        shape = ConvShape(
            in_channels=40,
            out_channels=40,
            height=size[0],
            width=size[1],
            kernel=(3, width),
            stride=stride,
            pads=pads,
            groups=40,
        )
        exact(shape, name, residual=stride[0] == 2)


@pytest.mark.parametrize("name", sorted(BUILDS))
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images(channels, name):
    """First layers of few channels: odd widths, padding on all sides, strides."""
    for kernel, stride, width in ((3, 1, 21), (7, 2, 30), (11, 4, 43)):
        shape = ConvShape(
            in_channels=channels,
            out_channels=24,
            height=13,
            width=width,
            kernel=(kernel, kernel),
            stride=(stride, stride),
            pads=(kernel // 2,) * 4,
        )
        exact(shape, name)


@pytest.mark.parametrize("name", sorted(BUILDS))
def test_groups_that_wait_for_the_requantizers(name):
    """One step a pixel, with and without a residual, and sums in parts: nothing overtakes."""
    for elements in (1, 999, 3000):
        exact(ElementwiseShape(kind="add", elements=elements), name)
        exact(ElementwiseShape(kind="requantize", elements=elements), name)
    for channels in (8, 300, 1500):
        shape = ConvShape(
            in_channels=channels, out_channels=72, height=5, width=9, kernel=(1, 1), batch=2
        )
        exact(shape, name)
        exact(shape, name, residual=True)


@pytest.mark.parametrize("dram", [STEADY, UNEVEN])
def test_layers_of_one_job_pass_tensors(dram):
    """Three convolutions in a row, fused on chip where the compiler can, in two images."""
    rng = np.random.default_rng(3)
    builder = JobBuilder(SMALL)
    tensors = [builder.tensor((2, 24, 12, 12))]
    for kernel, stride in ((3, 1), (1, 1), (3, 2)):
        height = tensors[-1].shape[2]
        shape = ConvShape(
            batch=2,
            in_channels=24,
            out_channels=24,
            height=height,
            width=height,
            kernel=(kernel, kernel),
            stride=(stride, stride),
            pads=(kernel // 2,) * 4,
        )
        p, _ = linear(rng, shape, False, False)
        tensors.append(builder.tensor(shape.output_shape))
        builder.layer(convolution(shape, p, builder.geometry, False), tensors[-2], tensors[-1])
    job = builder.finish()
    memory = job.memory.copy()
    tensors[0].write(memory, rng.integers(-128, 128, tensors[0].shape, dtype=np.int8))
    check(job, memory, "small", dram)


def test_registers_identify_the_build():
    """Magic number, version and the fingerprint of the configuration."""
    core = machine("ultra96")
    assert (core.read("ID"), core.read("VERSION")) == (MAGIC, VERSION)
    digest = core.read("CONFIG_HASH_HIGH") << 32 | core.read("CONFIG_HASH_LOW")
    assert f"{digest:016x}" == CONFIGS["ultra96"].fingerprint()


def test_an_empty_job_is_done_at_once():
    """A job of no commands raises the interrupt and moves nothing."""
    counters = machine("small").run(np.zeros(64, np.uint8), 0, 0)
    assert (counters.loads, counters.read_beats) == (0, 0)


def test_array_is_busy_in_a_convolution():
    """A 3 x 3 layer of 64 channels keeps the array of ultra96 at work in 95 % of all cycles."""
    shape = ConvShape(
        in_channels=64, out_channels=64, height=28, width=28, kernel=(3, 3), pads=(1, 1, 1, 1)
    )
    p, arrays = linear(np.random.default_rng(0), shape, False, False)
    job = layer_job(CONFIGS["ultra96"], shape, p)
    counters = check(job.job, job.memory(*arrays), "ultra96", STEADY)
    assert shape.macs / (counters.cycles * CONFIGS["ultra96"].macs_per_cycle) > 0.95
    assert counters.array_steps <= counters.compute_busy <= counters.cycles


def test_bandwidth_bounds_a_copy():
    """Words go out no faster than the memory takes them, and close to that."""
    words, rounds = 512, 8
    memory = np.zeros(1 << 16, np.uint8)
    commands = [Load(fill=1, cols=words, pad_value=5)]
    parameters = np.zeros((8, 8), np.uint8)
    parameters[:, 5] = 0x80
    parameters[:, 6] = 15
    memory[0:64] = parameters.reshape(-1)
    commands += [Load(memory=Memory.PARAMETER, cols=8)]
    commands += [Load(memory=Memory.WEIGHT, offset=64, cols=8)]
    memory[64:128] = np.eye(8, dtype=np.uint8).reshape(-1)
    commands += [Compute(per_channel=1, wait_load=3, source=0, cols=words, col_step=1)]
    stores = [Store(wait_compute=1, offset=32768, cols=words) for _ in range(rounds)]
    code = encode([*commands, *stores])
    memory[4096 : 4096 + code.size] = code
    dram = DramModel(bytes_per_cycle=4.0)
    counters = machine("small", dram).run(memory, 4096, len(commands) + rounds)
    assert counters.write_beats == words * rounds
    assert 2.0 <= counters.store_busy / counters.write_beats < 2.2


def test_arguments_are_checked():
    """No window, impossible memories and a closed device are refused."""
    with pytest.raises(InputError, match="uint8"):
        machine("small").run(np.zeros(64, np.int8), 0, 0)
    for wrong in ({"bytes_per_cycle": 0.0}, {"stall_percent": 100}, {"latency_cycles": -1}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            DramModel(**wrong)
    closed = VerilatedDevice(SMALL)
    closed.close()
    closed.close()
    with pytest.raises(InputError, match="closed"):
        closed.read("ID")
