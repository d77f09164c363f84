"""Error of the cycle model `heterolith.hw.timing.timeline` against the RTL's cycle counter.

Compiles random single layers of every kind for one configuration, each between 2,000 and 300,000
modelled cycles, runs each on the Verilated core with a DRAM model, and compares the cycles of the
whole job. The model's constants were measured on this project's RTL (simulated, no board) with the
shapes of seed 1; the other seeds are held out, but for the largest error of seed 2.

Run: python benchmarks/cycle_model.py --shapes 200 --seed 2 --json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator

import numpy as np

from heterolith.hw.compiler.single import ElementwiseParameters, LayerJob, Parameters, layer_job
from heterolith.hw.config import ArrayConfig, config
from heterolith.hw.device.verilated import DramModel, VerilatedDevice
from heterolith.hw.fixed import Output, Residual, Scaling
from heterolith.hw.golden import LinearParameters, average_parameters
from heterolith.hw.shapes import (
    ConvShape,
    ElementwiseShape,
    FullyConnectedShape,
    PoolShape,
    Shape,
    limit_reason,
)
from heterolith.hw.timing.timeline import Dram, simulate

KINDS = ("dense",) * 10 + ("depthwise",) * 3 + ("image", "image", "fully_connected", "grouped")
KINDS += ("max", "average", "add")
"""Half of the layers are dense convolutions."""

CYCLES_LOW, CYCLES_HIGH = 2_000, 300_000
"""Bounds of a layer's modelled cycles: small enough for 200, large enough to be a layer."""


def pick(rng: np.random.Generator, *values: int) -> int:
    """Return one of some integers."""
    return int(rng.choice(values))


def convolution_shape(rng: np.random.Generator, kind: str) -> ConvShape:
    """Return a random convolution with the padding of 'same' or none."""
    kernel = pick(rng, 3, 7, 11) if kind == "image" else pick(rng, 1, 1, 3, 3, 5, 7)
    if kind == "depthwise":
        kernel = pick(rng, 3, 3, 5, 7)
    inputs = int(rng.integers(1, 33)) * pick(rng, 8, 16)
    groups = {"depthwise": inputs, "grouped": pick(rng, 2, 4)}.get(kind, 1)
    outputs = inputs if kind == "depthwise" else int(rng.integers(1, 33)) * 16
    size = int(rng.integers(40, 160)) if kind == "image" else int(rng.integers(7, 60))
    pad = pick(rng, 0, kernel // 2, kernel // 2)
    return ConvShape(
        in_channels=pick(rng, 1, 3, 3) if kind == "image" else inputs,
        out_channels=outputs,
        height=max(size, kernel),
        width=max(size + int(rng.integers(-5, 6)), kernel),
        kernel=(kernel, kernel),
        stride=(pick(rng, 1, 1, 2),) * 2,
        pads=(pad,) * 4,
        groups=groups,
    )


def linear(rng: np.random.Generator, weights: tuple[int, ...], residual: bool) -> LinearParameters:
    """Return random weights with factors that leave most codes inside their range."""
    factor = 0.02 / np.sqrt(np.prod(weights[1:]))
    return LinearParameters(
        weights=rng.integers(-127, 128, weights, dtype=np.int8),
        bias=rng.integers(-1000, 1000, weights[0], dtype=np.int32),
        scaling=Scaling.of(np.full(weights[0], factor)),
        output=Output(),
        residual=Residual(scaling=Scaling.of(0.5), zero_point=3) if residual else None,
    )


def random_layer(rng: np.random.Generator) -> tuple[Shape, Parameters]:
    """Return a random layer, whatever its size."""
    kind = str(rng.choice(KINDS))
    size, channels = int(rng.integers(7, 80)), 16 * int(rng.integers(1, 17))
    if kind in ("max", "average"):
        kernel = pick(rng, 2, 3)
        if kind == "average":
            size, kernel = min(size, 28), 0
        window = (kernel or size,) * 2
        shape = PoolShape(
            kind=kind,
            channels=channels,
            height=size,
            width=size,
            kernel=window,
            stride=(pick(rng, 1, 2),) * 2,
        )
        return shape, average_parameters(shape, 4.0, 0, Output()) if kind == "average" else None
    if kind == "add":
        one = Residual(scaling=Scaling.of(0.5), zero_point=1)
        added = ElementwiseParameters(first=one, second=one, output=Output())
        return ElementwiseShape(kind="add", elements=size * size * channels), added
    if kind == "fully_connected":
        inputs, outputs = 64 * int(rng.integers(1, 33)), int(rng.integers(10, 1001))
        rows = pick(rng, 1, 4, 32)
        full = FullyConnectedShape(rows=rows, in_features=inputs, out_features=outputs)
        return full, linear(rng, (outputs, inputs), False)
    conv = convolution_shape(rng, kind)
    return conv, linear(rng, conv.weight_shape, rng.random() < 0.25)


def layers(array: ArrayConfig, dram: Dram, count: int, seed: int) -> Iterator[tuple[LayerJob, int]]:
    """Yield compiled layers within the bounds and their modelled cycles."""
    rng, found = np.random.default_rng(seed), 0
    while found < count:
        shape, parameters = random_layer(rng)
        if limit_reason(shape) or getattr(shape, "macs", 0) > CYCLES_HIGH * array.macs_per_cycle:
            continue
        layer = layer_job(array, shape, parameters, dram)
        cycles = simulate(
            layer.job.commands, layer.job.geometry, dram, layer.job.command_offset
        ).cycles
        if CYCLES_LOW <= cycles <= CYCLES_HIGH:
            found += 1
            yield layer, cycles


def main() -> None:
    """Print the errors over all layers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="ultra96")
    parser.add_argument("--shapes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--dram-gbs", type=float, default=4.27)
    parser.add_argument("--mhz", type=float, default=300.0)
    parser.add_argument("--latency-cycles", type=int, default=120)
    parser.add_argument("--rows", action="store_true", help="print a line per layer first")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rate, latency = options.dram_gbs * 1e3 / options.mhz, options.latency_cycles
    dram = Dram(bytes_per_cycle=rate, latency_cycles=latency)
    array = config(options.config)
    core = VerilatedDevice(array, DramModel(bytes_per_cycle=rate, latency_cycles=latency))
    errors, worst, total = [], "", 0
    for layer, modelled in layers(array, dram, options.shapes, options.seed):
        cycles = core.run_job(layer.job, layer.job.memory.copy()).cycles
        errors.append(abs(modelled - cycles) / cycles)
        total += cycles
        if errors[-1] == max(errors):
            worst = f"{layer.shape}"
        if options.rows:
            print(f"{modelled / cycles - 1:+.4f} {modelled:7} {cycles:7} {layer.shape}", flush=True)
    report = {
        "config": array.name,
        "shapes": len(errors),
        "seed": options.seed,
        "mean_error": round(float(np.mean(errors)), 5),
        "worst_error": round(max(errors), 5),
        "worst_shape": worst,
        "simulated_cycles": total,
    }
    print(json.dumps(report) if options.json else "\n".join(f"{k} {v}" for k, v in report.items()))


if __name__ == "__main__":
    main()
