"""``heterolith profile``: time every layer on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console
from rich.progress import Progress

from heterolith import api, metrics
from heterolith.cli import render
from heterolith.cli.files import check_writable, write_atomic
from heterolith.cli.options import AsJson, Model, Shape, Threads, load_network
from heterolith.errors import unknown_name
from heterolith.metrics import Cost, Protocol
from heterolith.sw import CpuWorker


def profile(
    model: Model,
    device: Annotated[str, typer.Option(help="what to measure: cpu")] = "cpu",
    threads: Threads = None,
    repetitions: Annotated[int, typer.Option(min=3, help="timed runs of each layer")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="seed of the random input")] = 0,
    shape: Shape = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="write the rows (CSV), for plan --profile"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure median latency and 5-95 % interval of every layer on this machine.

    Ctrl-C keeps the layers measured so far.
    """
    if device != "cpu":
        raise unknown_name("device to measure", device, ["cpu"])
    check_writable(out)
    network = load_network(model, shape)
    inputs = api.make_inputs(network, f"random:{seed}")
    worker = CpuWorker(threads)
    rows: list[Cost] = []
    try:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task(f"measuring {network.name}", total=len(network.layers))
            for row in metrics.measure(network, worker, inputs, Protocol(repetitions=repetitions)):
                rows.append(row)
                progress.advance(bar)
    finally:
        worker.close()
        if out is not None and rows:
            write_atomic(out, metrics.to_csv(rows).encode())
    _show(rows, worker.backend, as_json)


def _show(rows: Sequence[Cost], backend: str, as_json: bool) -> None:
    total_ms = sum(row.latency_ns for row in rows) / 1e6
    if as_json:
        render.print_json(
            {
                "backend": backend,
                "source": "measured",
                "total_ms": total_ms,
                "layers": [
                    {
                        "layer": row.layer,
                        "op": row.op,
                        "latency_ms": row.latency_ns / 1e6,
                        "low_ms": row.latency_low_ns / 1e6,
                        "high_ms": row.latency_high_ns / 1e6,
                    }
                    for row in rows
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
        for row in sorted(rows, key=lambda row: -row.latency_ns)
    )
    out = render.console()
    out.print(render.table("", ("layer", "op", ">median ms", ">5-95 % ms"), cells))
    out.print(f"sum of layers {total_ms:.2f} ms, measured on this machine with {backend}")
