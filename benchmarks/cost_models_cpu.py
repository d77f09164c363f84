"""A CPU cost model from 200 probes, on networks that it has not seen, on this machine.

Run: python benchmarks/cost_models_cpu.py [--threads N] [--budget SECONDS]
[--keep FOLDER --step draw|measure|fit] [--json], on an idle machine. Only the step `measure`, a
few minutes, needs the machine for itself; --keep carries networks and times from step to step.

Probes (`heterolith.metrics.sweep`) and the nine networks of the onnx wheel with random weights run
in turns, one pass of each, every network on a worker of its own, until the probes have taken the
budget; then a model is fitted to the probes alone and predicts the networks' layers. Each distinct
layer of the networks alone, and more probes, run in every third turn. What bounds any prediction is
reported beside it: `repeatable` compares the networks' odd passes with the even ones, `alone` each
layer with the same layer timed outside its network, `elsewhere` with the same layer in other places
of networks, `one_number` with the number that suits most of these. `curve` fits more probes, of
another seed; `draws` fits five draws of about `PROBES` of all probes in two forms, without the
residual learner; `limits` fits all probes, all networks but the one predicted, and the predicted
layers themselves. Writes benchmarks/results/cost_models_cpu.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import networks
import numpy as np
from numpy.typing import NDArray

from heterolith import api, metrics
from heterolith.metrics import Subject
from heterolith.metrics.models import (
    CostModel,
    Samples,
    evaluate,
    layer_rows,
    make_samples,
    memory,
)
from heterolith.metrics.models.physics import Form, Physics, fit
from heterolith.metrics.sweep import KINDS, probes
from heterolith.sw import CpuWorker
from heterolith.sw.network import Layer, Network
from heterolith.sw.offload import VIEWS

PROBES, MORE_PROBES = 200, 800
DRAWS = 5
FORMS = {"steps": Form(by_family=True, stepwise=True), "elements by family": Form(by_family=True)}
FEWEST_PASSES = 7
SELDOM, SELDOM_EVERY = ("alone", "more"), 3
"""Groups that only what stands beside the result rests on, and how often they run."""
BY_LAYER = ("mape", "within_10pct", "within_20pct", "coverage_90", "outside_range")

Floats = NDArray[np.float64]


def held_out(folder: Path, seed: int = 0) -> list[Subject]:
    """Return the networks of the onnx wheel with random weights, kept in a folder, and inputs."""
    import onnx

    found = []
    for name, path in networks.paths().items():
        target = folder / f"{name}.onnx"
        if not target.exists():
            onnx.save(networks.randomize(path, seed), target)
        network = api.load(target)
        found.append(Subject(network, api.make_inputs(network, f"random:{seed}")))
    return found


def kind(network: Network, layer: Layer) -> str:
    """Return what makes two layers the same work."""
    shapes = [
        (network.tensors[name].shape if name in network.tensors else network.constants[name].shape)
        for name in (*layer.inputs, layer.residual)
        if name
    ]
    return repr((layer.op, layer.attributes, shapes, layer.activation))


def alone(held: Sequence[Subject], seed: int = 0) -> dict[str, Subject]:
    """Return each distinct layer as a network of its own, by `kind`."""
    rng, found = np.random.default_rng(seed), dict[str, Subject]()
    for network in (subject.network for subject in held):
        for layer in network.layers:
            read = tuple(network.activations(layer))
            part = Network(
                name="alone",
                inputs=read,
                outputs=layer.outputs,
                layers=(replace(layer, name=f"alone{len(found)}"),),
                tensors={name: network.tensors[name] for name in (*read, *layer.outputs) if name},
                constants={
                    name: network.constants[name]
                    for name in (*layer.inputs, layer.residual)
                    if name in network.constants
                },
            )
            types = {name: network.tensors[name] for name in read}
            inputs = {
                name: rng.standard_normal(of.shape).astype(of.dtype) for name, of in types.items()
            }
            found.setdefault(kind(network, layer), Subject(part, inputs))
    return found


def measure(
    groups: Mapping[str, Sequence[Subject]], threads: int | None, budget_s: float
) -> tuple[dict[str, NDArray[Any]], float]:
    """Return times of each group's layers, shape (passes, layers), and seconds in the first."""
    workers = {name: [CpuWorker(threads) for _ in part] for name, part in groups.items()}
    timed = {name: metrics.passes(part, workers[name], 1) for name, part in groups.items()}
    times: dict[str, list[Any]] = {name: [] for name in groups}
    first, spent = next(iter(groups)), 0.0
    with metrics.pinned(threads):
        while spent < budget_s or len(times[first]) < FEWEST_PASSES:
            for name in groups:
                if name in SELDOM and len(times[first]) % SELDOM_EVERY != 1:
                    continue
                begin = time.perf_counter()
                times[name].append(next(timed[name]))
                spent += time.perf_counter() - begin if name == first else 0.0
    for worker in chain.from_iterable(workers.values()):
        worker.close()
    return {name: np.array(rows) for name, rows in times.items()}, spent


