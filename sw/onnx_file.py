"""Reads an ONNX file without holding its weights twice.

What is parsed is the model without its large tensors (`heterolith.sw.onnx_wire`); each of those is
read from its place in the file when a layer asks for it. Invariant: damage of any kind ends in an
`InputError`, never in an exception of protobuf.

Source: ONNX docs/ExternalData.md.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from heterolith.errors import InputError
from heterolith.sw.network import Array
from heterolith.sw.onnx_types import numpy_dtype
from heterolith.sw.onnx_wire import BULK_BYTES, Buffer, cut

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, TensorProto


@dataclass(frozen=True, slots=True)
class Initializer:
    """A stored tensor: ONNX data type, shape, and how to get its value."""

    data_type: int
    shape: tuple[int, ...]
    read: Callable[[], Array]


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """A ``ModelProto`` whose large initializers are graph inputs, and all initializers by name."""

    proto: ModelProto
    initializers: dict[str, Initializer]


def read_file(path: Path) -> OnnxModel:
    """Read a model file.

    Raises
    ------
    InputError
        If the file is missing, no file, not ONNX, truncated, or lacks its external data.
    """
    import onnx

    if path.is_dir():
        raise InputError(f"{path} is a directory; give the path of an ONNX file in it")
    try:
        with path.open("rb") as file:
            if not path.stat().st_size:
                raise InputError(f"{path} is empty; export or copy the model again")
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give the path of an ONNX file") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    try:
        rest, places = cut(data)
        proto = onnx.ModelProto.FromString(rest)
    except Exception as error:  # protobuf's DecodeError has several homes
        raise InputError(_describe_damage(path, data, error)) from None
    finally:
        data.close()
    if not proto.graph.node and not proto.graph.output:
        raise InputError(f"{path} holds no ONNX graph; export the model again")
    _check_text(proto.graph, path)
    initializers = {}
    for at, tensor in enumerate(proto.graph.initializer):
        initializers[tensor.name] = _initializer(tensor, path, places.get(at))
    bulky = {proto.graph.initializer[at].name for at in places}
    return OnnxModel(_lighten(proto, bulky), initializers)


def split_model(model: ModelProto) -> OnnxModel:
    """Return the same for a ``ModelProto`` in memory, which is left unchanged.

    Raises
    ------
    InputError
        If a tensor lies in an external file.
    """
    import onnx

    graph = model.graph
    initializers = {tensor.name: _initializer(tensor, None, None) for tensor in graph.initializer}
    bulky = {tensor.name for tensor in graph.initializer if tensor.ByteSize() > BULK_BYTES}
    light = onnx.ModelProto(ir_version=model.ir_version)
    light.opset_import.extend(model.opset_import)
    light.functions.extend(model.functions)
    light.graph.name = graph.name
    for field in ("node", "input", "output", "sparse_initializer"):
        getattr(light.graph, field).extend(getattr(graph, field))
    for tensor in graph.initializer:
        if tensor.name not in bulky:
            light.graph.initializer.append(tensor)
        else:
            light.graph.initializer.add(
                name=tensor.name, dims=tensor.dims, data_type=tensor.data_type
            )
    return OnnxModel(_lighten(light, bulky), initializers)


def _lighten(proto: ModelProto, bulky: set[str]) -> ModelProto:
    """Turn bulky initializers into typed graph inputs, which checker and inference take as well."""
    from onnx.helper import make_tensor_value_info

    graph = proto.graph
    declared = {entry.name for entry in graph.input}
    kept = []
    for tensor in graph.initializer:
        if tensor.name not in bulky and not tensor.external_data:
            kept.append(tensor)
        elif tensor.name not in declared:
            graph.input.append(
                make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            )
    kept = [type(tensor).FromString(tensor.SerializeToString()) for tensor in kept]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return proto


def _check_text(graph: GraphProto, path: Path) -> None:
    """Refuse names that are no text, which protobuf hands over as bytes."""
    names: list[object] = []
    for node in graph.node:
        names += [node.op_type, node.domain, node.name, *node.input, *node.output]
        names += [attribute.name for attribute in node.attribute]
    names += [entry.name for entry in (*graph.initializer, *graph.input, *graph.output)]
    for name in names:
        if not isinstance(name, str) or not (name.isprintable() or not name):
            raise InputError(
                f"{path} holds {name!r} as a name, which is no text; export or copy the model again"
            )


def _initializer(
    tensor: TensorProto, path: Path | None, place: tuple[int, int] | None
) -> Initializer:
    shape = tuple(tensor.dims)
    if tensor.data_location == tensor.EXTERNAL:
        path, place = _external(tensor, path)
    if place is None:
        return Initializer(tensor.data_type, shape, partial(_parsed, tensor))
    assert path is not None
    read = partial(_read, path, place, (tensor.name, tensor.data_type, shape))
    return Initializer(tensor.data_type, shape, read)


def _parsed(tensor: TensorProto) -> Array:
    from onnx import numpy_helper

    try:
        value: Array = numpy_helper.to_array(tensor)
    except Exception as error:  # onnx raises ValueError, TypeError or its own, by data type
        raise InputError(
            f"tensor {tensor.name!r} of shape {tuple(tensor.dims)} cannot be read: {error}"
        ) from None
    return value


def _read(path: Path, place: tuple[int, int], what: tuple[str, int, tuple[int, ...]]) -> Array:
    """Read elements stored verbatim at (offset, length) of a file."""
    name, data_type, shape = what
    offset, length = place
    dtype = np.dtype(numpy_dtype(data_type, f"tensor {name!r}"))
    wanted = math.prod(shape) * dtype.itemsize
    if length != wanted:
        raise InputError(
            f"tensor {name!r} holds {length} bytes in {path.name}, "
            f"its shape {shape} of {dtype.name} needs {wanted}; export the model again"
        )
    flat = np.fromfile(path, dtype.newbyteorder("<"), math.prod(shape), offset=offset)
    if flat.size != math.prod(shape):
        raise InputError(f"{path} ends inside tensor {name!r}; copy the file again")
    return flat.astype(dtype, copy=False).reshape(shape)


def _external(tensor: TensorProto, path: Path | None) -> tuple[Path, tuple[int, int]]:
    """Return file and place of a tensor with external data."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if path is None:
        raise InputError(f"tensor {tensor.name!r} lies in the file {location!r}; load by path")
    folder = path.parent.resolve()
    file = (folder / location).resolve()
    if folder not in file.parents:
        raise InputError(
            f"tensor {tensor.name!r} names external data {location!r} outside of {folder}; "
            "put it beside the model and save with a relative location"
        )
    if not file.is_file():
        raise InputError(
            f"external data {location!r} of tensor {tensor.name!r} is missing; "
            f"put it beside {path.name} in {folder}"
        )
    try:
        offset = int(entries.get("offset", 0))
        length = int(entries.get("length", file.stat().st_size - offset))
    except ValueError:
        raise InputError(f"tensor {tensor.name!r} has a damaged external-data entry") from None
    return file, (offset, length)


def _describe_damage(path: Path, data: Buffer, error: Exception) -> str:
    head = data[:120]
    if head.startswith(b"version https://git-lfs"):
        return f"{path} is a git-lfs pointer, not the model; fetch it with: git lfs pull"
    text = head.decode("utf-8", "replace")
    if all(letter.isprintable() or letter in "\r\n\t" for letter in text):
        first = text.splitlines()[0][:40] if text.splitlines() else ""
        return f"{path} is a text file (it starts with {first!r}), not an ONNX model"
    detail = " ".join(str(error).split())
    return (
        f"{path} ({len(data)} bytes) is truncated or not ONNX: {detail}; "
        "export or copy the model again"
    )
