"""Windows: padding that is asked for by name or by the result's shape."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.sw.spatial import resolve_transposed, resolve_window

LENGTHS = st.integers(1, 40)
STEPS = st.integers(1, 4)


@given(LENGTHS, STEPS, STEPS, STEPS, st.sampled_from(["SAME_UPPER", "SAME_LOWER"]))
def test_same_gives_one_place_per_stride(length, kernel, stride, dilation, mode):
    """SAME padding yields ceil(length / stride) places; its halves differ by one at most."""
    attributes = {"auto_pad": mode, "strides": (stride,), "dilations": (dilation,)}
    resolve_window(attributes, [length], [kernel])
    begin, end = attributes["pads"]
    reach = (kernel - 1) * dilation + 1
    places = (length + begin + end - reach) // stride + 1
    assert places == -(-length // stride) or reach < stride
    assert end - begin in ((0, 1) if mode == "SAME_UPPER" else (-1, 0))
    assert "auto_pad" not in attributes


def test_defaults():
    """Absent attributes are ones, pads zeros; VALID overrides pads."""
    attributes = {}
    resolve_window(attributes, [8, 8], [3, 2])
    assert attributes == {
        "kernel_shape": (3, 2),
        "strides": (1, 1),
        "dilations": (1, 1),
        "pads": (0, 0, 0, 0),
    }
    attributes = {"auto_pad": "VALID", "pads": (1, 1)}
    resolve_window(attributes, [8], [3])
    assert attributes["pads"] == (0, 0)


def test_unknown_mode():
    """A padding mode that ONNX does not have is refused."""
    with pytest.raises(InputError, match="auto_pad 'FULL' is not known; use NOTSET, VALID"):
        resolve_window({"auto_pad": "FULL"}, [8], [3])


@given(LENGTHS, STEPS, STEPS, STEPS, st.integers(1, 60))
def test_transposed_reaches_the_shape(length, kernel, stride, dilation, target):
    """The resolved window gives the asked length, with pads that are not negative."""
    attributes = {"output_shape": (target,), "strides": (stride,), "dilations": (dilation,)}
    resolve_transposed(attributes, [length], [kernel])
    begin, end = attributes["pads"]
    reach = (kernel - 1) * dilation + 1
    full = stride * (length - 1) + attributes["output_padding"][0] + reach
    assert full - begin - end == target
    assert min(begin, end) >= 0
    assert "output_shape" not in attributes


def test_transposed_upper_puts_the_odd_element_last():
    """SAME_UPPER pads the end by one more, everything else the begin."""
    for mode, pads in (("SAME_UPPER", (0, 1)), ("SAME_LOWER", (1, 0)), ("NOTSET", (1, 0))):
        attributes = {"auto_pad": mode, "strides": (2,), "output_shape": (16,)}
        resolve_transposed(attributes, [8], [3])
        assert attributes["pads"] == pads
