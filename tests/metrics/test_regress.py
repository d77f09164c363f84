"""Non-negative regression in relative error."""

import numpy as np
import pytest

from heterolith.metrics.models.regress import combine, nonnegative, power_mean

KINDS = np.array(["overhead", "arithmetic", "traffic"])


def data(order: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return a matrix and the targets of coefficients 5, 2, 3."""
    rng = np.random.default_rng(seed)
    matrix = np.column_stack([np.ones(300), *(10 ** rng.uniform(0, 4, (2, 300)))])
    return matrix, combine(matrix, KINDS, np.array([5.0, 2.0, 3.0]), order)


@pytest.mark.parametrize("order", [1.0, 3.0])
def test_coefficients_are_found_again(order: float) -> None:
    """Without noise the fit returns the coefficients that made the targets, up to the ridge."""
    matrix, target = data(order)
    found = nonnegative(matrix, target, KINDS, order)
    np.testing.assert_allclose(found, [5, 2, 3], rtol=0.02)


def test_wild_rows_do_not_move_the_rest() -> None:
    """A tenth of the rows ten times off leaves the coefficients within a few percent."""
    matrix, target = data(1.0)
    target[::10] *= 10
    np.testing.assert_allclose(nonnegative(matrix, target, KINDS), [5, 2, 3], rtol=0.05)


def test_nothing_gets_cheaper_with_work() -> None:
    """Coefficients stay non-negative where the data would ask for a negative one."""
    rng = np.random.default_rng(1)
    matrix = np.column_stack([np.ones(50), *(rng.uniform(1, 2, (2, 50)))])
    target = 10 - 3 * matrix[:, 1]
    assert (nonnegative(matrix, target, KINDS) >= 0).all()


def test_terms_that_move_together_share_the_cost() -> None:
    """Two equal columns get equal coefficients, not one all and one none."""
    column = np.random.default_rng(2).uniform(1, 10, 40)
    found = nonnegative(np.column_stack([column, column]), 4 * column, KINDS[1:])
    np.testing.assert_allclose(found, [2, 2], rtol=1e-2)


def test_power_mean_lies_between_maximum_and_sum() -> None:
    """Order 1 adds, a high order takes the larger; zeros are no trouble."""
    a, b = np.array([3.0, 0.0, 0.0]), np.array([4.0, 5.0, 0.0])
    np.testing.assert_allclose(power_mean(a, b, 1), [7, 5, 0], atol=1e-12)
    np.testing.assert_allclose(power_mean(a, b, 2), [5, 5, 0], atol=1e-12)
    np.testing.assert_allclose(power_mean(a, b, 200), [4, 5, 0], atol=1e-2)
