"""The accelerator's codes against ONNX Runtime's QLinearConv on random convolutions.

QLinearConv scales a sum by a float32 factor and rounds half to even; the accelerator scales by an
exact 16-bit factor and rounds half up. So codes differ where a result lies within about 2**-17 of
its size from a half, by one at most. Scales are drawn so that codes have a standard deviation of
about 40. The codes are those of the functional device, which RTL and golden model repeat.

Run: python benchmarks/qlinear_conv.py --layers 200 --seed 0 --json. It needs the extra 'verify'.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from heterolith.hw.compiler.single import layer_job
from heterolith.hw.config import config
from heterolith.hw.device.functional import FunctionalDevice
from heterolith.hw.fixed import Array, Output, Scaling
from heterolith.hw.golden import LinearParameters
from heterolith.hw.shapes import ConvShape

SPREAD = 40.0
"""Standard deviation of the codes."""


def random_shape(rng: np.random.Generator) -> ConvShape:
    """Return a convolution: dense, grouped or depthwise, up to 192 channels."""
    kernel = tuple(int(x) for x in rng.integers(1, 6, 2))
    depthwise = rng.random() < 0.2
    groups = int(rng.integers(2, 97)) if depthwise else int(rng.integers(1, 4))
    per_group = 1 if depthwise else int(rng.integers(1, 65))
    height, width = (int(x) for x in rng.integers(7, 30, 2))
    return ConvShape(
        in_channels=groups * per_group,
        out_channels=groups * (1 if depthwise else int(rng.integers(1, 65))),
        height=height,
        width=width,
        kernel=(kernel[0], kernel[1]),
        stride=(int(rng.integers(1, 3)), int(rng.integers(1, 3))),
        pads=(kernel[0] // 2, kernel[1] // 2, kernel[0] // 2, kernel[1] // 2),
        groups=groups,
    )


def random_values(rng: np.random.Generator, shape: ConvShape) -> dict[str, Array]:
    """Return the nine inputs of QLinearConv."""
    channels, products = shape.out_channels, math.prod(shape.weight_shape[1:])
    input_scale = np.float32(rng.uniform(0.005, 0.05))
    weight_scales = rng.uniform(0.001, 0.01, channels).astype(np.float32)
    spread = math.sqrt(products) * 74.0 * 40.0 * float(input_scale * weight_scales.mean())
    weights = np.clip(np.rint(rng.normal(0, 40, shape.weight_shape)), -127, 127)
    return {
        "x": rng.integers(-128, 128, shape.input_shape, dtype=np.int8),
        "x_scale": np.asarray(input_scale),
        "x_zero": np.asarray(rng.integers(-20, 20), dtype=np.int8),
        "w": weights.astype(np.int8),
        "w_scale": weight_scales,
        "w_zero": np.zeros(channels, np.int8),
        "y_scale": np.asarray(spread / SPREAD, dtype=np.float32),
        "y_zero": np.asarray(rng.integers(-20, 20), dtype=np.int8),
        "b": rng.integers(-1000, 1000, channels, dtype=np.int32),
    }


def onnxruntime_codes(shape: ConvShape, values: dict[str, Array]) -> Array:
    """Return the codes of QLinearConv, one thread."""
    node = helper.make_node(
        "QLinearConv",
        list(values),
        ["y"],
        kernel_shape=shape.kernel,
        strides=shape.stride,
        pads=shape.pads,
        group=shape.groups,
    )
    inputs = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
        )
        for name, value in values.items()
    ]
    graph = helper.make_graph([node], "graph", inputs, [onnx.ValueInfoProto(name="y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    codes: Array = session.run(None, values)[0]
    return codes


def accelerator_codes(
    shape: ConvShape, values: dict[str, Array], device: FunctionalDevice
) -> Array:
    """Return the codes of the functional device."""
    zero = int(values["x_zero"])
    sums = values["w"].astype(np.int64).sum(axis=(1, 2, 3))
    factors = values["w_scale"].astype(float) * float(values["x_scale"]) / float(values["y_scale"])
    parameters = LinearParameters(
        weights=values["w"],
        bias=(values["b"] - zero * sums).astype(np.int32),
        scaling=Scaling.of(factors),
        output=Output(zero_point=int(values["y_zero"])),
        pad_value=zero,
    )
    return layer_job(device.config, shape, parameters).run(device, values["x"])


def main() -> None:
    """Count differences over random layers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="ultra96")
    parser.add_argument("--layers", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    device = FunctionalDevice(config(options.config))
    found: Counter[int] = Counter()
    for _ in range(options.layers):
        shape = random_shape(rng)
        values = random_values(rng, shape)
        codes = accelerator_codes(shape, values, device).astype(int)
        sizes, counts = np.unique(
            np.abs(codes - onnxruntime_codes(shape, values)), return_counts=True
        )
        found.update(dict(zip(sizes.tolist(), counts.tolist(), strict=True)))
    outputs, different = found.total(), found.total() - found[0]
    report = {
        "layers": options.layers,
        "seed": options.seed,
        "onnxruntime": onnxruntime.__version__,
        "outputs": outputs,
        "different": different,
        "share": different / outputs,
        "max_difference": max(found),
    }
    print(json.dumps(report) if options.json else "\n".join(f"{k} {v}" for k, v in report.items()))


if __name__ == "__main__":
    main()
