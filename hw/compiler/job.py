"""A job: a memory window with constants, tensors and the commands that compute one or more layers.

`JobBuilder` collects tensors, constants and layers, then lays them out and emits the commands once
all addresses are known. Invariant: a finished job reads and writes inside its window alone, and its
waits make every order the units may take equal to program order.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
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
from heterolith.hw.compiler.memory import Life, pack
from heterolith.hw.compiler.schedule import choose
from heterolith.hw.compiler.tiling import Schedule
from heterolith.hw.config import ArrayConfig
from heterolith.hw.fixed import Array
from heterolith.hw.geometry import COMMAND_BYTES, Geometry, geometry
from heterolith.hw.program import Command, decode, encode
from heterolith.hw.shapes import Pair
from heterolith.hw.timing.timeline import Dram

WINDOW_LIMIT = 2**32
ALIGN_BYTES = 64
SCRATCH_BASE = 2**48
"""Offsets from here on name scratch tensors until `JobBuilder.finish` places them."""


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

    def overlaps(self, other: Activation) -> bool:
        """Return whether two tensors may share a byte, by their first and last."""
        begin, end = self._span()
        other_begin, other_end = other._span()
        return begin < other_end and other_begin < end

    def _span(self) -> Pair:
        t = self.first
        size = t.blocks * t.block_pitch * t.lanes
        return t.offset, t.offset + (self.shape[0] - 1) * self.image_bytes + size

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
    layer_names
        One per layer, for messages.
    """

    geometry: Geometry
    memory: Array
    command_offset: int
    commands: tuple[Command, ...]
    layer_ends: tuple[int, ...]
    layer_names: tuple[str, ...] = ()

    def layer_of(self, index: int) -> str:
        """Return the name of the layer that a command belongs to; ``a+b`` where a chain has it."""
        after = [end for end in self.layer_ends if end > index]
        pairs = zip(self.layer_names, self.layer_ends, strict=False)
        return "+".join(name for name, end in pairs if name and end == after[0]) if after else ""


@dataclass(frozen=True, slots=True)
class _Layer:
    mapping: Mapping
    source: Activation
    target: Activation
    addend: Activation | None
    schedule: Schedule | None
    constants: Constants
    name: str


Run = tuple[int, int, Chain | Schedule]
"""Half-open range of layers that are emitted together, and how."""


