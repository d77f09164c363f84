"""Measure the CIFAR-10 networks of this folder and record their traces.

    python examples/cifar10/evaluate.py --data FOLDER --network resnet8
    python examples/cifar10/evaluate.py --data FOLDER --network exits

Writes NETWORK.accuracy.json (all test images in float32 and with all layers in each variant; each
layer alone and random mixes on the first ones) and NETWORK.trace.npz (every mix of degrees of three
blocks, all test images). An interrupted run goes on with --resume.
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
VARIANTS = "int8,lowrank:0.5,lowrank:0.25"
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


def main(arguments: list[str]) -> int:
    """Measure and record one network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of CIFAR-10")
    parser.add_argument("--network", choices=sorted(BLOCKS), default="resnet8")
    parser.add_argument("--images", default="0", help="images of the trace, 0 for all")
    parser.add_argument("--layer-images", default="2000", help="images of the layers' tables")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--only", choices=("trace", "tables"), help="one of the two files")
    parser.add_argument("--resume", action="store_true")
    asked = parser.parse_args(arguments)
    model = str(FOLDER / f"{asked.network}.onnx")
    common = [model, "--data", asked.data, "--threads", asked.threads, "--keep", KEEP]
    common += ["--variants", VARIANTS]
    if asked.only != "tables":
        trace = asked.out / f"{asked.network}.trace.npz"
        partial = trace.with_name(f"{trace.name}.partial")
        more = ["--resume"] if asked.resume and partial.exists() else []
        record = ["--record", str(trace), "--blocks", BLOCKS[asked.network]]
        print(json.dumps(command(*common, *record, "--images", asked.images, *more), indent=1))
    if asked.only != "trace":
        tables = {
            "whole": command(*common, "--images", asked.images, "--mixes", "0", "--only", "all"),
            "layers": command(*common, "--images", asked.layer_images, "--mixes", "8"),
        }
        text = json.dumps(tables, indent=1) + "\n"
        (asked.out / f"{asked.network}.accuracy.json").write_text(text)
        for row in (*tables["whole"]["rows"], *tables["layers"]["rows"]):
            print(f"{row['name']:32} {row['accuracy'][-1]:.4f} loss {row['loss']:+.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
