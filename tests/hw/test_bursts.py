"""Bursts of the cycle model: all beats, none across a boundary, words as the buffer takes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heterolith.hw.commands import Memory
from heterolith.hw.config import CONFIGS
from heterolith.hw.geometry import geometry
from heterolith.hw.program import Load, Store
from heterolith.hw.timing.bursts import loaded, stored, written_words

ULTRA96 = geometry(CONFIGS["ultra96"])


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (Load(cols=40), (16, 16, 8)),
        (Load(cols=20, offset=16 * 10), (6, 14)),
        # Rows end to end are one run; rows with a gap are not.
        (Load(cols=8, rows=4, row_pitch=8), (16, 16)),
        (Load(cols=8, rows=3, row_pitch=12), (8, 4, 4, 8)),
        (Store(cols=8, rows=2, blocks=2, row_pitch=8, block_pitch=16), (16, 16)),
        # Nine pixels of four bytes are three beats.
        (Load(memory=Memory.IMAGE, cols=9, rows=2, row_pitch=16), (3, 3)),
    ],
)
def test_bursts_by_hand(command, expected):
    """Runs are cut at multiples of 16 beats."""
    if isinstance(command, Load):
        assert loaded(command, ULTRA96).beats == expected
    else:
        assert stored(command, ULTRA96) == expected


def plain_bursts(c, lanes):
    """Return the bursts of a LOAD that is no image, beat by beat."""
    bursts, before = [], None
    for block in range(c.blocks):
        for row in range(c.rows):
            for col in range(c.cols):
                beat = c.offset // lanes + block * c.block_pitch + row * c.row_pitch + col
                first_of_run = before is None or beat != before + 1
                if first_of_run or beat % 16 == 0:
                    bursts.append(0)
                bursts[-1] += 1
                before = beat
    return bursts


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
        top=st.integers(0, 2),
        bottom=st.integers(0, 2),
        left=st.integers(0, 3),
        right=st.integers(0, 3),
    )
)
def test_bursts_carry_every_beat_and_word(command):
    """The beats of all bursts are those of the command, 1 to 16 each; so are the words."""
    moved = loaded(command, ULTRA96)
    assert sum(moved.beats) == command.cols * command.rows * command.blocks
    assert all(1 <= beats <= 16 for beats in moved.beats)
    assert sum(moved.words) + moved.tail == written_words(command, ULTRA96)
    assert len(moved.words) == len(moved.beats)


@given(st.integers(0, 40), st.integers(1, 40), st.integers(1, 5), st.integers(1, 3))
def test_bursts_are_those_of_a_walk_beat_by_beat(first, cols, rows, gap):
    """Rows that do not lie end to end are runs of their own."""
    command = Load(offset=16 * first, cols=cols, rows=rows, row_pitch=cols + gap)
    assert list(loaded(command, ULTRA96).beats) == plain_bursts(command, 16)


def test_words_pass_padding():
    """The first beat stands behind the upper and left padding, the last before the lower."""
    c = Load(
        cols=3, rows=2, row_pitch=16, blocks=2, block_pitch=64, top=1, bottom=2, left=4, right=5
    )
    moved = loaded(c, ULTRA96)
    assert written_words(c, ULTRA96) == 2 * 5 * 12
    assert moved.words == (12 + 7, 12, 5 + 2 * 12 + 12 + 7, 12)
    assert moved.tail == 5 + 2 * 12


@pytest.mark.parametrize(("left", "even"), [(0, True), (1, False)])
def test_only_bursts_without_padding_are_even(left, even):
    """A LOAD of full bursts is even unless padding stands between their words."""
    command = Load(cols=64, rows=4, row_pitch=64, left=left)
    assert loaded(command, ULTRA96).even is even
