"""An inception block with random weights, and what a second core of this machine is worth.

Run: python benchmarks/inception_block.py. Prints the scaling of the machine itself;
``cpu_workers.py --block`` times the block beside it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx

from heterolith.sw import Array, Network, load_onnx

SEED = 0


def inception_block() -> tuple[Network, dict[str, Array]]:
    """Return module 3a of GoogLeNet with random weights and its input of 192 x 28 x 28."""
    from onnx import helper, numpy_helper

    rng, nodes, stored = np.random.default_rng(SEED), [], []

    def conv(source: str, out: str, channels: int, kernels: int, size: int) -> str:
        w = rng.standard_normal((kernels, channels, size, size), np.float32)
        w /= np.float32(np.sqrt(w[0].size))
        stored.extend(
            numpy_helper.from_array(v, n) for v, n in [(w, f"{out}w"), (w[:, 0, 0, 0], f"{out}b")]
        )
        pads = [size // 2] * 4
        nodes.append(
            helper.make_node("Conv", [source, f"{out}w", f"{out}b"], [f"{out}c"], pads=pads)
        )
        nodes.append(helper.make_node("Relu", [f"{out}c"], [out]))
        return out

    pool = {"kernel_shape": [3, 3], "pads": [1] * 4, "strides": [1, 1]}
    nodes.append(helper.make_node("MaxPool", ["x"], ["pool"], **pool))
    branches = [
        conv("x", "one", 192, 64, 1),
        conv(conv("x", "reduce3", 192, 96, 1), "three", 96, 128, 3),
        conv(conv("x", "reduce5", 192, 16, 1), "five", 16, 32, 5),
        conv("pool", "project", 192, 32, 1),
    ]
    nodes.append(helper.make_node("Concat", branches, ["y"], axis=1))
    describe = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "block",
        [describe("x", 1, (1, 192, 28, 28))],
        [describe("y", 1, (1, 256, 28, 28))],
        stored,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "block.onnx"
        onnx.save(model, path)
        return load_onnx(path), {"x": rng.standard_normal((1, 192, 28, 28), np.float32)}


_LOOP = """
import sys, time, numpy as np
a = np.ones((256, 256), np.float32); b = a.copy()
sys.stdin.readline()
start = time.perf_counter()
for _ in range(1500):
    np.matmul(a, a, b)
print(time.perf_counter() - start)
"""


def machine_scaling() -> float:
    """Return how much more two processes do than one, each multiplying matrices on one thread."""
    limits = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

    def seconds(count: int) -> float:
        started = [
            subprocess.Popen(
                [sys.executable, "-c", _LOOP],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, **limits},
            )
            for _ in range(count)
        ]
        for process in started:
            process.stdin.write("\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
        return max(float(process.communicate()[0]) for process in started)

    return 2 * min(seconds(1) for _ in range(3)) / min(seconds(2) for _ in range(3))


def main() -> None:
    """Print the scaling."""
    argparse.ArgumentParser(description=" ".join((__doc__ or "").split())).parse_args()
    print(f"two processes do {machine_scaling():.2f} times the work of one")


if __name__ == "__main__":
    main()
