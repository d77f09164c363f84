"""Every layer of the nine networks that the accelerator takes, on its devices.

`make soak` sets HETEROLITH_SOAK=1, which adds the RTL (minutes).
"""

import os
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from heterolith import hw
from heterolith.sw import execute, load_onnx, quantize
from heterolith.sw.kernels import device_kernel, golden_kernel
from heterolith.sw.offload import VIEWS, shape_of, support

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from networks import paths, randomize

CONFIG = hw.config("ultra96")
DEVICES = ("functional", "rtl") if os.environ.get("HETEROLITH_SOAK") else ("functional",)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", tuple(paths()))
def test_layers_equal_the_golden_model(name: str, device: str, tmp_path: Path) -> None:
    """Each distinct layer with random weights gives the golden model's codes, bit for bit."""
    machine = hw.FunctionalDevice(CONFIG) if device == "functional" else hw.VerilatedDevice(CONFIG)
    path = tmp_path / f"{name}.onnx"
    onnx.save(randomize(paths()[name], 0), path)
    network = load_onnx(path)
    path.unlink()
    (source,) = network.inputs
    shape = network.tensors[source].shape
    inputs = {source: np.random.default_rng(0).standard_normal(shape).astype(np.float32)}
    values = execute(network, inputs, keep=True, threads=2)
    quantized = quantize(network, [inputs])
    seen = set()
    for layer in network.layers:
        if support(network, layer) or layer.op in VIEWS or layer.op == "Concat":
            continue
        kind = (shape_of(network, layer), layer.op, bool(layer.residual), layer.activation)
        if kind in seen:
            continue
        seen.add(kind)
        codes = {x: quantized.encode(x, values[x]) for x in network.activations(layer)}
        expected = golden_kernel(quantized, layer)(codes)
        found = device_kernel(quantized, layer, CONFIG, machine)(codes)
        np.testing.assert_array_equal(found.ravel(), expected.ravel(), err_msg=layer.name)
    assert len(seen) >= 9
