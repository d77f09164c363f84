"""How fast numpy could be at best on the nine networks: the matrix products alone, operands hot.

Run: python benchmarks/cpu_floor.py [--json] [NAME ...]. For every convolution the smallest time in
which numpy's BLAS makes just its products on one thread, over all forms (as they are, patches,
tiles of Winograd's filtering with m = 2, 3, 4), layouts (either factor transposed, results channels
first or last, one call or many small ones) and heights of a block of rows, run again and again on
the same operands, so that caches hold them. Copies, transforms, biases, activations, pooling,
memory traffic and every layer that is no convolution count as nothing, depthwise ones among them.
``floor_ratio`` is the sum over ONNX Runtime's time for the whole network, measured in the same run:
a program of numpy calls that makes these products has no smaller ratio here. ``direct_ratio`` is
that of the forms without Winograd, ``rate_gmacs`` the fastest product seen. Without names, rows go
to benchmarks/results/cpu_floor.csv.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from time import perf_counter, perf_counter_ns, sleep

import numpy as np
from networks import randomized
from table import write

from heterolith.sw import Network, load_onnx
from heterolith.sw.fast.conv_spec import ConvSpec, conv_spec, winograd_tiles
from heterolith.sw.fast.memory import Shelf
from heterolith.sw.fast.products import factor, multiply
from heterolith.sw.fast.spots import Scratch, Step
from heterolith.sw.workers.team import hold_blas

RESULTS = Path(__file__).parent / "results" / "cpu_floor.csv"
_HEIGHTS = (12, 24, 49, 64, 98, 196, 392, 784)
_LEAST_NS, _TURNS = 120_000, 3


@dataclass(frozen=True, slots=True)
class Product:
    """``count`` products of (rows, length) by (length, columns)."""

    count: int
    rows: int
    length: int
    columns: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.count * self.rows * self.length * self.columns


def forms(spec: ConvSpec) -> dict[str, Product]:
    """Return what a convolution may be computed as, and the products of each form."""
    channels, kernels = spec.channels // spec.group, spec.kernels // spec.group
    if spec.depthwise:
        return {}
    length = channels * spec.kernel[0] * spec.kernel[1]
    places = spec.n * spec.out[0] * spec.out[1]
    found = {"direct": Product(spec.group, places, length, kernels)}
    if spec.kernel[0] == spec.kernel[1] > 1 and spec.strides == spec.dilations == (1, 1):
        for m in (2, 3, 4):
            height, width = winograd_tiles(spec, m)
            taps = (m + spec.kernel[0] - 1) ** 2
            found[f"winograd{m}"] = Product(
                taps * spec.group, spec.n * height * width, channels, kernels
            )
    return found


def _shortest_ns(steps: list[Step]) -> float:
    """Return the shortest time of a list of steps, repeated until the clock can tell."""
    for step in steps:
        step()
    start = perf_counter_ns()
    for step in steps:
        step()
    repeats = max(1, _LEAST_NS // max(1, perf_counter_ns() - start))
    times = []
    for _ in range(_TURNS):
        start = perf_counter_ns()
        for _ in range(repeats):
            for step in steps:
                step()
        times.append((perf_counter_ns() - start) / repeats)
    return min(times)


def _candidates(rows: int, length: int, columns: int) -> Iterator[list[Step]]:
    """Yield the ways in which numpy computes one product: layouts, and many small products."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((rows, length), np.float32)
    b = rng.standard_normal((length, columns), np.float32)
    c = np.empty((rows, columns), np.float32)
    a_first, b_first = np.asfortranarray(a), np.asfortranarray(b)
    for left in (a, a_first):
        for right in (b, b_first):
            for out in (c, np.empty((columns, rows), np.float32).T):
                yield [partial(np.matmul, left, right, out)]
    scratch = Scratch(np.zeros(8 * c.nbytes + 4096, np.uint8))
    yield multiply(a, factor(b, True, Shelf()), c, scratch)


@cache
def shortest_us(rows: int, length: int, columns: int) -> float:
    """Return the smallest time of one product over layouts and heights of blocks."""
    best = np.inf
    for height in sorted({rows, *(height for height in _HEIGHTS if height < rows)}):
        for steps in _candidates(height, length, columns):
            best = min(best, _shortest_ns(steps) * rows / height)
    return float(best) / 1e3


def floor_us(network: Network) -> tuple[float, float, float]:
    """Return the floor of a network, that of its direct forms alone, and the highest rate seen.

    The rate is in multiply-accumulates per nanosecond.
    """
    total, direct, rate = 0.0, 0.0, 0.0
    for layer in network.layers:
        spec = conv_spec(network, layer)
        products = forms(spec) if spec else {}
        times = {
            name: p.count * shortest_us(p.rows, p.length, p.columns) for name, p in products.items()
        }
        if times:
            total, direct = total + min(times.values()), direct + times["direct"]
            rates = (products[name].macs / time / 1e3 for name, time in times.items())
            rate = max(rate, *rates)
    return total, direct, rate


def ort_run(path: Path, network: Network) -> Callable[[], object]:
    """Return a run of ONNX Runtime on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    feeds = {x: rng.standard_normal(network.tensors[x].shape, np.float32) for x in network.inputs}
    return lambda: session.run(None, feeds)


def median_ms(run: Callable[[], object], repeats: int) -> float:
    """Return the median time of a call."""
    run()
    times = []
    for _ in range(repeats):
        start = perf_counter()
        run()
        times.append(perf_counter() - start)
    return float(np.median(times)) * 1e3


def measure(name: str, path: Path, repeats: int) -> dict[str, object]:
    """Return one network's row."""
    network = load_onnx(path)
    run = ort_run(path, network)
    ort_ms = median_ms(run, repeats)
    sleep(0.05)
    with hold_blas():
        total, direct, rate = floor_us(network)
    ort_ms = (ort_ms + median_ms(run, repeats)) / 2  # before and after: the clock drifts
    return {
        "network": name,
        "ort_ms": round(ort_ms, 3),
        "floor_ms": round(total / 1e3, 3),
        "floor_ratio": round(total / 1e3 / ort_ms, 3),
        "direct_ms": round(direct / 1e3, 3),
        "direct_ratio": round(direct / 1e3 / ort_ms, 3),
        "rate_gmacs": round(rate, 1),
    }


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="networks; default: all nine")
    parser.add_argument("--repeats", type=int, default=15, help="runs of ONNX Runtime, twice")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    table = []
    for name, file in randomized(arguments.names, 0):
        table.append(measure(name, file, arguments.repeats))
        if not arguments.json:
            print(table[-1], flush=True)
    geomean = float(np.exp(np.mean([np.log(float(str(row["floor_ratio"]))) for row in table])))
    if arguments.json:
        print(json.dumps({"geomean": round(geomean, 3), "rows": table}, indent=2))
    else:
        print(f"geometric mean of the floors: {geomean:.3f}")
    if not arguments.names:
        write(RESULTS, table)


if __name__ == "__main__":
    main()
