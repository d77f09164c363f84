"""Waits: complete against a slow set-based check, and enough for every legal order of units."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.hw.compiler.hazards import Tracker
from heterolith.hw.compiler.single import layer_job
from heterolith.hw.geometry import geometry
from heterolith.hw.program import Compute, Load, Store, encode
from heterolith.hw.shapes import ConvShape

from .accel_cases import SMALL, TESTED, case, device, layers, linear

WAITS = {Load: "wait_load", Compute: "wait_compute", Store: "wait_store"}
GEOMETRY = geometry(SMALL)


def reads_and_writes(c, g):
    """Return the (space, word) pairs a command reads and writes, loop by loop as documented."""
    reads, writes = set(), set()
    if isinstance(c, Compute):
        width = 1 if c.per_channel else g.sub_blocks
        groups, count = -(-c.blocks // width), c.rows * c.cols
        for group in range(groups):
            for k in range(c.steps):
                reads.add(("weight", c.weight + (0 if c.hold_weight else group * c.steps + k)))
                kb, ky, kx = k // (c.k_rows * c.k_cols), k // c.k_cols % c.k_rows, k % c.k_cols
                step = kb * c.k_block_step + ky * c.k_row_step + kx * c.k_col_step
                for n in range(count):
                    at = c.source + group * c.group_step + n // c.cols * c.row_step
                    at += n % c.cols * c.col_step + step
                    reads |= {("activation", at + t) for t in range(c.window)}
            for n in range(count):
                word = c.accumulator + group * -(-count // g.pixels) + n // g.pixels
                if c.accumulate:
                    reads.add(("accumulator", word))
                if c.partial:
                    writes.add(("accumulator", word))
        for b in range(c.blocks if not c.partial else 0):
            reads.add(("parameter", c.parameter + b))
            for n in range(count):
                y, x = divmod(n, c.cols)
                if c.residual:
                    at = c.addend + b * c.addend_block_pitch + y * c.addend_row_pitch + x
                    reads.add(("activation", at))
                at = c.target + b * c.target_block_pitch + y * c.target_row_pitch + x
                writes.add(("activation" if c.to_activation else "output", at))
        return reads, writes
    spaces = {0: "activation", 1: "activation", 2: "weight", 3: "parameter"}
    space = spaces[c.memory] if isinstance(c, Load) else "output"
    chip, dram = set(), set()
    beats = -(-c.cols // g.image_pixels) if isinstance(c, Load) and c.memory == 1 else c.cols
    top, bottom, left, right = (getattr(c, side, 0) for side in ("top", "bottom", "left", "right"))
    for b in range(c.blocks):
        for y in range(c.rows):
            first = c.offset // g.lanes + b * c.block_pitch + y * c.row_pitch
            dram |= {("dram", first + x) for x in range(beats)}
        for y in range(top + c.rows + bottom):
            first = c.buffer + b * c.buffer_block_pitch + y * c.buffer_row_pitch
            chip |= {(space, first + x) for x in range(left + c.cols + right)}
    if space in ("weight", "parameter"):
        unit = g.n_pe if space == "weight" else 8
        chip = {(space, c.buffer + w) for w in range(c.blocks * c.rows * c.cols // unit)}
    if isinstance(c, Load):
        return (set() if c.fill else dram), chip
    return chip, dram


def assert_ordered(commands, g):
    """Check every pair of conflicting commands, in the order of the program."""
    counts, seen = dict.fromkeys(WAITS, 0), []
    for c in commands:
        kind = type(c)
        reads, writes = reads_and_writes(c, g)
        for earlier, number, old_reads, old_writes in seen:
            raw, war, waw = reads & old_writes, writes & old_reads, writes & old_writes
            inside = kind is Compute and raw
            needed = inside if earlier is kind else raw or war or waw
            if needed:
                assert getattr(c, WAITS[earlier]) >= number, (c, earlier, number)
        counts[kind] += 1
        seen.append((kind, counts[kind], reads, writes))


SMALL_SHAPES = (
    ConvShape(in_channels=20, out_channels=20, height=6, width=5, kernel=(3, 3)),
    ConvShape(in_channels=3, out_channels=9, height=7, width=9, kernel=(3, 4), stride=(2, 1)),
    ConvShape(in_channels=24, out_channels=24, height=7, width=7, kernel=(3, 3), groups=24),
    ConvShape(in_channels=600, out_channels=9, height=2, width=3, kernel=(2, 2)),
    ConvShape(in_channels=8, out_channels=8, height=40, width=20, kernel=(1, 1)),
)


@pytest.mark.parametrize("shape", SMALL_SHAPES, ids=str)
@pytest.mark.parametrize("residual", [False, True])
def test_every_conflict_waits(shape, residual):
    """No two units touch a word, one writing, without a token between them."""
    p, _ = linear(np.random.default_rng(0), shape, False, residual)
    job = layer_job(SMALL, shape, p).job
    assert_ordered(job.commands, GEOMETRY)


def test_a_missing_wait_is_found():
    """The check itself fails when any needed wait of a program is lowered by one."""
    p, _ = linear(np.random.default_rng(0), SMALL_SHAPES[0], False, True)
    commands = list(layer_job(SMALL, SMALL_SHAPES[0], p).job.commands)
    index = next(i for i, c in enumerate(commands) if isinstance(c, Store))
    commands[index] = replace(commands[index], wait_compute=commands[index].wait_compute - 1)
    with pytest.raises(AssertionError):
        assert_ordered(commands, GEOMETRY)


def shuffled(commands, rng):
    """Return the commands in a random order that units could complete them in."""
    queues = {kind: [c for c in commands if type(c) is kind] for kind in WAITS}
    done, order = dict.fromkeys(WAITS, 0), []
    while len(order) < len(commands):
        ready = [
            kind
            for kind, queue in queues.items()
            if done[kind] < len(queue)
            and all(getattr(queue[done[kind]], name) <= done[k] for k, name in WAITS.items())
        ]
        kind = ready[int(rng.integers(len(ready)))]
        order.append(queues[kind][done[kind]])
        done[kind] += 1
    return order


@settings(deadline=None, max_examples=60)
@given(layers(), st.sampled_from(sorted(TESTED)), st.integers(0, 2**32 - 1))
def test_any_legal_order_gives_the_same_result(layer, name, seed):
    """Units may run ahead of each other as far as the waits allow; the codes stay the same."""
    shape, parameters, arrays, expected = case(layer)
    job = layer_job(TESTED[name], shape, parameters)
    window = job.memory(*arrays)
    order = shuffled(job.job.commands, np.random.default_rng(seed))
    code = encode(order)
    window[job.job.command_offset : job.job.command_offset + code.size] = code
    device(name).run(window, job.job.command_offset, len(order))
    assert np.array_equal(job.result(window).reshape(expected.shape), expected)


def test_tracker_knows_nothing_of_untouched_words():
    """A program of independent commands has no waits."""
    tracker = Tracker(GEOMETRY, 1000)
    for command in (Load(cols=4), Load(offset=64, buffer=8, cols=4), Store(offset=800, cols=4)):
        added = tracker.add(command)
        assert (added.wait_load, added.wait_compute, added.wait_store) == (0, 0, 0)
