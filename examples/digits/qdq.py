"""One quantization, four engines: held-out accuracy of digits.onnx in int8.

Run: python examples/digits/qdq.py [--json] [--model digits_qdq.onnx]. The scales and weights of
`heterolith.sw.quantize` are written as an ONNX model of QuantizeLinear and DequantizeLinear, which
ONNX Runtime runs with its optimizations (integer kernels) and without (float32 between the codes),
and this project's CPU operators run too. Beside them stands the accelerator's golden model, which
has the same scales and weights but rescales by 16-bit fixed point. Compared are accuracies and the
number of images whose top-1 differs from the golden model's. Measured on this machine.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime
from data import split
from onnx import TensorProto, helper, numpy_helper

from heterolith import api, sw
from heterolith.hw.fixed import WEIGHT_LIMIT
from heterolith.sw import Array, Network
from heterolith.sw.fast import CompiledNetwork, Options
from heterolith.sw.quantize import QuantizedNetwork, TensorScale

FOLDER = Path(__file__).parent
PLATFORM = "ultra96-v2"
CALIBRATION_IMAGES = 100
FLOAT = ("Softmax",)
"""Operators that stay in float32, as in the plan that puts all else on the FPGA."""


class _Writer:
    """Nodes and constants of the model under construction."""

    def __init__(self, quantized: QuantizedNetwork) -> None:
        self.quantized, self.network = quantized, quantized.network
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: Array) -> str:
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def node(self, op: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def codes(self, tensor: str, source: str, target: str) -> str:
        """Bring float32 values to the codes of a tensor and back."""
        entry: TensorScale = self.quantized.scale_of(tensor)
        scale = self.constant(f"{target}:scale", np.array(entry.scale, np.float32))
        zero = self.constant(f"{target}:zero", np.array(entry.zero_point, np.int8))
        coded = self.node("QuantizeLinear", [source, scale, zero], f"{target}:codes")
        return self.node("DequantizeLinear", [coded, scale, zero], target)

    def weights(self, name: str) -> str:
        """Write weights as int8 codes, symmetric per output channel (axis 0)."""
        values = self.network.constants[name]
        largest = np.abs(values).reshape(len(values), -1).max(1)
        scales = (np.where(largest > 0, largest, WEIGHT_LIMIT) / WEIGHT_LIMIT).astype(np.float32)
        shape = (-1, *(1,) * (values.ndim - 1))
        codes = np.rint(values / scales.reshape(shape)).astype(np.int8)
        inputs = [
            self.constant(f"{name}:codes", codes),
            self.constant(f"{name}:scales", scales),
            self.constant(f"{name}:zeros", np.zeros(len(scales), np.int8)),
        ]
        return self.node("DequantizeLinear", inputs, f"{name}:float", axis=0)

    def bias(self, name: str, source: str, weights: str) -> str:
        """Write a bias as int32 codes at the scale of the sums, as ONNX Runtime wants it."""
        scales = next(numpy_helper.to_array(x) for x in self.constants if x.name == weights)
        scale = (scales.astype(np.float64) * self.quantized.scale_of(source).scale).astype(
            np.float32
        )
        codes = np.rint(self.network.constants[name] / scale.astype(np.float64)).astype(np.int32)
        inputs = [
            self.constant(f"{name}:codes", codes),
            self.constant(f"{name}:scales", scale),
            self.constant(f"{name}:zeros", np.zeros(len(scale), np.int32)),
        ]
        return self.node("DequantizeLinear", inputs, f"{name}:float", axis=0)


def qdq_model(quantized: QuantizedNetwork) -> onnx.ModelProto:
    """Return a quantized chain as an ONNX model of operators between codes.

    Parameters
    ----------
    quantized
        A network of Conv, Gemm with ``transB``, MaxPool, views and Softmax.
    """
    network, writer = quantized.network, _Writer(quantized)
    (image,) = network.inputs
    names = {image: writer.codes(image, image, f"{image}:float")}
    for layer in network.layers:
        (result,) = layer.outputs
        inputs = [names.get(name, name) for name in layer.inputs]
        attributes = {k: v for k, v in layer.attributes.items() if v is not None and k != "flatten"}
        if layer.op in ("Conv", "Gemm"):
            inputs[1] = writer.weights(layer.inputs[1])
            scales = f"{layer.inputs[1]}:scales"
            inputs[2:] = [writer.bias(x, layer.inputs[0], scales) for x in layer.inputs[2:]]
        else:
            for name in layer.inputs[1:]:
                writer.constant(name, network.constants[name])
        steps = [(layer.op, inputs, attributes)]
        if layer.activation is not None:
            steps.append(("Relu", [], {}))
        stages = [*(f"{result}:{at}" for at in range(len(steps) - 1)), f"{result}:last"]
        here = ""
        for (op, given, more), stage in zip(steps, stages, strict=True):
            here = writer.node(op, given or [here], stage, **more)
        coded = layer.op not in FLOAT
        names[result] = writer.codes(result, here, f"{result}:float") if coded else here
    (output,) = network.outputs
    kinds = [(image, network.tensors[image].shape), (names[output], network.tensors[output].shape)]
    given, made = (helper.make_tensor_value_info(x, TensorProto.FLOAT, s) for x, s in kinds)
    graph = helper.make_graph(writer.nodes, "digits_qdq", [given], [made], writer.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def _runtime(path: Path, optimized: bool) -> Callable[[Array], Array]:
    options = onnxruntime.SessionOptions()
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda image: session.run(None, {name: image})[0]


def _ours(network: Network) -> Callable[[Array], Array]:
    compiled = CompiledNetwork(network, Options(threads=1, tune_s=0.0))
    (name,), (output,) = network.inputs, network.outputs
    return lambda image: compiled.run({name: image})[output]


def _golden(network: Network, samples: list[dict[str, Array]]) -> Callable[[Array], Array]:
    (name,), (output,) = network.inputs, network.outputs
    plan = api.plan(network, PLATFORM, objective="latency", pins={"softmax": "cpu", "*": "fpga"})
    runner = api.Runner(plan, network, calibration=samples, threads=1)
    return lambda image: runner.run({name: image})[0][output]


def compare(model: Path) -> dict[str, object]:
    """Return accuracy and differing images of every engine."""
    train_x, _, held_x, held_y = split()
    network = api.load(FOLDER / "digits.onnx")
    samples = [{network.inputs[0]: image[None]} for image in train_x[:CALIBRATION_IMAGES]]
    onnx.save(qdq_model(sw.quantize(network, samples)), model)
    engines = {
        "golden model of the accelerator": _golden(network, samples),
        "onnxruntime, optimized": _runtime(model, optimized=True),
        "onnxruntime, not optimized": _runtime(model, optimized=False),
        "numpy operators on the same file": _ours(api.load(model)),
    }
    found = {
        name: np.concatenate([run(image[None]) for image in held_x])
        for name, run in engines.items()
    }
    first = next(iter(found.values()))
    return {
        "images": len(held_y),
        "onnxruntime": onnxruntime.__version__,
        "engines": {
            name: {
                "accuracy": float(np.mean(values.argmax(1) == held_y)),
                "top1_differs": int(np.sum(values.argmax(1) != first.argmax(1))),
                "largest_difference": float(np.abs(values - first).max()),
            }
            for name, values in found.items()
        },
    }


def main() -> None:
    """Print accuracies and differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--model", type=Path, help="where to keep the model")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        report = compare(arguments.model or Path(folder) / "digits_qdq.onnx")
    if arguments.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{report['images']} images, onnxruntime {report['onnxruntime']}")
    for name, row in report["engines"].items():  # type: ignore[attr-defined]
        print(f"{name:34} {row['accuracy']:.2%}  top-1 differs on {row['top1_differs']}")


if __name__ == "__main__":
    main()
