"""Samples: what was measured, with the work behind it; one row per layer or whole network.

A sample has labels (whose time it is), work (what had to be done, by operator family), clocks, and
targets (what it cost). Work of a layer stands in the columns ``macs``, ``steps``, ... of its row
and belongs to the row's ``family``; a row for a whole network names the family in the column
itself, ``macs.conv``. The README of this folder lists all columns with units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heterolith.errors import InputError

Floats = NDArray[np.float64]
Strings = NDArray[np.str_]

LABELS = {
    "network": "whose network; folds of the validation keep it whole",
    "layer": "name of the layer; empty in a row for a whole network",
    "family": "operator family of the row's work, e.g. conv, depthwise, fc, maxpool",
    "shape": "shape family, e.g. conv 3x3/2; folds of the validation keep it whole",
    "device": "what computed",
    "point": "operating point",
    "variant": "number format: fp32, fp16, int8, int4, int2",
}
WORK = {
    "calls": "kernels started",
    "images": "batch",
    "macs": "multiply-accumulates, batch included",
    "steps": "elementary operations of layers that multiply nothing, batch included",
    "activation_elements": "activations read and written, batch included",
    "weight_elements": "constants read",
    "gather_elements": "elements of the im2col matrix, batch included",
    "output_elements": "activations written, batch included",
    "array_calls": "calls of the array library, batch included",
    "copied_elements": "elements written by fills and copies, batch included",
    "copied_runs": "rows of memory that these copy one by one, batch included",
    "runs": "rows of memory gathered as patches or into numpy's buffer, batch included",
    "short_runs": "rows of patches shorter than a cache line, by what is missing, batch included",
    "picked_elements": "elements copied with a stride, batch included",
    "passed_elements": "elements that calls on elements pass over in place, batch included",
    "buffered_elements": "elements that these pass over in numpy's buffer, batch included",
    "loops": "rows of memory that calls on elements take at a time, batch included",
    "strided_elements": "elements passed over with a stride, batch included",
    "slow_elements": "elements divided, or whose roots are taken, batch included",
    "parts": "products, one for each piece that fits a cache, batch included",
    "product_macs": "multiply-accumulates of products of matrices, batch included",
    "product_rows": "rows of results that products write with gaps between, batch included",
    "left_elements": "kernels as large products read them, once for each part, batch included",
    "right_elements": "columns as large products read them, batch included",
    "block_elements": "results of large products, once for each block of a sum, batch included",
    "vectors": "products of a matrix with a vector, batch included",
    "vector_elements": "elements of patches that these read, batch included",
    "streamed_elements": "elements of constants that these read, batch included",
    "far_elements": "elements in memory that the second cache has lost, batch included",
    "cold_elements": "elements written to memory that no cache has, batch included",
    "cold_copied_elements": "the same of copies, and constants that none has, batch included",
    "cold_calls": "share of the caches lost since a layer ran, times calls",
    "cold_kernels": "share of the caches lost since the operator ran, times calls",
    "rare_kernels": "how little is known of its code, by how often the operator ran, times calls",
    "input_elements": "elements that a host hands over, batch included",
}
WHOLE = ("images", "input_elements")
"""Work that belongs to a whole row, not to an operator family."""

CLOCKS = {
    "core_mhz": "clock of what computes",
    "memory_mhz": "clock of its DRAM",
    "host_mhz": "clock of the processor that starts it",
}
STATES = {
    "reference_ns": "time of the reference network in the same measurement (`metrics.pace`)",
}
"""What tells in which state a machine was."""
TARGETS = {"latency": "ns", "power": "w", "energy": "pj"}
"""Metric -> unit inside; mean power over the run includes idle."""

UNITS: Mapping[str, Mapping[str, float]] = {
    "latency": {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9},
    "power": {"mw": 1e-3, "w": 1.0},
    "energy": {"pj": 1.0, "nj": 1e3, "uj": 1e6, "mj": 1e9},
}
"""Units a column's name may end in, and their size in the metric's own unit."""

BITS = {"fp32": 32, "fp16": 16, "int16": 16, "int8": 8, "int4": 4, "int2": 2}
"""Bits of an element in each variant."""


def column_of(metric: str) -> str:
    """Return the column of a metric in its own unit; raises `InputError` for another metric."""
    if metric not in TARGETS:
        raise InputError(f"metric {metric!r} is not one of {', '.join(TARGETS)}")
    return f"{metric}_{TARGETS[metric]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Columns of equal length n.

    Attributes
    ----------
    labels
        Name of `LABELS` -> str array of shape (n,).
    work
        ``feature.family`` -> float64 array of shape (n,); a feature of `WORK`.
    clocks
        Name of `CLOCKS` -> float64 array of shape (n,), MHz; absent where none was given.
    targets
        Metric of `TARGETS` -> float64 array of shape (n,) in the metric's unit.
    files, lines
        Where each row was read: file name and line, str and int64 arrays of shape (n,).
    states
        Name of `STATES` -> float64 array of shape (n,); absent where none was given.
    """

    labels: Mapping[str, Strings]
    work: Mapping[str, Floats]
    clocks: Mapping[str, Floats]
    targets: Mapping[str, Floats]
    files: Strings
    lines: NDArray[np.int64]
    states: Mapping[str, Floats] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.lines)

    def take(self, rows: NDArray[Any]) -> Samples:
        """Return the rows of an index or boolean array."""
        tables = {
            name: {key: column[rows] for key, column in getattr(self, name).items()}
            for name in ("labels", "work", "clocks", "targets", "states")
        }
        return Samples(**tables, files=self.files[rows], lines=self.lines[rows])

    def where(self, row: int) -> str:
        """Return ``file, line n`` of a row, and what it is."""
        name = "/".join(filter(None, (self.labels[k][row] for k in ("network", "layer"))))
        return f"{self.files[row]}, line {self.lines[row]} ({name})"

    def features(self) -> dict[str, tuple[str, ...]]:
        """Return feature -> families that have it, in order."""
        found: dict[str, list[str]] = {}
        for key in self.work:
            feature, _, family = key.partition(".")
            found.setdefault(feature, []).append(family)
        return {feature: tuple(families) for feature, families in found.items()}

    def total(self, feature: str, family: str | None = None) -> Floats:
        """Return a feature, of one family or summed over all; zeros where there is none."""
        result = np.zeros(len(self))
        for key, column in self.work.items():
            name, _, of = key.partition(".")
            if name == feature and family in (None, of):
                result = result + column
        return result

    def element_bytes(self) -> Floats:
        """Return the bytes of an element in each row's variant; 4 for an unknown variant."""
        names, member = np.unique(self.labels["variant"], return_inverse=True)
        return np.asarray(np.array([BITS.get(str(name), 32) / 8 for name in names])[member])


