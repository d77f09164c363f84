"""Error of the cycle model `heterolith.hw.timing.timeline` against the RTL's cycle counter.

Compiles random single layers of every kind for one configuration, each between 2,000 and 300,000
modelled cycles, runs each on the Verilated core with a DRAM model, and compares the cycles of the
whole job. The model was developed on this project's RTL (simulated, no board) with the shapes of
seeds 1 to 5, and of seed 21 on `pynq-z2`; every other seed is held out.

Run: python benchmarks/cycle_model.py --shapes 200 --seed 31 --json. Several seeds may follow
--seed; the figures are then those of all layers, and ``seeds`` has them seed by seed. --write puts
the report into benchmarks/results/cycle_model.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

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
from heterolith.hw.timing import Dram, job_cycles

KINDS: tuple[str, ...] = (
    ("dense",) * 10 + ("depthwise",) * 3 + ("image", "image", "fully_connected", "grouped")
)
KINDS += ("max", "average", "add")
"""Half of the layers are dense convolutions."""

DEVELOPED_ON = (1, 2, 3, 4, 5, 21)
"""Seeds whose shapes the model was developed on."""

RESULTS = Path(__file__).parent / "results" / "cycle_model.json"
WORST = 5
"""Shapes that a report names."""

CYCLES_LOW, CYCLES_HIGH = 2_000, 300_000
"""Bounds of a layer's modelled cycles: small enough for 200, large enough to be a layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One layer: its kind, and what model and RTL say."""

    seed: int
    kind: str
    shape: str
    modelled: int
    cycles: int

    @property
    def error(self) -> float:
        """Relative error of the model, positive where it is slower."""
        return self.modelled / self.cycles - 1


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


def random_layer(rng: np.random.Generator, kind: str) -> tuple[Shape, Parameters]:
    """Return a random layer of a kind, whatever its size."""
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


def layers(
    array: ArrayConfig, dram: Dram, count: int, seed: int
) -> Iterator[tuple[str, LayerJob, int]]:
    """Yield compiled layers within the bounds: kind, job, modelled cycles."""
    rng, found = np.random.default_rng(seed), 0
    while found < count:
        kind = str(rng.choice(KINDS))
        shape, parameters = random_layer(rng, kind)
        if limit_reason(shape) or getattr(shape, "macs", 0) > CYCLES_HIGH * array.macs_per_cycle:
            continue
        layer = layer_job(array, shape, parameters, dram)
        cycles = job_cycles(layer.job, dram)
        if CYCLES_LOW <= cycles <= CYCLES_HIGH:
            found += 1
            yield kind, layer, cycles


def measured(core: VerilatedDevice, dram: Dram, count: int, seed: int) -> Iterator[Row]:
    """Yield layers of a seed with the RTL's cycles."""
    for kind, layer, modelled in layers(core.config, dram, count, seed):
        cycles = core.run_job(layer.job, layer.job.memory.copy()).cycles
        yield Row(seed=seed, kind=kind, shape=str(layer.shape), modelled=modelled, cycles=cycles)


def errors(rows: Sequence[Row]) -> dict[str, float | int]:
    """Return count, mean and worst of the errors' magnitudes."""
    sizes = [abs(row.error) for row in rows]
    return {
        "shapes": len(rows),
        "mean_error": round(float(np.mean(sizes)), 5),
        "worst_error": round(max(sizes), 5),
    }


def report(rows: Sequence[Row]) -> dict[str, object]:
    """Return the errors of all layers, by seed, by kind, and the worst of them."""
    ordered = sorted(rows, key=lambda row: -abs(row.error))
    seeds = {row.seed: [other for other in rows if other.seed == row.seed] for row in rows}
    kinds = {kind: [row for row in rows if row.kind == kind] for kind in dict.fromkeys(KINDS)}
    return {
        **errors(rows),
        "worst_shape": ordered[0].shape,
        "simulated_cycles": sum(row.cycles for row in rows),
        "seeds": [
            {"seed": seed, "held_out": seed not in DEVELOPED_ON, **errors(own)}
            for seed, own in seeds.items()
        ],
        "kinds": {kind: errors(own) for kind, own in kinds.items() if own},
        "worst": [
            {"error": round(row.error, 5), "kind": row.kind, "shape": row.shape}
            for row in ordered[:WORST]
        ],
    }


def main() -> None:
    """Print the errors over all layers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="ultra96")
    parser.add_argument("--shapes", type=int, default=200, help="layers of each seed")
    parser.add_argument("--seed", type=int, nargs="+", default=[31])
    parser.add_argument("--dram-gbs", type=float, default=4.27)
    parser.add_argument("--mhz", type=float, default=300.0)
    parser.add_argument("--latency-cycles", type=int, default=120)
    parser.add_argument("--rows", action="store_true", help="print a line per layer first")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help=f"write results/{RESULTS.name}")
    options = parser.parse_args()
    rate, latency = options.dram_gbs * 1e3 / options.mhz, options.latency_cycles
    dram = Dram(bytes_per_cycle=rate, latency_cycles=latency)
    array = config(options.config)
    core = VerilatedDevice(array, DramModel(bytes_per_cycle=rate, latency_cycles=latency))
    rows = []
    for seed in options.seed:
        for row in measured(core, dram, options.shapes, seed):
            rows.append(row)
            if options.rows:
                print(f"{row.error:+.4f} {row.modelled:7} {row.cycles:7} {row.shape}", flush=True)
    memory = {"dram_gbs": options.dram_gbs, "mhz": options.mhz, "latency_cycles": latency}
    result = {"config": array.name, **memory, **report(rows)}
    if options.write:
        RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result) if options.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
