"""``heterolith taskset`` and ``heterolith sweep``: several networks in real time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.console import Console
from rich.progress import Progress

from heterolith import api, boards, metrics, units
from heterolith.cli import render
from heterolith.cli.files import check_writable, write_atomic
from heterolith.cli.options import AsJson, PlatformName
from heterolith.errors import InputError, unknown_name
from heterolith.scheduler.realtime import (
    Options,
    Policy,
    arrivals,
    convert,
    gantt,
    lalarand,
    policy,
    response_times,
    simulate,
    sweep,
    taskfile,
)
from heterolith.scheduler.realtime.migrate import Migration
from heterolith.scheduler.realtime.taskfile import Workload
from heterolith.scheduler.realtime.utilization import necessary

commands = typer.Typer(no_args_is_help=True, help="Several networks in real time, guaranteed.")

File = Annotated[Path, typer.Argument(metavar="TASKS.toml", help="task set")]
Out = Annotated[Optional[Path], typer.Option(help="write the task set (TOML)")]  # noqa: UP045
Contention = Annotated[
    str,
    typer.Option(help="resources that share one DRAM, e.g. fpga+cpu: their times are stretched"),
]
ARRIVALS: dict[str, Callable[[float], arrivals.Arrival]] = {
    "periodic": lambda _: arrivals.periodic,
    "sporadic": arrivals.sporadic,
    "poisson": arrivals.poisson,
}
EXECUTIONS = {"wcet": arrivals.worst, "uniform": arrivals.uniform, "extremes": arrivals.extremes}


def _contended(workload: Workload, masters: str) -> Workload:
    return taskfile.contended(workload, masters.split("+")) if masters else workload


def _ms(value: int | None) -> str:
    return "-" if value is None else f"{value / 1e6:.3f}"


@commands.command()
def generate(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL.onnx...", help="networks")],
    platform: PlatformName,
    out: Annotated[Path, typer.Option(help="write the task set (TOML)")],
    tasks: Annotated[int, typer.Option(min=1, help="number of tasks")] = 4,
    utilization: Annotated[float, typer.Option(help="of the reference device")] = 0.8,
    reference: Annotated[
        str, typer.Option(help="device that could compute all; default: CPU")
    ] = "",
    best: Annotated[float, typer.Option(help="BCET as a share of the WCET")] = 1.0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    as_json: AsJson = False,
) -> None:
    """Draw a random task set over networks, with layer times from the platform's cost models."""
    check_writable(out)
    entry = boards.load(platform)
    names = tuple(device.name for device in entry.devices)
    times = tuple(
        replace(
            convert.network_times(metrics.estimate(network, entry), network, entry),
            best_ppm=round(best * 1_000_000),
        )
        for network in (api.load(model) for model in models)
    )
    study = sweep.Study(
        networks=times,
        resources=names,
        reference=reference or entry.home,
        counts=(tasks,),
        utilizations=(utilization,),
        policies=("preferable",),
        seed=seed,
    )
    drawn = sweep.make_tasks(study, tasks, utilization, 0)
    workload = Workload(
        resources=tuple(convert.resource_of(device) for device in entry.devices),
        tasks=tuple(drawn),
        assignments=tuple(task.network.preferable() for task in drawn),
    )
    write_atomic(out, taskfile.to_toml(workload).encode())
    _show_analysis(workload, as_json)


@commands.command()
def analyze(tasks: File, contention: Contention = "", as_json: AsJson = False) -> None:
    """Bound the response time of every task under fixed priorities; exit code 2 if one is late."""
    if not _show_analysis(_contended(taskfile.read(tasks), contention), as_json):
        raise typer.Exit(2)


def _show_analysis(workload: Workload, as_json: bool) -> bool:
    taskset = workload.taskset()
    answers = response_times(taskset)
    busiest = necessary(taskset)
    if as_json:
        render.print_json(
            {
                "schedulable": all(answer.schedulable for answer in answers),
                "utilization": {
                    r.name: float(taskset.utilization(i)) for i, r in enumerate(taskset.resources)
                },
                "tasks": [
                    {**asdict(a), "schedulable": a.schedulable, "dominant": a.dominant}
                    for a in answers
                ],
            }
        )
    else:
        cells = (
            (
                a.task,
                _ms(a.bound_ns),
                _ms(a.deadline_ns),
                "yes" if a.schedulable else "NO",
                a.dominant,
                ", ".join(f"{name} {_ms(value)}" for name, value in a.terms if value),
            )
            for a in answers
        )
        columns = ("task", ">bound ms", ">deadline ms", "meets it", "most of it", "terms, ms")
        out = render.console()
        out.print(render.table("", columns, cells))
        out.print(f"busiest resource: {busiest.dominant}, utilization {busiest.value:.3f}")
    return all(answer.schedulable for answer in answers)


