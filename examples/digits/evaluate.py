"""Held-out accuracy of digits.onnx: float32 ONNX Runtime beside int8 FPGA + GPU + CPU.

Run: python examples/digits/evaluate.py [--json]. The plan puts the convolutions and poolings on the
FPGA in int8, the first linear layer on the GPU and the rest on the CPU, both in float32. A second
plan puts every layer that the accelerator takes on the FPGA.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import onnxruntime
from data import split

from heterolith import api

MODEL = Path(__file__).with_name("digits.onnx")
PLATFORM = "ultra96-v2+jetson-tx2"
CALIBRATION_IMAGES = 100
PINS = {
    "mixed": {"conv*": "fpga", "maxpool*": "fpga", "linear9": "gpu", "*": "cpu"},
    "all that fits on fpga": {"softmax": "cpu", "*": "fpga"},
}


def predict(pins: dict[str, str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the predicted digit of every held-out image and the devices that were used."""
    train_x, _, held_x, _ = split()
    network = api.load(MODEL)
    (name,), (output,) = network.inputs, network.outputs
    plan = api.plan(network, PLATFORM, objective="latency", pins=pins)
    samples = [{name: image[None]} for image in train_x[:CALIBRATION_IMAGES]]
    with api.Runner(plan, network, calibration=samples, threads=1) as runner:
        results = [runner.run({name: image[None]})[0][output] for image in held_x]
    return np.concatenate(results).argmax(1), api.devices_used(plan)


def main() -> None:
    """Print accuracies, how often the predictions agree, and the devices."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    _, _, held_x, held_y = split()
    session = onnxruntime.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"])
    reference = np.concatenate(
        [session.run(None, {session.get_inputs()[0].name: image[None]})[0] for image in held_x]
    ).argmax(1)
    report: dict[str, object] = {
        "images": len(held_y),
        "float32_accuracy": float(np.mean(reference == held_y)),
    }
    for title, pins in PINS.items():
        predicted, devices = predict(pins)
        report[title] = {
            "accuracy": float(np.mean(predicted == held_y)),
            "top1_equal": float(np.mean(predicted == reference)),
            "devices": devices,
        }
    print(json.dumps(report, indent=2) if arguments.json else report)


if __name__ == "__main__":
    main()
