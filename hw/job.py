"""A job: a memory window with constants, tensors and the commands that compute one or more layers.

`JobBuilder` collects tensors, constants and layers, then lays them out and emits the commands once
all addresses are known. Invariant: a finished job reads and writes inside its window alone, and its
waits make every order the units may take equal to program order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from heterolith.errors import InputError
from heterolith.hw.config import ArrayConfig
from heterolith.hw.emit import Emitter, Tensor
from heterolith.hw.fixed import Array
from heterolith.hw.geometry import COMMAND_BYTES, Geometry, geometry
from heterolith.hw.layout import image_pitch, pack_blocks, pack_image, unpack_blocks
from heterolith.hw.mapping import Mapping
from heterolith.hw.program import Command, encode
from heterolith.hw.schedule import choose
from heterolith.hw.tiling import Placement, Schedule, emit
from heterolith.hw.timeline import Dram

WINDOW_LIMIT = 2**32
ALIGN_BYTES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """A tensor (N, C, H, W) in DRAM: image n starts ``n * image_bytes`` after ``first``."""

    shape: tuple[int, int, int, int]
    first: Tensor
    image_bytes: int

    def image(self, index: int) -> Tensor:
        """Return the tensor of one image of the batch."""
        return replace(self.first, offset=self.first.offset + index * self.image_bytes)

    def view(self, height: int, width: int) -> Activation:
        """Return the same words with another split of a block into rows and columns."""
        if height * width != self.first.height * self.first.width or self.first.image:
            raise InputError(
                f"{self.first.height}x{self.first.width} words are no {height}x{width}"
            )
        first = replace(self.first, height=height, width=width, pitch=width)
        return replace(self, first=first)

    @property
    def bytes(self) -> int:
        """Size of all images."""
        return self.shape[0] * self.image_bytes

    def write(self, memory: Array, codes: Array) -> None:
        """Put int8 codes of the tensor's shape into a memory window."""
        if codes.shape != self.shape or codes.dtype != np.int8:
            raise InputError(f"codes are {codes.dtype} {codes.shape}, the tensor {self.shape}")
        pack = pack_image if self.first.image else pack_blocks
        data = pack(codes, self.first.lanes).view(np.uint8).reshape(-1)
        memory[self.first.offset : self.first.offset + data.size] = data

    def read(self, memory: Array) -> Array:
        """Return the int8 codes of the tensor from a memory window; block layout only."""
        data = memory[self.first.offset : self.first.offset + self.bytes]
        return unpack_blocks(data, self.shape, self.first.lanes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Commands with the memory window they run in.

    Attributes
    ----------
    memory
        uint8 array: constants and commands in place, tensors 0.
    layer_ends
        Number of commands up to the end of each layer.
    """

    geometry: Geometry
    memory: Array
    command_offset: int
    commands: tuple[Command, ...]
    layer_ends: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Layer:
    mapping: Mapping
    source: Activation
    target: Activation
    addend: Activation | None
    schedule: Schedule
    weights: int
    parameters: int


class JobBuilder:
    """Collects layers for one accelerator configuration."""

    def __init__(self, config: ArrayConfig, dram: Dram | None = None) -> None:
        self.geometry = geometry(config)
        self.dram = dram or Dram(bytes_per_cycle=float(self.geometry.lanes))
        self._used = 0
        self._constants: list[tuple[int, Array]] = []
        self._layers: list[_Layer] = []

    def _reserve(self, size: int) -> int:
        begin = self._used
        self._used += -(-size // ALIGN_BYTES) * ALIGN_BYTES
        if self._used > WINDOW_LIMIT - COMMAND_BYTES:
            raise InputError(f"a job of {self._used} bytes; the memory window holds 4 GiB")
        return begin

    def tensor(self, shape: tuple[int, int, int, int], image: bool = False) -> Activation:
        """Reserve a tensor (N, C, H, W) in the block layout, or in the image layout."""
        n, channels, height, width = shape
        lanes = self.geometry.lanes
        blocks = 1 if image else -(-channels // lanes)
        pitch = image_pitch(width, lanes) if image else width
        size = blocks * height * pitch * lanes
        first = Tensor(
            offset=self._reserve(n * size),
            blocks=blocks,
            height=height,
            width=width,
            pitch=pitch,
            lanes=lanes,
            image=image,
        )
        return Activation(shape=shape, first=first, image_bytes=size)

    def _constant(self, data: Array) -> int:
        offset = self._reserve(data.nbytes)
        self._constants.append((offset, np.ascontiguousarray(data).view(np.uint8).reshape(-1)))
        return offset

    def layer(
        self,
        mapping: Mapping,
        source: Activation,
        target: Activation,
        addend: Activation | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        """Append a layer; its schedule is chosen unless it is given.

        Raises
        ------
        InputError
            If a residual and its tensor do not come together, or nothing fits.
        """
        if (addend is None) != (mapping.residual is None):
            raise InputError("a residual's scaling and its tensor come together; one is missing")
        chosen = schedule or choose(mapping, self.geometry, self.dram)
        weights, parameters = self._constant(mapping.weights), self._constant(mapping.parameters)
        self._layers.append(_Layer(mapping, source, target, addend, chosen, weights, parameters))

    def finish(self) -> Job:
        """Emit the commands and return the job."""
        emitter = Emitter(self.geometry, self._used)
        ends = []
        for layer in self._layers:
            for n in range(layer.target.shape[0]):
                placement = Placement(
                    source=layer.source.image(n),
                    target=layer.target.image(n),
                    weights=layer.weights,
                    parameters=layer.parameters,
                    addend=layer.addend.image(n) if layer.addend else None,
                )
                emit(emitter, layer.mapping, placement, layer.schedule)
            ends.append(len(emitter.commands))
        offset = self._reserve(len(emitter.commands) * COMMAND_BYTES)
        memory = np.zeros(self._used, dtype=np.uint8)
        for begin, data in self._constants:
            memory[begin : begin + data.size] = data
        code = encode(emitter.commands)
        memory[offset : offset + code.size] = code
        return Job(
            geometry=self.geometry,
            memory=memory,
            command_offset=offset,
            commands=tuple(emitter.commands),
            layer_ends=tuple(ends),
        )
