"""Jobs of several layers: chains on chip, batches, tensors in DRAM."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.hw import golden
from heterolith.hw.compiler.job import JobBuilder
from heterolith.hw.compiler.mapping import convolution, pooling
from heterolith.hw.program import Compute, encode
from heterolith.hw.shapes import ConvShape, PoolShape

from .accel_cases import TESTED, codes, device
from .cases import parameters
from .test_hazards import assert_ordered, shuffled


def conv(channels, size, **fields):
    """Return a convolution shape with 'same' padding for odd kernels."""
    kernel = fields.pop("kernel", 1)
    outputs = fields.pop("outputs", channels)
    stride = fields.pop("stride", 1)
    return ConvShape(
        in_channels=channels,
        out_channels=outputs,
        height=size[0],
        width=size[1],
        kernel=(kernel, kernel),
        stride=(stride, stride),
        pads=(kernel // 2,) * 4,
        **fields,
    )


@st.composite
def networks(draw):
    """Draw a run of layers, each reading the one before, some adding an earlier result."""
    channels, size = draw(st.sampled_from([3, 16, 40])), (draw(st.integers(5, 24)), 18)
    batch = draw(st.sampled_from([1, 1, 2]))
    shapes = []
    for _ in range(draw(st.integers(2, 6))):
        kind = draw(st.sampled_from(["point", "wide", "depthwise", "max"]))
        stride = draw(st.sampled_from([1, 1, 2]))
        if kind == "max":
            shape = PoolShape(
                kind="max",
                batch=batch,
                channels=channels,
                height=size[0],
                width=size[1],
                kernel=(3, 2),
                stride=(stride, 1),
                pads=(1, 0, 1, 1),
            )
        elif kind == "depthwise" and channels > 1:
            kernel = draw(st.sampled_from([3, 5]))
            shape = conv(channels, size, kernel=kernel, stride=stride, groups=channels, batch=batch)
        else:
            kernel = 1 if kind == "point" else 3
            outputs = draw(st.sampled_from([8, 24, 60]))
            shape = conv(channels, size, kernel=kernel, outputs=outputs, batch=batch)
        shapes.append(shape)
        channels, size = shape.output_shape[1], shape.output_size
    return shapes, draw(st.integers(0, 2**32 - 1)), draw(st.booleans())


def build(network, name):
    """Return (builder, source, last, input codes, golden result) of a drawn network."""
    shapes, seed, residual = network
    rng = np.random.default_rng(seed)
    builder = JobBuilder(TESTED[name])
    first = shapes[0]
    image = isinstance(first, ConvShape) and first.in_channels <= 4 and first.groups == 1
    x = codes(rng, first.input_shape)
    tensor = source = builder.tensor(first.input_shape, image)
    results = [(tensor, x)]
    for index, shape in enumerate(shapes):
        tensor, x = results[-1]
        target = builder.tensor(shape.output_shape)
        if isinstance(shape, PoolShape):
            builder.layer(pooling(shape, builder.geometry), tensor, target)
            results.append((target, golden.max_pool(x, shape)))
            continue
        addends = [r for r in results[:-1] if r[1].shape == shape.output_shape]
        addends = [r for r in addends if not r[0].first.image] if residual else []
        p = parameters(rng, shape, residual=bool(addends))
        mapping = convolution(shape, p, builder.geometry, image and index == 0)
        addend, other = addends[0] if addends else (None, None)
        builder.layer(mapping, tensor, target, addend)
        results.append((target, golden.conv2d(x, p, shape, other)))
    return builder, source, results


@settings(deadline=None, max_examples=80)
@given(networks(), st.sampled_from(sorted(TESTED)), st.booleans())
def test_networks_equal_the_golden_model(network, name, fuse):
    """Layer by layer or fused into chains, in any legal order, the codes are the golden ones."""
    builder, source, results = build(network, name)
    job = builder.finish(fuse=fuse)
    window = job.memory.copy()
    source.write(window, results[0][1])
    other = window.copy()
    device(name).run_job(job, window)
    assert np.array_equal(results[-1][0].read(window), results[-1][1])
    order = shuffled(job.commands, np.random.default_rng(network[1]))
    code = encode(order)
    other[job.command_offset : job.command_offset + code.size] = code
    device(name).run(other, job.command_offset, len(order))
    assert np.array_equal(results[-1][0].read(other), results[-1][1])


def bottleneck(size=(14, 14)):
    """Return the shapes of an inverted residual block."""
    return (
        conv(24, size, outputs=96),
        conv(96, size, kernel=3, groups=96),
        conv(96, size, outputs=24),
    )


def block(name, keep=False):
    """Return (job, tensors, golden codes) of an inverted residual block with its addition."""
    rng = np.random.default_rng(3)
    builder = JobBuilder(TESTED[name])
    shapes = bottleneck()
    x = codes(rng, shapes[0].input_shape)
    tensors, values = [builder.tensor(shapes[0].input_shape)], [x]
    for shape in shapes:
        last = shape is shapes[-1]
        p = parameters(rng, shape, residual=last)
        tensors.append(builder.tensor(shape.output_shape))
        mapping = convolution(shape, p, builder.geometry)
        builder.layer(mapping, tensors[-2], tensors[-1], tensors[0] if last else None)
        values.append(golden.conv2d(values[-1], p, shape, x if last else None))
    return builder.finish(keep=tensors[1:2] if keep else ()), tensors, values


def test_a_block_stays_on_chip():
    """Expansion and depthwise results never reach DRAM when nothing else reads them."""
    job, tensors, values = block("ultra96")
    assert any(isinstance(c, Compute) and c.to_activation for c in job.commands)
    window = job.memory.copy()
    tensors[0].write(window, values[0])
    device("ultra96").run_job(job, window)
    assert np.array_equal(tensors[3].read(window), values[3])
    assert not tensors[1].read(window).any()
    assert not tensors[2].read(window).any()
    assert_ordered(job.commands, job.geometry)


def test_a_kept_tensor_is_stored():
    """A tensor that is asked for is in DRAM, whatever a chain would save."""
    job, tensors, values = block("ultra96", keep=True)
    window = job.memory.copy()
    tensors[0].write(window, values[0])
    device("ultra96").run_job(job, window)
    assert np.array_equal(tensors[1].read(window), values[1])
    assert np.array_equal(tensors[3].read(window), values[3])


def test_residual_and_its_tensor_come_together():
    """A mapping with a residual needs the tensor, one without takes none."""
    builder = JobBuilder(TESTED["ultra96"])
    shape = conv(16, (4, 4))
    p = parameters(np.random.default_rng(0), shape)
    mapping = convolution(shape, p, builder.geometry)
    source, target = builder.tensor(shape.input_shape), builder.tensor(shape.output_shape)
    with pytest.raises(InputError, match="come together"):
        builder.layer(mapping, source, target, source)


def test_tensors_check_what_is_written():
    """Wrong shapes, dtypes and views are refused."""
    tensor = JobBuilder(TESTED["ultra96"]).tensor((1, 16, 4, 6))
    memory = np.zeros(4096, np.uint8)
    with pytest.raises(InputError, match="codes are"):
        tensor.write(memory, np.zeros((1, 16, 4, 5), np.int8))
    with pytest.raises(InputError, match="codes are"):
        tensor.write(memory, np.zeros((1, 16, 4, 6), np.uint8))
    assert tensor.view(3, 8).first.pitch == 8
    with pytest.raises(InputError, match="words"):
        tensor.view(3, 7)
    with pytest.raises(InputError, match="4 GiB"):
        JobBuilder(TESTED["ultra96"]).tensor((1024, 4096, 1024, 1024))


def test_a_network_reads_each_weight_once_where_it_fits():
    """A chain in bands loads its weights once when the buffer holds them."""
    job, _, _ = block("ultra96")
    beats = sum(c.cols * c.rows for c in job.commands if getattr(c, "memory", 0) == 2)
    assert beats == 16 * (6 * 2 + 6 * 3 + 2 * 6)
