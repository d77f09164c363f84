"""Compiled networks agree with the plain executor, whoever computes them and however often."""

import gc
import random
import sys
import threading
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heterolith.errors import HeterolithError, InputError
from heterolith.sw.execute import execute
from heterolith.sw.fast import CompiledNetwork, Options
from heterolith.sw.fast.crew import can_fork
from heterolith.sw.fast.nodes import nodes
from heterolith.sw.network import Activation
from heterolith.sw.workers import team

from .drafts import Draft, grow
from .fast_nets import NETWORKS, RELU, SAME, Builder, inception
from .nets import random_inputs

FIXED = {"tune_s": 0.0}
KINDS = ["threads", *(["processes"] if can_fork() else [])]


def check(compiled, network, inputs, tolerance=2e-5):
    """Compare all outputs with the oracle's, relative to the largest element."""
    expected = execute(network, inputs)
    found = compiled.run(inputs)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert (found[name].shape, found[name].dtype) == (value.shape, value.dtype)
        assert np.abs(found[name] - value).max() <= tolerance * max(1, np.abs(value).max()), name


@pytest.mark.parametrize("seed", range(40))
def test_random_networks_agree_with_the_plain_executor(seed):
    """Networks with repeated operands, joins of joins and residuals give the oracle's numbers."""
    draft = Draft(np.random.default_rng(seed), (1, 16, 8, 8))
    grow(draft, random.Random(seed).randrange, 12 if seed % 2 else 5)
    network = draft.network()
    compiled = CompiledNetwork(network, Options(threads=1 + seed % 2, **FIXED))
    try:
        for run in range(2):
            check(compiled, network, random_inputs(network, np.random.default_rng(run)), 1e-4)
    finally:
        compiled.close()


@pytest.mark.parametrize("winograd", [True, False])
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_threads_agree_with_the_plain_executor(name, threads, winograd):
    """Every layout and path gives the oracle's numbers, on new inputs too."""
    network, inputs = NETWORKS[name]()
    compiled = CompiledNetwork(network, Options(threads=threads, winograd=winograd, **FIXED))
    check(compiled, network, inputs)
    check(compiled, network, {"x": inputs["x"][..., ::-1].copy()})
    compiled.close()


@pytest.mark.skipif(not can_fork(), reason="this system cannot fork")
@pytest.mark.parametrize("name", NETWORKS)
def test_processes_agree_with_the_plain_executor(name):
    """Forked workers over shared memory compute the same."""
    network, inputs = NETWORKS[name]()
    compiled = CompiledNetwork(network, Options(threads=2, workers="processes", **FIXED))
    for factor in (1, 2):
        check(compiled, network, {"x": factor * inputs["x"]})
    compiled.close()


