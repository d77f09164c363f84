from dataclasses import replace

import numpy as np
import pytest

from heterolith.errors import InputError
from heterolith.scheduler.adaptive.model import (
    Degree,
    ImageTrace,
    KnobLayer,
    KnobNetwork,
    Place,
    hull,
    place,
)

from .fixtures import board, degrees, network, scenario, task


def degree(name, wcet, loss):
    """Return a degree with its BCET at the WCET."""
    return Degree(name=name, wcet_ns=wcet, bcet_ns=wcet, loss=loss)


def test_the_hull_drops_what_is_slow_or_above_the_line():
    """The hull drops degrees that do not cut the time and those above the line."""
    offered = [
        degree("fp32", 100, 0.0), degree("slower", 110, 0.001), degree("above", 80, 0.05),
        degree("int8", 60, 0.01), degree("rank", 40, 0.03),
    ]  # fmt: skip
    assert [d.name for d in hull(offered)] == ["fp32", "int8", "rank"]


def test_a_lossless_faster_degree_replaces_the_exact_one():
    """A degree that is faster and loses less leaves the slower one out."""
    assert [d.name for d in hull([degree("fp32", 100, 0.0), degree("int8", 60, -0.001)])] == [
        "int8"
    ]


def test_degrees_that_do_not_fall_are_refused():
    """A degree that is slower than a more exact one is refused with the remedy."""
    with pytest.raises(InputError, match=r"must be faster and lose more.*hull"):
        KnobLayer(name="b", degrees=(degree("fp32", 100, 0.0), degree("rank", 120, 0.01)))


@pytest.mark.parametrize("exits", [(1, 0, 2), (0, 1), (0, 5)])
def test_exits_must_ascend_to_the_last_block(exits):
    """Exits out of order or not ending at the last block are refused."""
    with pytest.raises(InputError, match="must ascend and end with block 2"):
        network(1000, 1000, 1000, exits=exits, trace=False)


def test_a_trace_of_other_blocks_is_refused():
    """A trace whose blocks differ from the network's is refused."""
    one, two = network(1000, 2000), network(1000, 2000, 3000)
    with pytest.raises(InputError, match="the trace is of"):
        replace(two, trace=one.trace)


def test_a_degree_that_was_not_recorded_is_refused():
    """A degree that the trace does not know is refused by name."""
    made = network(1000, 2000)
    layer = replace(made.layers[0], degrees=(replace(made.layers[0].degrees[0], name="fp8"),))
    with pytest.raises(InputError, match="fp8"):
        KnobNetwork(name="n", layers=(layer, made.layers[1]), trace=made.trace)


def test_a_choice_that_was_not_recorded_is_refused_by_name():
    """Looking up a mix that was not run raises, naming it."""
    trace = network(1000, 2000).trace
    assert trace.lookup(["fp32", "int8"], 3, 0)[0] <= 1
    with pytest.raises(InputError, match="no choice fp32/fp16"):
        trace.lookup(["fp32", "fp16"], 3, 0)


def test_an_exit_depends_on_the_blocks_before_it_alone():
    """A lookup needs the degrees up to the exit, later ones do not matter."""
    trace = network(1000, 2000, exits=(0, 1)).trace
    assert trace.row(["int8"], 0) == trace.row(["int8", "rank0.5"], 0)


@pytest.mark.parametrize("confidence", [np.nan, 1.5, -0.1])
def test_confidences_outside_0_to_1_are_refused(confidence):
    """Confidences must be probabilities."""
    with pytest.raises(InputError, match="confidences must be"):
        ImageTrace(
            network="n", layers=("b",), exits=(0,), choices=(("fp32",),),
            confidence=np.full((1, 2, 1), confidence, np.float32),
            correct=np.zeros((1, 2, 1), bool),
        )  # fmt: skip


def test_placing_pays_for_moves_and_takes_the_degrees_of_the_place():
    """Entering a resource costs its move; a place offers its own degrees."""
    there = Place(resource=1, kind=1, degrees=(degree("int8", 30, 0.01),))
    layers = tuple(
        KnobLayer(name=f"b{i}", degrees=degrees(100), places=(there,), move_ns=((0, 7), (9, 0)))
        for i in range(3)
    )
    made = place(KnobNetwork(name="n", layers=layers), (0, 1, 0), home=0)
    assert [(x.resource, x.degrees[0].wcet_ns) for x in made.layers] == [
        (0, 100),
        (1, 37),
        (0, 109),
    ]
    assert [d.name for d in made.layers[1].degrees] == ["int8"]


def test_a_block_on_a_resource_that_the_board_lacks_is_refused():
    """A scenario whose blocks are nowhere is refused."""
    net = network(1000)
    lost = replace(net, layers=(replace(net.layers[0], resource=3),))
    with pytest.raises(InputError, match=r"resource 3.*does not have"):
        scenario(task(lost, 5000))


def test_the_first_point_must_be_the_reference_and_the_fastest():
    """Points out of order are refused."""
    made = board()
    with pytest.raises(InputError, match="point 0"):
        replace(made, points=made.points[::-1])
