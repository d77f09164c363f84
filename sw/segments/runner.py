"""Segments on a device: compiled once, placed once, run as often as wanted, verified on request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from threading import Lock

import numpy as np

from heterolith.errors import InputError
from heterolith.hw.config import ArrayConfig
from heterolith.hw.device.protocol import Device, RtlCounters
from heterolith.hw.driver import Driver
from heterolith.hw.timing.timeline import Dram
from heterolith.sw.kernels import golden_kernel
from heterolith.sw.network import Array
from heterolith.sw.quantize import QuantizedNetwork
from heterolith.sw.segments.forms import moves
from heterolith.sw.segments.partition import Unit
from heterolith.sw.segments.saved import Compiled
from heterolith.sw.segments.segment import PlacedSegment, Segment, compile_segment

Watch = Callable[[Device, str, int], AbstractContextManager[object]]
"""From device, segment and predicted cycles to what surrounds a run, e.g. a progress bar."""


def unwatched(device: Device, name: str, cycles: int) -> AbstractContextManager[object]:
    """Surround a run with nothing."""
    del device, name, cycles
    return nullcontext()


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentOptions:
    """How segments are run.

    Attributes
    ----------
    verify
        Compute each segment with the golden model too and count the codes that differ.
    predict
        Predict the cycles of each segment when it is loaded, with the timeline model.
    compiled
        What was compiled before.
    watch
        Surrounds each run.
    """

    verify: bool = False
    predict: bool = False
    compiled: Compiled = field(default_factory=Compiled)
    watch: Watch = unwatched


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentReport:
    """A segment and its last run; ``None`` where nothing was counted, predicted or verified.

    Attributes
    ----------
    spans
        Bytes of each tensor that the host writes before a run, or reads after it.
    wrong_codes
        Codes that differ from the golden model's.
    """

    name: str
    device: str
    layers: int
    commands: int
    spans: tuple[int, ...]
    window_bytes: int
    predicted_cycles: int | None = None
    cycles: int | None = None
    wrong_codes: int | None = None


class SegmentRunner:
    """The segments of one network on one device."""

    def __init__(
        self,
        quantized: QuantizedNetwork,
        config: ArrayConfig,
        device: Device,
        dram: Dram,
        options: SegmentOptions,
    ) -> None:
        self._quantized, self._config, self._device = quantized, config, device
        self._dram, self._options = dram, options
        self._placed: dict[str, PlacedSegment] = {}
        self._reports: dict[str, SegmentReport] = {}
        self._running = Lock()

    def load(self, unit: Unit) -> None:
        """Compile and place a unit that computes, unless that is done.

        Raises
        ------
        InputError
            If a layer cannot be computed, memory is short, or the unit was compiled otherwise.
        """
        known = self._placed.get(unit.name)
        if known is not None and known.segment.unit == unit:
            return
        segment, predicted = self._segment(unit)
        placed = PlacedSegment(segment, self._quantized.network, self._device)
        self._placed[unit.name] = placed
        self._reports[unit.name] = SegmentReport(
            name=unit.name,
            device=unit.device,
            layers=len(unit.layers),
            commands=len(segment.job.commands),
            spans=placed.spans,
            window_bytes=segment.job.memory.size,
            predicted_cycles=predicted,
        )

    def run(self, unit: Unit, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Compute a loaded segment; see `PlacedSegment.run`.

        Raises
        ------
        InputError
            If it was not loaded.
        """
        with self._running:
            if unit.name not in self._placed:
                raise InputError(
                    f"segment {unit.name} is not loaded on the accelerator; load it first"
                )
            placed, report = self._placed[unit.name], self._reports[unit.name]
            with self._options.watch(self._device, unit.name, report.predicted_cycles or 0):
                outputs, counters = placed.run(inputs)
        cycles = counters.cycles if isinstance(counters, RtlCounters) else None
        wrong = self._wrong(unit, inputs, outputs) if self._options.verify else None
        self._reports[unit.name] = replace(report, cycles=cycles, wrong_codes=wrong)
        return outputs

    def reports(self) -> tuple[SegmentReport, ...]:
        """Return the segments in the order in which they were loaded."""
        return tuple(self._reports.values())

    def close(self) -> None:
        """Give segments and device back; a run of another thread ends first.

        A driver's job is stopped, so that it does not write to memory that is gone. The other
        devices compute in the thread that runs: that is waited for.
        """
        if isinstance(self._device, Driver) and self._running.locked():
            self._device.reset()
            self._drop()
            return
        with self._running:
            self._drop()

    def _drop(self) -> None:
        for placed in self._placed.values():
            placed.close()
        self._placed.clear()
        self._device.close()

    def _segment(self, unit: Unit) -> tuple[Segment, int | None]:
        compiled, quantized = self._options.compiled, self._quantized
        known = compiled.segment(quantized, unit, self._config)
        if known is not None:
            return known, compiled.segments[unit.name].predicted_cycles
        segment = compile_segment(
            quantized.network,
            unit,
            lambda layer: compiled.operation(quantized, layer),
            self._config,
            self._dram,
        )
        return segment, segment.predicted_cycles(self._dram) if self._options.predict else None

    def _wrong(self, unit: Unit, inputs: Mapping[str, Array], found: Mapping[str, Array]) -> int:
        """Return how many codes differ from the golden model's, run layer by layer."""
        quantized, compiled = self._quantized, self._options.compiled
        codes = dict(inputs)
        for layer in unit.layers:
            known = None if moves(layer) else compiled.operation(quantized, layer)
            result = golden_kernel(quantized, layer, known)(codes)
            codes[layer.outputs[0]] = result.reshape(
                quantized.network.tensors[layer.outputs[0]].shape
            )
        return sum(int(np.count_nonzero(codes[x] != found[x])) for x in unit.outputs)
