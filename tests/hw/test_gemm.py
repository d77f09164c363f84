"""Exact int8 products: the bound, the cuts, the extremes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.hw.gemm import FLOAT32_EXACT, exact_matrix


@settings(deadline=None, max_examples=60)
@given(
    m=st.integers(1, 4),
    k=st.integers(1, 5000),
    p=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
    extreme=st.booleans(),
)
def test_product_equals_int64(m, k, p, seed, extreme):
    """Products equal those in int64, all codes at their extremes included."""
    rng = np.random.default_rng(seed)
    choices = np.array([-128, 127], np.int8) if extreme else np.arange(-128, 128, dtype=np.int8)
    weights, columns = rng.choice(choices, (m, k)), rng.choice(choices, (k, p))
    got = exact_matrix(weights) @ columns.astype(np.float32)
    assert got.dtype == np.int32
    assert (got == weights.astype(np.int64) @ columns.astype(np.int64)).all()


def test_every_part_keeps_the_bound():
    """No part between two cuts can reach past 2**24 in any row."""
    rng = np.random.default_rng(0)
    weights = rng.integers(-128, 128, (7, 9000)).astype(np.int8)
    matrix = exact_matrix(weights)
    assert matrix.cuts[0] == 0
    assert matrix.cuts[-1] == 9000
    for begin, end in zip(matrix.cuts[:-1], matrix.cuts[1:], strict=True):
        part = np.abs(weights[:, begin:end].astype(np.int64)).sum(axis=1)
        assert part.max() * 128 <= FLOAT32_EXACT
    assert (matrix.abs_sums == np.abs(weights.astype(np.int64)).sum(axis=1)).all()


def test_full_range_is_cut_at_1024_and_small_weights_are_not():
    """Weights of -128 use the bound up at 1024 columns, small ones need no cut at all."""
    assert exact_matrix(np.full((1, 1024), -128, np.int8)).cuts == (0, 1024)
    assert exact_matrix(np.full((1, 1025), -128, np.int8)).cuts == (0, 1024, 1025)
    assert exact_matrix(np.full((1, 8192), 8, np.int8)).cuts == (0, 8192)


def test_uncut_product_would_be_wrong():
    """The cut is needed: 1040 products of 128 x 127 in one float32 sum are off."""
    weights, column = np.full((1, 1041), -128, np.int8), np.full((1041, 1), 127, np.int8)
    column[-1] = 1
    whole = weights.astype(np.float32) @ column.astype(np.float32)
    exact = weights.astype(np.int64) @ column.astype(np.int64)
    cut = exact_matrix(weights) @ column.astype(np.float32)
    assert cut[0, 0] == exact[0, 0]
    assert abs(int(exact[0, 0])) > FLOAT32_EXACT
    assert whole.dtype == np.float32


def test_sum_past_32_bits_is_refused():
    """A row whose products could leave the accumulator is refused with the bound."""
    with pytest.raises(InputError, match="2147483647"):
        exact_matrix(np.full((1, 2**17), -128, np.int8))
