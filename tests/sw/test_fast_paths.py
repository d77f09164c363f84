"""Every path of a layer computes what its plain operator computes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.sw.execute import execute
from heterolith.sw.fast.conv_spec import ConvSpec, conv_spec, paths_for
from heterolith.sw.fast.cooktoom import squares, transforms
from heterolith.sw.fast.crew import Alone
from heterolith.sw.fast.memory import Shelf
from heterolith.sw.fast.products import factor, multiply, transform
from heterolith.sw.fast.program import Choice, compile_program
from heterolith.sw.fast.spots import Scratch
from heterolith.sw.network import Activation

from .nets import one_layer, random_inputs, window

ACTIVATIONS = [None, Activation(), Activation(0.0, 6.0), Activation(-0.5, np.inf), Activation(2, 3)]


def run(network, inputs, choice, threads=1):
    """Return the outputs of a compiled network whose workers run one after the other."""
    program = compile_program(network, choice, threads)
    for name, place in program.inputs.items():
        np.copyto(place, inputs[name])
    for _ in range(2):  # the second run finds what the first left behind
        for phase in program.phases:
            for steps in reversed(phase):
                Alone([steps]).run()
    return program.outputs


def forced(path, block_bytes, small):
    """Return a chooser that takes a path wherever it is possible."""

    def choose(spec, given):
        paths = paths_for(spec, from_input=given, winograd=True)
        return Choice(path if path in paths else paths[0], block_bytes, small)

    return choose


def conv_network(rng, shape, kernels, kernel, group=1, **more):
    """Return a convolution of weights of unit gain."""
    channels = shape[1] // group
    w = rng.standard_normal((kernels, channels, *kernel)) / np.sqrt(channels * np.prod(kernel))
    b = rng.standard_normal(kernels).astype(np.float32) if more.pop("bias", True) else None
    attributes = {**window(kernel, more.get("stride"), more.get("pads")), "group": group}
    if more.get("dilation"):
        attributes["dilations"] = more["dilation"]
    return one_layer(
        "Conv",
        [shape],
        [w.astype(np.float32), b],
        attributes,
        activation=more.get("activation"),
        residual=more.get("residual"),
    )


@st.composite
def cases(draw):
    """Draw a convolution of any geometry, and how to cut it."""
    group = draw(st.sampled_from([1, 1, 2, 3]))
    each = draw(st.sampled_from([1, 2, 8, 20, 70]))
    kernels = group * draw(st.sampled_from([1, 3, 8, 33, 70]))
    if draw(st.integers(0, 4)) == 0:
        group = kernels = each = draw(st.integers(1, 40))
        each = 1
    size = draw(st.integers(1, 5))
    kernel = (size, size) if draw(st.booleans()) else (size, draw(st.integers(1, 4)))
    space = [k + draw(st.integers(0, 14)) for k in kernel]
    stride = draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (1, 3)]))
    pads = draw(st.sampled_from([(0,) * 4, (1,) * 4, (0, 1, 2, 1)]))
    more = {
        "stride": stride,
        "pads": pads,
        "bias": draw(st.booleans()),
        "activation": draw(st.sampled_from(ACTIVATIONS)),
    }
    shape = (draw(st.integers(1, 2)), group * each, *space)
    seed = draw(st.integers(0, 99))
    network = conv_network(np.random.default_rng(seed), shape, kernels, kernel, group, **more)
    if draw(st.booleans()):
        more["residual"] = network.tensors["y"].shape
        network = conv_network(np.random.default_rng(seed), shape, kernels, kernel, group, **more)
    return network, seed


def test_blocks_of_changing_heights_keep_their_biases():
    """Ten rows in blocks of two and three: each finds its ones, whatever lay over them before."""
    network = conv_network(np.random.default_rng(0), (1, 48, 10, 64), 8, (3, 3), pads=(1,) * 4)
    inputs = random_inputs(network, np.random.default_rng(1))
    found = run(network, inputs, lambda spec, given: Choice("gather", 1, small=True))["y"]
    np.testing.assert_allclose(found, execute(network, inputs)["y"], rtol=1e-4, atol=1e-5)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    case=cases(),
    path=st.sampled_from(["gather", "winograd2", "winograd3", "winograd4"]),
    block_bytes=st.sampled_from([1, 20_000, 1 << 20]),
    small=st.booleans(),
    threads=st.integers(1, 3),
)
def test_convolutions_agree_on_every_path(case, path, block_bytes, small, threads):
    """Within 3e-5 of the largest element, for every cut into blocks and for workers."""
    network, seed = case
    inputs = random_inputs(network, np.random.default_rng(seed + 1))
    expected = execute(network, inputs)["y"]
    found = run(network, inputs, forced(path, block_bytes, small), threads)["y"]
    assert np.abs(found - expected).max() <= 3e-5 * max(1, np.abs(expected).max())


PLAIN_LAYER = {
    "n": 1,
    "size": (28, 28),
    "kernel": (3, 3),
    "strides": (1, 1),
    "dilations": (1, 1),
    "pads": (1, 1, 1, 1),
    "group": 1,
    "out": (28, 28),
}
"""What two layers of 28 x 28 places have in common."""


def test_workers_share_kernels_where_there_is_little_else_to_share():
    """Few places, or many kernels for each tile: every kernel is then read by one worker alone."""
    spec = {"channels": 64, **PLAIN_LAYER}
    many, some = ConvSpec(kernels=196, **spec), ConvSpec(kernels=195, **spec)
    assert many.by_kernels(2, "winograd4")  # 49 tiles
    assert not some.by_kernels(2, "winograd4")
    assert not many.by_kernels(2, "winograd2")
    assert not many.by_kernels(2, "gather")
    assert not many.by_kernels(1, "winograd4")
    assert not ConvSpec(kernels=196, **{**spec, "n": 2}).by_kernels(2, "winograd4")
    small = ConvSpec(kernels=64, **{**spec, "size": (13, 13), "out": (13, 13)})
    assert small.by_kernels(2, "gather")
    assert not small.by_kernels(2, "depthwise")


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_workers_that_share_kernels_compute_the_layer(threads):
    """Five kernels for each of 16 tiles, with a residual and a clamp."""
    network = conv_network(
        np.random.default_rng(0),
        (1, 9, 14, 14),
        80,
        (3, 3),
        pads=(1,) * 4,
        residual=(1, 80, 14, 14),
        activation=Activation(),
    )
    inputs = random_inputs(network, np.random.default_rng(1))
    found = run(network, inputs, forced("winograd4", 1 << 20, True), threads)["y"]
    np.testing.assert_allclose(found, execute(network, inputs)["y"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("path", "kernel", "bound"),
    [
        ("winograd2", 3, 2e-6),
        ("winograd3", 3, 6e-6),
        ("winograd4", 3, 1e-5),
        ("winograd2", 5, 1e-5),
    ],
)
def test_winograd_stays_within_its_stated_error(path, kernel, bound):
    """Largest error over largest result against float64, on layers of real depth."""
    rng = np.random.default_rng(7)
    network = conv_network(rng, (1, 256, 14, 14), 64, (kernel, kernel), pads=(kernel // 2,) * 4)
    inputs = random_inputs(network, rng)
    wide = {name: value.astype(np.float64) for name, value in network.constants.items()}
    from heterolith.sw.ops import compute

    layer = network.layers[0]
    names = [name for name in layer.inputs if name]
    values = {**wide, "x0": inputs["x0"].astype(np.float64)}
    exact = compute("Conv", layer.attributes, [values[name] for name in names])[0]
    assert path in paths_for(conv_spec(network, layer), from_input=False, winograd=True)
    # A layer behind another one: a network input of many channels lies channels last as well.
    found = run(network, inputs, forced(path, 1 << 20, True))["y"]
    assert np.abs(found - exact).max() <= bound * np.abs(exact).max()


def test_paths_fit_the_shape():
    """Few channels from outside are read as they come; exact layers never take Winograd."""
    deep = ConvSpec(channels=64, kernels=64, **PLAIN_LAYER)
    assert paths_for(deep, from_input=False, winograd=True)[0].startswith("winograd")
    assert paths_for(deep, from_input=False, winograd=False) == ("gather",)
    image = ConvSpec(channels=3, kernels=64, **PLAIN_LAYER)
    assert paths_for(image, from_input=True, winograd=True) == ("planar",)
    each = ConvSpec(channels=64, kernels=64, **{**PLAIN_LAYER, "group": 64})
    assert paths_for(each, from_input=False, winograd=True) == ("depthwise",)


@pytest.mark.parametrize(("outputs", "taps"), [(2, 3), (3, 3), (4, 3), (2, 5), (3, 5), (1, 1)])
def test_transforms_filter(outputs, taps):
    """In float64 minimal filtering is filtering, in one and two dimensions."""
    rng = np.random.default_rng(0)
    data, kernel, result = transforms(outputs, taps)
    d, g = rng.standard_normal(outputs + taps - 1), rng.standard_normal(taps)
    np.testing.assert_allclose(
        result @ ((kernel @ g) * (data @ d)), np.correlate(d, g, "valid"), atol=1e-12
    )
    assert np.all(result[:, :1] == np.eye(outputs)[:, :1])
    into, filters, back = squares(outputs, taps)
    d, g = rng.standard_normal((outputs + taps - 1,) * 2), rng.standard_normal((taps, taps))
    views = np.lib.stride_tricks.sliding_window_view(d, (taps, taps))
    plain = np.einsum("yxab,ab->yx", views, g)
    found = back @ ((filters @ g.ravel()) * (into @ d.ravel()))
    np.testing.assert_allclose(found.reshape(plain.shape), plain, atol=1e-11)


def test_there_are_points_for_eight_inputs_at_most():
    """More would round too much to be of use."""
    with pytest.raises(InputError, match="no points for 8 outputs of 3 taps"):
        transforms(8, 3)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    taps=st.integers(1, 3),
    rows=st.sampled_from([1, 7, 64, 250, 1777]),
    length=st.sampled_from([1, 17, 257, 400, 1025]),
    columns=st.sampled_from([1, 16, 64, 100, 192]),
    small=st.booleans(),
)
def test_products_cut_small_are_whole(taps, rows, length, columns, small):
    """Every row and column is computed once, however the product is cut."""
    rng = np.random.default_rng(0)
    a = rng.integers(-8, 8, (taps, rows, length + 3)).astype(np.float32)[..., :length]
    b = rng.integers(-8, 8, (taps, length, columns)).astype(np.float32)
    out = np.full((taps, rows, columns + 5), np.nan, np.float32)[..., :columns]
    for step in multiply(a, factor(b, small, Shelf()), out, Scratch()):
        step()
    assert np.array_equal(out, a @ b)
    wide = np.ascontiguousarray(b[0].T if length > columns else b[0])
    matrix = rng.integers(-8, 8, (36, wide.shape[0])).astype(np.float32)
    result = np.full((36, wide.shape[1]), np.nan, np.float32)
    for step in transform(matrix, wide, result, small):
        step()
    assert np.array_equal(result, matrix @ wide)


@pytest.mark.parametrize("rows", [49, 101, 169, 196, 331])
def test_pieces_of_a_product_have_nearly_one_height(rows):
    """A piece of a single row would read as much of the right factor as one of many."""
    a, b = np.zeros((rows, 300), np.float32), np.zeros((300, 64), np.float32)
    steps = multiply(a, factor(b, True, Shelf()), np.zeros((rows, 64), np.float32), Scratch())
    pieces = [step.args[0] for step in steps]
    heights = {piece.shape[-2] for piece in pieces}
    assert max(heights) - min(heights) <= 1
    assert max(heights) * b.size <= 1_000_000
    assert sum(piece.size for piece in pieces) == a.size


@st.composite
def pools(draw):
    """Draw a pooling layer, windows that lie wholly in the padding left out."""
    kernel = [draw(st.integers(1, 4)) for _ in range(2)]
    pads = [draw(st.integers(0, k - 1)) for k in (*kernel, *kernel)]
    dilation = [draw(st.integers(1, 2)) if not any(pads) else 1 for _ in range(2)]
    stride = [draw(st.integers(1, 3)) for _ in range(2)]
    size = [(k - 1) * d + draw(st.integers(1, 9)) for k, d in zip(kernel, dilation, strict=True)]
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 9)), *size)
    attributes = {**window(kernel, stride, pads, dilation), "ceil_mode": draw(st.integers(0, 1))}
    op = draw(st.sampled_from(["MaxPool", "AveragePool"]))
    if op == "AveragePool":
        attributes["count_include_pad"] = draw(st.integers(0, 1))
    activation = draw(st.sampled_from(ACTIVATIONS))
    return one_layer(op, [shape], [], attributes, activation=activation)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(network=pools(), threads=st.integers(1, 2))
def test_pools_agree_with_the_plain_operator(network, threads):
    """Maxima are equal, means up to the order of their sums."""
    inputs = random_inputs(network, np.random.default_rng(0))
    expected = execute(network, inputs)["y"]
    found = run(network, inputs, None, threads)["y"]
    if network.layers[0].op == "MaxPool":
        assert np.array_equal(found, expected)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


X = (2, 7, 6, 5)
LAYERS = [
    ("LRN", [X], [], {"size": 5, "alpha": 0.5, "beta": 0.75, "bias": 2.0}),
    ("LRN", [X], [], {"size": 4, "beta": 0.6}),
    ("LRN", [X], [], {"size": 1}),
    ("GlobalAveragePool", [X], [], {}),
    ("GlobalMaxPool", [X], [], {}),
    ("Relu", [X], [], {}),
    ("Add", [X, X], [], {}),
    ("Sub", [X, (1, 7, 1, 1)], [], {}),
    ("Max", [X, X], [], {}),
    ("Concat", [X, X], [], {"axis": 1}),
    ("Concat", [X, X], [], {"axis": 2}),
    ("Flatten", [X], [], {"axis": 1}),
    ("Transpose", [X], [], {"perm": (0, 2, 3, 1)}),
    ("Softmax", [(1, 9)], [], {"axis": 1}),
    ("Softmax", [(1, 9, 1, 1)], [], {"axis": 1}),
    ("Softmax", [(3, 9)], [], {"axis": 1}),
    ("Softmax", [X], [], {"axis": 1, "flatten": 1}),
    ("Gemm", [(3, 40)], [np.ones((70, 40), np.float32), np.ones(70, np.float32)], {"transB": 1}),
    ("Gemm", [(40, 3)], [np.ones((40, 7), np.float32)], {"transA": 1, "alpha": 0.5}),
    ("MatMul", [(3, 40)], [np.ones((40, 7), np.float32)], {}),
]


@pytest.mark.parametrize("activation", [None, Activation(), Activation(0.25, 0.5)])
@pytest.mark.parametrize(("op", "shapes", "constants", "attributes"), LAYERS)
def test_other_layers_agree_with_the_plain_operator(op, shapes, constants, attributes, activation):
    """Paths and the layers that have none, with and without a residual."""
    plain = one_layer(op, shapes, constants, attributes, activation=activation)
    shape = plain.tensors["y"].shape
    added = one_layer(op, shapes, constants, attributes, activation=activation, residual=shape)
    for network in (plain, added):
        inputs = random_inputs(network, np.random.default_rng(0))
        expected = execute(network, inputs)["y"]
        np.testing.assert_allclose(
            run(network, inputs, None, 2)["y"], expected, rtol=1e-5, atol=1e-6
        )
