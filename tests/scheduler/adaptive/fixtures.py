"""Synthetic networks, traces and boards for the tests alone; no figure of ours rests on them."""

from itertools import product
from random import Random

import numpy as np

from heterolith.scheduler.adaptive.model import (
    AdaptiveTask,
    Board,
    Degree,
    ImageTrace,
    KnobLayer,
    KnobNetwork,
    Scenario,
    SystemPoint,
)


def degrees(wcet_ns, *, count=3, best=0.5, weight=1.0):
    """Return degrees that each take 30 % less and lose a little more."""
    return tuple(
        Degree(
            name=("fp32", "int8", "rank0.5", "rank0.25")[d],
            wcet_ns=round(wcet_ns * 0.7**d),
            bcet_ns=max(1, round(wcet_ns * 0.7**d * best)),
            loss=weight * 0.004 * d**2,
        )
        for d in range(count)
    )


def trace_of(layers, exits, *, images=200, seed=0, levels=(0.7, 0.8, 0.88)):
    """Return an invented trace: later exits are right more often, lossy degrees less."""
    rng = np.random.default_rng(seed)
    ease = rng.random(images)
    choices = list(product(*[[d.name for d in layer.degrees] for layer in layers]))
    loss = {d.name: d.loss for layer in layers for d in layer.degrees}
    confidence = np.zeros((len(choices), images, len(exits)), np.float32)
    correct = np.zeros(confidence.shape, bool)
    levels = levels[-len(exits) :]
    for row, choice in enumerate(choices):
        for number, last in enumerate(exits):
            level = levels[number] - sum(loss[name] for name in choice[: last + 1])
            correct[row, :, number] = ease < level
            noise = rng.normal(0, 0.1, images)
            confidence[row, :, number] = np.clip(level + 0.3 * (level - ease) + noise, 0.1, 1)
    return ImageTrace(
        network="synthetic",
        layers=tuple(layer.name for layer in layers),
        exits=tuple(exits),
        choices=tuple(choices),
        confidence=confidence,
        correct=correct,
        source="synthetic, for tests",
    )


def network(*times_ns, exits=(), count=3, name="net", trace=True, **options):
    """Return a network with a block per time."""
    layers = tuple(
        KnobLayer(name=f"b{i}", degrees=degrees(t, count=count)) for i, t in enumerate(times_ns)
    )
    exits = tuple(exits) or (len(layers) - 1,)
    made = trace_of(layers, exits, **options) if trace else None
    return KnobNetwork(name=name, layers=layers, exits=exits, trace=made)


def board(*, points=4, resources=("gpu",), kinds=("gpu",), switch_ns=0, switch_pj=0):
    """Return a board whose points slow down and save more and more."""
    made = tuple(
        SystemPoint(
            name=f"p{i}",
            idle_mw=400 - 20 * i,
            active_mw=tuple(round(1000 * (1 - 0.2 * i) ** 2) for _ in kinds),
            slowdown_ppm=tuple(round(1e6 / (1 - 0.2 * i)) for _ in kinds),
        )
        for i in range(points)
    )
    return Board(
        name="toy", resources=resources, kinds=kinds, points=made, switch_ns=switch_ns,
        switch_pj=switch_pj,
    )  # fmt: skip


def scenario(*tasks, horizon_ns=10**9, **fields):
    """Return a scenario on a toy board."""
    fields.setdefault("board", board())
    return Scenario(name="toy", tasks=tasks, horizon_ns=horizon_ns, **fields)


def task(net, period_ns, deadline_ns=None, **fields):
    """Return a task with an implicit deadline."""
    fields.setdefault("name", f"t{Random(repr(net.name)).random()}")
    return AdaptiveTask(
        network=net, period_ns=period_ns, deadline_ns=deadline_ns or period_ns, **fields
    )
