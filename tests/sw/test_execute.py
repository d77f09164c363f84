"""The float32 oracle checks inputs, applies fused parts, drops memory and overwrites nothing."""

from dataclasses import replace

import numpy as np
import pytest

from heterolith.errors import InputError
from heterolith.sw.execute import (
    apply,
    check_activations,
    check_inputs,
    execute,
    prepare,
)
from heterolith.sw.network import Activation, Layer, Network, TensorType
from heterolith.sw.ops import compute
from heterolith.sw.workers.team import Team


def test_outputs_are_the_plain_operators_one_after_the_other(chain_network):
    """A chain with residual, branch and dense layer equals its formula step by step."""
    network, inputs = chain_network
    c = network.constants
    a = np.maximum(compute("Conv", {"pads": (1,) * 4}, [inputs["x"], c["w1"], c["b1"]])[0], 0)
    (b,) = compute("Conv", {"pads": (1,) * 4, "group": 8}, [a, c["w2"]])
    third = np.clip(compute("Conv", {}, [b, c["w3"]])[0] + a, 0, 6)
    (d,) = compute("MaxPool", {"kernel_shape": (2, 2), "strides": (2, 2)}, [third])
    (e,) = compute("LRN", {"size": 5, "alpha": 0.1}, [d])
    h = np.concatenate([d, e], 1).reshape(1, -1) @ c["w4"].T + c["b4"]
    expected = np.exp(h - h.max()) / np.exp(h - h.max()).sum()
    got = execute(network, inputs)
    assert list(got) == ["y"]
    np.testing.assert_allclose(got["y"], expected, rtol=1e-5)


def test_keep_returns_every_activation(chain_network):
    """Inputs and intermediate tensors come back, constants do not."""
    network, inputs = chain_network
    everything = execute(network, inputs, keep=True)
    assert set(everything) == set(network.tensors)
    for name, value in everything.items():
        assert (value.shape, value.dtype.name) == (network.tensors[name].shape, "float32")
    np.testing.assert_array_equal(everything["y"], execute(network, inputs)["y"])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_do_not_change_the_result(chain_network, many_parts, threads):
    """Any number of threads and parts gives the same numbers up to rounding."""
    network, inputs = chain_network
    whole = execute(network, inputs, keep=True)
    for name, value in execute(network, inputs, keep=True, threads=threads).items():
        np.testing.assert_allclose(value, whole[name], rtol=1e-4, atol=1e-5)


def test_inputs_and_constants_are_never_written_to(chain_network):
    """Read-only arrays suffice, their values stay."""
    network, inputs = chain_network
    constants = {name: value.copy() for name, value in network.constants.items()}
    for value in (*constants.values(), *inputs.values()):
        value.flags.writeable = False
    kept = {name: value.copy() for name, value in inputs.items()}
    execute(replace(network, constants=constants), inputs)
    np.testing.assert_array_equal(inputs["x"], kept["x"])


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, r"input 'x' is missing; chain needs float32 of shape \(1, 3, 12, 12\)"),
        ({"x": np.zeros((1, 3, 12, 13), np.float32)}, r"shape \(1, 3, 12, 13\); chain needs"),
        ({"x": np.zeros((1, 3, 12, 12))}, "float64 of shape .*needs float32"),
        ({"x": [1.0]}, "is a list, no numpy array"),
        ({"X": np.zeros(1)}, "unknown network input 'X'"),
    ],
)
def test_wrong_inputs_are_refused(chain_network, inputs, words):
    """The message has name, given and needed type."""
    network, _ = chain_network
    for function in (check_inputs, execute):
        with pytest.raises(InputError, match=words):
            function(network, inputs)


def test_activations_of_a_layer_are_checked(chain_network):
    """A layer looks at what it reads alone, its residual included."""
    network, _ = chain_network
    layer = network.layers[2]
    values = {"b": np.zeros((1, 8, 12, 12), np.float32), "unrelated": 3}
    with pytest.raises(InputError, match="'a' is missing"):
        check_activations(network, layer, values)
    check_activations(network, layer, {**values, "a": values["b"]})


