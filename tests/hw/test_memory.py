"""Scratch memory: what does not live at the same time may share it, what does never does."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from heterolith import hw
from heterolith.hw import golden
from heterolith.hw.compiler.job import JobBuilder
from heterolith.hw.compiler.mapping import convolution
from heterolith.hw.compiler.memory import Life, pack

from .cases import codes, parameters

LIVES = st.lists(
    st.builds(
        lambda size, first, length: Life(size, first, first + length),
        st.integers(1, 100),
        st.integers(0, 8),
        st.integers(0, 4),
    ),
    max_size=12,
)


@given(LIVES)
def test_tensors_that_live_together_do_not_overlap(lives):
    """Any two that meet have bytes of their own, and all lie inside the total."""
    offsets, total = pack(lives)
    for index, life in enumerate(lives):
        assert 0 <= offsets[index] <= total - life.size
        for other in range(index):
            if life.meets(lives[other]):
                apart = (
                    offsets[index] + life.size <= offsets[other]
                    or offsets[other] + lives[other].size <= offsets[index]
                )
                assert apart
    peaks = [sum(x.size for x in lives if x.first <= t <= x.last) for t in range(13)]
    assert max(peaks, default=0) <= total <= sum(life.size for life in lives)


def test_a_chain_of_layers_takes_two_places():
    """Tensors of one size that follow each other take turns in the memory of two."""
    lives = [Life(64, step, step + 1) for step in range(9)]
    assert pack(lives)[1] == 128


def test_a_job_in_scratch_memory_computes_the_golden_codes():
    """Six layers, each stored to DRAM, give the right codes in a window with two activations."""
    rng = np.random.default_rng(0)
    builder = JobBuilder(hw.config("arty-a7-35t"))
    shape = hw.ConvShape(
        in_channels=16, out_channels=16, height=12, width=12, kernel=(3, 3), pads=(1, 1, 1, 1)
    )
    x = codes(rng, shape.input_shape)
    tensors = [builder.tensor(shape.input_shape)]
    values = [x]
    for step in range(6):
        p = parameters(rng, shape)
        target = builder.tensor(shape.output_shape) if step == 5 else builder.scratch(x.shape)
        builder.layer(convolution(shape, p, builder.geometry), tensors[-1], target)
        tensors.append(target)
        values.append(golden.conv2d(values[-1], p, shape))
    job = builder.finish(fuse=False)
    window = job.memory.copy()
    tensors[0].write(window, x)
    hw.FunctionalDevice(hw.config("arty-a7-35t")).run_job(job, window)
    np.testing.assert_array_equal(tensors[-1].read(window), values[-1])
    weights = 6 * 16 * 16 * 9
    assert job.memory.size < weights + 5 * x.size + 64 * len(job.commands) + 6 * 1024
