"""``heterolith profile``: what every layer, or every designed probe, takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Optional

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress

from heterolith import api, hw, metrics, units
from heterolith.cli import render
from heterolith.cli.files import check_writable, write_atomic
from heterolith.cli.options import AsJson, Shape, Threads, load_network
from heterolith.cli.partial import Partial
from heterolith.cli.passes import Record, Session, add, resumed
from heterolith.errors import InputError, unknown_name
from heterolith.metrics import Cost, Subject
from heterolith.metrics.models.write import to_csv
from heterolith.metrics.simulate import BACKENDS
from heterolith.metrics.sweep import KINDS, probes, wanted
from heterolith.sw import CpuWorker, Network

FEWEST_PASSES = 5
"""Passes that a median and its spread take, whatever the budget."""
PASSES, SHORTEST_S = 10, 2.0
"""Passes and seconds where neither is asked for: less is one moment of the machine."""
PACE_CHANGE = 0.05
"""How far readings of its pace may lie from their median before it is worth a word."""
Rows = Sequence[tuple[Network, Cost]]


def profile(
    model: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(metavar="[MODEL.onnx]", help="ONNX network; none with --sweep"),
    ] = None,
    device: Annotated[
        str, typer.Option(help="cpu: measured here; fpga: simulated, see --backend")
    ] = "cpu",
    config: Annotated[str, typer.Option(help="accelerator configuration, for fpga")] = "ultra96",
    backend: Annotated[
        str,
        typer.Option(
            help="fpga: model (cycles of the commands), functional (computes them too, in HLS C++) "
            "or rtl (Verilator, minutes for a large network)"
        ),
    ] = "model",
    sweep: Annotated[
        str, typer.Option(metavar="KINDS", help=f"time designed probes: {','.join(KINDS)}")
    ] = "",
    count: Annotated[
        int, typer.Option("--probes", min=1, help="most layers of a sweep, in small networks")
    ] = 200,
    budget: Annotated[
        str, typer.Option(help="stop after this time, e.g. 3min; at least five passes")
    ] = "",
    threads: Threads = None,
    warmup: Annotated[int, typer.Option(min=0, help="untimed passes")] = 2,
    repetitions: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            min=3, help=f"timed passes; by default {PASSES}, and {SHORTEST_S:g} s or more of them"
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="go on where an interrupted run with this --out ended")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="seed of random inputs and probes")] = 0,
    shape: Shape = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="write the rows (CSV), for fit and for plan --profile"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure median latency and 5-95 % interval of every layer, or simulate the accelerator.

    Layers run in passes, one after the other. Ctrl-C keeps the passes made so far; --resume goes
    on.
    """
    check_writable(out)
    if resume and out is None:
        raise InputError("--resume needs --out, the file of the interrupted run")
    if bool(sweep) == (model is not None):
        raise InputError("give either a MODEL.onnx or --sweep conv,fc,pool,elementwise")
    if device == "fpga":
        _simulate(model, shape, (config, backend), out, as_json)
        return
    if device != "cpu":
        raise unknown_name("device to measure", device, ["cpu", "fpga"])
    ops: frozenset[str] = frozenset()
    if model is None:
        kinds = [kind.strip() for kind in sweep.split(",")]
        subjects, key = probes(kinds, count, seed), f"sweep {','.join(kinds)} {count} {seed}"
        ops = wanted(kinds)
    else:
        network = load_network(model, shape)
        subjects = [Subject(network, api.make_inputs(network, f"random:{seed}"))]
        key = f"{network.fingerprint()} {seed}"
    fewest, seconds = repetitions or PASSES, 0.0 if repetitions else SHORTEST_S
    if budget:
        fewest, seconds = FEWEST_PASSES, units.time_ns(budget, "budget") / 1e9
    session = Session(
        subjects=subjects,
        key=f"{key} threads {threads}",
        threads=threads,
        warmup=warmup,
        passes=fewest,
        seconds=seconds,
        out=out,
        resume=resume,
        ops=ops,
    )
    _measure(session, as_json)