def from_columns(
    columns: Mapping[str, Any], origin: str = "memory", lines: NDArray[np.int64] | None = None
) -> Samples:
    """Build samples from columns of equal length: labels, work, clocks, targets.

    Parameters
    ----------
    columns
        Label -> strings; ``macs`` or ``macs.conv``, clock, ``latency_ns`` ... -> numbers. Missing
        labels are empty, missing work is 0; other names are passed over.
    origin, lines
        File the rows come from, and the line of each.
    """
    size = len(next(iter(columns.values()))) if columns else 0
    labels = {n: np.array(columns.get(n, [""] * size), dtype=np.str_) for n in LABELS}
    work: dict[str, Floats] = {}
    for name, values in columns.items():
        feature, dot, _ = name.partition(".")
        if feature not in WORK:
            continue
        column = np.asarray(values, dtype=np.float64)
        if dot or feature in WHOLE:
            work[name] = work.get(name, 0) + column
            continue
        for of in dict.fromkeys(labels["family"].tolist()):
            key = f"{feature}.{of}" if of else feature
            work[key] = work.get(key, 0) + np.where(labels["family"] == of, column, 0.0)
    targets = {m: columns[column_of(m)] for m in TARGETS if column_of(m) in columns}
    return Samples(
        labels=labels,
        work={key: column for key, column in work.items() if column.any()},
        clocks={n: np.asarray(columns[n], dtype=np.float64) for n in CLOCKS if n in columns},
        targets={m: np.asarray(column, dtype=np.float64) for m, column in targets.items()},
        files=np.array([origin] * size, dtype=np.str_),
        lines=np.arange(1, size + 1) if lines is None else lines,
        states={n: np.asarray(columns[n], dtype=np.float64) for n in STATES if n in columns},
    )


def make_samples(
    rows: Sequence[Mapping[str, object]],
    origin: str = "memory",
    lines: Sequence[int] | None = None,
) -> Samples:
    """Build samples from rows as `from_columns` takes columns; missing figures are NaN."""
    names = dict.fromkeys(name for row in rows for name in row)
    blank = {
        n: "" if n in LABELS else 0.0 if n.partition(".")[0] in WORK else np.nan for n in names
    }
    columns = {n: [row.get(n, blank[n]) for row in rows] for n in names}
    return from_columns(columns, origin, None if lines is None else np.array(lines))


def join(parts: Sequence[Samples]) -> Samples:
    """Return the rows of several samples, in order; work that one lacks is 0 there, else NaN."""
    sizes = [len(part) for part in parts]

    def column(table: str, name: str, missing: float) -> Floats:
        return np.concatenate(
            [
                getattr(part, table).get(name, np.full(size, missing))
                for part, size in zip(parts, sizes, strict=True)
            ]
        )

    def names(table: str) -> dict[str, None]:
        return dict.fromkeys(name for part in parts for name in getattr(part, table))

    return Samples(
        labels={n: np.concatenate([part.labels[n] for part in parts]) for n in LABELS},
        work={name: column("work", name, 0.0) for name in names("work")},
        clocks={name: column("clocks", name, np.nan) for name in names("clocks")},
        targets={name: column("targets", name, np.nan) for name in names("targets")},
        files=np.concatenate([part.files for part in parts]),
        lines=np.concatenate([part.lines for part in parts]),
        states={name: column("states", name, np.nan) for name in names("states")},
    )
