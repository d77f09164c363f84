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
        ("QGemm", {"transA": 1}, [(5, 2), (), (), (5, 7)], (2, 7), 70),
        # 2 sequences, 4 heads: 6 queries meet 7 keys of 8 features, then 7 values of 3
        ("Attention", {}, [(2, 4, 6, 8), (2, 2, 7, 8), (2, 2, 7, 3)], (2, 4, 6, 3), 336 * 11),
        (
            "Attention",
            {"q_num_heads": 4},
            [(2, 6, 32), (2, 7, 16), (2, 7, 6)],
            (2, 6, 12),
            336 * 11,
        ),
        (
            "Attention",
            {},
            [(2, 4, 6, 8), (2, 2, 5, 8), (2, 2, 5, 3), (), (2, 2, 2, 8), (2, 2, 2, 3)],
            (2, 4, 6, 3),
            336 * 11,
        ),
        ("Einsum", {"equation": "bij, bjk -> bik"}, [(2, 3, 4), (2, 4, 5)], (2, 3, 5), 2 * 60),
        ("Einsum", {"equation": "ij,jk"}, [(3, 4), (4, 5)], (3, 5), 60),
        ("Einsum", {"equation": "...ij,...jk->...ik"}, [(7, 3, 4), (4, 5)], (7, 3, 5), 7 * 60),
        ("Einsum", {"equation": "i,ij,j->"}, [(3,), (3, 4), (4,)], (), 2 * 12),
        ("Einsum", {"equation": "ij,ij->ij"}, [(3, 4), (3, 4)], (3, 4), 0),
        ("Einsum", {"equation": "ii->"}, [(3, 3)], (), 0),
        ("CausalConvWithState", {}, [(2, 4, 9), (4, 1, 3)], (2, 4, 9), 2 * 4 * 9 * 3),
        # 5 positions, 4 query and 2 key heads of 3, values of 6: query, product, correction
        (
            "LinearAttention",
            {"q_num_heads": 4, "kv_num_heads": 2, "update_rule": "delta"},
            [(1, 5, 12), (1, 5, 6), (1, 5, 12)],
            (1, 5, 24),
            5 * (4 + 2 + 2) * 3 * 6,
        ),
        ("MaxPool", {}, [(1, 3, 8, 8)], (1, 3, 4, 4), 0),
    ],
)
def test_count(op, attributes, inputs, output, expected):
    """The count is that of the definition: 64 filters of 7x7x3 on 112x112 places, and so on."""
    assert layer_macs(op, attributes, inputs, output) == expected
