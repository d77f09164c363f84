"""Imprecise computation: how deep to compute each request, so that the answers are worth most.

Each request has a deadline and options, each with the time it still takes and its reward; requests
run one after the other, earliest deadline first. The dynamic program over quantised rewards

    P(i, r) = min over options l of i: time(i, l) + P(i - 1, r - floor(reward(i, l) / q)),  <= d(i)

finds the rewards within ``N q = epsilon * (largest reward) <= epsilon * optimum`` (after Yao et
al., "Scheduling Real-time Deep Learning Services as Imprecise Computations", RTCSA 2020;
reconstructed: the paper's text was not at hand).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heterolith.errors import InputError

EPSILON = 0.1
_BITS = 4
_MASK = (1 << _BITS) - 1
_NEVER = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as seen now.

    `options` are pairs of remaining time, ns, and reward, 0 or more; one with time 0 means to leave
    it as it is and is always possible. `deadline_ns` is counted from now.
    """

    deadline_ns: int
    options: tuple[tuple[int, float], ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.options) <= _MASK:
            raise InputError(
                f"a request has {len(self.options)} options; 1 to {_MASK} are possible"
            )
        if any(time < 0 or not 0 <= reward < float("inf") for time, reward in self.options):
            raise InputError("times and rewards of a request's options must be 0 or more")


def plan(requests: Sequence[Request], epsilon: float = EPSILON) -> tuple[int, ...] | None:
    """Choose an option for each request, in the order given, which must be by deadline.

    Returns
    -------
    tuple of int or None
        The chosen options: their rewards add up to at least ``1 - epsilon`` of the optimum provided
        that the single largest reward is attainable. None if some request has no possible option.

    Raises
    ------
    InputError
        If epsilon is not in 0..1, or the requests are not sorted.
    """
    if not 0 < epsilon < 1:
        raise InputError(f"epsilon is {epsilon}; it must be between 0 and 1")
    deadlines = [request.deadline_ns for request in requests]
    if deadlines != sorted(deadlines):
        raise InputError("requests must be sorted by deadline")
    possible = [
        max((r for t, r in q.options if t <= max(0, q.deadline_ns)), default=0.0) for q in requests
    ]
    step = epsilon * max(possible, default=0.0) / max(1, len(requests)) or 1.0
    kept, best = [], np.zeros(1, np.int64)
    for request, most in zip(requests, possible, strict=True):
        grown = np.full(len(best) + int(most / step), _NEVER, np.int64)
        for number, (time, reward) in enumerate(request.options):
            if time > max(0, request.deadline_ns):
                continue
            there = grown[int(reward / step) :][: len(best)]
            if time:
                late = best > (request.deadline_ns - time) << _BITS
                done = np.where(late, _NEVER, best + ((time << _BITS) + number))
                np.minimum(there, done, out=there)
            else:
                np.minimum(there, best + number, out=there)
        grown[grown >= _NEVER] = _NEVER
        kept.append(grown)
        best = grown & ~_MASK
    return _trace_back(requests, kept, step)


def _trace_back(
    requests: Sequence[Request], kept: Sequence[np.ndarray], step: float
) -> tuple[int, ...] | None:
    chosen: list[int] = []
    if kept:
        reached = np.flatnonzero(kept[-1] < _NEVER)
        if not len(reached):
            return None
        level = int(reached[-1])
    for request, states in zip(reversed(requests), reversed(kept), strict=True):
        chosen.append(int(states[level]) & _MASK)
        level -= int(request.options[chosen[-1]][1] / step)
    return tuple(reversed(chosen))


def timely(requests: Sequence[tuple[int, int]]) -> tuple[bool, ...]:
    """Choose as many (deadline, time) as can be in time, sorted by deadline; leave the others out.

    Moore and Hodgson (1968): whenever a prefix is late, its longest member goes.
    """
    inside: list[int] = []
    total = 0
    for index, (deadline, time) in enumerate(requests):
        inside.append(index)
        total += time
        if total > deadline:
            longest = max(inside, key=lambda i: (requests[i][1], i))
            inside.remove(longest)
            total -= requests[longest][1]
    return tuple(index in inside for index in range(len(requests)))


PREDICTORS = ("exp", "max", "linear", "oracle")


def predict(
    how: str, seen: Sequence[float], mean: Sequence[float], true: Sequence[float]
) -> tuple[float, ...]:
    """Predict the confidence of every exit from those that were reached.

    Parameters
    ----------
    how
        ``exp``: the doubt halves with each stage; ``max``: certain from the next on; ``linear``:
        the last gain goes on; ``oracle``: the true values, a bound and no policy.
    seen
        Confidences so far.
    mean
        Mean confidence of each exit over held-out images: what is known before the first exit.
    true
        What the oracle knows.
    """
    done, exits = len(seen), len(mean)
    if how == "oracle":
        return tuple(true)
    if not done:
        return tuple(mean)
    last = seen[-1]
    if how == "exp":
        later = [1 - (1 - last) * 0.5 ** (k - done + 1) for k in range(done, exits)]
    elif how == "max":
        later = [1.0] * (exits - done)
    else:
        gains = (
            [mean[k] - mean[done - 1] for k in range(done, exits)]
            if done == 1
            else [(k - done + 1) * (last - seen[-2]) for k in range(done, exits)]
        )
        later = [min(1.0, max(0.0, last + gain)) for gain in gains]
    return (*seen, *later)