def samples(part: Sequence[Subject], latency_ns: Floats) -> Samples:
    """Return samples of the layers that do work."""
    works = [row for subject in part for row in layer_rows(subject.network).values()]
    rows = []
    for row, value in zip(works, latency_ns.tolist(), strict=True):
        if row.get("calls"):
            rows.append({**row, "device": "cpu", "variant": "fp32", "latency_ns": value})
    return make_samples(rows)


def errors(model: CostModel, test: Samples) -> dict[str, Any]:
    """Return a model's errors on layers, all together and network by network."""
    found, _ = evaluate(model, test)
    value, target = model.physics_.predict(test), test.targets["latency"]
    low, high = model.spread_.bounds(value, test.labels["family"])
    error, families = np.abs(value / target - 1), test.labels["family"]
    near = error <= 0.10
    return {
        "layers": len(test),
        "mape": float(error.mean()),
        "within_10pct": float(near.mean()),
        "within_20pct": float((error <= 0.20).mean()),
        "time_within_10pct": float(target[near].sum() / target.sum()),
        "coverage_90": float(((low <= target) & (target <= high)).mean()),
        "outside_range": found.outside / len(test),
        "whole_network": found.networks,
        "worst_whole_network": max(map(abs, found.networks.values())),
        "within_10pct_by_family": {
            str(name): [int((families == name).sum()), float(near[families == name].mean())]
            for name in dict.fromkeys(families.tolist())
        },
    }


def floors(
    held: Sequence[Subject], times: NDArray[Any], single: Mapping[str, float]
) -> dict[str, float]:
    """Return the shares within 10 % of passes against passes, and of layers timed elsewhere.

    ``alone``: each layer against itself as a network of its own; ``elsewhere``: those that networks
    have in several places against the median of the other places; ``one_number``: the same against
    whatever single number suits most of the places.
    """
    pairs = [(subject.network, layer) for subject in held for layer in subject.network.layers]
    work = np.array([layer.op not in VIEWS for _, layer in pairs])
    kinds, whole = np.array([kind(*pair) for pair in pairs]), np.median(times, axis=0)
    own = np.array([single[name] for name in kinds.tolist()])
    odd, even = (np.median(times[start::2], axis=0) for start in (0, 1))
    places = [np.flatnonzero((kinds == name) & work) for name in dict.fromkeys(kinds.tolist())]
    several = [whole[same] for same in places if len(same) > 1]
    others = [
        np.median(np.delete(same, i)) / value for same in several for i, value in enumerate(same)
    ]
    suited = sum(
        max(((low <= same) & (same * 0.9 <= low * 1.1)).sum() for low in same) for same in several
    )
    found = {
        "repeatable_within_10pct": (odd / even)[work],
        "alone_within_10pct": (own / whole)[work],
        "elsewhere_within_10pct": np.array(others),
    }
    shares = {name: float((np.abs(ratio - 1) <= 0.10).mean()) for name, ratio in found.items()}
    return {
        **shares,
        "one_number_within_10pct": float(suited / len(others)),
        "elsewhere_layers": len(others),
    }


def within(model: Physics, test: Samples) -> float:
    """Return the share of rows that a model predicts within 10 %."""
    return float((np.abs(model.predict(test) / test.targets["latency"] - 1) <= 0.10).mean())


def worst(model: Physics, test: Samples) -> float:
    """Return the largest error of a sum over a network."""
    value, target, names = model.predict(test), test.targets["latency"], test.labels["network"]
    sums = [(value[names == name].sum(), target[names == name].sum()) for name in set(names)]
    return float(max(abs(predicted / measured - 1) for predicted, measured in sums))


def left_out(test: Samples, form: Form) -> float:
    """Return the share of layers within 10 % by fits to all the other networks' layers."""
    names = test.labels["network"]
    parts = [names == name for name in dict.fromkeys(names.tolist())]
    near = [
        within(fit(test.take(~part), "latency", form), test.take(part)) * part.sum()
        for part in parts
    ]
    return float(sum(near) / len(test))


def draws(probed: Samples, test: Samples, seed: int = 1) -> dict[str, Any]:
    """Return how the forms do when fitted to networks drawn from all probes, and to everything."""
    names, found = sorted(set(probed.labels["network"].tolist())), []
    rng = np.random.default_rng(seed)
    for _ in range(DRAWS):
        chosen = np.zeros(len(probed), bool)
        for place in rng.permutation(len(names)):
            more = probed.labels["network"] == names[place]
            if chosen.sum() + more.sum() <= PROBES:
                chosen |= more
        for name, form in FORMS.items():
            model = fit(probed.take(chosen), "latency", form)
            shares = within(model, probed.take(~chosen)), within(model, test), worst(model, test)
            keys = ("other_probes_within_10pct", "within_10pct", "worst_whole_network")
            row = dict(zip(keys, shares, strict=True))
            found.append({"form": name, "probes": int(chosen.sum()), **row})
    idle, form = memory.IDLE, FORMS["steps"]
    without = [
        replace(part, work={k: v for k, v in part.work.items() if not k.startswith(idle)})
        for part in (probed, test)
    ]
    limits = {
        "all_probes_within_10pct": within(fit(probed, "latency", form), test),
        "all_probes_without_caches": within(fit(without[0], "latency", form), without[1]),
        "networks_left_out_within_10pct": left_out(test, form),
        "networks_themselves_within_10pct": within(fit(test, "latency", form), test),
    }
    return {"draws": found, "limits": limits}


