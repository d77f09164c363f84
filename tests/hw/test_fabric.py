"""The simulated programmable logic: whenever a job ends, the host hears of it."""

import pytest

from heterolith import hw
from heterolith.hw.compiler.job import JobBuilder
from heterolith.hw.compiler.mapping import pooling
from heterolith.hw.driver import Driver, Fabric, RtlBus, fabric

CONFIG = hw.config("ultra96")


def test_no_interrupt_is_lost_wherever_a_step_of_the_clock_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A job may end at any cycle of a step, also while the clock's thread reads STATUS."""
    builder = JobBuilder(CONFIG)
    shape = hw.PoolShape(kind="max", channels=8, height=4, width=4, kernel=(2, 2), stride=(2, 2))
    source, target = builder.tensor(shape.input_shape), builder.tensor(shape.output_shape)
    builder.layer(pooling(shape, builder.geometry), source, target)
    driver = Driver(RtlBus(Fabric(CONFIG)), CONFIG, timeout_s=5.0)
    try:
        placed = driver.place(builder.finish())
        cycles = placed.run().cycles
        for step in range(2, cycles + 20):
            monkeypatch.setattr(fabric, "STEP_CYCLES", step)
            assert placed.run().cycles == cycles
    finally:
        driver.close()
