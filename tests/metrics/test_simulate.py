"""Rows of the accelerator without a board."""

from pathlib import Path

import pytest

from heterolith import api
from heterolith.errors import InputError
from heterolith.metrics import simulate_fpga


def test_commands_with_data_take_as_long_as_those_of_the_shape(cnn_path: Path) -> None:
    """The functional back end computes every layer bit for bit; its cycles are the model's."""
    network = api.load(cnn_path)
    modelled, refused = simulate_fpga(network, "ultra96")
    computed, again = simulate_fpga(network, "ultra96", "functional")
    assert refused == again
    assert [row.layer for row in modelled] == [row.layer for row in computed]
    for one, other in zip(modelled, computed, strict=True):
        assert other.source == "simulated"
        assert other.latency_ns == pytest.approx(one.latency_ns, rel=0.01), one.layer


def test_an_unknown_back_end_is_refused(cnn_path: Path) -> None:
    """The message names those there are."""
    with pytest.raises(InputError, match="unknown back end 'rlt'; did you mean rtl"):
        simulate_fpga(api.load(cnn_path), "ultra96", "rlt")
