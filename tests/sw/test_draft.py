"""A network under construction."""

import numpy as np

from heterolith.sw.draft import Draft, splat
from heterolith.sw.network import Layer, TensorType

FLOATS = TensorType((2, 3))


def draft():
    """Return x -> a -> y with a dead layer and a dead constant."""
    layers = [
        Layer(name="first", op="Add", inputs=("x", "c"), outputs=("a",), nodes=("n1",)),
        Layer(name="dead", op="Relu", inputs=("a",), outputs=("d",), nodes=("n2", "n3")),
        Layer(name="last", op="Relu", inputs=("a",), outputs=("y",), nodes=("n4",)),
    ]
    return Draft(
        inputs=("x",),
        outputs=("y",),
        layers=layers,
        tensors=dict.fromkeys(("x", "a", "d", "y"), FLOATS),
        constants={"c": np.ones((2, 3), np.float32), "e": np.ones(1)},
    )


def test_reads_count_layers_and_outputs():
    """A tensor is read once per place it stands in."""
    assert draft().reads() == {"x": 1, "c": 1, "a": 2, "y": 1}


def test_unused_layers_are_dropped_with_a_reason():
    """A layer nobody reads goes, its nodes are told, what it read may go too."""
    work = draft()
    work.drop_unused("because")
    assert [layer.name for layer in work.layers] == ["first", "last"]
    assert work.removed == [("n2", "because"), ("n3", "because")]
    network = work.finish("net", 13)
    assert network.tensors.keys() == {"x", "a", "y"}
    assert network.constants.keys() == {"c"}
    assert not network.constants["c"].flags.writeable
    assert (network.name, network.opset) == ("net", 13)


def test_constants_get_free_names():
    """A taken name is numbered, whatever took it."""
    work = draft()
    names = [work.add_constant(name, np.zeros(1)) for name in ("a", "c", "c", "new")]
    assert names == ["a.2", "c.2", "c.3", "new"]
    assert work.type_of("c.2") == TensorType((1,), "float64")
    assert work.type_of("a") == FLOATS


def test_rename_reaches_readers_and_types():
    """A renamed tensor is renamed where it is made, read and described."""
    work = draft()
    work.rename({"a": "b"})
    assert work.layers[0].outputs == work.layers[2].inputs == ("b",)
    assert work.type_of("b") == FLOATS
    assert "a" not in work.tensors


def test_splat_holds_one_value():
    """A repeated value has zero strides."""
    value = splat(np.array([2.0], np.float32), (3, 4))
    assert value.strides == (0, 0)
    assert value.shape == (3, 4)
    assert value.dtype == np.float32
    assert (value == 2).all()
