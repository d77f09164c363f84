"""Tensors share memory where nobody needs both."""

import numpy as np
import pytest

from heterolith.sw.fast.layout import Layout, Wants
from heterolith.sw.fast.nodes import nodes
from heterolith.sw.fast.spots import PLAIN

from .fast_nets import RELU, Builder


@pytest.mark.parametrize("ones", [(), ("sum",), ("side",), ("side", "sum")])
def test_a_sum_takes_the_place_of_its_residual(ones):
    """With a 1 behind every pixel if readers of either want one."""
    b = Builder((1, 8, 6, 6))
    names = {"side": b.conv("x", 12), "branch": b.conv("x", 5)}
    names["sum"] = b.conv(names["branch"], 12, residual=names["side"], activation=RELU)
    network, _ = b.network(b.conv(names["sum"], 4))
    found = nodes(network)
    wants = Wants(
        frames={(name, PLAIN) for name in (*names.values(), *network.outputs)},
        ones={names[name] for name in ones},
        in_place={network.layers[2].name},
    )
    layout = Layout(network, found, wants, shared=False)
    side, result = layout.spot(names["side"]), layout.spot(names["sum"])
    assert np.shares_memory(side.outer, result.outer)
    assert side.outer.strides == result.outer.strides
    assert side.ones == result.ones == bool(ones)
