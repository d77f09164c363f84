"""Accuracy of a trained network when any of its layers run in int8 on the CPU.

Run: python benchmarks/int8_accuracy.py --data FOLDER [--json]. 50 subsets of the layers that have
an int8 form are drawn by a seed; within a subset neighbours hand codes over, elsewhere tensors
change format. Wanted: no subset changes top-1 accuracy by more than 0.4 points (what Kang et al.,
RTSS 2021, report). Measured on test images of CIFAR-10 with the networks of examples/cifar10.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from heterolith.metrics import accuracy
from heterolith.metrics.answers import Subject, ask, chunks
from heterolith.metrics.images import load_images
from heterolith.sw import load_onnx
from heterolith.sw.variants import exits, parse_variant, why_not

MODELS = Path(__file__).parents[1] / "examples" / "cifar10"
WANTED_POINTS = 0.4
CALIBRATION_IMAGES = 200


def subsets(names: list[str], count: int, seed: int) -> list[list[str]]:
    """Return subsets of every size, first all layers, drawn by a seed."""
    rng = np.random.default_rng(seed)
    drawn = [names]
    while len(drawn) < count:
        size = int(rng.integers(1, len(names)))
        drawn.append(sorted(rng.choice(names, size, replace=False), key=names.index))
    return drawn


def main() -> None:
    """Measure, print, and exit 1 if a subset is beyond the bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of CIFAR-10")
    parser.add_argument("--network", default="resnet8", help="of examples/cifar10")
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--subsets", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    network = load_onnx(MODELS / f"{asked.network}.onnx")
    test = load_images(asked.data, "test").first(asked.images)
    train = load_images(asked.data, "train").first(CALIBRATION_IMAGES)
    subject = Subject(
        network=network,
        exits=exits(network),
        images=test.inputs(),
        labels=test.labels,
        calibration=train.inputs(),
    )
    int8 = parse_variant("int8")
    names = [layer.name for layer in network.layers if not why_not(network, layer, int8)]
    candidates = [accuracy.Candidate(name="float", kind="float")] + [
        accuracy.Candidate(name=f"subset {number}", kind="mix", variants=dict.fromkeys(part, int8))
        for number, part in enumerate(subsets(names, asked.subsets, asked.seed))
    ]
    wanted = range(len(chunks(len(test))))
    answers = {}
    for chunk, answer in ask(subject, accuracy.question(candidates), wanted, asked.threads):
        answers[chunk] = answer
        if sys.stderr.isatty():
            print(f"\r{len(answers)} of {len(wanted)}", end="", file=sys.stderr)
    parts = [answers[chunk] for chunk in wanted]
    found = accuracy.measured(candidates, parts, len(test), len(subject.exits))
    rows = [
        {
            "layers": sorted(each.candidate.variants, key=names.index),
            "accuracy": each.accuracy[-1],
            "change_points": round(-100 * each.loss, 4),
            "error_points": round(100 * each.loss_error, 4),
        }
        for each in found[1:]
    ]
    worst = max(abs(float(row["change_points"])) for row in rows)
    report = {
        "network": network.name,
        "fingerprint": network.fingerprint(),
        "data": test.name,
        "images": len(test),
        "seed": asked.seed,
        "source": "measured",
        "float_accuracy": found[0].accuracy[-1],
        "largest_change_points": worst,
        "wanted_points": WANTED_POINTS,
        "holds": worst <= WANTED_POINTS,
        "subsets": rows,
    }
    if asked.json:
        print(json.dumps(report, indent=1))
    else:
        print(f"{network.name}: float32 {100 * found[0].accuracy[-1]:.2f} % on {test.name}")
        print(f"{len(rows)} subsets in int8: largest change {worst:.2f} points, wanted at most 0.4")
    sys.exit(0 if worst <= WANTED_POINTS else 1)


if __name__ == "__main__":
    main()
