"""The bytes that are left for the parser, and the places of what was cut out."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from heterolith.sw.onnx_wire import BULK_BYTES, DamagedError, cut

from .onnx_models import chain


def test_small_models_are_left_as_they_are():
    """Without large tensors the parser sees the same model."""
    model = chain(("Add", ["x", "c"], ["y"], {}), constants={"c": np.ones(4)})
    rest, places = cut(model.SerializeToString())
    assert onnx.ModelProto.FromString(rest) == model
    assert places == {}


def test_places_are_those_of_the_elements():
    """The cut tensors are told by index, and their bytes stand where it says."""
    constants = {f"c{at}": np.full((at * 400 + 1, 4), at) for at in range(4)}
    steps = [("Add", ["x", name], [f"y{name}"], {}) for name in constants]
    model = chain(*steps, constants=constants)
    data = model.SerializeToString()
    rest, places = cut(data)
    light = onnx.ModelProto.FromString(rest)
    for at, (name, value) in enumerate(constants.items()):
        tensor = light.graph.initializer[at]
        assert tensor.name == name
        assert tuple(tensor.dims) == value.shape
        assert (at in places) == (len(model.graph.initializer[at].raw_data) > BULK_BYTES)
        if at in places:
            offset, length = places[at]
            expected = numpy_helper.to_array(model.graph.initializer[at])
            assert data[offset : offset + length] == expected.tobytes()
            assert not tensor.raw_data


@pytest.mark.parametrize("data", [b"\x0b", b"\x3a\x05\x08", b"\x08" + b"\xff" * 11, b"\x80"])
def test_damage(data):
    """An unknown wire type, a field past the end, and endless or cut numbers are damage."""
    with pytest.raises(DamagedError, match="byte"):
        cut(data)
