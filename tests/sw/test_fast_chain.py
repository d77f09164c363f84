"""Chains of layers compute what the layers do one by one, and every row once."""

import random

import numpy as np
import pytest

from heterolith.sw.execute import execute
from heterolith.sw.fast import chain
from heterolith.sw.fast.chain import Stage, _slid, rows_read
from heterolith.sw.fast.crew import Alone
from heterolith.sw.fast.nodes import nodes
from heterolith.sw.fast.program import Choice, compile_program
from heterolith.sw.network import Layer

from .fast_nets import RELU, Builder
from .nets import window


def chain_network(seed):
    """Return a convolution of any kind and up to three layers that follow it row by row."""
    pick = random.Random(seed).choice
    b = Builder((pick([1, 2]), pick([3, 9]), pick([23, 30]), pick([17, 24])), seed)
    kernel, stride = pick([(1, 1), (3, 1), (3, 2), (5, 1)])
    pads = (kernel // 2,) * 4
    t = b.conv("x", pick([8, 24]), kernel, strides=(stride, stride), pads=pads, activation=RELU)
    for _ in range(pick([1, 2, 3])):
        op = pick(["MaxPool", "AveragePool", "LRN"])
        size, step = pick([(2, 2), (3, 2), (3, 1)])
        geometry = window((size, size), (step, step), (pick([0, 1]),) * 4)
        attributes = {"size": 5, "alpha": 0.3} if op == "LRN" else geometry
        t = b.add(op, t, attributes=attributes, activation=pick([None, RELU]))
    return b.network(t)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("path", ["gather", "winograd2", "winograd4"])
@pytest.mark.parametrize("seed", range(6))
def test_chains_agree_with_the_plain_executor(monkeypatch, seed, path, threads):
    """For every path in front, for windows with and without padding, for several workers."""
    monkeypatch.setattr(chain, "_LEAST_BYTES", 1)
    network, inputs = chain_network(seed)

    def choose(spec, given):
        square = spec.kernel in ((3, 3), (5, 5)) and spec.strides == (1, 1)
        wanted = "winograd2" if spec.kernel == (5, 5) else path
        return Choice(wanted if square else "pointwise" if spec.pointwise else "gather", 1)

    program = compile_program(network, choose, threads)
    np.copyto(program.inputs["x"], inputs["x"])
    for phase in program.phases * 2:
        for steps in reversed(phase):
            Alone([steps]).run()
    for name, expected in execute(network, inputs).items():
        error = np.abs(program.outputs[name] - expected).max()
        assert error <= 3e-5 * max(1, np.abs(expected).max())


def test_a_chain_leaves_out_the_memory_between_its_layers(monkeypatch):
    """The activations of a compiled network shrink by what is never written out."""
    b = Builder((1, 3, 64, 64))
    t = b.conv("x", 32, 3, pads=(1, 1, 1, 1))
    attributes = window((2, 2), (2, 2))
    network, _ = b.network(b.add("MaxPool", t, attributes=attributes))

    def choose(spec, given):
        return Choice("gather", 1 << 14)

    apart = compile_program(network, choose).bytes
    monkeypatch.setattr(chain, "_LEAST_BYTES", 1)
    assert apart - compile_program(network, choose).bytes > 200_000


def test_a_result_that_others_read_is_written_out(monkeypatch):
    """A convolution whose result is also an output does not begin a chain."""
    monkeypatch.setattr(chain, "_LEAST_BYTES", 1)
    b = Builder((1, 3, 16, 16))
    t = b.conv("x", 8)
    network, _ = b.network(b.add("MaxPool", t, attributes=window((2, 2), (2, 2))), t)
    found = chain.linked(network, nodes(network), {"layer t0": 1}, frozenset())
    assert not any(node.chain for node in found)


@pytest.mark.parametrize(("kernel", "stride", "pad", "dilation"), [(3, 2, 1, 1), (2, 3, 0, 2)])
def test_rows_that_are_read_are_those_of_the_windows(kernel, stride, pad, dilation):
    """The first and last row that any window touches, padding left out."""
    height = 13
    places = (height + 2 * pad - (kernel - 1) * dilation - 1) // stride + 1
    attributes = window((kernel, 1), (stride, 1), (pad, 0, pad, 0), (dilation, 1))
    layer = Layer(name="p", op="MaxPool", inputs=("x",), outputs=("y",), attributes=attributes)
    reads = rows_read(layer, height)
    for low in range(places):
        for high in range(low + 1, places + 1):
            rows = [
                place * stride - pad + tap * dilation
                for place in range(low, high)
                for tap in range(kernel)
            ]
            inside = [row for row in rows if 0 <= row < height]
            assert reads(low, high) == (min(inside), max(inside) + 1)


@pytest.mark.parametrize("grain", [1, 4])
def test_one_worker_makes_every_row_once(grain):
    """What a block makes begins where the last one ended, and covers what it reads."""

    def reads(low, high):
        return max(0, 2 * low - 1), min(41, 2 * high)

    def same(low, high):
        return low, high

    stages = [
        Stage(shape=(1, 41, 8, 8), make=None, reads=same, activation=None),
        Stage(shape=(1, 21, 4, 8), make=None, reads=reads, activation=None),
    ]
    made = []
    for rows, (held,) in _slid(stages, [grain], 0, 21, 3):
        made += range(held.start, held.end)
        low, high = reads(*rows)
        assert held.first <= low
        assert held.end >= high
        assert held.moved == max(0, held.start - held.first)
    assert made == list(range(41))