def _aligned(size: int) -> int:
    return -(-size // ALIGN_BYTES) * ALIGN_BYTES


def _moved(tensor: Activation, offset: int) -> Activation:
    """Return a tensor at another offset."""
    return replace(tensor, first=replace(tensor.first, offset=offset))


class JobBuilder:
    """Collects layers for one accelerator configuration."""

    def __init__(self, config: ArrayConfig, dram: Dram | None = None) -> None:
        self.geometry = geometry(config)
        self.dram = dram or Dram(bytes_per_cycle=float(self.geometry.lanes))
        self._used = 0
        self._constants: list[tuple[int, Array]] = []
        self._layers: list[_Layer] = []
        self._scratch: list[Activation] = []

    def _reserve(self, size: int) -> int:
        begin = self._used
        self._used += _aligned(size)
        if self._used > WINDOW_LIMIT - COMMAND_BYTES:
            raise InputError(f"a job of {self._used} bytes; the memory window holds 4 GiB")
        return begin

    def tensor(self, shape: tuple[int, int, int, int], image: bool = False) -> Activation:
        """Reserve a tensor (N, C, H, W) in the block layout, or in the image layout."""
        tensor = self._shaped(shape, image)
        return _moved(tensor, self._reserve(tensor.bytes))

    def scratch(self, shape: tuple[int, int, int, int]) -> Activation:
        """Reserve a tensor in the block layout for layers alone: it shares memory with others.

        It holds data from the first layer that touches it, or a part of it, to the last.
        """
        end = SCRATCH_BASE
        if self._scratch:
            end = self._scratch[-1].first.offset + self._scratch[-1].bytes
        tensor = _moved(self._shaped(shape), end)
        self._scratch.append(tensor)
        return tensor

    def _shaped(self, shape: tuple[int, int, int, int], image: bool = False) -> Activation:
        _, channels, height, width = shape
        lanes = self.geometry.lanes
        blocks = 1 if image else -(-channels // lanes)
        pitch = image_pitch(width, lanes) if image else width
        first = Tensor(
            offset=0,
            blocks=blocks,
            height=height,
            width=width,
            pitch=pitch,
            lanes=lanes,
            image=image,
        )
        return Activation(shape=shape, first=first, image_bytes=blocks * height * pitch * lanes)

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
        *,
        name: str = "",
    ) -> None:
        """Append a layer; its schedule is chosen unless it is given, its name is for messages.

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
        self._layers.append(_Layer(mapping, source, target, addend, schedule, constants, name))

    def _runs(self, keep: Sequence[Activation]) -> list[Run]:
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

    def _linked(self, index: int, keep: Sequence[Activation]) -> bool:
        """Return whether nothing but the next layer reads a layer's result."""
        first, second = self._layers[index : index + 2]
        readers = [
            other
            for layer in self._layers
            for other in (layer.source, layer.addend)
            if other is not None and other.overlaps(first.target)
        ]
        return (
            len(readers) == 1
            and second.source == first.target
            and not any(tensor.overlaps(first.target) for tensor in keep)
            and first.schedule is None
            and second.schedule is None
            and links(first.mapping, second.mapping, self.geometry)
        )

    def _place_scratch(self, runs: Sequence[Run]) -> Callable[[Activation], Activation]:
        """Reserve memory for the scratch tensors; returns what moves a tensor to its place."""
        begins = [tensor.first.offset for tensor in self._scratch]
        lives: dict[int, Life] = {}
        for step, (begin, end, _) in enumerate(runs):
            last = self._layers[end - 1]
            for tensor in (self._layers[begin].source, last.addend, last.target):
                if tensor is not None and tensor.first.offset >= SCRATCH_BASE:
                    index = bisect_right(begins, tensor.first.offset) - 1
                    born = lives[index].first if index in lives else step
                    lives[index] = Life(_aligned(self._scratch[index].bytes), born, step)
        offsets, total = pack(list(lives.values()))
        base = self._reserve(total)
        places = dict(zip(lives, offsets, strict=True))

        def move(tensor: Activation) -> Activation:
            offset = tensor.first.offset
            if offset < SCRATCH_BASE:
                return tensor
            index = bisect_right(begins, offset) - 1
            return _moved(tensor, base + places[index] + offset - begins[index])

        return move

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
        kept = keep if fuse else [layer.target for layer in self._layers]
        runs = self._runs(kept)
        move = self._place_scratch(runs)
        sizes = []
        for begin, end, plan in runs:
            run = self._layers[begin:end]
            first, last = run[0], run[-1]
            source, target = move(first.source), move(last.target)
            addend = move(last.addend) if last.addend else None
            images = [
                (source.image(n), target.image(n), addend.image(n) if addend else None)
                for n in range(target.shape[0])
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
        return self.restore(encode(commands), offset, ends, commands)

    def restore(
        self,
        code: Array,
        offset: int,
        ends: Sequence[int],
        commands: Sequence[Command] | None = None,
    ) -> Job:
        """Return the job that `finish` made of the same layers, from its encoded commands.

        Parameters
        ----------
        code
            uint8 array of commands; they end the window.
        offset, ends
            `Job.command_offset` and `Job.layer_ends`.
        commands
            The same commands decoded, if they are at hand.
        """
        memory = np.zeros(offset + _aligned(code.size), dtype=np.uint8)
        for begin, data in self._constants:
            memory[begin : begin + data.size] = data
        memory[offset : offset + code.size] = code
        return Job(
            geometry=self.geometry,
            memory=memory,
            command_offset=offset,
            commands=tuple(decode(code) if commands is None else commands),
            layer_ends=tuple(ends),
            layer_names=tuple(layer.name for layer in self._layers),
        )
