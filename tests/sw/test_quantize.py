"""Scales: ranges, sharing, calibration, edge cases."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.sw.execute import execute
from heterolith.sw.network import Layer, Network, TensorType
from heterolith.sw.onnx_import import load_onnx
from heterolith.sw.quantize import (
    calibrate,
    quantize,
    scale_for,
    scale_groups,
    synthetic_samples,
)

from .nets import one_layer, random_inputs, window

FLOAT32 = st.floats(-(2.0**100), 2.0**100, width=32)


@given(FLOAT32, FLOAT32)
def test_scale_covers_the_range_and_zero(first, second):
    """Both ends are within one code of a code, and 0 is a code exactly."""
    low, high = min(first, second, 0.0), max(first, second, 0.0)
    entry = scale_for(min(first, second), max(first, second))
    assert -128 <= entry.zero_point <= 127
    assert entry.code(0.0) == entry.zero_point
    assert np.float32(entry.scale) == entry.scale
    for end in (low, high):
        value = (entry.code(end) - entry.zero_point) * entry.scale
        assert abs(value - end) <= entry.scale * 1.001


@pytest.mark.parametrize(
    ("low", "high"),
    [(0.0, 0.0), (5.0, 5.0), (-3.0, -3.0), (0.0, 1e-44), (-3.4e38, 3.4e38), (1e-20, 2e-20)],
)
def test_scale_of_odd_ranges_is_usable(low, high):
    """Empty, constant, denormal and huge ranges have a positive finite scale."""
    entry = scale_for(low, high)
    assert 0.0 < entry.scale < math.inf
    codes = [entry.code(value) for value in (low, high)]
    assert codes == sorted(codes)


def test_infinite_bounds_have_codes():
    """The open end of a Relu is the highest code, the lowest an unbounded low one."""
    entry = scale_for(-1.0, 1.0)
    assert entry.code(math.inf) == 127
    assert entry.code(-math.inf) == -128


def chain():
    """Return pools, a view and a concat around one addition, all on 1x2x4x4."""
    kind, layers = TensorType((1, 2, 4, 4)), []
    pool = {"kernel_shape": (1, 1), "strides": (1, 1), "pads": (0,) * 4, "dilations": (1, 1)}
    for op, sources, target, attributes in (
        ("MaxPool", ("x",), "pooled", {**pool, "ceil_mode": 0, "storage_order": 0}),
        ("Add", ("pooled", "x"), "sum", {}),
        ("Relu", ("sum",), "relu", {}),
        ("Concat", ("pooled", "relu"), "joined", {"axis": 1}),
        ("Concat", ("joined", "joined"), "wide", {"axis": 3}),
        ("Reshape", ("wide", "shape"), "flat", {"allowzero": 0}),
    ):
        layers.append(
            Layer(name=target, op=op, inputs=sources, outputs=(target,), attributes=attributes)
        )
    shapes = {"joined": (1, 4, 4, 4), "wide": (1, 4, 4, 8), "flat": (1, 128)}
    names = ("x", "pooled", "sum", "relu")
    return Network(
        name="chain",
        inputs=("x",),
        outputs=("flat",),
        layers=tuple(layers),
        tensors=dict.fromkeys(names, kind)
        | {name: TensorType(shape) for name, shape in shapes.items()},
        constants={"shape": np.array([1, 128])},
    )


def test_copies_share_one_scale():
    """Pools, views and concats over channels join scales; arithmetic and other concats do not."""
    groups = scale_groups(chain())
    assert len({groups[name] for name in ("x", "pooled", "relu", "joined")}) == 1
    assert groups["wide"] == groups["flat"]
    assert len({groups[name] for name in ("x", "sum", "wide")}) == 3
    scales = quantize(chain()).scales
    assert scales["x"] == scales["joined"]
    assert scales["sum"] != scales["x"]


def test_shared_range_is_the_union():
    """Tensors of one group get the range of all of them."""
    network = chain()
    values = np.linspace(-4, 1, 32, dtype=np.float32).reshape(1, 2, 4, 4)
    quantized = quantize(network, [{"x": values}])
    entry = quantized.scales["joined"]
    assert entry.scale == pytest.approx((4 + 2) / 255, rel=1e-6)
    attributes = {**window((2, 2), (2, 2)), "ceil_mode": 0, "storage_order": 0}
    pool = one_layer("MaxPool", [(1, 1, 2, 2)], (), attributes)
    values = np.array([[[[-9, -2], [1, 3]]]], np.float32)
    assert quantize(pool, [{"x0": values}]).scales["y"].scale == pytest.approx(12 / 255, rel=1e-6)


def test_calibration_says_where_ranges_come_from():
    """Synthetic ranges are called so; given samples are counted."""
    network = one_layer("Relu", [(1, 8)])
    assert quantize(network).calibration == "synthetic"
    samples = [random_inputs(network, np.random.default_rng(seed)) for seed in range(3)]
    assert quantize(network, iter(samples)).calibration == "3 samples"


def test_synthetic_samples_follow_their_seed():
    """One seed gives one set of samples, another seed another."""
    network = one_layer("Relu", [(1, 8)])
    first, again = (synthetic_samples(network, 1)[0]["x0"] for _ in range(2))
    assert (first == again).all()
    assert (first != synthetic_samples(network, 2)[0]["x0"]).any()
    assert quantize(network, seed=1).scales == quantize(network, seed=1).scales
    integers = replace(network, tensors={**network.tensors, "x0": TensorType((1, 8), "int64")})
    assert (synthetic_samples(integers)[0]["x0"] == 0).all()


def test_ranges_are_those_of_all_samples():
    """Minimum and maximum run over all samples; a percentile cuts the tails of each."""
    network = one_layer("Relu", [(1, 1000)])
    samples = [{"x0": np.linspace(-1, top, 1000, dtype=np.float32)[None]} for top in (2.0, 3.0)]
    ranges, count = calibrate(network, samples)
    assert count == 2
    assert ranges == {"x0": (-1.0, 3.0), "y": (0.0, 3.0)}
    cut, _ = calibrate(network, samples, percentile=99.0)
    assert cut["x0"][1] == pytest.approx(3 - 0.04, abs=1e-3)


@pytest.mark.parametrize(
    ("samples", "percentile", "word"),
    [
        ([], 100.0, "no calibration sample"),
        ([{"x0": np.full((1, 4), np.nan, np.float32)}], 100.0, "finite"),
        ([{"x0": np.full((1, 4), np.inf, np.float32)}], 100.0, "finite"),
        ([{"x0": np.zeros((1, 4), np.float32)}], 50.0, "percentile"),
        ([{"wrong": np.zeros((1, 4), np.float32)}], 100.0, "wrong"),
    ],
)
def test_bad_calibration_is_refused(samples, percentile, word):
    """No sample, NaN, infinity, wrong names and wrong percentiles are refused in words."""
    with pytest.raises(InputError, match=word):
        calibrate(one_layer("Relu", [(1, 4)]), samples, percentile)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_encoded_values_are_within_half_a_code(seed, spread):
    """Values inside the calibrated range come back within half a scale."""
    network = one_layer("Relu", [(4, 50)])
    inputs = random_inputs(network, np.random.default_rng(seed), spread)
    quantized = quantize(network, [inputs])
    codes = quantized.encode("x0", inputs["x0"])
    assert codes.dtype == np.int8
    back = quantized.decode("x0", codes)
    assert back.dtype == np.float32
    assert np.abs(back - inputs["x0"]).max() <= quantized.scales["x0"].scale * 0.5001 + 1e-30
    with pytest.raises(InputError, match="x0"):
        quantized.encode("x", inputs["x0"])


def test_every_float_activation_of_a_network_has_a_scale(cnn_path):
    """All float32 tensors, network inputs and outputs among them, can cross to the accelerator."""
    network = load_onnx(cnn_path)
    quantized = quantize(network)
    assert set(quantized.scales) == set(network.tensors)
    values = execute(network, synthetic_samples(network)[0], keep=True)
    for name, value in values.items():
        error = np.abs(quantized.decode(name, quantized.encode(name, value)) - value)
        assert error.max() <= quantized.scales[name].scale * 0.51
