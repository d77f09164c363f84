"""LOAD in the cycle model: leaps are exact, fetch goes first, places bound what is under way."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.hw.commands import Memory
from heterolith.hw.config import CONFIGS
from heterolith.hw.geometry import geometry
from heterolith.hw.program import Compute, Load, Store
from heterolith.hw.timing.loader import Loader
from heterolith.hw.timing.timeline import Dram, simulate

ULTRA96 = geometry(CONFIGS["ultra96"])


def stepped(commands, dram):
    """Return the run of commands without leaps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loader, "_leap", lambda self, limit: None)
        return simulate(commands, ULTRA96, dram)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.builds(
            Load,
            memory=st.sampled_from([Memory.WEIGHT, Memory.ACTIVATION]),
            offset=st.integers(0, 30).map(lambda n: 16 * n),
            cols=st.integers(60, 200).map(lambda n: 16 * n),
        ),
        min_size=1,
        max_size=4,
    ),
    st.integers(1, 60),
    st.floats(4.0, 60.0),
    st.integers(0, 300),
)
def test_leaps_change_nothing(loads, rows, rate, latency):
    """Many bursts at once or one by one: completions differ by rounding alone."""
    work = (Compute(rows=rows, cols=30, k_blocks=3), Store(wait_compute=1, cols=rows * 30))
    commands = (*loads, *work, *loads)
    dram = Dram(bytes_per_cycle=rate, latency_cycles=latency)
    leaping, plain = simulate(commands, ULTRA96, dram), stepped(commands, dram)
    assert leaping.completions == pytest.approx(plain.completions, abs=2)
    assert leaping.read_bytes == plain.read_bytes
    assert leaping.load_busy == pytest.approx(plain.load_busy, abs=2)


def test_a_long_load_leaps():
    """The steps of a LOAD of 1000 bursts are far fewer than its bursts."""
    seen = []
    original = Loader._leap

    def counted(self, limit):
        before = self.at
        original(self, limit)
        seen.append(self.at - before)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loader, "_leap", counted)
        simulate((Load(memory=Memory.WEIGHT, cols=16000),), ULTRA96, Dram(bytes_per_cycle=14.2))
    assert sum(seen) > 900


def test_a_command_waits_for_the_fetch_before_it():
    """With more commands than fetch reads at first, their bursts pass between those of LOADs."""
    loads = [Load(memory=Memory.WEIGHT, cols=1600) for _ in range(24)]
    dram = Dram(bytes_per_cycle=16.0, latency_cycles=100)
    run = simulate(loads, ULTRA96, dram)
    beats = 24 * (1600 + 4)
    assert beats < run.cycles < beats + 300


def test_padding_alone_reads_nothing():
    """A fill takes a cycle a word and no DRAM."""
    fill = Load(fill=1, cols=50, rows=40, buffer_row_pitch=50)
    one, two = (
        simulate((fill,) * n, ULTRA96, Dram(bytes_per_cycle=1.0, latency_cycles=50)) for n in (1, 2)
    )
    assert one.read_bytes == 64
    assert two.completions[1] - two.completions[0] == pytest.approx(2000, abs=2)