@pytest.mark.parametrize("kind", KINDS)
def test_several_callers_are_served_one_after_the_other(kind):
    """Calls from several threads do not mix, and results stay the caller's."""
    network, inputs = inception()
    compiled = CompiledNetwork(network, Options(threads=2, workers=kind, **FIXED))
    wanted = [execute(network, {"x": k * inputs["x"]}) for k in range(4)]
    failures = []

    def call(k):
        kept = [compiled.run({"x": np.float32(k) * inputs["x"]}) for _ in range(5)]
        for result in kept:
            for name, value in wanted[k].items():
                if not np.allclose(result[name], value, rtol=1e-4, atol=1e-5):
                    failures.append(k)

    callers = [threading.Thread(target=call, args=(k,)) for k in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    compiled.close()
    assert not failures


def test_a_second_run_allocates_nothing_large():
    """Steady state takes no new memory of a megabyte, in the caller or numpy."""
    b = Builder((1, 3, 96, 96))
    t = b.conv("x", 64, 3, pads=(1, 1, 1, 1))
    t = b.conv(t, 64, 3, pads=(1, 1, 1, 1))
    t = b.add("MaxPool", b.conv(t, 128), attributes={"kernel_shape": (2, 2), "strides": (2, 2)})
    network, inputs = b.network(b.add("GlobalAveragePool", t))
    compiled = CompiledNetwork(network, Options(threads=1, **FIXED))
    compiled.run(inputs)
    tracemalloc.start()
    compiled.run(inputs)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    compiled.close()
    assert peak < 1 << 20
    assert compiled.bytes > 1 << 20


def test_scores_beyond_float32_are_computed_as_the_plain_executor_does():
    """A softmax of scores above 2**20 takes the guarded path."""
    b = Builder((1, 4, 6, 6))
    w = b.constant(np.full((3, 4, 1, 1), 2.0**20, np.float32))
    t = b.add("GlobalAveragePool", b.add("Conv", "x", w))
    network, inputs = b.network(b.add("Softmax", t, attributes={"axis": 1}))
    compiled = CompiledNetwork(network, Options(threads=1, **FIXED))
    large = {"x": 8 * np.ones_like(inputs["x"])}
    for given in (large, {"x": inputs["x"] * np.float32(1e-6)}, large):
        expected = execute(network, given)
        for name, value in compiled.run(given).items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_no_workers_stay_behind(kind):
    """Threads and processes end when the network is closed, or forgotten."""
    network, inputs = inception()
    for forget in (False, True):
        compiled = CompiledNetwork(network, Options(threads=2, workers=kind, **FIXED))
        compiled.run(inputs)
        crew = compiled._crew
        helpers = list(crew._helpers)
        if not forget:
            compiled.close()
        del compiled, crew
        gc.collect()
        for helper in helpers:
            if kind == "threads":
                helper.join(10)
                assert not helper.is_alive()
            else:
                assert not Path(f"/proc/{helper}").exists()


@pytest.mark.skipif(not can_fork(), reason="this system cannot fork")
def test_a_worker_process_that_was_ended_is_noticed():
    """The caller gets an error instead of waiting for ever, then and afterwards."""
    import os
    import signal

    network, inputs = inception()
    compiled = CompiledNetwork(network, Options(threads=2, workers="processes", **FIXED))
    compiled.run(inputs)
    os.kill(compiled._crew._helpers[0], signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(HeterolithError, match="compile the network again"):
            compiled.run(inputs)


def test_an_error_in_a_thread_reaches_the_caller():
    """A step that fails does not leave the others waiting."""
    from heterolith.sw.fast.crew import Threads

    def fail():
        raise InputError("step")

    crew = Threads([[[], [fail]], [[], []]])
    for _ in range(3):
        with pytest.raises(InputError, match="step"):
            crew.run()
    crew.close()


def test_without_a_blas_that_can_be_held_one_worker_computes(monkeypatch):
    """Workers and BLAS threads would fight otherwise."""
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    monkeypatch.setattr(team, "_BLAS", team._BlasLimit())
    network, inputs = inception()
    compiled = CompiledNetwork(network, Options(threads=2, **FIXED))
    assert compiled.threads == 1
    check(compiled, network, inputs)


def test_workers_are_pinned_to_the_cores_they_are_given():
    """Affinity is an argument; the caller keeps its own."""
    import os

    before = os.sched_getaffinity(0)
    core = min(before)
    network, inputs = inception()
    for kind in KINDS:
        options = Options(threads=2, workers=kind, cores=(core, core), **FIXED)
        compiled = CompiledNetwork(network, options)
        check(compiled, network, inputs)
        compiled.close()
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": 0}, "0 threads"),
        ({"workers": "fibers"}, "unknown kind of workers 'fibers'"),
        ({"threads": 2, "cores": (0,)}, "1 cores for 2 threads"),
        ({"tune_s": -1.0}, "-1.0 s for measuring"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    """The message names value and remedy."""
    network, _ = inception()
    with pytest.raises(InputError, match=message):
        CompiledNetwork(network, Options(**options))


def test_wrong_inputs_are_refused():
    """Shape, dtype and names are checked as everywhere."""
    network, inputs = inception()
    compiled = CompiledNetwork(network, Options(threads=1, **FIXED))
    with pytest.raises(InputError, match="needs float32 of shape"):
        compiled.run({"x": inputs["x"].astype(float)})
    with pytest.raises(InputError, match="unknown network input"):
        compiled.run({**inputs, "z": inputs["x"]})


def test_an_operator_that_nobody_computes_is_refused_by_name():
    """At compilation, with the layer's name and near matches."""
    b = Builder((1, 2, 3, 4))
    network, _ = b.network(b.add("Relu", "x"))
    object.__setattr__(network.layers[0], "op", "Reluu")
    with pytest.raises(InputError, match=r"layer 'layer t0' \(Reluu\): unknown operator 'Reluu'"):
        CompiledNetwork(network, Options(threads=1, **FIXED))


def test_a_constant_may_be_the_residual():
    """What is added need not be an activation."""
    b = Builder((1, 2, 6, 5))
    added = b.constant(b.rng.standard_normal((1, 4, 6, 5)).astype(np.float32))
    t = b.conv("x", 4, residual=added, activation=Activation())
    network, inputs = b.network(b.add("Relu", t, residual=added))
    compiled = CompiledNetwork(network, Options(threads=1, **FIXED))
    check(compiled, network, inputs)


@pytest.mark.parametrize("name", ["dense", "shuffled", "residual"])
def test_float64_networks_take_the_plain_operators(name):
    """What no path computes is not merged either."""
    network, inputs = NETWORKS[name]()

    def wide(value):
        return value.astype(np.float64) if value.dtype == np.float32 else value

    tensors = {key: replace(kind, dtype="float64") for key, kind in network.tensors.items()}
    constants = {key: wide(value) for key, value in network.constants.items()}
    double = replace(network, tensors=tensors, constants=constants)
    compiled = CompiledNetwork(double, Options(threads=2, **FIXED))
    check(compiled, double, {"x": wide(inputs["x"])}, tolerance=1e-12)
    compiled.close()


def test_parts_of_a_concatenation_are_clamped_as_one():
    """Where all have one clamp; the others keep theirs; a maximum behind takes it over."""
    b = Builder((1, 4, 12, 12))
    joined = [b.conv("x", 8, activation=RELU), b.conv("x", 16, 3, activation=RELU, **SAME)]
    t = b.add("Concat", *joined, attributes={"axis": 1})
    mixed = [b.conv(t, 8, activation=RELU), b.conv(t, 8)]
    u = b.add("Concat", *mixed, attributes={"axis": 1})
    parts = [b.conv(u, 8, activation=RELU), b.conv(u, 4, activation=RELU)]
    pooled = {"kernel_shape": (2, 2), "strides": (2, 2)}
    v = b.add("MaxPool", b.add("Concat", *parts, attributes={"axis": 1}), attributes=pooled)
    network, inputs = b.network(u, v)
    found = {node.layer.outputs[0]: node for node in nodes(network)}
    assert [found[name].layer.activation for name in (*joined, *parts)] == [None] * 4
    assert [found[name].layer.activation for name in (*mixed, v)] == [RELU, None, RELU]
    assert [found[name].clamp for name in (t, u)] == [RELU, None]
    for threads in (1, 2):
        compiled = CompiledNetwork(network, Options(threads=threads, **FIXED))
        for sign in (1, -1):
            check(compiled, network, {"x": sign * inputs["x"]})
        compiled.close()
