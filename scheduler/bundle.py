"""A compiled plan: network, scales, int8 parameters and command streams, ready to run.

It runs with numpy and the standard library alone; `heterolith.scheduler.bundle_file` writes and
reads it as one file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from heterolith.errors import InputError
from heterolith.hw.golden import LinearParameters
from heterolith.scheduler.dispatch import Trace, dispatch, load_workers, plan_units
from heterolith.scheduler.plan import Plan
from heterolith.sw.network import Array
from heterolith.sw.quantize import QuantizedNetwork
from heterolith.sw.segments import (
    Compiled,
    SavedSegment,
    SegmentOptions,
    Site,
    Totals,
    compile_segment,
    save_segment,
    totals,
)
from heterolith.sw.store import restore_linear, store_linear, stripped
from heterolith.sw.worker import Worker
from heterolith.sw.workers.cpu import CpuWorker
from heterolith.sw.workers.fpga import FpgaWorker


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A plan with its network, quantized and compiled.

    Attributes
    ----------
    kinds
        Device of the plan -> ``fpga`` or ``cpu``.
    sites
        Device -> accelerator, for those of kind ``fpga``.
    model_fingerprint
        Of the network that the plan was made for; `plan` names that of `quantized`.
    """

    plan: Plan
    quantized: QuantizedNetwork
    compiled: Compiled
    kinds: Mapping[str, str]
    sites: Mapping[str, Site]
    model_fingerprint: str


def compile_bundle(
    plan: Plan, quantized: QuantizedNetwork, kinds: Mapping[str, str], sites: Mapping[str, Site]
) -> Bundle:
    """Compile every segment of a plan.

    Parameters
    ----------
    kinds, sites
        As in `Bundle`.

    Raises
    ------
    InputError
        If the plan was made for another network or uses a GPU.
    """
    place = {row.layer: row.device for row in plan.assignments}
    for device in place.values():
        if kinds[device] == "gpu":
            raise InputError(
                f"the plan puts layers on {device!r}, a bundle runs FPGA and CPU alone; "
                "plan again with the layers pinned there, e.g. --pin '*=cpu'"
            )
    compiled = Compiled(linear=_linear(quantized, place, sites))
    segments: dict[str, SavedSegment] = {}
    lanes = {device: site.config.lanes for device, site in sites.items()}
    for unit in plan_units(plan, quantized.network, lanes):
        site = sites.get(unit.device)
        if site is None or not unit.computes:
            continue
        segment = compile_segment(
            quantized.network,
            unit,
            lambda layer: compiled.operation(quantized, layer),
            site.config,
            site.dram,
        )
        segments[unit.name] = save_segment(segment, segment.predicted_cycles(site.dram))
    small = replace(quantized, network=stripped(quantized.network, compiled.linear.keys()))
    used = dict.fromkeys(place.values())
    return Bundle(
        plan=replace(plan, fingerprint=small.network.fingerprint()),
        quantized=small,
        compiled=replace(compiled, segments=segments),
        kinds={device: kinds[device] for device in used},
        sites={device: sites[device] for device in used if device in sites},
        model_fingerprint=plan.fingerprint,
    )


def _linear(
    quantized: QuantizedNetwork, place: Mapping[str, str], sites: Mapping[str, Site]
) -> dict[str, LinearParameters]:
    """Return the int8 parameters of the convolutions and products on accelerators."""
    found = {}
    for layer in quantized.network.layers:
        arrays = store_linear(quantized, layer) if place.get(layer.name) in sites else None
        if arrays is not None:
            found[layer.name] = restore_linear(quantized, layer, arrays)
    return found


class BundleRunner:
    """A bundle made ready to run many times on this machine; a context manager.

    Parameters
    ----------
    device
        What computes FPGA layers (`heterolith.sw.workers.devices`).
    options
        How segments are run; what was compiled is the bundle's.
    threads
        Threads of the CPU worker. Default is all cores.
    """

    def __init__(
        self,
        bundle: Bundle,
        device: str,
        options: SegmentOptions,
        threads: int | None = None,
    ) -> None:
        self._bundle = bundle
        self._fpga: list[FpgaWorker] = []
        self._workers: dict[str, Worker] = {}
        options = replace(options, compiled=bundle.compiled)
        for name, kind in bundle.kinds.items():
            if kind == "fpga":
                site = bundle.sites[name]
                worker = FpgaWorker(bundle.quantized, site.config, device, site.dram_gbs, options)
                self._fpga.append(worker)
                self._workers[name] = worker
            else:
                self._workers[name] = CpuWorker(threads)

    def compile_cpu(self, wanted: bool = True) -> None:
        """Compile CPU layers; see `heterolith.api.Runner.compile_cpu`."""
        for worker in self._workers.values():
            if isinstance(worker, CpuWorker):
                worker.stretches = wanted
        load_workers(self._bundle.plan, self._bundle.quantized.network, self._workers)

    def run(self, inputs: Mapping[str, Array]) -> tuple[dict[str, Array], Trace]:
        """Run once; raises as `heterolith.scheduler.dispatch` does."""
        bundle = self._bundle
        return dispatch(
            bundle.plan, bundle.quantized.network, self._workers, bundle.quantized, inputs
        )

    def totals(self) -> Totals:
        """Return cycles and times of the segments of the last run; the golden model has none."""
        reports = [report for worker in self._fpga for report in worker.reports()]
        if reports:
            return totals(reports, self._bundle.sites)
        known = self._bundle.compiled.segments.values()
        return Totals(predicted_cycles=sum(segment.predicted_cycles for segment in known))

    def __enter__(self) -> BundleRunner:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.close()
