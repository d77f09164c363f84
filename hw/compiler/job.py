"""A job: a memory window with constants, tensors and the commands that compute one or more layers.

`JobBuilder` collects tensors, constants and layers, then lays them out and emits the commands once
all addresses are known. Invariant: a finished job reads and writes inside its window alone, and its
waits make every order the units may take equal to program order.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from heterolith.errors import InputError
from heterolith.hw.compiler.chain import (
    LONGEST,
    Chain,
    choose_chain,
    emit_chain,
    emit_layer,
    links,
    partition,
)
from heterolith.hw.compiler.emit import Emitter, Tensor
from heterolith.hw.compiler.layer import Constants
from heterolith.hw.compiler.layout import image_pitch, pack_blocks, pack_image, unpack_blocks
from heterolith.hw.compiler.mapping import Mapping
from heterolith.hw.compiler.schedule import choose
from heterolith.hw.compiler.tiling import Schedule
from heterolith.hw.config import ArrayConfig
from heterolith.hw.fixed import Array
from heterolith.hw.geometry import COMMAND_BYTES, Geometry, geometry
from heterolith.hw.program import Command, encode
from heterolith.hw.shapes import Pair
from heterolith.hw.timing.timeline import Dram

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
        Number of commands up to the end of each layer; layers of a chain share theirs.
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
    schedule: Schedule | None
    constants: Constants


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
        constants = Constants(
            weights=self._constant(mapping.weights), parameters=self._constant(mapping.parameters)
        )
        self._layers.append(_Layer(mapping, source, target, addend, schedule, constants))

    def _runs(self, keep: Collection[int]) -> list[tuple[int, int, Chain | Schedule]]:
        """Return the layers as runs: one with its schedule, or several as a chain."""
        layers = self._layers
        schedules: list[Schedule] = []
        cycles: list[float] = []
        for layer in layers:
            found = choose(layer.mapping, self.geometry, self.dram)
            schedules.append(layer.schedule or found[0])
            cycles.append(found[1])
        chains: dict[Pair, Chain] = {}
        for begin in range(len(layers)):
            for end in range(begin + 2, min(begin + LONGEST, len(layers)) + 1):
                if not self._linked(end - 2, keep):
                    break
                run = [layer.mapping for layer in layers[begin:end]]
                chain = choose_chain(run, self.geometry, self.dram)
                if chain is not None:
                    chains[begin, end] = chain
        return [
            (begin, end, chains[begin, end] if end > begin + 1 else schedules[begin])
            for begin, end in partition(cycles, chains)
        ]

    def _linked(self, index: int, keep: Collection[int]) -> bool:
        """Return whether nothing but the next layer reads a layer's result."""
        first, second = self._layers[index : index + 2]
        readers = [
            other
            for layer in self._layers
            for other in (layer.source, layer.addend)
            if other is not None and other.first.offset == first.target.first.offset
        ]
        return (
            len(readers) == 1
            and second.source == first.target
            and first.target.first.offset not in keep
            and first.schedule is None
            and second.schedule is None
            and links(first.mapping, second.mapping, self.geometry)
        )

    def finish(self, keep: Sequence[Activation] = (), fuse: bool = True) -> Job:
        """Emit the commands and return the job.

        Parameters
        ----------
        keep
            Tensors that must be in DRAM afterwards besides those nothing reads.
        fuse
            Whether consecutive layers may pass tensors on chip.
        """
        emitter = Emitter(self.geometry)
        kept = {tensor.first.offset for tensor in keep}
        if not fuse:
            kept = {layer.target.first.offset for layer in self._layers}
        sizes = []
        for begin, end, plan in self._runs(kept):
            run = self._layers[begin:end]
            first, last = run[0], run[-1]
            images = [
                (
                    first.source.image(n),
                    last.target.image(n),
                    last.addend.image(n) if last.addend else None,
                )
                for n in range(last.target.shape[0])
            ]
            if isinstance(plan, Chain):
                emit_chain(emitter, plan, [layer.constants for layer in run], images)
            else:
                emit_layer(emitter, first.mapping, plan, first.constants, images)
            emitter.end_segment()
            sizes.append(end - begin)
        segments = emitter.commands(self._used)
        commands = [command for segment in segments for command in segment]
        counts = np.cumsum([len(segment) for segment in segments]).tolist()
        ends = [n for n, size in zip(counts, sizes, strict=True) for _ in range(size)]
        offset = self._reserve(len(commands) * COMMAND_BYTES)
        memory = np.zeros(self._used, dtype=np.uint8)
        for begin, data in self._constants:
            memory[begin : begin + data.size] = data
        code = encode(commands)
        memory[offset : offset + code.size] = code
        return Job(
            geometry=self.geometry,
            memory=memory,
            command_offset=offset,
            commands=tuple(commands),
            layer_ends=tuple(ends),
        )
