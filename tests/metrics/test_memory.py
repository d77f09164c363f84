"""Which memory a layer works in."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from heterolith.metrics import passes
from heterolith.metrics.models import memory
from heterolith.metrics.models.context import touched_bytes
from heterolith.metrics.models.memory import Buffer, Pool, cold_elements
from heterolith.metrics.sweep import KINDS, probes
from heterolith.sw import CpuWorker
from heterolith.sw.network import Array
from heterolith.sw.workers.arena import Arena


def test_the_pool_is_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three passes of a probe network take the same buffers in the same order as replayed."""
    subject = probes(tuple(KINDS), 60)[0]
    real: list[tuple[int, int]] = []
    given = Arena.empty

    def empty(arena: Arena, shape: Sequence[int], dtype: Any) -> Array:
        array = given(arena, shape, dtype)
        sizes = [id(buffer) for buffer in arena._buffers]
        if id(array.base) in sizes:
            real.append((sizes.index(id(array.base)), array.nbytes))
        return array

    monkeypatch.setattr(Arena, "empty", empty)
    worker = CpuWorker(1)
    try:
        next(passes([subject], worker, 2))
    finally:
        worker.close()
    replayed: list[tuple[int, int]] = []

    class Spy(Pool):
        def take(self, size: int) -> Buffer | None:
            buffer = super().take(size)
            if buffer is not None:
                replayed.append((self.buffers.index(buffer), size))
            return buffer

    pool, network = Spy(), subject.network
    touched = {layer.name: touched_bytes(network, layer) for layer in network.layers}
    for _ in range(3):
        memory._replay(network, pool, touched)
    assert replayed == real
    assert len(pool.buffers) > 3


def test_only_memory_that_lay_idle_is_cold() -> None:
    """A buffer just used is warm, one used long before is not; small arrays have none."""
    pool = Pool()
    assert pool.take(memory.SMALL_BYTES - 1) is None
    buffer = pool.take(1 << 20)
    assert buffer is not None
    assert pool.cold(buffer, 1 << 20) == 1 << 18
    buffer.used = pool.clock
    assert pool.cold(buffer, 1 << 20) == 0
    pool.clock += 10 * memory.LAST_CACHE_BYTES
    assert pool.cold(buffer, 1 << 20) == pytest.approx(1 << 18, rel=1e-3)


def test_no_layer_has_more_cold_elements_than_it_works_on() -> None:
    """Views have none; the first layer finds all its memory cold."""
    subject = probes(tuple(KINDS), 60)[0]
    network, found = subject.network, cold_elements(subject.network)
    first = network.layers[0]
    assert found[first.name] >= network.tensors[first.outputs[0]].elements
    assert all(np.isfinite(value) and value >= 0 for value in found.values())
    assert all(found[layer.name] == 0 for layer in network.layers if layer.op == "Flatten")
