"""What a run says of itself, for all commands that run; numpy and the standard library alone."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np

from heterolith.errors import HeterolithError
from heterolith.scheduler.dispatch import Trace
from heterolith.scheduler.plan import Plan
from heterolith.sw import Array
from heterolith.sw.segments import Totals


def array_file(outputs: Mapping[str, Array]) -> bytes:
    """Return an ``.npy`` file of one output, an ``.npz`` file of several."""
    data = BytesIO()
    if len(outputs) == 1:
        np.save(data, next(iter(outputs.values())), allow_pickle=False)
    else:
        # Typed as if a name could be the option allow_pickle, which older versions do not have.
        savez: Any = np.savez
        savez(data, **outputs)
    return data.getvalue()


def run_data(plan: Plan, outputs: Mapping[str, Array], trace: Trace) -> dict[str, Any]:
    """Return the figures of a run as JSON data."""
    return {
        "top1": {name: int(np.argmax(value)) for name, value in outputs.items()},
        "predicted_latency_ms": plan.metrics.latency_ns / 1e6,
        "predicted_energy_mj": plan.metrics.energy_pj / 1e9,
        "host_time_ms": trace.latency_ns / 1e6,
        "outputs": {name: list(value.shape) for name, value in outputs.items()},
    }


def totals_data(totals: Totals) -> dict[str, Any]:
    """Return the accelerator's figures as JSON data, null where there is none."""
    return {
        "cycles": totals.cycles,
        "predicted_cycles": totals.predicted_cycles,
        "bit_exact": totals.bit_exact,
        "fpga_latency_ms": _milliseconds(totals.latency_ns),
        "predicted_fpga_latency_ms": _milliseconds(totals.predicted_latency_ns),
    }


def check_exact(totals: Totals) -> None:
    """Raise `HeterolithError` if a device computed other codes than the golden model."""
    if totals.bit_exact is False:
        raise HeterolithError(
            "the device's codes differ from the golden model's, so nothing is written; compare "
            "with --device golden and report this"
        )


def totals_text(totals: Totals) -> str:
    """Return the accelerator's figures in words, empty if there are none."""
    parts = []
    if totals.cycles is not None:
        parts.append(f"{totals.cycles:,} cycles")
    if totals.predicted_cycles is not None:
        parts.append(f"{totals.predicted_cycles:,} predicted")
    if totals.latency_ns is not None:
        parts.append(f"{totals.latency_ns / 1e6:.3f} ms with the driver")
    if totals.bit_exact is not None:
        parts.append("bit-exact" if totals.bit_exact else "not bit-exact")
    return ", ".join(parts)


def print_json(data: object) -> None:
    """Print strict JSON; values that are not finite become null."""
    sys.stdout.write(json.dumps(_finite(data), indent=2, ensure_ascii=False) + "\n")


def _finite(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return value


def _milliseconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / 1e6