def test_a_failing_layer_is_named(chain_network):
    """An operator's refusal carries the layer's name and operator."""
    network, inputs = chain_network
    broken = replace(network.layers[0], attributes={"pads": (1, 1)})
    with pytest.raises(InputError, match=r"layer 'conv1' \(Conv\): a kernel of 2 axes"):
        execute(replace(network, layers=(broken, *network.layers[1:])), inputs)


def test_an_activation_on_a_view_does_not_reach_the_input():
    """A clamp fused behind a reshape leaves the reshaped tensor alone."""
    x = np.array([[-1.0, 2.0]], np.float32)
    layer = Layer(name="flat", op="Flatten", inputs=("x",), outputs=("y",), activation=Activation())
    (y,) = apply(layer, {"x": x})
    np.testing.assert_array_equal(y, [[0.0, 2.0]])
    np.testing.assert_array_equal(x, [[-1.0, 2.0]])


@pytest.mark.parametrize("op", ["Conv", "Add"])
def test_a_residual_of_another_shape_is_refused(op):
    """Broadcasting a residual would be cut wrongly into parts."""
    x = np.zeros((1, 2, 4, 4), np.float32)
    second = np.ones((2, 2, 1, 1), np.float32) if op == "Conv" else x
    layer = Layer(name="sum", op=op, inputs=("x", "w"), outputs=("y",), residual="r")
    with pytest.raises(InputError, match=r"residual of shape \(1, 2, 1, 1\)"):
        apply(layer, {"x": x, "w": second, "r": x[:, :, :1, :1]})


@pytest.mark.parametrize("bounds", [(-np.inf, 1.0), (-1.0, np.inf), (-0.5, 0.5)])
def test_activation_bounds_may_be_one_sided(bounds):
    """Infinite bounds do not limit."""
    x = np.linspace(-2, 2, 9, dtype=np.float32)
    layer = Layer(name="n", op="Neg", inputs=("x",), outputs=("y",), activation=Activation(*bounds))
    np.testing.assert_array_equal(apply(layer, {"x": x})[0], np.clip(-x, *bounds))


def test_tensors_that_nobody_reads_are_dropped():
    """Unread outputs of a layer are not returned without keep."""
    layer = Layer(
        name="cut",
        op="Split",
        inputs=("x",),
        outputs=("a", "b"),
        attributes={"num_outputs": 2},
    )
    kinds = {"x": TensorType((4,)), "a": TensorType((2,)), "b": TensorType((2,))}
    network = Network(
        name="n", inputs=("x",), outputs=("a",), layers=(layer,), tensors=kinds, constants={}
    )
    x = {"x": np.arange(4, dtype=np.float32)}
    assert list(execute(network, x)) == ["a"]
    assert list(execute(network, x, keep=True)) == ["x", "a", "b"]


def test_a_network_output_may_be_an_input():
    """What goes in may come out."""
    network = Network(
        name="n",
        inputs=("x",),
        outputs=("x",),
        layers=(),
        tensors={"x": TensorType((2,))},
        constants={},
    )
    x = np.ones(2, np.float32)
    assert execute(network, {"x": x})["x"] is x


def single(op, inputs, attributes=None, **more):
    """Return a layer of one output."""
    return Layer(
        name="one", op=op, inputs=inputs, outputs=("y",), attributes=attributes or {}, **more
    )


def whole(seed, *shape):
    """Return small whole numbers in float32: sums of their products are exact in any order."""
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(np.float32)


PREPARED = [
    ("AveragePool", {"kernel_shape": (3, 3), "pads": (1,) * 4}, [(2, 3, 8, 7)]),
    ("Concat", {"axis": 2}, [(2, 3, 4), (2, 3, 1)]),
    ("Conv", {"pads": (1,) * 4, "strides": (2, 1)}, [(2, 3, 8, 7), (4, 3, 3, 3), (4,)]),
    ("Conv", {"group": 3}, [(1, 3, 8, 7), (6, 1, 1, 1)]),
    ("Gemm", {"transB": 1, "alpha": 0.5}, [(3, 4), (5, 4), (5,)]),
    ("LRN", {"size": 3}, [(2, 5, 4, 3)]),
    ("MaxPool", {"kernel_shape": (2, 2), "strides": (2, 2)}, [(2, 3, 8, 6)]),
    ("Transpose", {"perm": (1, 2, 0)}, [(2, 3, 4)]),
    ("Flatten", {}, [(2, 3, 4)]),
    ("Mul", {}, [(2, 3, 4), (3, 1)]),
]


