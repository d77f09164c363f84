"""Probes: layers designed to tell the terms of a cost model apart, before any network is seen.

Probes stand in small networks rather than alone: a layer finds caches, code and its input as its
predecessor leaves them, and timed alone it takes up to half as long again or less. A network has a
stem, four stages of a block each on maps that halve, and a classifier, like convolutional networks
of the last decade. It repeats one block (`heterolith.metrics.blocks`), as networks do: code that
runs again is warm. Blocks are dealt, channels and sides are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heterolith.errors import InputError, unknown_name
from heterolith.metrics.blocks import BLOCKS, Draft, connected, conv, pool
from heterolith.metrics.measure import Subject
from heterolith.sw.offload import VIEWS

IMAGES = (224, 224, 224, 224, 240, 299)
"""Sides of images; 224 pixels are what most published networks take.

Sides like 256 make maps of a multiple of 4 KiB, whose rows meet in one set of a cache: such layers
take up to 1.4 times what others of their work do, and would be learnt for all.
"""
STEMS = ((3, 2), (7, 2), (11, 4), (5, 2))
"""Kernel and stride of the first convolution."""
WIDTHS = (32, 72)
"""Channels at the first stage; each stage has twice those of the one before."""
STAGES = (1, 2, 4, 8)
LAST_SIDE = 7
HEADS = 3
"""Kinds of classifiers, dealt in turn like blocks."""
KINDS = {
    "conv": frozenset({"Conv"}),
    "fc": frozenset({"Gemm"}),
    "pool": frozenset({"MaxPool", "AveragePool", "GlobalAveragePool"}),
    "elementwise": frozenset({"Add", "Concat", "LRN", "Relu", "Softmax", "Transpose"}),
}
"""Kind of probe -> its operators."""
FEWEST = 40
"""Layers that a network may need."""
SMALLEST = 24
"""Layers that the smallest networks need."""
MOST_MISSES = 5
"""Networks drawn that do not fit what is left before it is left."""


def _reduced(d: Draft, x: str) -> str:
    """Append what halves a map between stages."""
    if d.chance(0.15):
        channels = d.shape(x)[1]
        return conv(d, x, d.width(0.7 * channels, 1.3 * channels), 3, 2)
    op = "MaxPool" if d.chance(0.65) else "AveragePool"
    kernel, pad = ((3, 1), (3, 0), (2, 0))[int(d.rng.integers(3))]
    return pool(d, x, op, kernel, 2, pad)


def _stem(d: Draft) -> str:
    kernel, stride = STEMS[int(d.rng.integers(len(STEMS)))]
    x = conv(d, "x", d.width(24, 96), kernel, stride, pad=0 if d.chance(0.3) else kernel // 2)
    if d.chance(0.4):
        attributes = {"size": 5, "alpha": 1e-4, "beta": 0.75, "bias": 1.0}
        x = d.layer("LRN", (x,), d.shape(x), attributes=attributes)
    return x if stride == 4 else pool(d, x, "MaxPool", 3, 2, int(d.rng.integers(2)))


def _head(d: Draft, x: str, kind: int) -> None:
    """Append the classifier: hidden layers as in VGG, or a mean over the map by either operator."""
    _, channels, side, _ = d.shape(x)
    if kind == 0:
        for _ in range(2):
            x = connected(d, x, d.width(512, 4096), relu=True)
    elif kind == 1:
        x = d.layer("GlobalAveragePool", (x,), (1, channels, 1, 1))
    else:
        x = pool(d, x, "AveragePool", side, 1)
    x = connected(d, x, d.width(10, 2000, 2))
    d.layer("Softmax", (x,), d.shape(x), attributes={"axis": 1})


def _network(index: int, rng: np.random.Generator) -> Subject:
    """Return the probe network of a number: block and classifier are dealt by it."""
    d = Draft(f"sweep-{index}", int(rng.choice(IMAGES)), rng)
    x, width, block = _stem(d), d.width(*WIDTHS), BLOCKS[index % len(BLOCKS)]
    for stage, factor in enumerate(STAGES):
        if stage and d.shape(x)[2] >= 1.5 * LAST_SIDE * 2 ** (len(STAGES) - 1 - stage):
            x = _reduced(d, x)
        x = block(d, x, factor * width)
        if d.chance(0.2):
            x = conv(d, x, d.shape(x)[1], group=d.shape(x)[1])
        if d.chance(0.1):
            y = d.layer("Relu", (x,), d.shape(x))
            x = d.layer("Add", (x, y), d.shape(x)) if d.chance(0.5) else y
    _head(d, x, index % HEADS)
    return d.subject()


def size(subject: Subject) -> int:
    """Return the layers of a network that do work."""
    return sum(layer.op not in VIEWS for layer in subject.network.layers)


def probes(kinds: Sequence[str], count: int, seed: int = 0) -> list[Subject]:
    """Return networks of at most ``count`` layers in all, views not counted.

    Parameters
    ----------
    kinds
        Names of `KINDS` that are wanted: all layers run, `wanted` says whose times to keep.
    count
        Layers in all; networks are drawn as long as one fits.

    Raises
    ------
    InputError
        If a kind is unknown, or the layers are too few for a network.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise unknown_name("kind of probe", kind, KINDS)
    if count < FEWEST or not kinds:
        raise InputError(f"{count} probes are too few for a network; take {FEWEST} or more")
    rng = np.random.default_rng(seed)
    made: list[Subject] = []
    left, misses = count, 0
    while left >= SMALLEST and misses < MOST_MISSES:
        subject = _network(len(made), rng)
        if size(subject) <= left:
            left -= size(subject)
            made.append(subject)
        else:
            misses += 1
    return made


def wanted(kinds: Sequence[str]) -> frozenset[str]:
    """Return the operators of some kinds."""
    return frozenset[str]().union(*(KINDS[kind] for kind in kinds))
