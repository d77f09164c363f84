"""Stretches: what a CPU is given at once, and that it computes what layers compute."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.sw import CpuWorker, execute
from heterolith.sw.segments import stretched, units

from .drafts import Draft, grow
from .nets import random_inputs

DEVICES = ("cpu", "other", "gpu")
WHOLE = {"cpu", "other"}


def random_placement(random, layers=14):
    """Return a random network, its layers spread over three devices in runs, and its units."""
    draft = Draft(np.random.default_rng(random.randrange(2**32)), (1, 16, 8, 8))
    grow(draft, random.randrange, layers)
    network, device, place = draft.network(), "cpu", {}
    for layer in network.layers:
        device = random.choice((device, device, device, *DEVICES))
        place[layer.name] = device
    return network, place, stretched(network, units(network, place, {}), WHOLE)


def carry_out(network, found, workers, inputs):
    """Return the network's outputs, units run in the order given."""
    values = dict(inputs)
    for unit in found:
        worker = workers[unit.device]
        worker.load_unit(network, unit)
        result = worker.run_unit(unit, {x: values[x] for x in unit.inputs})
        values |= {x: result[x] for x in unit.outputs}
    return {x: values[x] for x in network.outputs}


@settings(deadline=None, max_examples=50)
@given(st.randoms(use_true_random=False))
def test_stretches_are_what_their_module_says(random):
    """Each layer is in one unit, order holds, inner layers neither wait for others nor delay."""
    network, place, found = random_placement(random)
    assert sorted(x.name for u in found for x in u.layers) == sorted(place)
    maker = {name: place[x.name] for x in network.layers for name in x.outputs}
    readers = {name: set() for name in maker}
    for layer in network.layers:
        for name in network.activations(layer):
            readers.setdefault(name, set()).add(place[layer.name])
    there = set(network.inputs)
    for unit in found:
        assert {place[x.name] for x in unit.layers} == {unit.device}
        assert set(unit.inputs) <= there
        assert len(unit.layers) == 1 or unit.device in WHOLE
        there |= set(unit.outputs)
        for layer in unit.layers[1:]:
            assert {maker.get(x, unit.device) for x in network.activations(layer)} <= {unit.device}
        for layer in unit.layers[:-1]:
            assert all(readers[x] <= {unit.device} for x in layer.outputs)
    assert set(network.outputs) <= there


@settings(deadline=None, max_examples=25)
@given(st.randoms(use_true_random=False), st.sampled_from([1, 2]))
def test_stretches_compute_what_layers_compute(random, threads):
    """Random networks, placed at random, give the plain result within the paths' rounding."""
    network, _, found = random_placement(random)
    workers = {x: CpuWorker(threads, stretches=x in WHOLE) for x in DEVICES}
    for seed in range(2):
        inputs = random_inputs(network, np.random.default_rng(seed))
        outputs = carry_out(network, found, workers, inputs)
        expected = execute(network, inputs, keep=True)
        # A sigmoid's result is small, whatever its argument was rounded by.
        rounding = 1e-7 * max(np.abs(value).max(initial=0.0) for value in expected.values())
        for name in network.outputs:
            atol = 1e-4 * np.abs(expected[name]).max(initial=1e-6) + rounding
            np.testing.assert_allclose(outputs[name], expected[name], rtol=1e-4, atol=atol)
    layers = sum(len(unit.layers) for unit in found)
    assert sum(worker.counters()["layers"] for worker in workers.values()) == 2 * layers
    for worker in workers.values():
        worker.close()


def test_layers_of_one_device_are_one_stretch(chain_network):
    """A network on the CPU alone is one program, and its backend says so."""
    network, inputs = chain_network
    found = stretched(network, units(network, dict.fromkeys(_names(network), "cpu"), {}), {"cpu"})
    assert [unit.name for unit in found] == ["conv1..softmax"]
    assert (found[0].inputs, found[0].outputs) == (("x",), ("y",))
    worker = CpuWorker(1, stretches=True)
    outputs = carry_out(network, found, {"cpu": worker}, inputs)
    assert worker.backend.endswith("9 layers compiled into 1")
    np.testing.assert_allclose(outputs["y"], execute(network, inputs)["y"], rtol=1e-4, atol=1e-6)
    worker.close()


def test_scores_that_leave_a_stretch_are_computed_layer_by_layer(chain_network):
    """A softmax elsewhere: its scores keep their guard against outgrowing float32."""
    network, inputs = chain_network
    place = {**dict.fromkeys(_names(network), "cpu"), "softmax": "gpu"}
    found = stretched(network, units(network, place, {}), {"cpu"})
    workers = {"cpu": CpuWorker(1, stretches=True), "gpu": CpuWorker(1)}
    network.constants["w4"][:] *= np.float32(2.0**30)
    outputs = carry_out(network, found, workers, inputs)
    assert "compiled" not in workers["cpu"].backend
    np.testing.assert_array_equal(outputs["y"], execute(network, inputs)["y"])
    for worker in workers.values():
        worker.close()


def test_a_stretch_refuses_what_it_was_not_given(chain_network):
    """Units that were not loaded and activations of other types are refused by name."""
    network, inputs = chain_network
    place = dict.fromkeys(_names(network), "cpu")
    (unit,) = stretched(network, units(network, place, {}), {"cpu"})
    worker = CpuWorker(1, stretches=True)
    with pytest.raises(InputError, match="'conv1' is not loaded"):
        worker.run_unit(unit, inputs)
    worker.load_unit(network, unit)
    with pytest.raises(InputError, match=r"'x' is missing; conv1\.\.softmax needs float32"):
        worker.run_unit(unit, {})
    with pytest.raises(InputError, match="'x' is float64 of shape"):
        worker.run_unit(unit, {"x": inputs["x"].astype(np.float64)})
    worker.close()
    with pytest.raises(InputError, match="'conv1' is not loaded"):
        worker.run_unit(unit, inputs)


def _names(network):
    return [layer.name for layer in network.layers]
