"""Costs of a network over devices and operating points."""

from pathlib import Path

import numpy as np
import pytest

from heterolith import api
from heterolith.boards import Platform
from heterolith.metrics import estimate
from heterolith.metrics.models import CostModel, Form, Stored, make_samples, network_samples
from heterolith.metrics.models.samples import Samples
from heterolith.metrics.table import clocks_of, cost_table
from heterolith.sw import Network


@pytest.fixture(scope="module")
def network(cnn_path: Path) -> Network:
    """Return the small CNN."""
    return api.load(cnn_path)


@pytest.fixture(scope="module")
def platform() -> Platform:
    """Return the Jetson, which has four clock domains."""
    return api.platform("jetson-tx2")


def gpu_model(network: Network) -> Stored:
    """Return a model fitted on the network's layers at three GPU and two memory clocks."""
    work = network_samples(network, "gpu")
    rows = []
    for core in (140.25, 675.75, 1300.5):
        for memory in (204.0, 1866.0):
            for index, name in enumerate(work.labels["layer"]):
                one = work.take(np.array([index]))
                macs, moved = one.total("macs")[0], one.total("activation_elements")[0]
                if not one.total("calls")[0]:
                    continue
                row = {k: v[index] for k, v in work.work.items()}
                rows.append(
                    {
                        **row,
                        "network": f"n{index % 3}",
                        "layer": str(name),
                        "variant": "fp32",
                        "core_mhz": core,
                        "memory_mhz": memory,
                        "latency_ns": 500 + macs / core * 10 + moved / memory * 100,
                    }
                )
    model = CostModel(form=Form()).fit(make_samples(rows))
    return Stored(model=model, device="gpu", source="fitted", data_sha256="", rows=len(rows))


def test_without_models_the_nominal_point_is_the_estimate(
    network: Network, platform: Platform
) -> None:
    """Every figure equals `estimate`'s; other points are NaN with a reason."""
    other = next(platform.operating_points())
    table = cost_table(network, platform, {}, [None, other])
    rows = {(row.layer, row.device): row for row in estimate(network, platform).costs}
    for i, layer in enumerate(table.layers):
        for j, device in enumerate(table.devices):
            assert table.latency_ns[i, j, 0] == rows[layer, device].latency_ns
            assert table.energy_pj[i, j, 0] == rows[layer, device].energy_pj
    assert np.isnan(table.latency_ns[:, :, 1]).all()
    assert (table.outside[:, :, 1] != "").all()


def test_fitted_figures_follow_the_clocks(network: Network, platform: Platform) -> None:
    """At half the GPU clock convolutions take longer; the CPU keeps its data sheet."""
    points = list(platform.operating_points())
    table = cost_table(network, platform, {"gpu": gpu_model(network)}, points)
    gpu = table.devices.index("gpu")
    domains = [domain.name for domain in platform.dvfs]
    core = np.array([point.mhz[domains.index("gpu")] for point in points])
    memory = np.array([point.mhz[domains.index("emc")] for point in points])
    total = table.latency_ns[:, gpu].sum(axis=0)
    fast = total[(core == 1300.5) & (memory == 1866)]
    slow = total[(core == 140.25) & (memory == 1866)]
    assert len(set(fast.tolist())) == 1
    assert slow[0] > 2 * fast[0]
    assert table.sources[gpu] == "fitted"
    assert table.latency_ns.shape == (len(network.layers), 2, 11760)


def test_figures_are_those_of_the_model_alone(network: Network, platform: Platform) -> None:
    """The vectorised table equals one prediction per layer at the point's clocks."""
    stored = gpu_model(network)
    point = list(platform.operating_points())[-1]
    table = cost_table(network, platform, {"gpu": stored}, [point])
    work = network_samples(network, "gpu")
    clocks = clocks_of(platform, platform.device("gpu"), [point])
    fitted = stored.model.physics_.reference
    query = Samples(
        labels=work.labels,
        work=work.work,
        clocks={k: np.full(len(work), v[0]) for k, v in clocks.items() if k in fitted},
        targets={},
        files=work.files,
        lines=work.lines,
    )
    alone = stored.model.physics_.predict(query)
    busy = work.total("calls") > 0
    np.testing.assert_allclose(table.latency_ns[busy, 0, 0], alone[busy], rtol=1e-12)
    assert (table.latency_ns[~busy, 0, 0] == 0).all()


def test_clocks_beyond_the_fit_are_flagged(network: Network, platform: Platform) -> None:
    """A model of one clock says so at every other one, and claims no interval there."""
    stored = gpu_model(network)
    point = next(platform.operating_points())
    rows = [{"family": "conv", "macs": 1e5 * i, "latency_ns": 1e4 * i} for i in range(1, 20)]
    plain = CostModel(form=Form()).fit(make_samples([{**r, "network": f"n{i % 3}"} for i, r in
                                                     enumerate(rows)]))  # fmt: skip
    blind = Stored(model=plain, device="gpu", source="fitted", data_sha256="", rows=19)
    table = cost_table(network, platform, {"gpu": blind}, [point])
    flagged = table.outside[:, table.devices.index("gpu"), 0]
    busy = network_samples(network).total("calls") > 0
    assert (flagged[busy] != "").all()
    assert np.isinf(table.high_ns[busy, 0, 0]).all()
    assert stored.model.ranges_["core_mhz"] == (140.25, 1300.5)


def test_joined_boards_keep_their_own_clocks() -> None:
    """On two boards the Jetson's GPU has its clocks and the Ultra96's CPU none of them."""
    joined = api.platform("ultra96-v2+jetson-tx2")
    points = list(joined.operating_points())[:3]
    gpu = clocks_of(joined, joined.device("gpu"), points)
    assert gpu["core_mhz"][0] == points[0].mhz[[d.name for d in joined.dvfs].index("gpu")]
    cpu = clocks_of(joined, joined.device("cpu"), points)
    assert (cpu["core_mhz"] == joined.device("cpu").mhz).all()
    assert np.isnan(cpu["memory_mhz"]).all()
