"""A compiled segment: a job with what the host writes before it and reads after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from heterolith.errors import InputError
from heterolith.hw.compiler.job import Job
from heterolith.hw.compiler.layout import pack_blocks, pack_image, unpack_blocks
from heterolith.hw.config import ArrayConfig
from heterolith.hw.device.protocol import Counters, Device, Placed
from heterolith.hw.timing.timeline import Dram, simulate
from heterolith.sw.kernels import Operation
from heterolith.sw.network import Array, Layer, Network
from heterolith.sw.segments.compile import Layout, Port, lay_out
from heterolith.sw.segments.partition import Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A unit of a plan as one command stream.

    Attributes
    ----------
    inputs
        What the host writes before a run; a tensor that is read in two forms comes twice.
    outputs
        What the host reads afterwards.
    passed
        Output -> the input that it renames, for views of what the host holds.
    """

    unit: Unit
    job: Job
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    passed: tuple[tuple[str, str], ...]

    def digest(self) -> str:
        """Return a hash over constants, commands and the places of inputs and outputs."""
        digest = sha256(repr((self.inputs, self.outputs, self.passed)).encode())
        digest.update(repr((self.job.geometry, self.job.command_offset)).encode())
        digest.update(self.job.memory.data)
        return digest.hexdigest()

    def predicted_cycles(self, dram: Dram) -> int:
        """Return the cycles of the timeline model (`heterolith.hw.timing.timeline`)."""
        job = self.job
        return simulate(job.commands, job.geometry, dram, job.command_offset).cycles


def compile_segment(
    network: Network,
    unit: Unit,
    operation: Callable[[Layer], Operation],
    config: ArrayConfig,
    dram: Dram | None = None,
) -> Segment:
    """Compile a unit, at least one layer of which computes; raises like `lay_out`."""
    layout = lay_out(network, unit, operation, config, dram)
    job = layout.builder.finish(keep=[port.tensor for port in layout.outputs])
    return _segment(unit, layout, job)


def restore_segment(
    layout: Layout, unit: Unit, code: Array, offset: int, ends: Sequence[int]
) -> Segment:
    """Put a segment together from its layout and its encoded commands; see `JobBuilder.restore`."""
    return _segment(unit, layout, layout.builder.restore(code, offset, ends))


def _segment(unit: Unit, layout: Layout, job: Job) -> Segment:
    return Segment(
        unit=unit, job=job, inputs=layout.inputs, outputs=layout.outputs, passed=layout.passed
    )


class PlacedSegment:
    """A segment in a device's memory; runs as often as wanted."""

    def __init__(self, segment: Segment, network: Network, device: Device) -> None:
        self.segment, self._network = segment, network
        self._placed: Placed = device.place(segment.job)
        self._written = [_span(port) for port in segment.inputs]
        self._read = [_span(port) for port in segment.outputs]

    @property
    def spans(self) -> tuple[int, ...]:
        """Bytes of each tensor that the host writes before a run, then of those it reads after."""
        return tuple(part.stop - part.start for part in (*self._written, *self._read))

    def run(self, inputs: Mapping[str, Array]) -> tuple[dict[str, Array], Counters]:
        """Compute the segment's outputs.

        Parameters
        ----------
        inputs
            int8 codes of every input of the unit, in the network's shapes.

        Returns
        -------
        outputs, counters
            int8 codes by name, and what the device counted.

        Raises
        ------
        DeviceError
            If a command fails; its layer is named.
        """
        memory = self._placed.memory
        for port in self.segment.inputs:
            write(memory, port, inputs[port.name])
        counters = self._placed.run(self._written, self._read)
        outputs = {old: inputs[new] for old, new in self.segment.passed}
        for port in self.segment.outputs:
            outputs[port.name] = read(memory, port)
        shapes = self._network.tensors
        return {x: codes.reshape(shapes[x].shape) for x, codes in outputs.items()}, counters

    def close(self) -> None:
        """Give the memory back."""
        self._placed.close()


def write(memory: Array, port: Port, codes: Array) -> None:
    """Put int8 codes, of any shape with the right elements in order, into a window."""
    n, c, h, w = port.form.shape
    if codes.dtype != np.int8 or codes.size != n * c * h * w:
        raise InputError(
            f"{port.name!r} is {codes.dtype} with {codes.size} elements; "
            f"the segment takes int8 with {n * c * h * w}"
        )
    split = codes.reshape(n, h, w, c).transpose(0, 3, 1, 2) if port.form.rows else codes
    pack = pack_image if port.form.image else pack_blocks
    data = pack(split.reshape(n, c, h, w), port.tensor.first.lanes).view(np.uint8)
    for index, image in enumerate(data.reshape(n, -1)):
        begin = port.tensor.image(index).offset
        memory[begin : begin + image.size] = image


def read(memory: Array, port: Port) -> Array:
    """Return the int8 codes of a port from a window, elements in the network's order."""
    (_, c, h, w), tensor = port.form.shape, port.tensor
    images = []
    for index in range(port.form.shape[0]):
        first = tensor.image(index)
        size = first.blocks * first.block_pitch * first.lanes
        data = memory[first.offset : first.offset + size]
        images.append(unpack_blocks(data, (1, c, h, w), first.lanes))
    codes = np.concatenate(images)
    return np.ascontiguousarray(codes.transpose(0, 2, 3, 1)) if port.form.rows else codes


def _span(port: Port) -> slice:
    """Return the bytes from a port's first to its last."""
    t = port.tensor.first
    size = (port.form.shape[0] - 1) * port.tensor.image_bytes + t.blocks * t.block_pitch * t.lanes
    return slice(t.offset, t.offset + size)
