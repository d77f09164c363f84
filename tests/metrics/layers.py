"""Samples of a made-up device whose law is known, shared by the tests of cost models."""

from __future__ import annotations

import numpy as np

from heterolith.metrics.models import Samples, make_samples

CALL_NS, MAC_NS, BYTE_NS, STEP_NS = 2000.0, 0.05, 0.02, 0.4


def law(row: dict[str, float | str], clock: float = 1.0) -> float:
    """Return the latency of a row: a launch, arithmetic that follows the clock, traffic."""
    macs, steps = float(row.get("macs", 0)), float(row.get("steps", 0))
    moved = float(row["activation_elements"]) + float(row.get("weight_elements", 0))
    return CALL_NS + (MAC_NS * macs + STEP_NS * steps) / clock + BYTE_NS * 4 * moved


def rows(count: int, seed: int = 0, noise: float = 0.0) -> list[dict[str, float | str]]:
    """Return layers of eight networks, a quarter of them poolings, with latencies by `law`."""
    rng = np.random.default_rng(seed)
    made: list[dict[str, float | str]] = []
    for index in range(count):
        elements = float(np.round(10 ** rng.uniform(3, 6)))
        row: dict[str, float | str] = {
            "network": f"net{index % 8}",
            "layer": f"layer{index}",
            "device": "cpu",
            "variant": "fp32",
            "calls": 1.0,
            "activation_elements": elements,
        }
        if index % 4:
            macs = float(np.round(10 ** rng.uniform(5, 8)))
            kernel = (1, 3, 5)[index % 3]
            row |= {"family": "conv", "shape": f"conv {kernel}", "macs": macs}
            row |= {"weight_elements": float(np.round(10 ** rng.uniform(3, 5)))}
        else:
            row |= {"family": "maxpool", "shape": "maxpool 2", "steps": elements * 4}
        row["latency_ns"] = law(row) * float(np.exp(rng.normal(0, noise)))
        made.append(row)
    return made


def samples(count: int = 160, seed: int = 0, noise: float = 0.0) -> Samples:
    """Return `rows` as samples."""
    return make_samples(rows(count, seed, noise), "made up")