def _measure(session: Session, as_json: bool) -> None:
    """Time passes until there are enough or the budget is spent; keep each as it is made."""
    partial, record = Partial(session.out), Record()
    if session.resume:
        record = resumed(session, partial)
    else:
        partial.start(session.key)
    workers = [CpuWorker(session.threads) for _ in range(len(session.subjects) + 1)]
    done = False
    try:
        with (
            metrics.pinned(session.threads),
            Progress(console=Console(stderr=True), transient=True) as progress,
        ):
            add(session, record, workers, partial, progress)
        done = True
    finally:
        for worker in workers:
            worker.close()
        if session.out is not None and (times := record.all_times):
            text = to_csv(_rows(session, times), reference_ns=record.reference_ns)
            write_atomic(session.out, text.encode())
        if done or not record.times:
            partial.remove()
    rows = _rows(session, record.times)
    _, outliers = metrics.summarise(np.array(record.times))
    _show(rows, workers[0].backend, "measured", as_json, record)
    if not as_json:
        out = render.console()
        out.print(f"{len(record.times)} passes, {outliers} interrupted readings left out")
        if record.drift > PACE_CHANGE:
            out.print(
                f"note: the machine's pace changed by {record.drift:.0%} meanwhile (reference "
                "network); measure again on an idle machine",
                soft_wrap=True,
            )


def _rows(session: Session, times: list[list[int]]) -> Rows:
    costs = metrics.rows(session.subjects, "cpu", np.array(times))
    owners = [s.network for s in session.subjects for _ in s.network.layers]
    pairs = zip(owners[: len(costs)], costs, strict=True)
    return [pair for pair in pairs if not session.ops or pair[1].op in session.ops]


def _simulate(
    model: Path | None,
    shape: Sequence[str] | None,
    how: tuple[str, str],
    out: Path | None,
    as_json: bool,
) -> None:
    """Write the accelerator's rows: cycles of a configuration by a back end, at its clock."""
    config, backend = how
    if model is None:
        raise InputError("probes are timed on the cpu; give a MODEL.onnx for the fpga")
    hw.config(config)
    network = load_network(model, shape)
    rows, refused = metrics.simulate_fpga(network, config, backend)
    if not rows:
        layer, reason = refused[0]
        raise InputError(f"the accelerator computes no layer of {network.name}: {layer}: {reason}")
    pairs = [(network, row) for row in rows]
    if out is not None:
        write_atomic(out, to_csv(pairs, backend=backend).encode())
    _show(pairs, f"accelerator {config}: {BACKENDS[backend]}", "simulated", as_json)
    if refused and not as_json:
        names = ", ".join(layer for layer, _ in refused)
        render.console().print(f"{len(refused)} layers it does not compute: {names}")


def _show(
    rows: Rows, backend: str, source: str, as_json: bool, record: Record | None = None
) -> None:
    total_ms = sum(row.latency_ns for _, row in rows) / 1e6
    if as_json:
        render.print_json(
            {
                "backend": backend,
                "source": source,
                "total_ms": total_ms,
                **({} if record is None else _pace_json(record)),
                "layers": [
                    {
                        "layer": row.layer,
                        "op": row.op,
                        "latency_ms": row.latency_ns / 1e6,
                        "low_ms": row.latency_low_ns / 1e6,
                        "high_ms": row.latency_high_ns / 1e6,
                    }
                    for _, row in rows
                ],
            }
        )
        return
    cells = (
        (
            row.layer,
            row.op,
            f"{row.latency_ns / 1e6:.3f}",
            f"{row.latency_low_ns / 1e6:.3f} - {row.latency_high_ns / 1e6:.3f}",
        )
        for _, row in sorted(rows, key=lambda pair: -pair[1].latency_ns)
    )
    out = render.console()
    columns = ("layer", "op", ">median ms", ">5-95 % ms")
    out.print(render.table("", columns, cells))
    out.print(f"sum of layers {total_ms:.2f} ms, {source}, {backend}")


def _pace_json(record: Record) -> dict[str, float]:
    return {
        "passes": len(record.times),
        "reference_ms": record.reference_ns / 1e6,
        "reference_drift": record.drift,
    }
