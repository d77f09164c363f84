"""Bursts of the cycle model: all beats, none across a boundary, words as the buffer takes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heterolith.hw.commands import Memory
from heterolith.hw.config import CONFIGS
from heterolith.hw.geometry import geometry
from heterolith.hw.program import Load, Store
from heterolith.hw.timing.bursts import bursts, position, written_words

ULTRA96 = geometry(CONFIGS["ultra96"])


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (Load(cols=40), [16, 16, 8]),
        (Load(cols=20, offset=16 * 10), [6, 14]),
        # Rows end to end are one run; rows with a gap are not.
        (Load(cols=8, rows=4, row_pitch=8), [16, 16]),
        (Load(cols=8, rows=3, row_pitch=12), [8, 4, 4, 8]),
        (Store(cols=8, rows=2, blocks=2, row_pitch=8, block_pitch=16), [16, 16]),
        # Nine pixels of four bytes are three beats.
        (Load(memory=Memory.IMAGE, cols=9, rows=2, row_pitch=16), [3, 3]),
    ],
)
def test_bursts_by_hand(command, expected):
    """Runs are cut at multiples of 16 beats."""
    assert list(bursts(command, ULTRA96)) == expected


@given(
    st.builds(
        Load,
        memory=st.sampled_from([Memory.ACTIVATION, Memory.WEIGHT]),
        offset=st.integers(0, 40).map(lambda n: 16 * n),
        cols=st.integers(1, 40),
        rows=st.integers(1, 5),
        blocks=st.integers(1, 3),
        row_pitch=st.integers(0, 50),
        block_pitch=st.integers(0, 200),
    )
)
def test_bursts_carry_every_beat(command):
    """The beats of all bursts are those of the command, 1 to 16 each."""
    sizes = list(bursts(command, ULTRA96))
    assert sum(sizes) == command.cols * command.rows * command.blocks
    assert all(1 <= beats <= 16 for beats in sizes)


def test_positions_pass_padding():
    """The first beat stands behind the upper and left padding, the last before the lower."""
    c = Load(cols=3, rows=2, blocks=2, top=1, bottom=2, left=4, right=5)
    assert written_words(c, ULTRA96) == 2 * 5 * 12
    assert position(c, ULTRA96, 0) == 12 + 4 + 1
    assert position(c, ULTRA96, 3) == 2 * 12 + 4 + 1
    assert position(c, ULTRA96, 11) == 120 - 2 * 12 - 5