@pytest.fixture(params=[1, 2])
def team(request):
    """Give a team of one thread and of two."""
    team = Team(request.param)
    yield team
    team.close()


@pytest.mark.parametrize(("op", "attributes", "shapes"), PREPARED)
def test_a_prepared_layer_computes_anew_for_other_inputs(many_parts, team, op, attributes, shapes):
    """It gives the operator's result, plus the residual, clamped; earlier results stay."""
    names = "abc"[: len(shapes)]
    layer = single(op, tuple(names), attributes, residual="r", activation=Activation(-3.0, 6.0))
    runs = []
    for seed in range(3):
        inputs = {name: whole(seed, *shape) for name, shape in zip(names, shapes, strict=True)}
        (plain,) = compute(op, attributes, list(inputs.values()))
        residual = whole(seed + 3, *plain.shape)
        runs.append(({**inputs, "r": residual}, np.clip(plain + residual, -3, 6)))
    run = prepare(layer, runs[0][0], team)
    results = [run(arrays)[0] for arrays, _ in runs]
    for found, (_, expected) in zip(results, runs, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("op", "attributes", "shapes"),
    [("Concat", {"axis": 0}, [(2, 3), (1, 3)]), ("Gemm", {}, [(2, 3), (3, 4)])],
)
def test_operands_of_mixed_types_go_to_the_plain_operator(op, attributes, shapes):
    """The result has the type that it gives there."""
    a, b = whole(0, *shapes[0]), whole(1, *shapes[1]).astype(np.float64)
    (found,) = apply(single(op, ("a", "b"), attributes), {"a": a, "b": b})
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, compute(op, attributes, [a, b])[0])


def test_prepared_scores_are_computed_again_in_float64():
    """The first column is large, so that the second is summed without rounding: to 2."""
    a = np.array([[4097, 4097, 1]], np.float32)
    b = np.array([[4097, 4097], [4097, 4097], [0, -2 * 16785408]], np.float32)
    layer = single("Gemm", ("a", "b"))
    run = prepare(layer, {"a": a, "b": b}, Team(1), scored=True)
    for sign in (1, -1):
        (y,) = run({"a": sign * a, "b": b})
        assert y.dtype == np.float32
        np.testing.assert_array_equal(y, sign * np.array([[33570818, 2]], np.float32))


@pytest.mark.parametrize(
    ("op", "attributes", "shapes"),
    [
        ("Gemm", {}, [(3, 4), (5, 6)]),
        ("Gemm", {}, [(3, 4), (4, 6), (5,)]),
        ("Conv", {}, [(1, 2, 4, 4), (3, 2, 1, 1), (4,)]),
        ("Concat", {"axis": 0}, [(3, 4), (5, 6)]),
        ("Transpose", {"perm": (0, 1)}, [(3, 4, 5)]),
        ("LRN", {"size": 3}, [(3, 4)]),
        ("AveragePool", {"kernel_shape": (2, 2)}, [(3, 4)]),
    ],
)
def test_shapes_that_do_not_fit_are_refused_once(many_parts, team, op, attributes, shapes):
    """Before or in the run, in whichever thread."""
    arrays = {name: whole(0, *shape) for name, shape in zip("abc", shapes, strict=False)}
    layer = single(op, tuple(arrays), attributes)
    with pytest.raises(InputError) as refusal:
        apply(layer, arrays, team)
    assert not isinstance(refusal.value.__cause__, InputError)


@pytest.mark.parametrize("inputs", [("x", ""), ("", "x")])
@pytest.mark.parametrize("op", ["Conv", "Gemm", "Concat"])
def test_an_input_that_is_not_there_is_refused(op, inputs):
    """By an error of the input, not of the code."""
    attributes = {"axis": 1} if op == "Concat" else {}
    layer = single(op, inputs, attributes)
    with pytest.raises(InputError):
        apply(layer, {"x": whole(0, 4, 4, 1, 1)})