@commands.command("simulate")
def run_simulation(
    tasks: File,
    policy_name: Annotated[
        str, typer.Option("--policy", help="edf, fp, llf, fifo, or migration (fp with migration)")
    ] = "fp",
    horizon: Annotated[str, typer.Option(help="simulated time, e.g. 10s")] = "10s",
    arrival: Annotated[str, typer.Option(help="periodic, sporadic, poisson")] = "periodic",
    spread: Annotated[float, typer.Option(help="slack of sporadic, load of poisson")] = 0.5,
    execution: Annotated[str, typer.Option(help="wcet, uniform, extremes")] = "wcet",
    overrun: Annotated[str, typer.Option(help="queue, skip or abort")] = "queue",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    picture: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--gantt", help="draw the first pieces, jobs and deadlines (PNG)"),
    ] = None,
    contention: Contention = "",
    as_json: AsJson = False,
) -> None:
    """Simulate a task set: responses beside their bounds, misses, energy."""
    check_writable(picture)
    workload = _contended(taskfile.read(tasks), contention)
    for name, known in ((arrival, ARRIVALS), (execution, EXECUTIONS)):
        if name not in known:
            raise unknown_name("pattern", name, known)
    options = Options(
        arrival=ARRIVALS[arrival](spread),
        execution=EXECUTIONS[execution],
        seed=seed,
        overrun=overrun,
        trace_limit=400 if picture else 0,
    )
    taskset = workload.taskset()
    watched = gantt.Watched(_policy(policy_name, workload))
    result = simulate(
        taskset, watched if picture else watched.policy, units.time_ns(horizon, "horizon"), options
    )
    bounds = {a.task: a.bound_ns for a in response_times(taskset)} if policy_name == "fp" else {}
    if picture:
        title = f"{tasks.stem}, {policy_name}, simulated"
        write_atomic(picture, gantt.picture(taskset, result.trace, watched.jobs, title))
    if as_json:
        report = asdict(result)
        del report["trace"]
        for row in report["tasks"]:
            row["bound_ns"] = bounds.get(row["name"])
        render.print_json({"policy": policy_name, "source": "simulated", **report})
        return
    cells = (
        (
            t.name, t.completed, t.misses, t.dropped, _ms(t.response_mean_ns),
            _ms(t.response_p99_ns), _ms(t.response_max_ns), _ms(bounds.get(t.name)),
        )
        for t in result.tasks
    )  # fmt: skip
    columns = ("task", ">jobs", ">misses", ">dropped", ">mean ms", ">p99", ">max", ">bound")
    out = render.console()
    out.print(render.table("", columns, cells))
    for r in result.resources:
        share = r.busy_ns / result.horizon_ns
        out.print(f"{r.name}: busy {share:.1%}, {r.energy_pj / 1e12:.4g} J, simulated")


def _policy(name: str, workload: Workload) -> Policy:
    if name != "migration":
        return policy(name)
    if workload.link is not None or any(r.chunk_ns for r in workload.resources):
        raise InputError("migration moves whole layers: leave out link and chunk")
    names = [task.name for task in workload.tasks]
    return Migration(
        dict(zip(names, workload.tasks, strict=True)),
        dict(zip(names, workload.assignments, strict=True)),
    )


@commands.command()
def allocate(
    tasks: File,
    out: Out = None,
    evaluations: Annotated[int, typer.Option(min=1, help="assignments tried at most")] = 20_000,
    contention: Contention = "",
    as_json: AsJson = False,
) -> None:
    """Choose a resource for every layer so that all bounds meet their deadlines (LaLaRAND).

    Exit code 2 if none was found; the least late assignment is shown and written all the same.
    """
    check_writable(out)
    alone = taskfile.read(tasks)
    workload = _contended(alone, contention)
    found = lalarand.allocate(workload.tasks, link=workload.link, evaluations=evaluations)
    allocated = replace(workload, assignments=found.assignments)
    if out:
        kept = replace(alone, assignments=found.assignments)
        write_atomic(out, taskfile.to_toml(kept).encode())
    if as_json:
        names = [r.name for r in workload.resources]
        render.print_json(
            {
                **asdict(found),
                "assignments": {
                    task.name: [names[r] for r in assignment]
                    for task, assignment in zip(workload.tasks, found.assignments, strict=True)
                },
            }
        )
    else:
        _show_analysis(allocated, as_json=False)
        render.console().print(f"{found.method}, {found.evaluations} assignments tried")
    if not found.schedulable:
        raise typer.Exit(2)


