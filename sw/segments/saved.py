"""Segments and int8 parameters as data: what a compiled bundle keeps of them.

A saved segment is its commands alone. Constants and addresses are made again from the parameters by
the code that made them first; a hash says whether that code still does the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from heterolith.errors import InputError
from heterolith.hw.config import ArrayConfig
from heterolith.hw.golden import LinearParameters
from heterolith.sw.kernels import Operation, operation
from heterolith.sw.network import Array, Layer
from heterolith.sw.quantize import QuantizedNetwork
from heterolith.sw.segments.compile import lay_out
from heterolith.sw.segments.partition import Unit
from heterolith.sw.segments.segment import Segment, restore_segment


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedSegment:
    """A segment without its constants.

    Attributes
    ----------
    code
        uint8 array of encoded commands.
    offset, ends
        `Job.command_offset` and `Job.layer_ends`.
    digest
        `Segment.digest` of the whole.
    predicted_cycles
        Of the timeline model, for the memory the bundle was compiled for.
    """

    code: Array
    offset: int
    ends: tuple[int, ...]
    digest: str
    predicted_cycles: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What is known of a network's accelerator layers beforehand: nothing by default.

    Attributes
    ----------
    linear
        Layer name -> int8 parameters.
    segments
        `Unit.name` -> commands.
    """

    linear: Mapping[str, LinearParameters] = field(default_factory=dict)
    segments: Mapping[str, SavedSegment] = field(default_factory=dict)

    def operation(self, quantized: QuantizedNetwork, layer: Layer) -> Operation:
        """Return what a layer computes; see `heterolith.sw.kernels.operation`."""
        return operation(quantized, layer, self.linear.get(layer.name))

    def segment(
        self, quantized: QuantizedNetwork, unit: Unit, config: ArrayConfig
    ) -> Segment | None:
        """Return the compiled segment of a unit if it is known.

        Raises
        ------
        InputError
            If this version of the program lays it out in another way.
        """
        saved = self.segments.get(unit.name)
        if saved is None:
            return None
        layout = lay_out(
            quantized.network, unit, lambda layer: self.operation(quantized, layer), config
        )
        segment = restore_segment(layout, unit, saved.code, saved.offset, saved.ends)
        if segment.digest() != saved.digest:
            raise InputError(
                f"segment {unit.name} has digest {segment.digest()[:16]} here and "
                f"{saved.digest[:16]} in the bundle: another version of this program compiled it; "
                "compile the plan again"
            )
        return segment


def save_segment(segment: Segment, predicted_cycles: int) -> SavedSegment:
    """Return a segment's commands and digest."""
    job = segment.job
    code = job.memory[job.command_offset :][: 64 * len(job.commands)]
    return SavedSegment(
        code=code,
        offset=job.command_offset,
        ends=job.layer_ends,
        digest=segment.digest(),
        predicted_cycles=predicted_cycles,
    )
