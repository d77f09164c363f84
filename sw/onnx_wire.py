"""Cuts the large tensors out of an ONNX file before it is parsed.

An ONNX file is one protocol-buffer message. Parsing it whole needs the file and the parsed copy in
memory; here large tensors are left out of the bytes to parse, and where they lie is told. Only
lengths of fields are looked at, so the weights' pages are not even read.

Source: onnx.proto (field numbers) and the protocol-buffer wire format,
protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator

BULK_BYTES = 4096  # a stored tensor above this is cut out
_GRAPH, _INITIALIZER, _VALUE_INFO = 7, 5, 13  # ModelProto.graph, GraphProto.*
_DATA_TYPE = 2  # TensorProto.data_type
# TensorProto fields that hold little-endian elements as they are -> the data type they do it for.
_RAW_DATA, _FLOAT_DATA, _DOUBLE_DATA = 9, 4, 10
_VERBATIM = {_FLOAT_DATA: 1, _DOUBLE_DATA: 11}

Buffer = bytes | mmap.mmap


class DamagedError(Exception):
    """The bytes are no protocol-buffer message."""


def cut(data: Buffer) -> tuple[bytes, dict[int, tuple[int, int]]]:
    """Return a model without its large tensors, and their (offset, length) by initializer index.

    Raises
    ------
    DamagedError
        If a field does not end where the data say.
    """
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


def _cut_tensor(data: Buffer, at: int, end: int) -> tuple[bytes, tuple[int, int] | None]:
    if end - at <= BULK_BYTES:
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


def _fields(data: Buffer, at: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
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
            raise DamagedError(f"byte {start} starts no field")
        if at > end:
            raise DamagedError(f"the field at byte {start} ends at byte {at}, the data at {end}")
        yield key >> 3, kind, start, value, at


def _varint(data: Buffer, at: int, end: int) -> tuple[int, int]:
    """Return a base-128 number and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise DamagedError(f"the data ends inside a number at byte {at}")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise DamagedError(f"the number before byte {at} has more than 64 bits")


def _message(number: int, body: bytes) -> bytes:
    """Return a length-delimited field."""
    length, digits = len(body), bytearray([number << 3 | 2])
    while length > 127:
        digits.append(length & 127 | 128)
        length >>= 7
    digits.append(length)
    return bytes(digits) + body
