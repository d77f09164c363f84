"""Measure the CIFAR-10 networks of this folder and record their traces.

    python examples/cifar10/evaluate.py --data FOLDER --network resnet8
    python examples/cifar10/evaluate.py --data FOLDER --network exits

Writes NETWORK.trace.npz (every mix of degrees of three blocks) and NETWORK.accuracy.json (float32,
each variant everywhere, in each layer alone, and random mixes). Answers are kept in FILE.partial as
they come; --resume goes on there.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

from heterolith.cli import main as heterolith

FOLDER = Path(__file__).parent
DEGREES = "int8,lowrank:0.5,lowrank:0.25"
"""Of the trace's blocks."""
VARIANTS = f"{DEGREES},fp16,int8+lowrank:0.5"
"""Of the table's layers."""
KEEP = "stem,exit*"
"""Layers that keep full rank: three input channels, ten classes; there is little to save."""
BLOCKS = {"resnet8": "stem,stage1*;stage2*;stage3*,exit1*", "exits": ""}


def command(*arguments: str) -> dict[str, Any]:
    """Run ``heterolith accuracy --json`` and return what it prints."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        code = heterolith(["accuracy", *arguments, "--json"])
    if code:
        raise SystemExit(code)
    report: dict[str, Any] = json.loads(text.getvalue())
    return report


def measure(asked: argparse.Namespace, kind: str, file: Path) -> dict[str, Any]:
    """Write the trace or the table, on from where an earlier run ended; return the report."""
    arguments = [str(FOLDER / f"{asked.network}.onnx"), "--data", asked.data, "--keep", KEEP]
    arguments += ["--threads", asked.threads, "--images", asked.images]
    if kind == "trace":
        arguments += ["--variants", DEGREES, "--blocks", BLOCKS[asked.network]]
        arguments += ["--record", str(file)]
    else:
        arguments += ["--variants", VARIANTS, "--mixes", "8", "--out", str(file)]
    if asked.resume and file.with_name(f"{file.name}.partial").exists():
        arguments.append("--resume")
    return command(*arguments)


def main(arguments: list[str]) -> int:
    """Measure and record one network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of CIFAR-10")
    parser.add_argument("--network", choices=sorted(BLOCKS), default="resnet8")
    parser.add_argument("--images", default="0", help="first test images, 0 for all")
    parser.add_argument("--threads", default="2", help="processes")
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--only", choices=("trace", "table"), help="one of the two files")
    parser.add_argument("--resume", action="store_true")
    asked = parser.parse_args(arguments)
    if asked.only != "table":
        report = measure(asked, "trace", asked.out / f"{asked.network}.trace.npz")
        print(json.dumps(report, indent=1), flush=True)
    if asked.only != "trace":
        table = measure(asked, "table", asked.out / f"{asked.network}.accuracy.json")
        for row in table["rows"]:
            print(f"{row['name']:40} {row['accuracy'][-1]:.4f} loss {row['loss']:+.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
