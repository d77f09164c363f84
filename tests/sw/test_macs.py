"""Multiply-accumulates by hand."""

import pytest

from heterolith.sw.macs import layer_macs


@pytest.mark.parametrize(
    ("op", "attributes", "inputs", "output", "expected"),
    [
        ("Conv", {}, [(1, 3, 224, 224), (64, 3, 7, 7)], (1, 64, 112, 112), 118013952),
        ("Conv", {}, [(2, 8, 5), (8, 1, 3)], (2, 8, 3), 2 * 8 * 3 * 3),
        ("ConvTranspose", {}, [(1, 4, 5, 5), (4, 2, 3, 3)], (1, 4, 7, 7), 4 * 25 * 2 * 9),
        ("Gemm", {"transA": 0}, [(2, 5), (5, 7), (7,)], (2, 7), 70),
        ("Gemm", {"transA": 1}, [(5, 2), (5, 7)], (2, 7), 70),
        ("MatMul", {}, [(3, 2, 5), (5, 7)], (3, 2, 7), 210),
        ("MatMul", {}, [(5,), (5,)], (), 5),
        ("QLinearConv", {}, [(1, 3, 8, 8), (), (), (4, 3, 3, 3)], (1, 4, 6, 6), 4 * 36 * 27),
        ("LSTM", {}, [(5, 2, 4), (1, 12, 4), (1, 12, 3)], (5, 1, 2, 3), 5 * 2 * 12 * (4 + 3)),
        ("DeformConv", {}, [(1, 4, 5, 5), (6, 4, 3, 3)], (1, 6, 3, 3), 6 * 9 * 4 * 9),
        ("MaxPool", {}, [(1, 3, 8, 8)], (1, 3, 4, 4), 0),
    ],
)
def test_count(op, attributes, inputs, output, expected):
    """The count is that of the definition: 64 filters of 7x7x3 on 112x112 places, and so on."""
    assert layer_macs(op, attributes, inputs, output) == expected
