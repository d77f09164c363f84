"""Exact int8 matrix products through float32 BLAS.

Every partial sum of a product of integers, in any order and with or without fused multiply-add,
is an integer of magnitude at most ``sum |w_k| * max |a|``. All integers up to 2**24 are float32
numbers, so while that bound holds no operation rounds, whatever the blocking or the number of
threads. Where it does not hold the reduction axis is cut and the parts are added as int32. The
bound is computed per row from the weights at hand; 1024 columns always hold it
(1024 * 128 * 128 = 2**24).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heterolith.errors import InputError
from heterolith.hw.fixed import ACCUMULATOR_HIGH, CODE_LOW, Array

FLOAT32_EXACT = 2**24
_STEP = FLOAT32_EXACT // CODE_LOW**2


@dataclass(frozen=True, slots=True)
class ExactMatrix:
    """An int8 matrix (M, K) ready to be multiplied; build it with `exact_matrix`.

    Attributes
    ----------
    values
        float32 copy of the weights, (M, K).
    cuts
        Bounds of the parts of the reduction axis, from 0 to K.
    abs_sums
        int64 array (M,): sum of |w| per row.
    """

    values: Array
    cuts: tuple[int, ...]
    abs_sums: Array

    def __matmul__(self, columns: Array) -> Array:
        """Return the int32 product (M, P) with float32 columns (K, P) that hold int8 codes."""
        total = (self.values[:, : self.cuts[1]] @ columns[: self.cuts[1]]).astype(np.int32)
        for begin, end in zip(self.cuts[1:-1], self.cuts[2:], strict=True):
            part = self.values[:, begin:end] @ columns[begin:end]
            np.add(total, part, out=total, casting="unsafe", dtype=np.int32)
        return total


def exact_matrix(weights: Array) -> ExactMatrix:
    """Prepare int8 weights of shape (M, K), cutting K where the bound of 2**24 asks for it.

    Raises
    ------
    InputError
        If a sum of products could leave 32 bits.
    """
    values = weights.astype(np.float32)
    starts = np.arange(0, weights.shape[1], _STEP)
    sums = np.add.reduceat(np.abs(values), starts, axis=1).astype(np.int64)
    cuts, run = [0], np.zeros(len(values), dtype=np.int64)
    for index, start in enumerate(starts):
        run = run + sums[:, index]
        if int(run.max(initial=0)) * -CODE_LOW > FLOAT32_EXACT:
            cuts.append(int(start))
            run = sums[:, index]
    abs_sums = sums.sum(axis=1)
    worst = int(abs_sums.max(initial=0)) * -CODE_LOW
    if worst > ACCUMULATOR_HIGH:
        raise InputError(
            f"a sum of products can reach {worst}, the 32-bit accumulator holds "
            f"{ACCUMULATOR_HIGH}; split the layer's reduction of {weights.shape[1]}"
        )
    return ExactMatrix(values, (*cuts, weights.shape[1]), abs_sums)
