"""A prepared model: imported once, imported again where shapes depend on what it is given.

A `heterolith.sw.network.Network` has static shapes. Where a model leaves dimensions open, the
first inputs decide them. Where a shape depends on values, the graph inputs it comes from are bound
(see `heterolith.sw.onnx_import.from_model`); all others stay activations. Every layer is run by a
`heterolith.sw.workers.cpu.CpuWorker`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from heterolith.errors import InputError, MissingExtraError
from heterolith.sw.execute import check_inputs
from heterolith.sw.network import Array, Layer, Network, TensorType
from heterolith.sw.onnx_check import RunTimeShapeError
from heterolith.sw.onnx_import import from_model
from heterolith.sw.workers.cpu import CpuWorker

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TypeProto

Inputs = Mapping[str, ArrayLike] | Sequence[ArrayLike] | Array
_Signature = tuple[object, ...]


def supports_device(device: str) -> bool:
    """Return whether a device can be named to `prepare`: ``CPU``, with or without a number."""
    return device.partition(":")[0].upper() == "CPU"


def prepare(model: ModelProto, device: str = "CPU", *, threads: int = 1) -> Prepared:
    """Import a model, whose types and operators are checked now if its shapes are static.

    Raises
    ------
    InputError
        If the device is none of this backend's, or the model cannot be imported.
    MissingExtraError
        If onnx is not installed.
    """
    if not supports_device(device):
        raise InputError(f"device {device!r} is none of this backend's; use CPU")
    try:
        import onnx  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError("onnx", "verify") from error
    prepared = Prepared(model, threads)
    prepared.import_static()
    return prepared


def run_model(
    model: ModelProto, inputs: Inputs, device: str = "CPU", *, threads: int = 1
) -> tuple[Array, ...]:
    """Prepare a model and run it once; see `Prepared.run`."""
    return prepare(model, device, threads=threads).run(inputs)


def run_node(
    node: NodeProto,
    inputs: Sequence[ArrayLike],
    device: str = "CPU",
    outputs_info: object = None,
    *,
    opset_version: int | None = None,
) -> tuple[Array, ...]:
    """Run one node on arrays in the order of its inputs that are there.

    ``outputs_info`` is not needed: result types are inferred. The operator set is the newest one by
    default.
    """
    del outputs_info
    from onnx import ValueInfoProto, defs, helper

    names = list(dict.fromkeys(name for name in node.input if name))
    arrays = [np.asarray(value) for value in inputs]
    if len(names) != len(arrays):
        raise InputError(f"{node.op_type} reads {len(names)} tensors; {len(arrays)} were given")
    declared = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in zip(names, arrays, strict=True)
    ]
    results = [ValueInfoProto(name=name) for name in node.output if name]
    graph = helper.make_graph([node], "node", declared, results)
    version = helper.make_opsetid("", opset_version or defs.onnx_opset_version())
    return run_model(helper.make_model(graph, opset_imports=[version]), arrays, device)


class Prepared:
    """A model that is ready to run, as ``onnx.backend.base.BackendRep`` is."""

    def __init__(self, model: ModelProto, threads: int = 1) -> None:
        self._model = model
        self._threads = threads
        stored = {tensor.name for tensor in model.graph.initializer}
        self._names = [entry.name for entry in model.graph.input if entry.name not in stored]
        self._binding: tuple[str, ...] = ()
        self._network: Network | None = None
        self._signature: _Signature = ()

    def import_static(self) -> None:
        """Import the model now unless its shapes wait for the inputs.

        Raises
        ------
        InputError
            If the model cannot be imported whatever it is given.
        """
        for entry in self._model.graph.input:
            if entry.type.WhichOneof("value") != "tensor_type":
                raise InputError(f"input {entry.name!r} is no dense tensor; only those can be run")
        if any(_is_open(entry.type.tensor_type) for entry in self._model.graph.input):
            return
        try:
            self._network = self._import({}, {})
        except RunTimeShapeError as error:
            self._bind(error)

    def run(self, inputs: Inputs) -> tuple[Array, ...]:
        """Run the model.

        Parameters
        ----------
        inputs
            Arrays in the order of the graph's inputs that are no initializers, or by name.

        Returns
        -------
        tuple of arrays
            The graph's outputs in order.

        Raises
        ------
        InputError
            If the inputs do not fit the model, or it cannot be imported with them.
        """
        arrays = self._by_name(inputs)
        network = self._network_for(arrays)
        given = {name: array for name, array in arrays.items() if name not in self._binding}
        check_inputs(network, given)
        held = {**network.constants, **given}
        worker = CpuWorker(self._threads)
        try:
            for layer in network.layers:
                worker.load(network, layer)
                results = worker.run(
                    layer, {name: held[name] for name in network.activations(layer)}
                )
                for name, value in zip(layer.outputs, results, strict=True):
                    _check_result(layer, name, value, network.tensors[name])
                    held[name] = value
        finally:
            worker.close()
        return tuple(held[name] for name in network.outputs)

    def _by_name(self, inputs: Inputs) -> dict[str, Array]:
        if isinstance(inputs, Mapping):
            return {name: np.asarray(value) for name, value in inputs.items()}
        entries = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        if len(entries) != len(self._names):
            raise InputError(f"the model has {len(self._names)} inputs, {len(entries)} were given")
        return {name: np.asarray(value) for name, value in zip(self._names, entries, strict=True)}

    def _network_for(self, arrays: Mapping[str, Array]) -> Network:
        while True:
            bound = {name: arrays[name] for name in self._binding if name in arrays}
            shapes = {name: array.shape for name, array in arrays.items() if name not in bound}
            signature = (
                tuple(sorted(shapes.items())),
                tuple((name, value.shape, value.tobytes()) for name, value in bound.items()),
            )
            if self._network is not None and self._signature in ((), signature):
                return self._network
            try:
                self._network = self._import(shapes, bound)
                self._signature = signature
            except RunTimeShapeError as error:
                self._bind(error)

    def _import(self, shapes: Mapping[str, tuple[int, ...]], bound: Mapping[str, Array]) -> Network:
        name = self._model.graph.name or "model"
        return from_model(self._model, name, shapes, values=bound, allow_empty=True)

    def _bind(self, error: RunTimeShapeError) -> None:
        """Bind the inputs that a shape comes from, next time; raise where there is no new one."""
        new = [name for name in self._sources(error.names) if name not in self._binding]
        if not new:
            raise error
        self._binding = (*self._binding, *new)

    def _sources(self, names: Iterable[str]) -> list[str]:
        """Return the graph inputs that tensors depend on."""
        wanted = set(names)
        for node in reversed(self._model.graph.node):
            if wanted.intersection(node.output):
                wanted.update(node.input)
        return [name for name in self._names if name in wanted]


def _check_result(layer: Layer, name: str, value: Array, kind: TensorType) -> None:
    """Refuse a result that is not what the import inferred: one of the two is wrong."""
    if (value.shape, value.dtype.name) != (kind.shape, kind.dtype):
        raise InputError(
            f"layer {layer.name!r} ({layer.op}): result {name!r} is {value.dtype.name} of shape "
            f"{value.shape}; {kind.dtype} of shape {kind.shape} was inferred"
        )


def _is_open(tensor: TypeProto.Tensor) -> bool:
    """Return whether a tensor type leaves a dimension to the inputs."""
    return not tensor.HasField("shape") or any(
        not dim.HasField("dim_value") for dim in tensor.shape.dim
    )
