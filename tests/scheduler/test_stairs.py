"""The staircase of known plans: no point of a front is ruled out, most of what is above it is."""

import numpy as np
import pytest

from heterolith.scheduler.model import Floats
from heterolith.scheduler.stairs import hull, lowest, make_stairs


def random_points(seed: int) -> Floats:
    """Return latencies and energies of random plans."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 60))
    return rng.integers(1, 10 ** int(rng.integers(1, 10)), (2, size)).astype(float)


def supported_by(points: Floats) -> Floats:
    """Return the vertices of the convex hull of some plans."""

    def best(weights: Floats) -> Floats:
        return points[:, (weights @ points).argmin(axis=1)]

    return hull(best, points.max(axis=1), 2)


@pytest.mark.parametrize("seed", range(100))
def test_no_point_of_the_front_is_ruled_out(seed: int) -> None:
    """Whatever part of the front is known, each of its points keeps a ceiling."""
    points = random_points(seed)
    front, vertices = lowest(points), supported_by(points)
    rng = np.random.default_rng(seed)
    some = front[:, rng.random(front.shape[1]) < rng.random()]
    known = lowest(np.concatenate([vertices, some], axis=1))
    stairs = make_stairs(vertices, known, 2)
    assert stairs.reached(stairs.weights @ front).any(axis=0).all()


@pytest.mark.parametrize("seed", range(100))
def test_plans_below_no_corner_are_ruled_out(seed: int) -> None:
    """With the whole front known, plans clearly above all of its corners are dropped."""
    points = random_points(seed)
    front, vertices = lowest(points), supported_by(points)
    corners = np.array([front[0, 1:], front[1, :-1]])
    inside = (points[:, :, None] <= corners[:, None]).all(axis=0).any(axis=1)
    ends = (points[0] <= front[0, 0]) | (points[1] <= front[1, -1])
    stairs = make_stairs(vertices, front, 2)
    kept = stairs.reached(stairs.weights @ points).any(axis=0)
    expected = inside | ends
    assert (kept >= expected).all()
    # Only neighbouring sides are looked at, so that a few more may stay.
    assert kept.sum() <= expected.sum() + 0.1 * len(kept) + 1


def test_vertices_are_those_of_the_convex_hull() -> None:
    """Points inside, above and on the sides are left out."""
    points = np.array([[0.0, 1, 2, 4, 6, 9, 9], [9.0, 6, 5, 1, 1.5, 0, 7]])
    assert supported_by(points).T.tolist() == [[0, 9], [1, 6], [4, 1], [9, 0]]