def sweep_command(
    tasks: File,
    out: Annotated[Path, typer.Option(help="result: .csv, or .parquet (needs pyarrow)")],
    policies: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--policy", help="all:R, preferable, task-level, cut:A>B, layer-level[:A+B]"),
    ] = None,
    reference: Annotated[str, typer.Option(help="resource whose utilization is swept")] = "",
    counts: Annotated[str, typer.Option(help="numbers of tasks")] = "3,4,5,6",
    utilizations: Annotated[str, typer.Option(help="LOW:HIGH:STEP")] = "0.6:1.4:0.1",
    sets: Annotated[int, typer.Option(min=1, help="task sets per point")] = 100,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    evaluations: Annotated[int, typer.Option(min=1, help="assignments tried per set")] = 1500,
    jobs: Annotated[int, typer.Option(min=1, help="local processes")] = 1,
    dask: Annotated[
        str, typer.Option(help="address of a Dask scheduler, e.g. tcp://host:8786")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Count the random task sets that each policy accepts, over the networks of a file.

    The result is the same whatever the number of workers. Finished blocks are kept in OUT.part
    until the end; the same command goes on from there.
    """
    check_writable(out)
    if out.suffix not in {".csv", ".parquet"}:
        raise InputError(f"result {out} must end in .csv or .parquet")
    workload = taskfile.read(tasks)
    names = tuple(r.name for r in workload.resources)
    study = sweep.Study(
        networks=tuple({t.network.name: t.network for t in workload.tasks}.values()),
        resources=names,
        reference=reference or names[-1],
        counts=_numbers(counts),
        utilizations=_steps(utilizations),
        policies=tuple(policies or ["preferable", "task-level", "layer-level"]),
        sets=sets,
        seed=seed,
        evaluations=evaluations,
    )
    run = partial(sweep.cluster, address=dask) if dask else partial(sweep.local, jobs=jobs)
    side = out.with_name(f"{out.name}.part")
    rows: list[sweep.Row] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("task sets", total=None)
        for done, every, found in sweep.sweep(study, run, side):
            progress.update(bar, completed=done, total=every)
            rows = found
    write_atomic(out, sweep.to_bytes(rows, out.suffix))
    side.unlink(missing_ok=True)
    _show_sweep(rows, as_json)


def _show_sweep(rows: Sequence[sweep.Row], as_json: bool) -> None:
    shares = sweep.weighted(rows)
    totals = {p: sum(r.schedulable for r in rows if r.policy == p) for p in shares}
    sets = sum(r.sets for r in rows) // max(1, len(shares))
    if as_json:
        render.print_json(
            {
                "sets": sets,
                "schedulable": totals,
                "weighted": shares,
                "rows": [asdict(r) for r in rows],
            }
        )
        return
    cells: list[tuple[Any, ...]] = [(p, totals[p], f"{shares[p]:.3f}") for p in totals]
    out = render.console()
    out.print(render.table("", ("policy", ">schedulable", ">weighted"), cells))
    out.print(f"of {sets} task sets, by response-time bounds")


def _numbers(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise InputError(f"counts {text!r} must be whole numbers above 0, e.g. 3,4,5")
    return tuple(int(part) for part in parts)


def _steps(text: str) -> tuple[float, ...]:
    try:
        low, high, step = (float(part) for part in text.split(":"))
    except ValueError as error:
        raise InputError(
            f"utilizations {text!r} must be LOW:HIGH:STEP, e.g. 0.6:1.4:0.1"
        ) from error
    if not (0 < low <= high < 1000 and step > 0 and (high - low) / step < 1000):
        raise InputError(f"utilizations {text!r}: needs 0 < LOW <= HIGH and a step above 0")
    return tuple(round(low + step * i, 6) for i in range(int((high - low) / step + 1e-6) + 1))
