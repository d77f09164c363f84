"""QuTiBench: latency and power of networks on embedded platforms, as samples.

Source: RCL-lab/QutibenchWeb, ``_notebooks/data/cleaned_csv`` (Apache-2.0); Blott et al.,
"QuTiBench", ACM JETC 2019. The table names networks, not layers: their work comes from
`topologies`. Compute latency ``lat-comp`` is the target, ``Full_Pwr_W`` the mean power of the whole
board.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from heterolith.errors import InputError
from heterolith.metrics.importers import topologies
from heterolith.metrics.importers.topologies import Work
from heterolith.metrics.models.samples import BITS, Samples, make_samples

PLATFORMS = {
    "dpu": ("Ultra96-DPU",),
    "tx2": ("TX2-maxn", "TX2-maxp", "TX2-maxq"),
    "a53": ("U96-Quadcore-A53",),
    "finn": ("ZCU104-FINN",),
    "bismo": ("ZCU104-Bismo",),
    "ncs2": ("NCS2",),
}
"""Platform -> its values of ``HWType``; TX2's three power modes are one platform."""

CLOCKS_MHZ = {
    "TX2-maxn": {"core_mhz": 1300.5, "memory_mhz": 1866.0, "host_mhz": 2035.2},
    "TX2-maxp": {"core_mhz": 1120.0, "memory_mhz": 1600.0, "host_mhz": 1400.0},
    "TX2-maxq": {"core_mhz": 850.0, "memory_mhz": 1331.2, "host_mhz": 1200.0},
}
"""Caps of NVIDIA's nvpmodel_t186.conf; maxp is taken as MAXP_CORE_ALL, which is left open."""

WIDTHS = {12.5: 0.125, 25.0: 0.25, 50.0: 0.5, 100.0: 1.0}
FULL_WIDTH = {"MLP": 2048, "CNV": 128}
NEEDED = (
    "NN_Topology",
    "HWType",
    "Datatype",
    "batch/thread/stream",
    "lat-comp",
    "Full_Pwr_W",
    "PruningFactor",
    "nn_total_operations",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """Samples, and what was left out: (network, why)."""

    samples: Samples
    skipped: tuple[tuple[str, str], ...]


def layers_of(topology: str, percent: float, gops: float) -> list[Work] | None:
    """Return the layers of a network as QuTiBench names it, ``None`` where it is not known."""
    if topology in FULL_WIDTH and percent in WIDTHS:
        width = round(FULL_WIDTH[topology] * WIDTHS[percent])
        return topologies.mlp(width) if topology == "MLP" else topologies.cnv(width)
    if topology == "ResNet-50":
        return topologies.resnet50() if percent == 100 else topologies.pruned_resnet50(gops)
    known = {"GoogLeNetv1": topologies.googlenet, "MobileNetv1": topologies.mobilenet}
    return known[topology]() if topology in known and percent == 100 else None


def totals(layers: list[Work], images: float) -> dict[str, float]:
    """Return the work columns of a whole network at a batch size."""
    row: dict[str, float] = {"images": images, "input_elements": layers[0].inputs * images}
    for layer in layers:
        moved = (layer.inputs + layer.outputs) * images
        for feature, value in (
            ("calls", 1),
            ("macs", layer.macs * images),
            ("steps", 0 if layer.macs else moved),
            ("activation_elements", moved),
            ("weight_elements", layer.weights),
            ("gather_elements", layer.gather * images),
            ("output_elements", layer.outputs * images),
        ):
            key = f"{feature}.{layer.family}"
            row[key] = row.get(key, 0) + value
    return row


def read(path: Path, platform: str) -> Imported:
    """Read the rows of one platform.

    Parameters
    ----------
    path
        The published table, ``cleaned_csv/...`` with all rows.
    platform
        A name of `PLATFORMS`.

    Raises
    ------
    InputError
        If the file is missing, is another table, or a cell is no number.
    """
    if platform not in PLATFORMS:
        raise InputError(f"platform {platform!r} is not one of {', '.join(PLATFORMS)}")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = list(csv.DictReader(file))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    missing = [name for name in NEEDED if not table or name not in table[0]]
    if missing:
        raise InputError(f"{path} is no QuTiBench table: no column {missing[0]!r}")
    rows, lines, skipped = [], [], {}
    for line, cells in enumerate(table, start=2):
        if cells["HWType"] not in PLATFORMS[platform]:
            continue
        name = f"{cells['NN_Topology']}-{cells['PruningFactor']}"
        layers = layers_of(
            cells["NN_Topology"],
            _number(cells, "PruningFactor", path, line),
            _number(cells, "nn_total_operations", path, line),
        )
        if layers is None or cells["Datatype"].lower() not in BITS:
            skipped[name] = "its layers are not known"
            continue
        rows.append(
            {
                "network": name,
                "shape": cells["NN_Topology"],
                "device": platform,
                "point": cells["HWType"],
                "variant": cells["Datatype"].lower(),
                **totals(layers, _number(cells, "batch/thread/stream", path, line)),
                **CLOCKS_MHZ.get(cells["HWType"], {}),
                "latency_ns": 1e6 * _number(cells, "lat-comp", path, line),
                "power_w": _number(cells, "Full_Pwr_W", path, line),
            }
        )
        lines.append(line)
    samples = make_samples(rows, path.name, lines)
    return Imported(samples=samples, skipped=tuple(sorted(skipped.items())))


def _number(cells: dict[str, str], name: str, path: Path, line: int) -> float:
    """Return a cell as a number; thousands are separated by commas in places."""
    try:
        return float(cells[name].replace(",", ""))
    except ValueError as error:
        raise InputError(
            f"{path}, line {line}, column {name}: {cells[name]!r} is no number"
        ) from error
