"""Designed probes."""

import numpy as np
import pytest

from heterolith.errors import InputError
from heterolith.metrics import sweep
from heterolith.metrics.models import layer_row
from heterolith.metrics.sweep import KINDS, MOST_MACS, probes
from heterolith.sw import CpuWorker

ALL = tuple(KINDS)


def test_probes_are_as_many_as_asked_and_repeat_by_seed() -> None:
    """The same seed gives the same shapes, another one others."""
    first, again, other = (probes(ALL, 100, seed) for seed in (0, 0, 1))
    shapes = [[s.network.tensors for s in made] for made in (first, again, other)]
    assert abs(len(first) - 100) <= 2
    assert shapes[0] == shapes[1] != shapes[2]


def test_probes_stay_within_their_bounds_and_span_the_range() -> None:
    """No probe is larger than its bound; multiply-accumulates span three decades."""
    rows = [layer_row(s.network, s.network.layers[0]) for s in probes(ALL, 200)]
    macs = np.array([float(str(row["macs"])) for row in rows])
    assert macs.max() <= MOST_MACS
    assert macs.max() > 1000 * macs[macs > 0].min()
    outputs = [float(str(row["output_elements"])) for row in rows]
    assert max(outputs) <= 4_000_000
    families = {str(row["family"]) for row in rows}
    assert {"conv", "pointwise", "depthwise", "grouped", "fc", "maxpool", "add"} <= families


def test_every_probe_runs_and_its_shapes_are_right() -> None:
    """The CPU worker computes each probe; what comes out has the shape that the probe says."""
    worker = CpuWorker(1)
    try:
        for subject in probes(ALL, 40):
            (layer,) = subject.network.layers
            worker.load(subject.network, layer)
            (result,) = worker.run(layer, subject.inputs)
            assert result.shape == subject.network.tensors["y"].shape, layer
    finally:
        worker.close()


def test_wrong_requests_are_refused() -> None:
    """Unknown kinds and too few probes."""
    with pytest.raises(InputError, match="unknown kind of probe 'convs'; did you mean conv"):
        probes(["convs"], 10)
    with pytest.raises(InputError, match="2 probes are too few for 4 kinds"):
        probes(ALL, 2)
    assert len({s.network.name for s in probes(ALL, 60)}) == sweep.BLOCKS
