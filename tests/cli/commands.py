"""Commands run in this process, and samples for them, shared by the tests of the command line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from heterolith.cli import main


def call(*arguments: object) -> int:
    """Run one command in this process."""
    return main([str(argument) for argument in arguments])


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was refused; it is one line and no traceback."""
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1, captured.err
    assert "Traceback" not in captured.err
    return captured.err


def write_samples(path: Path, count: int = 120, seed: int = 0) -> Path:
    """Write layers of six networks that obey one law with 3 % noise."""
    rng = np.random.default_rng(seed)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            [
                "network",
                "layer",
                "family",
                "shape",
                "device",
                "variant",
                "calls",
                "macs",
                "activation_elements",
                "latency_ns",
            ]
        )
        for index in range(count):
            macs, elements = (float(round(10 ** rng.uniform(4, 7))) for _ in range(2))
            latency = (1000 + 0.1 * macs + 0.3 * elements) * np.exp(rng.normal(0, 0.03))
            kernel = 1 + 2 * (index % 2)
            writer.writerow(
                [f"net{index % 6}", f"l{seed}-{index}", "conv", f"conv {kernel}", "cpu", "fp32", 1,
                 macs, elements, latency]
            )  # fmt: skip
    return path
