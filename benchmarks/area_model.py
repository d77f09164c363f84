"""Fit of the area model to Yosys, and its error on configurations it was not fitted on.

``results/area_samples.csv`` holds configurations synthesized as `area.py` does, with the processing
element apart; ``--synthesize`` adds what `SAMPLES` names and is missing (minutes each). The named
configurations of ``results/area.csv`` are never fitted on: they are one check, leave-one-out over
the samples the other. Counted are DSP, block RAM and elements; LUTs and flip-flops around the
elements are fitted, over both families, by non-negative least squares of relative errors.

Run: python benchmarks/area_model.py [--json] [--synthesize] [--write]
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import area as yosys
import numpy as np
from scipy.optimize import nnls
from table import write

from heterolith.hw.area import COEFFICIENTS, bram36, dsp, elements, features
from heterolith.hw.config import CONFIGS, ArrayConfig
from heterolith.hw.geometry import geometry, rtl_parameters

SAMPLES_FILE = Path(__file__).parent / "results" / "area_samples.csv"
SIZES = (
    "lanes",
    "n_pe",
    "pixels",
    "requantizers",
    "activation_words",
    "weight_words",
    "accumulator_words",
)
SAMPLES = {
    "xcup": (
        (8, 8, 2, 2, 4096, 1024, 512),
        (8, 16, 2, 8, 8192, 1024, 512),
        (8, 16, 4, 4, 4096, 512, 512),
        (8, 24, 2, 1, 8192, 2048, 512),
        (8, 32, 2, 4, 4096, 1024, 1024),
        (8, 40, 2, 8, 2048, 512, 512),
        (16, 16, 2, 4, 4096, 512, 1024),
    ),
    "xc7": (
        (8, 8, 4, 4, 2048, 1024, 512),
        (8, 24, 2, 8, 4096, 512, 1024),
        (16, 16, 2, 8, 4096, 512, 512),
    ),
}
"""Family -> sizes in the order of `SIZES`, from small to large in each."""

FITTED = ("lut", "ff")
COUNTED = ("dsp", "bram36")


@dataclass(frozen=True, slots=True)
class Sample:
    """One synthesized configuration: its totals, and the LUTs and FFs of one element."""

    name: str
    family: str
    config: ArrayConfig
    element: Mapping[str, float]
    total: Mapping[str, float]

    def rest(self, resource: str) -> float:
        """Return what stands around the elements."""
        return self.total[resource] - elements(geometry(self.config)) * self.element[resource]


def array_config(sizes: Sequence[int]) -> ArrayConfig:
    """Return the configuration of sizes in the order of `SIZES`."""
    lanes, n_pe, pixels, requantizers, activation, weight, sums = sizes
    return ArrayConfig(
        name="-".join(map(str, sizes)),
        n_pe=n_pe,
        pixels=pixels,
        lanes=lanes,
        requantizers=requantizers,
        activation_buffer_bytes=activation * pixels * lanes,
        weight_buffer_bytes=weight * n_pe * lanes,
        accumulator_buffer_bytes=sums * n_pe * pixels * 4,
        axi_data_bits=8 * lanes,
    )


def synthesize(family: str, sizes: Sequence[int]) -> dict[str, Any]:
    """Return the line of one configuration; the element is synthesized once more for each."""
    parameters = rtl_parameters(array_config(sizes))
    generics = " ".join(f"-G {key}={value}" for key, value in parameters.items())
    element = Counter(yosys.netlist(family, f"-G Lanes={parameters['Lanes']}", yosys.ELEMENT))
    total: Counter[str] = Counter()
    around = yosys.netlist(family, f"{generics} --blackboxed-module {yosys.ELEMENT}", yosys.TOP)
    for cell, count in around.items():
        whole = cell.startswith(yosys.ELEMENT)
        total += Counter({k: count * n for k, n in element.items()} if whole else {cell: count})
    one, every = yosys.area(element), yosys.area(total)
    return {
        "family": family,
        **dict(zip(SIZES, sizes, strict=True)),
        "element_lut": one.lut,
        "element_ff": one.ff,
        **{name: getattr(every, name) for name in (*FITTED, *COUNTED)},
        "label": yosys.LABEL,
    }


def _lines() -> list[dict[str, str]]:
    if not SAMPLES_FILE.exists():
        return []
    with SAMPLES_FILE.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def add_missing() -> None:
    """Synthesize what `SAMPLES` names and the file lacks, a line at a time."""
    for family, every in SAMPLES.items():
        for sizes in every:
            lines = _lines()
            have = {(row["family"], *(int(row[k]) for k in SIZES)) for row in lines}
            if (family, *sizes) in have:
                continue
            row = synthesize(family, sizes)
            write(SAMPLES_FILE, [*lines, row])


def samples() -> list[Sample]:
    """Return the samples of the file."""
    return [
        Sample(
            name=f"{row['family']}-{'-'.join(row[k] for k in SIZES)}",
            family=row["family"],
            config=array_config([int(row[k]) for k in SIZES]),
            element={name: float(row[f"element_{name}"]) for name in FITTED},
            total={name: float(row[name]) for name in (*FITTED, *COUNTED)},
        )
        for row in _lines()
    ]


def named(known: Sequence[Sample]) -> list[Sample]:
    """Return the named configurations whose element some sample has."""
    element = {(s.family, s.config.lanes): s.element for s in known}
    with yosys.RESULTS.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        Sample(
            name=row["config"],
            family=row["family"],
            config=CONFIGS[row["config"]],
            element=element[row["family"], CONFIGS[row["config"]].lanes],
            total={name: float(row[name]) for name in (*FITTED, *COUNTED)},
        )
        for row in rows
        if (row["family"], CONFIGS[row["config"]].lanes) in element
    ]


def fit(known: Sequence[Sample], resource: str) -> dict[str, float]:
    """Return the coefficients of one resource, none negative."""
    names = list(features(geometry(known[0].config), known[0].family))
    rows = [features(geometry(s.config), s.family) for s in known]
    counts = np.array([[row[key] for key in names] for row in rows], float)
    scale = np.array([s.total[resource] for s in known])
    found, _ = nnls(counts / scale[:, None], np.array([s.rest(resource) for s in known]) / scale)
    return {name: round(float(value), 3) for name, value in zip(names, found, strict=True)}


def error(model: Mapping[str, float], sample: Sample, resource: str) -> float:
    """Return predicted over synthesized, less one, of the whole build."""
    g = geometry(sample.config)
    around = sum(model[key] * count for key, count in features(g, sample.family).items())
    predicted = elements(g) * sample.element[resource] + around
    return predicted / sample.total[resource] - 1


def report() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (the model's file, errors by check, resource and configuration)."""
    known = samples()
    others = named(known)
    model: dict[str, Any] = {"element": {family: {} for family in SAMPLES}}
    for s in known:
        one = {name: round(count) for name, count in s.element.items()}
        model["element"][s.family][str(s.config.lanes)] = one
    errors: dict[str, Any] = {"fitted": {}, "left_out": {}, "named_held_out": {}}
    for resource in FITTED:
        whole = fit(known, resource)
        model[resource] = whole
        errors["fitted"][resource] = {s.name: error(whole, s, resource) for s in known}
        errors["left_out"][resource] = {
            s.name: error(fit([each for each in known if each is not s], resource), s, resource)
            for s in known
        }
        errors["named_held_out"][resource] = {s.name: error(whole, s, resource) for s in others}
    every = [*known, *others]
    errors["counted"] = {
        "dsp": {s.name: dsp(geometry(s.config)) - s.total["dsp"] for s in every},
        "bram36": {s.name: bram36(geometry(s.config)) - s.total["bram36"] for s in every},
    }
    worst = {
        check: {r: max(map(abs, rows.values()), default=None) for r, rows in by.items()}
        for check, by in errors.items()
    }
    file = {
        "source": "benchmarks/area_model.py, fitted to yosys synthesis of hw/rtl "
        "(benchmarks/results/area_samples.csv); LUTs are an upper bound, no place and route",
        "fitted_on": {f: sum(s.family == f for s in known) for f in SAMPLES},
        "worst_relative_error": {k: worst[k] for k in ("left_out", "named_held_out")},
        **model,
    }
    return file, {"worst": worst, "errors": errors}


def main() -> None:
    """Synthesize, fit, write and print, as asked."""
    parser = argparse.ArgumentParser(description=" ".join((__doc__ or "").split()))
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--synthesize", action="store_true", help="run Yosys on missing samples")
    parser.add_argument("--write", action="store_true", help=f"replace {COEFFICIENTS.name}")
    arguments = parser.parse_args()
    if arguments.synthesize:
        add_missing()
    file, found = report()
    if arguments.write:
        COEFFICIENTS.write_text(json.dumps(file, indent=1) + "\n", encoding="utf-8")
    if arguments.json:
        print(json.dumps({"model": file, **found}, indent=1))
        return
    for check, by in found["errors"].items():
        for resource, rows in by.items():
            unit = "" if check == "counted" else ", relative"
            print(
                f"{check} {resource}{unit}: " + ", ".join(f"{k} {v:+.3g}" for k, v in rows.items())
            )


if __name__ == "__main__":
    main()
