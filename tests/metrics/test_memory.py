"""Which memory a layer works in."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from heterolith.metrics import passes
from heterolith.metrics.blocks import Draft, conv, pool
from heterolith.metrics.measure import Subject
from heterolith.metrics.models import memory
from heterolith.metrics.models.memory import Buffer, Pool, idle_elements
from heterolith.metrics.models.steps import FRAME, PATCHES, RESULT, ROWS, WEIGHTS, Step, steps
from heterolith.sw import CpuWorker
from heterolith.sw.network import Array, Network
from heterolith.sw.workers import arena
from heterolith.sw.workers.arena import Arena

from .spied import sixty

Taken = list[tuple[int, int]]


def _steps(network: Network) -> dict[str, list[Step]]:
    return {layer.name: steps(network, layer) for layer in network.layers}


def _small() -> Subject:
    """Return a network whose results are tiny, small and large, and some of them live long."""
    d = Draft("small", 32, np.random.default_rng(0))
    x = conv(d, "x", 8, 3, 1)
    y = pool(d, conv(d, x, 32, 3, 1), "MaxPool", 2, 2)
    z = conv(d, pool(d, y, "AveragePool", 2, 2), 24, 3)
    z = conv(d, conv(d, z, 16, 3), 24, 3, residual=z)
    z = conv(d, pool(d, z, "MaxPool", 4, 4), 24, 1)
    conv(d, conv(d, y, 40, 1), 32, 3, residual=y)
    return d.subject()


def _numbered(taken: Sequence[tuple[int, int]]) -> Taken:
    """Return buffers by the order in which they came first, with sizes."""
    numbers: dict[int, int] = {}
    return [(numbers.setdefault(buffer, len(numbers)), size) for buffer, size in taken]


def _really_taken(subject: Subject, monkeypatch: pytest.MonkeyPatch, count: int) -> Taken:
    real: Taken = []
    given = Arena.empty

    def empty(arena: Arena, shape: Sequence[int], dtype: Any) -> Array:
        array = given(arena, shape, dtype)
        if array.nbytes >= memory.TINY_BYTES:
            buffer = arena._buffers[array.nbytes > memory.SMALL_BYTES][-1]
            real.append((buffer.ctypes.data, array.nbytes))
        return array

    monkeypatch.setattr(Arena, "empty", empty)
    worker = CpuWorker(1)
    try:
        next(passes([subject], worker, count - 1))
    finally:
        worker.close()
    return _numbered(real)


@pytest.mark.parametrize("subject", [_small(), *sixty()], ids=lambda s: s.network.name)
def test_the_pool_is_the_workers(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three passes take the same buffers in the same order as replayed, small ones too."""
    replayed: list[tuple[Buffer, int]] = []  # holds the buffers, so that none has another's id

    class Spy(Pool):
        def take(self, size: int) -> Buffer:
            buffer = super().take(size)
            if size >= memory.TINY_BYTES:
                replayed.append((buffer, size))
            return buffer

    pool, network = Spy(), subject.network
    for _ in range(3):
        memory._replay(network, pool, _steps(network))
    found = _numbered([(id(buffer), size) for buffer, size in replayed])
    assert found == _really_taken(subject, monkeypatch, 3)
    assert all(pool.buffers)
    assert len(found) > 2 * (len(pool.buffers[0]) + len(pool.buffers[1]))


def test_limits_of_the_pool_are_the_workers() -> None:
    """Smaller arrays are nobody's; up to the second limit buffers have one size."""
    assert (memory.TINY_BYTES, memory.SMALL_BYTES) == (arena.TINY_BYTES, arena.SMALL_BYTES)
    pool = Pool()
    tiny = pool.take(memory.TINY_BYTES - 1)
    assert not any(pool.buffers)
    assert (tiny.size, tiny.holders) == (memory.TINY_BYTES - 1, 1)
    small = pool.take(memory.TINY_BYTES)
    large = pool.take(memory.SMALL_BYTES + 1)
    assert pool.buffers == ([small], [large])
    assert (small.size, large.size) == (memory.SMALL_BYTES, memory.SMALL_BYTES + 1)


