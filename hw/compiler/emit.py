"""The builder of a command stream: on-chip space, what is resident there, waits.

Space in a buffer is handed out upward and around; what a new piece overlaps is forgotten and loaded
again when it is needed. Waits come from `heterolith.hw.compiler.hazards`, so a piece may be placed
anywhere: a poor place costs cycles, never correctness.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from heterolith.errors import InputError
from heterolith.hw.commands import Memory
from heterolith.hw.compiler.hazards import Tracker
from heterolith.hw.geometry import Geometry
from heterolith.hw.program import Command, Load, Store

Key = Hashable


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """An activation in DRAM; ``offset`` in bytes from the window's start, sizes in words.

    An image counts pixels in ``width`` and has ``pitch`` beats per row.
    """

    offset: int
    blocks: int
    height: int
    width: int
    pitch: int
    lanes: int
    image: bool = False

    @property
    def block_pitch(self) -> int:
        """Beats from block to block."""
        return self.height * self.pitch


class Ring:
    """Places pieces in words [begin, end) of a buffer and remembers which are still there."""

    def __init__(self, begin: int, end: int, head: int = 0) -> None:
        self.begin, self.end = begin, end
        self.head = max(begin, head)
        self._pieces: dict[Key, tuple[int, int]] = {}

    def find(self, key: Key) -> int:
        """Return where a piece starts, or -1 if it is not there."""
        return self._pieces.get(key, (-1, -1))[0]

    def clear(self) -> None:
        """Forget all pieces."""
        self._pieces.clear()

    def place(self, key: Key, words: int) -> int:
        """Return the start of a new piece; what it overlaps is forgotten.

        Raises
        ------
        InputError
            If the piece is larger than the ring.
        """
        if words > self.end - self.begin:
            raise InputError(f"a piece of {words} words in {self.end - self.begin}; cut the layer")
        start = self.head if self.head + words <= self.end else self.begin
        overlapped = [
            k for k, (low, high) in self._pieces.items() if start < high and low < start + words
        ]
        for old in overlapped:
            del self._pieces[old]
        self._pieces[key] = (start, start + words)
        self.head = start + words
        return start


class Emitter:
    """Collects commands in segments: layers or chains between which only DRAM is shared."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self.weight = Ring(0, geometry.weight_words)
        self.parameter = Ring(0, geometry.parameter_words)
        self.accumulator = Ring(0, geometry.accumulator_words)
        self.output = Ring(0, geometry.output_words)
        self.head = 0
        self._segments: list[list[Command]] = [[]]
        self._serial = 0

    def push(self, command: Command) -> None:
        """Append a command to the segment; its waits come with `commands`."""
        self._segments[-1].append(command)

    def end_segment(self) -> None:
        """Close the segment."""
        self._segments.append([])

    def commands(self, dram_bytes: int) -> list[list[Command]]:
        """Return the segments' commands with their waits."""
        tracker = Tracker(self.geometry, -(-dram_bytes // self.geometry.lanes))
        first, *others = self._segments[:-1]
        # The first segment's input waits for nothing, so its LOADs stay in the order of use.
        ordered = [first, *(hoisted(segment, self.geometry) for segment in others)]
        return [[tracker.add(command) for command in segment] for segment in ordered]

    def layer(self) -> int:
        """Return a number for a new layer, the first part of its keys."""
        self._serial += 1
        return self._serial

    def load_words(self, ring: Ring, memory: int, key: Key, run: tuple[int, int]) -> int:
        """Load ``run`` = (DRAM offset, words) of weights or parameters unless it is there."""
        start = ring.find(key)
        if start < 0:
            offset, words = run
            start = ring.place(key, words)
            unit = self.geometry.n_pe if ring is self.weight else self.geometry.parameter_beats
            beats = words * unit
            self.push(Load(memory=memory, offset=offset, cols=beats, row_pitch=beats, buffer=start))
        return start


def hoisted(segment: Sequence[Command], geometry: Geometry) -> list[Command]:
    """Return a segment with its first weight and parameter LOADs in front.

    LOADs run in order, and the first input may wait for the previous segment's last result; what
    stands in front loads meanwhile. At most half of each buffer is taken, so that none of it
    overwrites what a command of the segment still reads.
    """
    limits = {
        Memory.WEIGHT: geometry.weight_words // 2 * geometry.n_pe,
        Memory.PARAMETER: geometry.parameter_words // 2 * geometry.parameter_beats,
    }
    taken = dict.fromkeys(limits, 0)
    front: list[Command] = []
    rest: list[Command] = []
    for command in segment:
        if isinstance(command, Load) and command.memory in limits:
            memory = Memory(command.memory)
            taken[memory] += command.rows * command.cols
            if taken[memory] <= limits[memory]:
                front.append(command)
                continue
        rest.append(command)
    return [*front, *rest]


def store_tile(
    tensor: Tensor, blocks: tuple[int, int], rows: tuple[int, int], cols: tuple[int, int], at: int
) -> Store:
    """Return the STORE of a tile (half-open ranges) that lies densely in the output buffer."""
    height, width = rows[1] - rows[0], cols[1] - cols[0]
    beat = blocks[0] * tensor.block_pitch + rows[0] * tensor.pitch + cols[0]
    return Store(
        offset=tensor.offset + beat * tensor.lanes,
        cols=width,
        rows=height,
        blocks=blocks[1] - blocks[0],
        buffer=at,
        row_pitch=tensor.pitch,
        block_pitch=tensor.block_pitch,
        buffer_row_pitch=width,
        buffer_block_pitch=height * width,
    )
