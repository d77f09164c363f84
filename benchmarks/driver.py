"""What the driver costs the host: register accesses, flushes, a whole submission.

Measured on this host, medians: RTL and HLS model in this process and, where pynq is installed, the
simulated board under it (`make notebooks` sets such an environment up, build/pynq/bin/python).
Nothing of it is a board's figure. ``while_busy`` is a read during a job that the core's thread is
clocking.

Run: python benchmarks/driver.py --json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from heterolith.hw import LinearParameters, Output, Scaling, layer_job
from heterolith.hw.compiler.single import LayerJob
from heterolith.hw.config import config
from heterolith.hw.device import sequence
from heterolith.hw.driver import Driver, Fabric, ModelBus, RtlBus
from heterolith.hw.driver.driver import PlacedJob
from heterolith.hw.regmap import offset
from heterolith.hw.shapes import ConvShape

CONFIG = config("ultra96")
SHAPE = ConvShape(in_channels=16, out_channels=16, height=16, width=16, kernel=(1, 1))
LONG = ConvShape(
    in_channels=64, out_channels=64, height=32, width=32, kernel=(3, 3), pads=(1, 1, 1, 1)
)
REPEATS = 2000


def median_us(action: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the median time of an action in microseconds."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter_ns()
        action()
        times.append(time.perf_counter_ns() - begin)
    return statistics.median(times) / 1e3


def layer(shape: ConvShape) -> LayerJob:
    """Return a job of one convolution with weights of 1."""
    channels = shape.out_channels
    parameters = LinearParameters(
        weights=np.ones(shape.weight_shape, np.int8),
        bias=np.zeros(channels, np.int32),
        scaling=Scaling(
            multiplier=np.full(channels, 40000, np.uint16), shift=np.full(channels, 20, np.uint8)
        ),
        output=Output(zero_point=0),
        pad_value=0,
    )
    return layer_job(CONFIG, shape, parameters)


class Counting:
    """A bus that counts register accesses."""

    def __init__(self, bus: Any) -> None:  # noqa: ANN401
        self.bus, self.reads, self.writes = bus, 0, 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self.bus, name)

    def read(self, address: int) -> int:
        """Count and pass on."""
        self.reads += 1
        return int(self.bus.read(address))

    def write(self, address: int, value: int) -> None:
        """Count and pass on."""
        self.writes += 1
        self.bus.write(address, value)


def busy_read_us(driver: Driver, placed: PlacedJob) -> float:
    """Return the median time of a STATUS read while a job runs."""
    window = (placed.buffer.address, placed.job.memory.size)
    job = placed.job
    sequence.start(driver.registers, window, job.command_offset, len(job.commands))
    times = []
    while True:
        begin = time.perf_counter_ns()
        status = driver.registers.read("STATUS")
        times.append(time.perf_counter_ns() - begin)
        if not status & sequence.BUSY:
            break
    sequence.finish(driver.registers)
    return statistics.median(times) / 1e3


def figures(name: str, driver: Driver) -> dict[str, str | float | int]:
    """Return the figures of one bus."""
    placed, bus = driver.place(layer(SHAPE).job), driver.bus
    counting = Counting(bus)
    watched = Driver(counting, CONFIG)
    reads, writes = counting.reads, counting.writes
    watched.execute(placed.job, placed.buffer)
    reads, writes = counting.reads - reads, counting.writes - writes
    status, count = offset("STATUS"), offset("COMMAND_COUNT")
    line = slice(0, 64)
    row: dict[str, str | float | int] = {
        "bus": name,
        "mmio_read_us": median_us(lambda: bus.read(status)),
        "mmio_write_us": median_us(lambda: bus.write(count, 1)),
        "flush_64_bytes_us": median_us(lambda: placed.buffer.flush(line)),
        "job_us": median_us(lambda: placed.run([line], [line]), 50),
        "register_writes_per_job": writes,
        "register_reads_per_job": reads,
    }
    if not isinstance(bus, ModelBus):
        long = driver.place(layer(LONG).job)
        row["mmio_read_while_busy_us"] = busy_read_us(driver, long)
        long.close()
    placed.close()
    return row


def simulated_board() -> Driver | None:
    """Return the driver of the simulated board, if pynq is installed."""
    os.environ.setdefault("HETEROLITH_LOCKS", tempfile.mkdtemp())
    try:
        import pynq
    except ImportError:
        return None
    from heterolith.hw.pynq_sim import enable

    enable("ultra96-v2")
    driver: Driver = pynq.Overlay("heterolith.bit").accelerator.open()
    return driver


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    drivers = {
        "HLS C++ in process": Driver(ModelBus(CONFIG), CONFIG),
        "RTL in process": Driver(RtlBus(Fabric(CONFIG)), CONFIG),
    }
    board = simulated_board()
    if board is not None:
        drivers["simulated board under pynq"] = board
    rows = []
    for name, driver in drivers.items():
        rows.append(figures(name, driver))
        driver.close()
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        print(row.pop("bus"))
        for key, value in row.items():
            print(f"  {key:26} {value:10.1f}")


if __name__ == "__main__":
    main()