def renamed(part: Sequence[Subject]) -> list[Subject]:
    """Return probes of another seed under names of their own."""
    return [
        replace(each, network=replace(each.network, name=f"more-{each.network.name}"))
        for each in part
    ]


def kept_times(
    groups: Mapping[str, Sequence[Subject]], folder: Path, options: argparse.Namespace
) -> tuple[dict[str, NDArray[Any]], float]:
    """Return times measured now, or in an earlier step, and seconds of probing."""
    path = folder / "times.npz"
    if options.step in ("all", "measure"):
        times, seconds = measure(groups, options.threads, options.budget)
        np.savez(path, seconds=seconds, **times)
    with np.load(path) as file:
        return {name: file[name] for name in groups}, float(file["seconds"])


def report(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Measure, fit and predict; empty if a step ends before."""
    held = held_out(folder)
    if options.step == "draw":
        return {}
    singles = alone(held)
    groups = {
        "probes": probes(tuple(KINDS), PROBES),
        "networks": held,
        "alone": list(singles.values()),
        "more": probes(tuple(KINDS), MORE_PROBES, seed=1),
    }
    times, seconds = kept_times(groups, folder, options)
    if options.step == "measure":
        return {}
    median = {name: np.median(rows, axis=0) for name, rows in times.items()}
    test, sweep = samples(held, median["networks"]), samples(groups["probes"], median["probes"])
    more = samples(groups["more"], median["more"])
    model = CostModel().fit(sweep)
    found = {
        "rows": len(test),
        "form": str(model.physics_.form),
        **errors(model, test),
        **floors(
            held, times["networks"], dict(zip(singles, median["alone"].tolist(), strict=True))
        ),
    }
    names = list(dict.fromkeys(more.labels["network"].tolist()))
    curve = []
    for count in (len(names) // 8, len(names) // 4, len(names) // 2, len(names)):
        part = more.take(np.isin(more.labels["network"], names[:count]))
        row = errors(CostModel().fit(part), test)
        keys = ("mape", "within_10pct", "within_20pct", "worst_whole_network")
        curve.append({"probes": len(part), **{key: row[key] for key in keys}})
    both = [*groups["probes"], *renamed(groups["more"])]
    probed = samples(both, np.concatenate([median["probes"], median["more"]]))
    return {
        "data": "cpu",
        "source": "measured on the machine that ran this; predictions are fitted",
        "threads": options.threads,
        "probes": len(sweep),
        "passes": len(times["probes"]),
        "probing_s": seconds,
        "target_within_10pct": 0.95,
        "target_whole_network": 0.07,
        "platforms": {"cpu": found},
        "curve": curve,
        **draws(probed, test),
    }


def main() -> int:
    """Run, write and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--budget", type=float, default=30.0, help="seconds of probing")
    parser.add_argument("--keep", type=Path, help="folder for networks and times")
    parser.add_argument("--step", choices=("all", "draw", "measure", "fit"), default="all")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as passing:
        folder = options.keep or Path(passing)
        folder.mkdir(parents=True, exist_ok=True)
        found = report(folder, options)
    if not found:
        return 0
    text = json.dumps(found, indent=1)
    path = Path(__file__).parent / "results" / "cost_models_cpu.json"
    path.write_text(text + "\n")
    if options.json:
        print(text)
        return 0
    row = found["platforms"]["cpu"]
    print(
        f"{found['probes']} probes in {found['probing_s']:.0f} s: mape {row['mape']:.1%}; within "
        f"10 % {row['within_10pct']:.0%}, 20 % {row['within_20pct']:.0%} of {row['rows']} layers; "
        f"worst network {row['worst_whole_network']:.0%}; coverage of 90 % intervals "
        f"{row['coverage_90']:.0%}"
    )
    print(
        f"within 10 %: passes of passes {row['repeatable_within_10pct']:.0%}, layers of the same "
        f"layers alone {row['alone_within_10pct']:.0%}, of the same in other places "
        f"{row['elsewhere_within_10pct']:.0%}, of the number that suits most of these "
        f"{row['one_number_within_10pct']:.0%} ({row['elsewhere_layers']} layers)"
    )
    for name, share in found["limits"].items():
        print(f"{name.removesuffix('_within_10pct').replace('_', ' ')}: within 10 % {share:.0%}")
    for point in found["curve"]:
        print(f"{point['probes']} probes: within 10 % {point['within_10pct']:.0%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
