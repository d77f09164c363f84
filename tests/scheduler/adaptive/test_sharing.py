import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.scheduler.adaptive.sharing import Sharing, Tally

from .fixtures import network

NET = network(1000, 3000, name="net", trace=False)


@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(0, 2))
@settings(deadline=None)
def test_a_batch_lies_between_one_input_and_as_many_alone(once, count, degree):
    """A batch lies between one input and as many alone."""
    layer = NET.layers[0]
    sharing = Sharing(once_ppm={"net": {(layer.name, layer.degrees[degree].name): once}})
    alone = layer.degrees[degree].wcet_ns
    assert alone <= sharing.batch_ns("net", layer, degree, count) <= alone * count


def test_a_network_without_figures_saves_nothing():
    """A network without figures saves nothing."""
    assert Sharing().batch_ns("net", NET.layers[0], 0, 3) == 3000


def test_a_co_run_is_never_shorter_than_its_longest_part():
    """A co run is never shorter than its longest part."""
    sharing = Sharing(corun_ppm=600_000)
    assert sharing.corun_ns([100, 100]) == 120
    assert sharing.corun_ns([100, 10]) == 100


def test_factor_and_share_count_blocks_in_company():
    """Factor and share count blocks in company."""
    tally = Tally()
    assert tally.factor == 1.0
    tally.add(1)
    tally.add(3)
    assert (tally.factor, tally.share) == (2.0, 0.75)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"once_ppm": {"net": {("b0", "fp32"): 1_000_001}}}, "must be in 0..1"),
        ({"corun_ppm": 400_000}, "co-run factor 0.4 must be in 0.5..1"),
        ({"largest": 0}, "largest batch 0 at least 1"),
    ],
)
def test_impossible_savings_are_refused(fields, text):
    """Impossible savings are refused."""
    with pytest.raises(InputError, match=text):
        Sharing(**fields)
