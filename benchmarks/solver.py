"""How long planning takes: networks of 100 to 300 tasks on four devices. Everything is synthetic.

Costs are drawn, not measured: log-uniform work, device speeds and powers of plausible size, two
boards joined by Ethernet. Seconds are measured: CPU time of one core of the machine that runs the
script. Run: python benchmarks/solver.py [--time-limit 10] [--anew]. Writes
benchmarks/results/solver.csv once all rows are there; after Ctrl-C the same command goes on.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from random import Random
from time import process_time

from table import grow

from heterolith.errors import InfeasibleError
from heterolith.scheduler.problem import HOME, Choice, Hop, Limits, Problem, Task, Tensor
from heterolith.scheduler.solve import solve
from heterolith.scheduler.timeline import evaluate

RESULTS = Path(__file__).parent / "results" / "solver.csv"
DEVICES = (("fpga", 60.0, 2500), ("cpu", 6.0, 1200), ("gpu", 150.0, 6500), ("host", 9.0, 2200))
"""Name, speed in MMAC/ms, dynamic power in mW."""
LINKS = (("axi", 1200.0, 20.0, 300), ("ethernet", 110.0, 200.0, 900), ("dram", 5000.0, 10.0, 500))
"""Name, bandwidth in bytes/us, latency in us, dynamic power in mW."""
WAYS = {
    (0, 1): (0,), (0, 2): (0, 1, 2), (0, 3): (0, 1), (1, 2): (1, 2), (1, 3): (1,), (2, 3): (2,)
}  # fmt: skip


class Builder:
    """Collects tasks; every method returns the index of the tensor it makes."""

    def __init__(self, name: str, seed: int) -> None:
        self.name, self.rng = name, Random(seed)
        self.tasks: list[Task] = []
        self.tensors: list[Tensor] = []
        self.input = self.tensor(HOME, 150_000)

    def tensor(self, producer: int, size: int) -> int:
        """Add a tensor of some bytes."""
        routes = {}
        for (origin, target), links in WAYS.items():
            for ends, way in (((origin, target), links), ((target, origin), links[::-1])):
                routes[ends] = tuple(_hop(link, size) for link in way)
        name = f"tensor{len(self.tensors)}"
        self.tensors.append(Tensor(name=name, producer=producer, routes=routes))
        return len(self.tensors) - 1

    def layer(self, *inputs: int, light: bool = False) -> int:
        """Add a convolution, or an element-wise layer if ``light``."""
        work = self.rng.uniform(0.05, 0.5) if light else math.exp(self.rng.uniform(0.7, 5.5))
        weights = 0 if light else self.rng.randrange(2_000, 600_000)
        choices = []
        for device, (_, speed, power_mw) in enumerate(DEVICES):
            if device == 0 and self.rng.random() < 0.12:
                continue
            ns = round(1e6 * work / speed * math.exp(self.rng.gauss(0, 0.35))) + 15_000
            width = 1 if device == 0 else 4
            choices.append(
                Choice(
                    device=device,
                    latency_ns=ns,
                    energy_pj=round(ns * power_mw * self.rng.uniform(0.7, 1.0)),
                    weight_bytes=weights * width,
                    cost=self.rng.random(),
                )
            )
        output = self.tensor(len(self.tasks), self.rng.randrange(20_000, 800_000))
        name = f"layer{len(self.tasks)}"
        self.tasks.append(Task(name=name, inputs=inputs, outputs=(output,), choices=tuple(choices)))
        return output

    def chain(self, tensor: int, length: int) -> int:
        """Add layers one after another."""
        for _ in range(length):
            tensor = self.layer(tensor)
        return tensor

    def problem(self, *outputs: int) -> Problem:
        """Return the problem; home is the CPU of the first board."""
        return Problem(
            name=self.name,
            devices=tuple(name for name, *_ in DEVICES),
            links=tuple(name for name, *_ in LINKS),
            memories=("board", "module"),
            memory_of=(0, 0, 1, 1),
            memory_capacity_bytes=(2 << 30, 8 << 30),
            home=1,
            tasks=tuple(self.tasks),
            tensors=tuple(self.tensors),
            outputs=outputs,
            idle_mw=4000,
            activation_bytes=10_000_000,
        )


def _hop(link: int, size: int) -> Hop:
    _, bandwidth, latency_us, power_mw = LINKS[link]
    moving_ns = round(1e3 * size / bandwidth)
    return Hop(
        link=link,
        latency_ns=round(latency_us * 1e3) + moving_ns,
        energy_pj=moving_ns * power_mw,
        bytes=size,
        cost=size * 1e-6,
    )


def chain(count: int, seed: int = 0) -> Problem:
    """VGG or MobileNet without branches."""
    net = Builder(f"chain {count}", seed)
    return net.problem(net.chain(net.input, count))


def residual(count: int, seed: int = 0) -> Problem:
    """Blocks of two or three layers with a skip connection, every fourth one projected."""
    net = Builder(f"residual {count}", seed)
    tensor = net.chain(net.input, 2)
    while len(net.tasks) < count:
        skip = net.layer(tensor) if net.rng.random() < 0.25 else tensor
        tensor = net.layer(net.chain(tensor, net.rng.choice((2, 3))), skip, light=True)
    return net.problem(net.layer(tensor))


def inception(count: int, seed: int = 0) -> Problem:
    """Modules of nine or ten layers in four branches."""
    net = Builder(f"inception {count}", seed)
    tensor = net.chain(net.input, 4)
    while len(net.tasks) < count - 1:
        branches = [
            net.layer(tensor),
            net.chain(tensor, 2),
            net.chain(tensor, net.rng.choice((2, 3))),
            net.layer(net.layer(tensor, light=True)),
        ]
        tensor = net.layer(*branches, light=True)
    return net.problem(net.layer(tensor))


def dense(count: int, seed: int = 0) -> Problem:
    """DenseNet with one concatenation per layer: each adds to the one before."""
    net = Builder(f"dense {count}", seed)
    tensor = net.layer(net.input)
    while len(net.tasks) < count - 1:
        tensor = net.layer(tensor, net.chain(net.layer(tensor, light=True), 2), light=True)
    return net.problem(net.layer(tensor))


def dense_flat(count: int, seed: int = 0) -> Problem:
    """DenseNet whose layers read all earlier ones of their block directly: no cuts inside."""
    net = Builder(f"dense flat {count}", seed)
    tensor = net.layer(net.input)
    while len(net.tasks) < count - 1:
        features = [tensor]
        for _ in range(12):
            features.append(net.chain(net.layer(*features, light=True), 2))
        tensor = net.layer(*features, light=True)
    return net.problem(net.layer(tensor))


def unet(count: int, seed: int = 0) -> Problem:
    """Encoder and decoder with nested skip connections: no cuts."""
    net = Builder(f"u-net {count}", seed)
    skips, tensor, depth = [], net.input, 4
    length = max(1, (count - depth) // (2 * depth + 1))
    for _ in range(depth):
        tensor = net.chain(tensor, length)
        skips.append(tensor)
    tensor = net.chain(tensor, length)
    for skip in reversed(skips):
        tensor = net.chain(net.layer(tensor, skip, light=True), length)
    return net.problem(tensor)


def attention(count: int, seed: int = 0) -> Problem:
    """Transformer blocks that all read one mask, a network input: no cuts."""
    net = Builder(f"attention {count}", seed)
    mask = net.tensor(HOME, 2_000)
    tensor = net.layer(net.input)
    while len(net.tasks) < count:
        query, key, value = (net.layer(tensor) for _ in range(3))
        scores = net.layer(net.layer(query, key), mask, light=True)
        tensor = net.layer(tensor, net.layer(net.layer(scores, value)), light=True)
        tensor = net.layer(tensor, net.chain(tensor, 2), light=True)
    return net.problem(tensor)


NETWORKS = (chain, residual, inception, dense, dense_flat, unet, attention)


def with_limits(problem: Problem, kind: str, time_limit_s: float = 10.0) -> Problem:
    """Return a problem under an objective and limits that bind."""
    if kind in ("energy", "latency", "scalenet"):
        return replace(problem, objective=kind)
    problem = replace(problem, objective="energy")
    if kind == "peak":
        return replace(problem, limits=Limits(peak_power_mw=problem.idle_mw + 7000))
    fastest = solve(replace(problem, objective="latency"), time_limit_s=time_limit_s)
    assert fastest is not None
    slack = 1.25 if kind == "deadline" else 3.0
    limits = Limits(deadline_ns=round(slack * fastest.objective))
    if kind == "deadline+memory":
        free = solve(replace(problem, limits=limits), time_limit_s=time_limit_s)
        assert free is not None
        most = max(evaluate(problem, free.selection).memory_bytes)
        limits = replace(limits, memory_bytes=round(0.7 * most))
    return replace(problem, limits=limits)


KINDS = ("latency", "energy", "scalenet", "deadline", "deadline+memory", "peak")
LAYERS = (100, 250)


def measure(network: str, count: int, kind: str, time_limit_s: float) -> list[dict[str, object]]:
    """Return method, seconds of one core and gap of one request, as the only row."""
    problem = with_limits(globals()[network](count), kind, time_limit_s)
    start_s = process_time()
    method, gap = "none found", math.nan
    try:
        solution = solve(problem, time_limit_s=time_limit_s)
        if solution is None:
            method = "infeasible"
        else:
            method, gap = "exact" if solution.gap == 0 else "beam", solution.gap
    except InfeasibleError:
        pass
    row: dict[str, object] = {"network": network, "tasks": len(problem.tasks), "request": kind}
    seconds = f"{process_time() - start_s:.2f}"
    return [{**row, "method": method, "seconds": seconds, "gap": f"{gap:.4f}"}]


def main() -> None:
    """Print and write network, tasks, request, method, seconds and gap."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time-limit", type=float, default=10.0, help="seconds per problem")
    parser.add_argument("--anew", action="store_true", help="forget the rows of earlier runs")
    asked = parser.parse_args()
    steps = {
        f"{network.__name__} {count} {kind}": partial(
            measure, network.__name__, count, kind, asked.time_limit
        )
        for network, count, kind in product(NETWORKS, LAYERS, KINDS)
    }
    print("synthetic costs, 4 devices, one core")
    for row in grow(RESULTS, f"{asked.time_limit:g}s", steps, anew=asked.anew):
        print(
            "{network:12s} {tasks:5d} {request:16s} {method:10s} {seconds:>7s} s".format(**row),
            "gap",
            row["gap"],
            flush=True,
        )


if __name__ == "__main__":
    main()
