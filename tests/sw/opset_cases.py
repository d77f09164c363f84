"""Models of one or two nodes in old and new operator sets, with what they compute."""

import numpy as np

from .onnx_models import node

RNG = np.random.default_rng(7)
PER_CHANNEL = RNG.uniform(0.5, 1.5, 3)
STATISTICS = {name: RNG.uniform(0.5, 1.5, 3) for name in ("g", "b", "m", "v")}
BATCH = ["x", "g", "b", "m", "v"]
IMAGE = {"x": (2, 3, 8, 8)}
KERNEL = {"w": RNG.standard_normal((4, 3, 3, 3))}
TRANSPOSED = {"w": RNG.standard_normal((3, 4, 3, 3))}


def ints(*values):
    """Return an int64 constant."""
    return np.array(values, np.int64)


def softmax(x, axes):
    """Return the softmax over several axes at once."""
    shifted = np.exp(x - x.max(axis=axes, keepdims=True))
    return shifted / shifted.sum(axis=axes, keepdims=True)


def normalized(x):
    """Return the batch normalization of `STATISTICS`."""
    g, b, m, v = (STATISTICS[name][:, None, None] for name in ("g", "b", "m", "v"))
    return (x - m) / np.sqrt(v + 1e-5) * g + b


# name: opset, nodes, input shapes, constants, the result by numpy or None to ask ONNX Runtime
CASES = {
    "add-6 of a constant along axis 1": (
        6,
        [node("Add", ["x", "c"], ["y"], broadcast=1, axis=1)],
        IMAGE,
        {"c": PER_CHANNEL},
        lambda x: x + PER_CHANNEL[:, None, None],
    ),
    "mul-1 of an activation along axis 1": (
        1,
        [node("Mul", ["x", "z"], ["y"], broadcast=1, axis=1)],
        {"x": (2, 3, 4, 5), "z": (3, 4)},
        {},
        lambda x, z: x * z[:, :, None],
    ),
    "sub-6 at the last axes": (
        6,
        [node("Sub", ["x", "z"], ["y"], broadcast=1)],
        {"x": (2, 3, 4, 5), "z": (4, 5)},
        {},
        lambda x, z: x - z,
    ),
    "prelu-6 with a slope per channel": (
        6,
        [node("PRelu", ["x", "c"], ["y"])],
        IMAGE,
        {"c": PER_CHANNEL},
        lambda x: np.where(x < 0, x * PER_CHANNEL[:, None, None], x),
    ),
    "batch normalization-1": (
        1,
        [node("BatchNormalization", BATCH, ["y"], is_test=1, consumed_inputs=[0, 0, 0, 1, 1])],
        IMAGE,
        STATISTICS,
        normalized,
    ),
    "batch normalization-6": (
        6,
        [node("BatchNormalization", BATCH, ["y"], is_test=1)],
        IMAGE,
        STATISTICS,
        normalized,
    ),
    "batch normalization-9 has no momentum": (
        9,
        [node("BatchNormalization", BATCH, ["y"], momentum=0.5)],
        IMAGE,
        STATISTICS,
        normalized,
    ),
    "reshape-1 by attribute": (
        1,
        [node("Reshape", ["x"], ["y"], shape=[0, -1])],
        IMAGE,
        {},
        lambda x: x.reshape(2, -1),
    ),
    "clip-6": (6, [node("Clip", ["x"], ["y"], max=0.5)], IMAGE, {}, lambda x: np.minimum(x, 0.5)),
    "clip-11 without minimum": (
        11,
        [node("Clip", ["x", "", "c"], ["y"])],
        IMAGE,
        {"c": np.float32(0.5)},
        lambda x: np.minimum(x, 0.5),
    ),
    "pad-1": (
        1,
        [node("Pad", ["x"], ["y"], paddings=[0, 0, 1, 2, 0, 0, 0, 1], value=1.5)],
        IMAGE,
        {},
        lambda x: np.pad(x, [(0, 0), (0, 0), (1, 0), (2, 1)], constant_values=1.5),
    ),
    "pad-2 reflected": (
        2,
        [node("Pad", ["x"], ["y"], pads=[0, 0, 1, 2, 0, 0, 0, 1], mode="reflect")],
        IMAGE,
        {},
        lambda x: np.pad(x, [(0, 0), (0, 0), (1, 0), (2, 1)], mode="reflect"),
    ),
    "slice-1": (
        1,
        [node("Slice", ["x"], ["y"], starts=[1, -3], ends=[9, -1], axes=[1, 3])],
        IMAGE,
        {},
        lambda x: x[:, 1:9, :, -3:-1],
    ),
    "split-2 by attribute": (
        2,
        [node("Split", ["x"], ["a", "y"], axis=3, split=[3, 5])],
        IMAGE,
        {},
        lambda x: x[..., 3:],
    ),
    "split-13 into equal parts": (
        13,
        [node("Split", ["x"], ["a", "y"], axis=-1)],
        IMAGE,
        {},
        lambda x: x[..., 4:],
    ),
    "split-18 into unequal parts": (
        18,
        [node("Split", ["x"], ["a", "b", "y"], axis=2, num_outputs=3)],
        IMAGE,
        {},
        lambda x: x[:, :, 6:],
    ),
    "squeeze-1 and unsqueeze-1": (
        1,
        [node("Unsqueeze", ["x"], ["u"], axes=[0, 2]), node("Squeeze", ["u"], ["y"], axes=[0])],
        IMAGE,
        {},
        lambda x: x[:, None],
    ),
    "squeeze-13 of all": (13, [node("Squeeze", ["x"], ["y"])], {"x": (1, 3, 1)}, {}, np.squeeze),
    "concat-1 has a default axis": (
        1,
        [node("Concat", ["x", "x"], ["y"])],
        IMAGE,
        {},
        lambda x: np.concatenate([x, x], 1),
    ),
    "cast-1 by name": (
        1,
        [node("Cast", ["x"], ["y"], to="INT32")],
        IMAGE,
        {},
        lambda x: x.astype(np.int32),
    ),
    "cast-like": (
        15,
        [node("CastLike", ["x", "c"], ["y"])],
        IMAGE,
        {"c": ints(0)},
        lambda x: x.astype(np.int64),
    ),
    "softmax-1 over all axes from the first": (
        1,
        [node("Softmax", ["x"], ["y"])],
        {"x": (2, 3, 4)},
        {},
        lambda x: softmax(x, (1, 2)),
    ),
    "softmax-11 over the last axis": (
        11,
        [node("Softmax", ["x"], ["y"], axis=-1)],
        {"x": (2, 3, 4)},
        {},
        lambda x: softmax(x, (2,)),
    ),
    "softmax-9 over channels of one pixel": (
        9,
        [node("Softmax", ["x"], ["y"])],
        {"x": (2, 5, 1, 1)},
        {},
        lambda x: softmax(x, (1,)),
    ),
    "softmax-13 over the last axis by default": (
        13,
        [node("Softmax", ["x"], ["y"])],
        {"x": (2, 3, 4)},
        {},
        lambda x: softmax(x, (2,)),
    ),
    "log softmax-11": (
        11,
        [node("LogSoftmax", ["x"], ["y"], axis=0)],
        {"x": (2, 3)},
        {},
        lambda x: np.log(softmax(x, (0, 1))),
    ),
    "gemm-6 with broadcast": (
        6,
        [node("Gemm", ["x", "w", "c"], ["y"], broadcast=1, transB=1, alpha=0.5, beta=2.0)],
        {"x": (2, 3)},
        {"w": np.eye(4, 3), "c": np.arange(4.0)},
        lambda x: 0.5 * x @ np.eye(3, 4) + 2 * np.arange(4.0),
    ),
    "upsample-7": (
        7,
        [node("Upsample", ["x"], ["y"], scales=[1.0, 1.0, 2.0, 3.0])],
        IMAGE,
        {},
        lambda x: x.repeat(2, 2).repeat(3, 3),
    ),
    "upsample-9 linear": (
        9,
        [node("Upsample", ["x", "c"], ["y"], mode="linear")],
        IMAGE,
        {"c": np.array([1, 1, 2, 2], np.float32)},
        None,
    ),
    "resize-10 nearest, shrinking": (
        10,
        [node("Resize", ["x", "c"], ["y"])],
        IMAGE,
        {"c": np.array([1, 1, 0.6, 0.6], np.float32)},
        None,
    ),
    "resize-10 linear": (
        10,
        [node("Resize", ["x", "c"], ["y"], mode="linear")],
        IMAGE,
        {"c": np.array([1, 1, 1.5, 2.0], np.float32)},
        None,
    ),
    "resize-11 by sizes": (
        11,
        [node("Resize", ["x", "r", "r", "s"], ["y"], mode="linear")],
        IMAGE,
        {"r": np.zeros(0, np.float32), "s": ints(2, 3, 5, 12)},
        None,
    ),
    "reduce mean-11 by attribute": (
        11,
        [node("ReduceMean", ["x"], ["y"], axes=[1, -1], keepdims=0)],
        IMAGE,
        {},
        lambda x: x.mean((1, 3)),
    ),
    "reduce mean-18 by input": (
        18,
        [node("ReduceMean", ["x", "c"], ["y"], keepdims=0)],
        IMAGE,
        {"c": ints(1, 3)},
        lambda x: x.mean((1, 3)),
    ),
    "reduce sum-11 of all": (
        11,
        [node("ReduceSum", ["x"], ["y"], keepdims=0)],
        IMAGE,
        {},
        lambda x: x.sum(),
    ),
    "tile-1 along an axis": (
        1,
        [node("Tile", ["x", "t", "a"], ["y"])],
        {"x": (2, 3)},
        {"t": np.float32(2), "a": np.float32(1)},
        lambda x: np.tile(x, (1, 2)),
    ),
    "sum-8 of two": (8, [node("Sum", ["x", "x"], ["y"])], IMAGE, {}, lambda x: 2 * x),
    "sum-6 of three": (6, [node("Sum", ["x", "x", "x"], ["y"])], IMAGE, {}, lambda x: 3 * x),
    "selu-1 has its own defaults": (
        1,
        [node("Selu", ["x"], ["y"])],
        IMAGE,
        {},
        lambda x: 1.0507 * np.where(x > 0, x, 1.6732 * np.expm1(x)),
    ),
    "local response normalization-1": (1, [node("LRN", ["x"], ["y"], size=3)], IMAGE, {}, None),
    "average pool-1 leaves padding out": (
        1,
        [node("AveragePool", ["x"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])],
        {"x": (1, 1, 3, 3)},
        {},
        lambda x: np.array(
            [
                [x[0, 0, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2].mean() for j in range(3)]
                for i in range(3)
            ]
        )[None, None],
    ),
    "average pool-7 counts padding": (
        7,
        [node("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], pads=[1] * 4, count_include_pad=1)],
        IMAGE,
        {},
        None,
    ),
    "average pool-19 rounds up": (
        19,
        [node("AveragePool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)],
        IMAGE,
        {},
        None,
    ),
    "max pool-8 padded at the end": (
        8,
        [node("MaxPool", ["x"], ["y"], kernel_shape=[3, 2], strides=[2, 3], auto_pad="SAME_UPPER")],
        IMAGE,
        {},
        None,
    ),
    "max pool-12 padded at the start": (
        12,
        [node("MaxPool", ["x"], ["y"], kernel_shape=[3, 2], auto_pad="SAME_LOWER")],
        IMAGE,
        {},
        None,
    ),
    "convolution-1 padded at the end": (
        1,
        [node("Conv", ["x", "w"], ["y"], strides=[2, 3], auto_pad="SAME_UPPER")],
        IMAGE,
        KERNEL,
        None,
    ),
    "convolution-11 padded at the start": (
        11,
        [node("Conv", ["x", "w"], ["y"], strides=[3, 2], auto_pad="SAME_LOWER")],
        IMAGE,
        KERNEL,
        None,
    ),
    "convolution-11 without padding": (
        11,
        [node("Conv", ["x", "w"], ["y"], auto_pad="VALID", dilations=[2, 1])],
        IMAGE,
        KERNEL,
        None,
    ),
    "transposed convolution-11 of a shape": (
        11,
        [node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], output_shape=[15, 16])],
        IMAGE,
        TRANSPOSED,
        None,
    ),
    "transposed convolution-1 of a longer shape": (
        1,
        [node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], output_shape=[18, 17])],
        IMAGE,
        TRANSPOSED,
        None,
    ),
    "transposed convolution-11 padded alike": (
        11,
        [node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 3], auto_pad="SAME_UPPER")],
        IMAGE,
        TRANSPOSED,
        None,
    ),
    "constant-12 of floats": (
        12,
        [node("Constant", [], ["c"], value_floats=[1.0, 2.0, 3.0]), node("Add", ["x", "c"], ["y"])],
        {"x": (2, 3)},
        {},
        lambda x: x + np.arange(1, 4),
    ),
}
