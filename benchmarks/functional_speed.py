"""Speed of the functional device: multiply-accumulates per second of one core, by kind of layer.

Runs jobs of one layer each, and whole networks of `accelerator_networks`, on the HLS C++ as g++
compiles it, and takes the least processor time of several runs. Real multiply-accumulates count:
lanes that a mapping leaves idle do not. Measured; results depend on the processor.

Run: python benchmarks/functional_speed.py --json
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
from accelerator_networks import SPREAD, compile_network

from heterolith.hw.compiler.job import Job
from heterolith.hw.compiler.single import layer_job
from heterolith.hw.config import ArrayConfig, config
from heterolith.hw.device.functional import FunctionalDevice
from heterolith.hw.fixed import Output, Scaling
from heterolith.hw.golden import LinearParameters
from heterolith.hw.shapes import ConvShape, FullyConnectedShape
from heterolith.hw.timing.timeline import Dram

NETWORK_NAMES = ("resnet18", "squeezenet", "mobilenetv2")
TARGET_GMACS = 0.5


def conv(
    inputs: int, outputs: int, size: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> ConvShape:
    """Return a square convolution with the padding of 'same'."""
    return ConvShape(
        in_channels=inputs,
        out_channels=outputs,
        height=size,
        width=size,
        kernel=(kernel, kernel),
        stride=(stride, stride),
        pads=(kernel // 2,) * 4,
        groups=groups,
    )


LAYERS = {
    "dense 3x3, 128 channels, 28x28": conv(128, 128, 28, 3),
    "dense 1x1, 256 channels, 28x28": conv(256, 256, 28, 1),
    "first layer 7x7, 3 channels, 224x224": conv(3, 64, 224, 7, stride=2),
    "grouped 5x5, 2 groups, 96 to 256 channels, 27x27": conv(96, 256, 27, 5, groups=2),
    "depthwise 3x3, 96 channels, 112x112": conv(96, 96, 112, 3, groups=96),
    "fully connected, 2048 to 1000": FullyConnectedShape(in_features=2048, out_features=1000),
}


def layer(shape: ConvShape | FullyConnectedShape, array: ArrayConfig) -> Job:
    """Return the job of a layer with random weights."""
    rng = np.random.default_rng(0)
    if isinstance(shape, FullyConnectedShape):
        size: tuple[int, ...] = (shape.out_features, shape.in_features)
    else:
        size = shape.weight_shape
    factor = SPREAD / (np.sqrt(np.prod(size[1:])) * 74 * 74)
    parameters = LinearParameters(
        weights=rng.integers(-127, 128, size, dtype=np.int8),
        bias=rng.integers(-1000, 1000, size[0], dtype=np.int32),
        scaling=Scaling.of(np.full(size[0], factor)),
        output=Output(),
    )
    return layer_job(array, shape, parameters).job


def seconds(device: FunctionalDevice, job: Job, runs: int) -> float:
    """Return the least processor time of a job on random codes."""
    memory = job.memory.copy()
    times = []
    for _ in range(runs):
        begin = time.process_time()
        device.run_job(job, memory)
        times.append(time.process_time() - begin)
    return min(times)


def main() -> None:
    """Measure every layer and network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="ultra96")
    parser.add_argument("--runs", type=int, default=7, help="of each layer; the fastest counts")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    array = config(options.config)
    device = FunctionalDevice(array)
    gmacs = {}
    for name, shape in LAYERS.items():
        gmacs[name] = shape.macs / seconds(device, layer(shape, array), options.runs) / 1e9
    dram = Dram(bytes_per_cycle=14.2, latency_cycles=120)
    for name in NETWORK_NAMES:
        network = compile_network(name, array, dram)
        gmacs[name] = network.macs / seconds(device, network.job, min(options.runs, 3)) / 1e9
    report = {
        "config": array.name,
        "origin": "measured (one core, processor time)",
        "target_gmacs_per_second": TARGET_GMACS,
        "gmacs_per_second": {name: round(value, 2) for name, value in gmacs.items()},
        "below_target": [name for name, value in gmacs.items() if value < TARGET_GMACS],
    }
    if options.json:
        print(json.dumps(report, indent=1))
    else:
        print(*(f"{value:6.2f} GMAC/s  {name}" for name, value in gmacs.items()), sep="\n")


if __name__ == "__main__":
    main()
