"""The nine convolutional networks of the onnx wheel, and the same with random weights.

The wheel ships the topologies (opset 9, batch 1, 224 x 224) with constant weights, on which almost
any output passes: eight of the nine answer 1/1000 for every class. `randomize` draws weights as in
He et al., "Delving Deep into Rectifiers", ICCV 2015, and takes the statistics of the batch
normalizations from one forward pass, so that activations keep unit scale and outputs differ.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator, Set
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from heterolith.errors import unknown_name

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

_BATCH_INPUTS = ("scale", "bias", "mean", "variance")
_Values = dict[str, NDArray[np.float32]]
_LOGIT_DEVIATION = 2.0  # keeps the softmax off saturation


def paths() -> dict[str, Path]:
    """Return the model files by short name, e.g. ``alexnet``, ``resnet50``."""
    import onnx

    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    files = sorted(folder.glob("light_*.onnx"))
    return {file.stem.removeprefix("light_").removeprefix("bvlc_"): file for file in files}


def ramp(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the input that the wheel's reference outputs belong to: 0, 1/n, 2/n, ... below 1."""
    count = int(np.prod(shape))
    return (np.arange(count).reshape(shape) / count).astype(np.float32)


def randomize(path: Path, seed: int) -> ModelProto:
    """Return the model of a file with random weights, a ``ModelProto``.

    Parameters
    ----------
    path
        One of `paths`.
    seed
        Of the weights and of the image that calibrates the statistics.
    """
    import onnx

    model = onnx.load(path)
    rng = np.random.default_rng(seed)
    shapes = _constant_shapes(model.graph)
    roles = _roles(model.graph, shapes)
    values = {name: _draw(rng, role, shapes[name]) for name, role in sorted(roles.items())}
    _remove_constants(model, values.keys())
    deviation = _calibrate(model, values, rng)
    last = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")][-1]
    origin = _origins(model.graph, values)
    for name in last.input[1:]:
        values[origin[name]] *= np.float32(_LOGIT_DEVIATION / deviation)
    for name, value in values.items():
        entry = model.graph.initializer.add(name=name, dims=value.shape, data_type=1)
        entry.raw_data = value.tobytes()
    return model


def randomized(names: Collection[str], seed: int) -> Iterator[tuple[str, Path]]:
    """Yield the networks named, all if none is, as files with random weights, one at a time.

    Raises
    ------
    SystemExit
        If a name is none of `paths`; it names near ones.
    """
    import onnx

    known = paths()
    for name in names:
        if name not in known:
            sys.exit(str(unknown_name("network", name, known)))
    with tempfile.TemporaryDirectory() as folder:
        for name in known:
            if not names or name in names:
                file = Path(folder) / f"{name}.onnx"
                onnx.save(randomize(known[name], seed), file)
                yield name, file
                file.unlink()


