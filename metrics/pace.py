"""The pace of the machine: a reference network, timed among what is measured.

The same code takes a few percent more or less from minute to minute, by clock, temperature and
neighbours, and all layers together. What is measured in different minutes is compared by the time
that a network, always the same, took in each. It runs several times in a row, the first time
untimed, so that it finds caches as it leaves them itself, whatever else is measured.
"""

from __future__ import annotations

import numpy as np

from heterolith.metrics.blocks import Draft, concat, connected, conv, pool
from heterolith.metrics.measure import Subject, one_run
from heterolith.sw.worker import Worker

READINGS = 5
"""Timed runs in a row."""
SIDE = 84
CLASSES = 1000


def reference() -> Subject:
    """Return the reference network: some of all that convolutional networks are made of."""
    d = Draft("reference", SIDE, np.random.default_rng(0))
    x = pool(d, conv(d, "x", 48, 7, 2), "MaxPool", 3, 2, 1)
    for _ in range(3):  # layers of DenseNet
        y = conv(d, x, d.shape(x)[1], group=d.shape(x)[1])
        x = concat(d, x, conv(d, conv(d, y, 96), 32, 3, relu=False))
    pooled = conv(d, pool(d, x, "MaxPool", 3, 1, 1), 32)
    x = concat(d, conv(d, x, 64), conv(d, conv(d, x, 48), 96, 3), pooled)
    x = pool(d, x, "AveragePool", 2, 2)
    y = conv(d, conv(d, x, 96), 96, 3)
    x = conv(d, y, 384, residual=conv(d, x, 384, relu=False))
    x = conv(d, x, 384, 3, group=384)
    x = d.layer("GlobalAveragePool", (x,), (1, 384, 1, 1))
    x = connected(d, x, CLASSES)
    d.layer("Softmax", (x,), d.shape(x), attributes={"axis": 1})
    return d.subject()


def readings(subject: Subject, worker: Worker) -> list[int]:
    """Return what `READINGS` runs of the reference network take, ns."""
    runs: list[list[int]] = [[] for _ in range(1 + READINGS)]
    for times in runs:
        one_run(subject, worker, times)
    return list(map(sum, runs[1:]))
