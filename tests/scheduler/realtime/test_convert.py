import pytest

from heterolith import api, boards, metrics
from heterolith.scheduler.realtime.convert import network_times, resource_of


@pytest.fixture
def made(cnn_path):
    """Return platform, network, profile and times of a small network."""
    platform, network = boards.load("ultra96-v2+jetson-tx2"), api.load(cnn_path)
    profile = metrics.estimate(network, platform)
    return platform, network, profile, network_times(profile, network, platform)


def test_times_are_the_profiles_and_what_is_unsupported_is_none(made):
    """Times are the profile's, and what is unsupported is None."""
    platform, network, profile, times = made
    names = [d.name for d in platform.devices]
    missing = {(layer, device) for layer, device, _ in profile.unsupported}
    for index, layer in enumerate(network.layers):
        for r, name in enumerate(names):
            assert (times.layers[index][r] is None) == ((layer.name, name) in missing)
    middle = network.layers[2].name
    cost = next(c for c in profile.costs if c.layer == middle and c.device == "cpu")
    assert times.layers[2][names.index("cpu")] >= cost.latency_ns


def test_a_change_of_device_moves_every_tensor_that_is_still_needed(made):
    """A change of device moves every tensor that is still needed."""
    platform, network, profile, times = made
    names = [d.name for d in platform.devices]
    a, b = names.index("cpu"), names.index("gpu")
    for index, layer in enumerate(network.layers[1:], 1):
        assert times.enter_ns[index][a][a] == 0
        inputs = set(network.activations(layer))
        least = sum(
            hop.latency_ns
            for hop in profile.transfers
            if hop.tensor in inputs and (hop.origin, hop.target) == ("cpu", "gpu")
        )
        assert times.enter_ns[index][a][b] >= least > 0


def test_a_device_becomes_a_resource_with_its_power(made):
    """A device becomes a resource with its power."""
    device = made[0].devices[0]
    assert resource_of(device).points[0].active_mw == round(device.active_w * 1000)