def _constant_shapes(graph: GraphProto) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all float constants: initializers and results of ConstantOfShape."""
    from onnx import numpy_helper

    stored = {entry.name: entry for entry in graph.initializer}
    shapes = {name: tuple(t.dims) for name, t in stored.items() if t.data_type == 1}
    for node in graph.node:
        if node.op_type == "ConstantOfShape":
            shape = numpy_helper.to_array(stored[node.input[0]])
            shapes[node.output[0]] = tuple(int(length) for length in shape)
    return shapes


def _origins(graph: GraphProto, constants: Iterable[str]) -> dict[str, str]:
    """Return the constant behind each tensor that is one, reshaped or not."""
    origin = {name: name for name in constants}
    for node in graph.node:
        if node.op_type in ("Unsqueeze", "Reshape") and node.input[0] in origin:
            origin[node.output[0]] = origin[node.input[0]]
    return origin


def _roles(graph: GraphProto, shapes: dict[str, tuple[int, ...]]) -> dict[str, str]:
    """Return what each constant that is read is: weight, bias, scale, mean or variance."""
    roles: dict[str, str] = {}
    origin = _origins(graph, shapes)
    for node in graph.node:
        if node.op_type in ("Unsqueeze", "Reshape"):
            continue
        for at, name in enumerate(node.input):
            if name not in origin:
                continue
            if node.op_type == "BatchNormalization":
                roles[origin[name]] = _BATCH_INPUTS[at - 1]
            elif node.op_type in ("Mul", "Add"):
                roles[origin[name]] = "scale" if node.op_type == "Mul" else "bias"
            else:
                roles[origin[name]] = "weight" if at == 1 else "bias"
    return roles


def _draw(rng: np.random.Generator, role: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if role == "weight":  # (M, C / group, kernel) of a Conv, (M, K) of a Gemm with transB
        spread = np.float32(np.sqrt(2 / np.prod(shape[1:])))
        return rng.standard_normal(shape, np.float32) * spread
    if role == "scale":
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    if role == "variance":
        return np.ones(shape, np.float32)
    if role == "mean":
        return np.zeros(shape, np.float32)
    return rng.standard_normal(shape, np.float32) * np.float32(0.1)


def _remove_constants(model: ModelProto, names: Set[str]) -> None:
    """Remove named constants, the ConstantOfShape nodes, and what nobody reads then."""
    graph = model.graph
    nodes = [node for node in graph.node if node.op_type != "ConstantOfShape"]
    read = {name for node in nodes for name in node.input}
    stored = {entry.name for entry in graph.initializer}
    others = [entry for entry in graph.initializer if entry.name in read - names]
    inputs = [entry for entry in graph.input if entry.name not in stored]
    for field, entries in (("node", nodes), ("initializer", others), ("input", inputs)):
        kept = [type(entry).FromString(entry.SerializeToString()) for entry in entries]
        graph.ClearField(field)
        getattr(graph, field).extend(kept)
    model.ir_version = 4  # the first in which initializers need not be inputs


def _calibrate(model: ModelProto, values: _Values, rng: np.random.Generator) -> float:
    """Set means and variances to those of a random image; return the deviation of the scores.

    One pass suffices: each normalization becomes arithmetic on the statistics of its own input. The
    values are fed as inputs, which spares a copy of them.
    """
    import onnxruntime
    from onnx import ModelProto, TensorProto, helper

    probe = ModelProto()
    probe.CopyFrom(model)
    graph = probe.graph
    fed = dict(values)
    nodes: list[NodeProto] = []
    wanted: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type == "BatchNormalization":
            steps, constants = _normalize(node, values)
            nodes += steps
            fed |= constants
            wanted[node.input[3]] = f"{node.output[0]}:mean"
            wanted[node.input[4]] = f"{node.output[0]}:variance"
        else:
            nodes.append(node)
    scores = [node.output[0] for node in nodes if node.op_type in ("Conv", "Gemm")][-1]
    results = [*wanted.values(), scores]
    graph.ClearField("node")
    graph.node.extend(nodes)
    read = {name for node in nodes for name in node.input}
    fed = {name: value for name, value in fed.items() if name in read}
    describe = helper.make_tensor_value_info
    graph.input.extend(describe(name, TensorProto.FLOAT, fed[name].shape) for name in fed)
    graph.ClearField("output")
    graph.output.extend(describe(name, TensorProto.FLOAT, None) for name in results)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(probe.SerializeToString(), options)
    image = session.get_inputs()[0]
    feeds = fed | {image.name: rng.standard_normal(image.shape, np.float32)}
    *statistics, logits = session.run(results, feeds)
    values |= {name: value.reshape(-1) for name, value in zip(wanted, statistics, strict=True)}
    return float(logits.std())


def _normalize(node: NodeProto, values: _Values) -> tuple[list[NodeProto], _Values]:
    """Return nodes that normalize by the input's own statistics, and their constants by name."""
    from onnx import helper

    source, gamma, beta, _, _ = node.input
    at = f"{node.output[0]}:"
    epsilon = next((entry.f for entry in node.attribute if entry.name == "epsilon"), 1e-5)
    constants = {
        at + "epsilon": np.array(epsilon, np.float32),
        at + "gamma": values[gamma][:, None, None],
        at + "beta": values[beta][:, None, None],
    }
    steps = [
        ("ReduceMean", [source], at + "mean"),
        ("Sub", [source, at + "mean"], at + "centred"),
        ("Mul", [at + "centred", at + "centred"], at + "square"),
        ("ReduceMean", [at + "square"], at + "variance"),
        ("Add", [at + "variance", at + "epsilon"], at + "spread"),
        ("Sqrt", [at + "spread"], at + "deviation"),
        ("Div", [at + "centred", at + "deviation"], at + "unit"),
        ("Mul", [at + "unit", at + "gamma"], at + "scaled"),
        ("Add", [at + "scaled", at + "beta"], node.output[0]),
    ]
    nodes = [helper.make_node(op, inputs, [output]) for op, inputs, output in steps]
    for mean in (nodes[0], nodes[3]):
        mean.attribute.append(helper.make_attribute("axes", [0, 2, 3]))
    return nodes, constants


def main() -> None:
    """Write one network with random weights."""
    import argparse

    import onnx

    parser = argparse.ArgumentParser(
        description="Write a network of the onnx wheel with seeded random weights. "
        "Run: python benchmarks/networks.py NAME OUT.onnx"
    )
    parser.add_argument("name", choices=paths(), help="which network")
    parser.add_argument("out", type=Path, help="file to write")
    parser.add_argument("--seed", type=int, default=0, help="of the weights")
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(randomize(paths()[arguments.name], arguments.seed), arguments.out)


if __name__ == "__main__":
    main()
