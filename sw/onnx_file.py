"""Reads an ONNX file without holding its weights twice.

An ONNX file is one protocol-buffer message. Parsing it whole needs the file and the parsed copy in
memory; here the large tensors are cut out of the byte stream first, the small rest is parsed, and each
tensor is read from its place in the file when a layer asks for it. Invariant: damage of any kind ends
in an `InputError`, never in an exception of protobuf.

Source: onnx.proto (field numbers), the protocol-buffer wire format (protobuf.dev/programming-guides/
encoding), ONNX "External Data" in docs/ExternalData.md.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Union

import numpy as np

from heterolith.errors import InputError
from heterolith.sw.network import Array
from heterolith.sw.onnx_types import numpy_dtype

_BULK_BYTES = 4096  # a tensor above this is read when it is needed
_GRAPH, _INITIALIZER, _VALUE_INFO = 7, 5, 13  # ModelProto.graph, GraphProto.*
_DATA_TYPE = 2  # TensorProto.data_type
# TensorProto fields that hold little-endian elements as they are -> the data types they do it for.
_RAW_DATA, _FLOAT_DATA, _DOUBLE_DATA = 9, 4, 10
_VERBATIM = {_FLOAT_DATA: 1, _DOUBLE_DATA: 11}

_Buffer = Union[bytes, mmap.mmap]


@dataclass(frozen=True, slots=True)
class Initializer:
    """A stored tensor: ONNX data type, shape, and how to get its value."""

    data_type: int
    shape: tuple[int, ...]
    read: Callable[[], Array]


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """A ``ModelProto`` whose large initializers are graph inputs, and all initializers by name."""

    proto: Any
    initializers: dict[str, Initializer]


class _DamagedError(Exception):
    """The bytes are not a protocol-buffer message."""


def read_file(path: Path) -> OnnxModel:
    """Read a model file.

    Raises
    ------
    InputError
        If the file is missing, no file, not ONNX, truncated, or lacks its external data.
    """
    import onnx
    from google.protobuf.message import DecodeError

    if path.is_dir():
        raise InputError(f"{path} is a directory; give the path of an ONNX file in it")
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            data: _Buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give the path of an ONNX file") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    try:
        rest, places = _cut(data)
        proto = onnx.ModelProto.FromString(rest)
    except (_DamagedError, DecodeError, ValueError) as error:
        raise InputError(_describe_damage(path, data, error)) from None
    finally:
        if isinstance(data, mmap.mmap):
            data.close()
    if not proto.graph.node and not proto.graph.output:
        raise InputError(f"{path} ({size} bytes) holds no ONNX graph; export the model again")
    initializers = {}
    for at, tensor in enumerate(proto.graph.initializer):
        initializers[tensor.name] = _initializer(tensor, path, places.get(at))
    bulky = {proto.graph.initializer[at].name for at in places}
    return OnnxModel(_lighten(proto, bulky), initializers)


def split_model(model: Any) -> OnnxModel:
    """Return the same for a ``ModelProto`` in memory, which is left unchanged.

    Raises
    ------
    InputError
        If a tensor lies in an external file.
    """
    import onnx

    graph = model.graph
    initializers = {tensor.name: _initializer(tensor, None, None) for tensor in graph.initializer}
    bulky = {tensor.name for tensor in graph.initializer if tensor.ByteSize() > _BULK_BYTES}
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


def _lighten(proto: Any, bulky: set[str]) -> Any:
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


def _initializer(tensor: Any, path: Path | None, place: tuple[int, int] | None) -> Initializer:
    from onnx import TensorProto

    shape = tuple(tensor.dims)
    if tensor.data_location == TensorProto.EXTERNAL:
        path, place = _external(tensor, path)
    if place is None:
        return Initializer(tensor.data_type, shape, partial(_parsed, tensor))
    assert path is not None
    read = partial(_read, path, place, (tensor.name, tensor.data_type, shape))
    return Initializer(tensor.data_type, shape, read)


def _parsed(tensor: Any) -> Array:
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


def _external(tensor: Any, path: Path | None) -> tuple[Path, tuple[int, int]]:
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


def _cut(data: _Buffer) -> tuple[bytes, dict[int, tuple[int, int]]]:
    """Return the message without large tensors, and their (offset, length) by initializer index."""
    places: dict[int, tuple[int, int]] = {}
    out = bytearray()
    count = 0
    for number, kind, start, value, end in _fields(data, 0, len(data)):
        if number != _GRAPH or kind != 2:
            out += data[start:end]
            continue
        body = bytearray()
        for inner, _, inner_start, inner_value, inner_end in _fields(data, value, end):
            if inner == _INITIALIZER:
                tensor, place = _cut_tensor(data, inner_value, inner_end)
                if place:
                    places[count] = place
                count += 1
                body += _message(_INITIALIZER, tensor)
            elif inner != _VALUE_INFO:  # shapes are inferred anew
                body += data[inner_start:inner_end]
        out += _message(_GRAPH, bytes(body))
    return bytes(out), places


def _cut_tensor(data: _Buffer, at: int, end: int) -> tuple[bytes, tuple[int, int] | None]:
    if end - at <= _BULK_BYTES:
        return data[at:end], None
    fields = list(_fields(data, at, end))
    data_type = next((_varint(data, f[3], f[4])[0] for f in fields if f[0] == _DATA_TYPE), 0)
    bulk = [
        entry
        for entry in fields
        if entry[1] == 2 and (entry[0] == _RAW_DATA or _VERBATIM.get(entry[0]) == data_type)
    ]
    if len(bulk) != 1:
        return data[at:end], None
    rest = b"".join(data[f[2] : f[4]] for f in fields if f is not bulk[0])
    return rest, (bulk[0][3], bulk[0][4] - bulk[0][3])


def _fields(data: _Buffer, at: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield number, wire type, start, start of the value and end of each field of a message."""
    while at < end:
        start = at
        key, at = _varint(data, at, end)
        kind, value = key & 7, at
        if kind == 0:
            _, at = _varint(data, at, end)
        elif kind == 2:
            length, value = _varint(data, at, end)
            at = value + length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise _DamagedError(f"byte {start} starts no field")
        if at > end:
            raise _DamagedError(f"the field at byte {start} ends at byte {at}, the data at {end}")
        yield key >> 3, kind, start, value, at


def _varint(data: _Buffer, at: int, end: int) -> tuple[int, int]:
    """Return a base-128 number and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise _DamagedError(f"the data ends inside a number at byte {at}")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise _DamagedError(f"the number before byte {at} has more than 64 bits")


def _message(number: int, body: bytes) -> bytes:
    """Return a length-delimited field."""
    length, digits = len(body), bytearray([number << 3 | 2])
    while length > 127:
        digits.append(length & 127 | 128)
        length >>= 7
    digits.append(length)
    return bytes(digits) + body


def _describe_damage(path: Path, data: _Buffer, error: Exception) -> str:
    head = data[:120] if isinstance(data, bytes) or not data.closed else b""
    if not len(data):
        return f"{path} is empty; export or copy the model again"
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