def test_the_buffer_taken_last_is_taken_of_those_free_and_large_enough() -> None:
    """A held one is not, one too small is not, and what is taken is the last from then on."""
    pool = Pool()
    first, second, third = (pool.take(size << 20) for size in (4, 1, 2))
    first.holders = second.holders = 0
    assert pool.take(2 << 20) is first
    assert pool.buffers[1] == [second, third, first]
    third.holders = first.holders = 0
    assert pool.take(1 << 20) is first
    assert pool.take(1 << 20) is third
    assert pool.take(3 << 20) not in (first, second, third)


def test_shares_of_a_buffer_are_whole_and_the_unused_rest_was_never_used() -> None:
    """A short stretch used late, a longer one before, and what nobody used."""
    buffer = Buffer(4000)
    buffer.use(600, 10.0)
    buffer.use(100, 30.0)
    assert list(buffer.since(50, 40.0)) == [(1.0, 10.0)]
    assert list(buffer.since(600, 40.0)) == [(100 / 600, 10.0), (500 / 600, 30.0)]
    found = list(buffer.since(1000, 40.0))
    assert [share for share, _ in found] == pytest.approx([0.1, 0.5, 0.4])
    assert [when for _, when in found] == [10.0, 30.0, memory._EVER]
    assert list(Buffer(8).since(5, 1.0)) == [(1.0, memory._EVER)]


def test_using_a_longer_stretch_hides_shorter_ones() -> None:
    """Only stretches that reach further keep their time, and one as long gets a new one."""
    buffer = Buffer(4000)
    for elements, clock in ((900, 1.0), (100, 2.0), (300, 3.0)):
        buffer.use(elements, clock)
    assert buffer.used == [(300, 3.0), (900, 1.0)]
    buffer.use(900, 4.0)
    assert buffer.used == [(900, 4.0)]


def test_shares_are_whole_whatever_was_used() -> None:
    """Random uses and questions; time since use rises along the buffer."""
    rng = np.random.default_rng(0)
    buffer = Buffer(1 << 20)
    for clock in range(200):
        buffer.use(int(rng.integers(1, 1000)), float(clock))
        found = list(buffer.since(int(rng.integers(1, 1200)), clock + 1.0))
        assert sum(share for share, _ in found) == pytest.approx(1)
        assert all(share > 0 for share, _ in found)
        assert [when for _, when in found] == sorted(when for _, when in found)


def test_pieces_settle_to_their_mean_time() -> None:
    """Parts of a layer use theirs one after the other; without parts nothing changes."""
    buffer = Buffer(4000)
    buffer.pieces = {0: 10.0, 1: 20.0, 2: 60.0}
    buffer.settle(500)
    assert buffer.used == [(500, 30.0)]
    assert not buffer.pieces
    buffer.settle(800)
    assert buffer.used == [(500, 30.0)]


def _idle(*network_steps: list[Step], clock: float = 0.0) -> list[tuple[float, ...]]:
    """Run layers of some steps on one buffer of 1000 elements that nobody has used."""
    pool, buffer = Pool(), Buffer(4000)
    found = []
    for taken in network_steps:
        found.append(memory._run(pool, taken, buffer, [], [1000]))
        pool.clock += clock
    return found


def test_only_memory_that_lay_idle_is_far_or_cold() -> None:
    """Never used: all of it; just used: none; after more than all caches hold: all again."""
    taken = [Step({}, (), ("result", 1000))]
    first, again = _idle(taken, taken)
    assert first == pytest.approx((1000, 1000, 0))
    assert again == pytest.approx((0, 0, 0), abs=0.1)
    last = _idle(taken, taken, clock=20 * memory.LAST_CACHE_BYTES)[1]
    assert last == pytest.approx((1000, 1000, 0))
    far, cold, _ = _idle(taken, taken, clock=4 * memory.FAR_BYTES)[1]
    assert far > 990
    assert cold < 50


