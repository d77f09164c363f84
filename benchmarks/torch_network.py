"""A network as PyTorch calls, for timing alone: the operators of the nine networks in float32.

Used by benchmarks/cpu_workers.py; PyTorch is no dependency of the project. Run: python
benchmarks/torch_network.py MODEL.onnx prints the time of one inference.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from heterolith.sw import Array, Layer, Network

if TYPE_CHECKING:
    from torch import Tensor


def _pair(layer: Layer, key: str, default: int) -> tuple[int, ...]:
    return tuple(layer.attributes.get(key) or (default, default))


@cache
def _taps(
    size: tuple[int, ...],
    edges: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    ceil: bool,
) -> Tensor:
    """Return how many elements of a map, not of its padding, each window holds."""
    import torch

    ones = torch.nn.functional.pad(torch.ones(1, 1, *size), edges)
    pool = torch.nn.functional.avg_pool2d
    return pool(ones, kernel, stride, 0, ceil, divisor_override=1)


def _pool(functional: ModuleType, layer: Layer, x: Tensor) -> Tensor:
    kernel, stride = _pair(layer, "kernel_shape", 1), _pair(layer, "strides", 1)
    top, left, bottom, right = layer.attributes.get("pads") or (0, 0, 0, 0)
    ceil = bool(layer.attributes.get("ceil_mode", 0))
    if layer.op == "MaxPool":
        if (top, left) != (bottom, right):
            x = functional.pad(x, (left, right, top, bottom), value=-np.inf)
            top = left = 0
        return functional.max_pool2d(x, kernel, stride, (top, left), ceil_mode=ceil)
    counted = bool(layer.attributes.get("count_include_pad", 0))
    if (top, left) != (bottom, right):
        edges = (left, right, top, bottom)
        taps = kernel[0] * kernel[1] if counted else _taps(x.shape[2:], edges, kernel, stride, ceil)
        x = functional.pad(x, edges)
        return functional.avg_pool2d(x, kernel, stride, 0, ceil, divisor_override=1) / taps
    return functional.avg_pool2d(x, kernel, stride, (top, left), ceil, counted)


def _apply(
    torch: ModuleType, layer: Layer, values: dict[str, Tensor], out: tuple[int, ...]
) -> Tensor:
    functional = torch.nn.functional
    inputs = [values[name] if name else None for name in layer.inputs]
    x, at = inputs[0], layer.attributes
    if layer.op == "Conv":
        top, left, bottom, right = at.get("pads") or (0, 0, 0, 0)
        if (top, left) != (bottom, right):
            x, top, left = functional.pad(x, (left, right, top, bottom)), 0, 0
        bias = inputs[2] if len(inputs) > 2 else None
        stride, dilation = _pair(layer, "strides", 1), _pair(layer, "dilations", 1)
        return functional.conv2d(
            x, inputs[1], bias, stride, (top, left), dilation, at.get("group", 1)
        )
    if layer.op in ("MaxPool", "AveragePool"):
        return _pool(functional, layer, x)
    if layer.op == "GlobalAveragePool":
        return x.mean((2, 3), keepdim=True)
    if layer.op == "Gemm":
        return functional.linear(x, inputs[1] if at.get("transB") else inputs[1].T, inputs[2])
    if layer.op == "LRN":
        return functional.local_response_norm(x, at["size"], at["alpha"], at["beta"], at["bias"])
    simple: dict[str, Callable[[], Any]] = {
        "Relu": lambda: torch.relu(x),
        "Add": lambda: inputs[0] + inputs[1],
        "Concat": lambda: torch.cat(inputs, at["axis"]),
        "Reshape": lambda: x.reshape(out),
        "Transpose": lambda: x.permute(at["perm"]).contiguous(),
        "Softmax": lambda: torch.softmax(x, at.get("axis", -1)),
    }
    return simple[layer.op]()


def torch_runner(network: Network, threads: int) -> Callable[[dict[str, Array]], None] | None:
    """Return what runs a network once in PyTorch, ``None`` if PyTorch is not installed."""
    try:
        import torch
    except ModuleNotFoundError:
        return None
    torch.set_num_threads(threads)
    constants = {name: torch.from_numpy(np.array(v)) for name, v in network.constants.items()}

    def run(inputs: dict[str, Array]) -> None:
        with torch.inference_mode():
            values = {**constants, **{name: torch.from_numpy(v) for name, v in inputs.items()}}
            for layer in network.layers:
                out = network.tensors[layer.outputs[0]].shape
                result = _apply(torch, layer, values, out)
                if layer.residual:
                    result = result + values[layer.residual]
                if layer.activation is not None:
                    result = result.clamp(layer.activation.low, layer.activation.high)
                values[layer.outputs[0]] = result

    return run


def main() -> None:
    """Print the time of one inference."""
    import argparse
    from time import perf_counter

    from heterolith.sw import load_onnx

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="an ONNX file")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch")
    arguments = parser.parse_args()
    network = load_onnx(arguments.model)
    run = torch_runner(network, arguments.threads)
    if run is None:
        raise SystemExit("PyTorch is not installed")
    inputs = {name: np.zeros(network.tensors[name].shape, np.float32) for name in network.inputs}
    run(inputs)
    start = perf_counter()
    run(inputs)
    print(f"{(perf_counter() - start) * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