@pytest.mark.parametrize("name", ["passed_elements", "buffered_elements"])
def test_a_pass_does_not_wait_for_what_it_writes(name: str) -> None:
    """Beyond the second cache; beyond the last one it does, unless it has read it."""
    new = [Step({name: 1000}, (), ("result", 1000))]
    placed = [Step({name: 1000}, (("result", 1000),), ("result", 1000))]
    assert _idle(new)[0] == pytest.approx((0, 1000, 0))
    assert _idle(placed)[0] == pytest.approx((1000, 0, 0))


def test_what_copies_write_cold_is_counted_apart() -> None:
    """With constants, as it comes in order; patches are no copy in order."""
    copied, gathered = (
        [Step({name: 1000}, (), ("result", 1000))]
        for name in ("copied_elements", "gather_elements")
    )
    assert _idle(copied)[0] == pytest.approx((1000, 0, 1000))
    assert _idle(gathered)[0] == pytest.approx((1000, 1000, 0))


def test_reading_is_far_and_never_cold() -> None:
    """But for constants: what is read in order comes ahead of whoever reads it."""
    pool, unused = Pool(), Buffer(4000)
    step = Step({"copied_elements": 10}, ((0, 1000),), ("result", 10))
    found = memory._run(pool, [step], Buffer(40), [unused], [10, 1000])
    assert found == pytest.approx((1010, 0, 10))


def test_a_step_finds_its_own_part_as_steps_before_left_it() -> None:
    """Two passes over each half: the second finds what the first one wrote."""
    halves = [Step({}, (), ("result", 500), part) for part in (0, 0, 1, 1)]
    assert _idle(halves)[0] == pytest.approx((1000, 1000, 0), rel=1e-3)


def test_constants_with_a_price_of_their_own_are_not_idle_memory() -> None:
    """What a product with a vector streams is counted there; kernels are idle when read first."""
    reads = (("weights", 10**6),)
    streamed, kernels = ({"parts": 1, name: 1} for name in ("streamed_elements", "vectors"))
    assert _idle([Step(streamed, reads, ("result", 1000))])[0] == pytest.approx((1000, 1000, 0))
    found = _idle([Step(kernels, reads, ("result", 1000))])[0]
    assert found == pytest.approx((10**6 + 1000, 1000, 10**6))


def test_memory_has_the_names_that_the_worker_gives_it() -> None:
    """Result, inputs, constants and three slots of scratch are seven pieces of memory."""
    pool, result, read, weights = Pool(), Buffer(1), [Buffer(2), Buffer(3)], Buffer(4)
    names: tuple[str | int, ...] = (RESULT, 0, 1, WEIGHTS, FRAME, PATCHES, ROWS)
    found = [memory._memory(name, pool, result, read, weights) for name in names]
    assert found[:4] == [result, *read, weights]
    assert len(set(map(id, found))) == 7


def test_no_layer_has_more_idle_elements_than_its_steps_go_over() -> None:
    """Views have none."""
    for subject in (_small(), *sixty()):
        network, taken = subject.network, _steps(subject.network)
        found = idle_elements(network, taken)
        for layer in network.layers:
            over = sum(n for step in taken[layer.name] for _, n in (*step.reads, step.writes))
            assert all(np.isfinite(n) and 0 <= n <= 1.001 * over for n in found[layer.name]), layer
            assert any(found[layer.name]) == bool(taken[layer.name])


def test_a_network_finds_the_memory_of_its_last_run() -> None:
    """A small one has it in caches, but for its constants; a large one, at its end, has not."""
    small = _small().network
    first = small.layers[0]
    far, _, copied = idle_elements(small, _steps(small))[first.name]
    constants = sum(small.constants[name].size for name in first.inputs if name in small.constants)
    assert copied == pytest.approx(constants, rel=0.05)
    assert constants <= far < constants + 0.05 * small.tensors[first.outputs[0]].elements
    large = sixty()[0].network
    first = large.layers[0]
    far, *_ = idle_elements(large, _steps(large))[first.name]
    assert far >= large.tensors[first.outputs[0]].elements
