"""``heterolith bench policies``: all adaptive policies on one scenario, simulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from heterolith.cli import render
from heterolith.cli.files import check_writable, write_atomic
from heterolith.cli.options import AsJson
from heterolith.errors import InputError
from heterolith.scheduler.adaptive import Scenario, bench, scenarios
from heterolith.scheduler.adaptive.picture import picture
from heterolith.scheduler.adaptive.run import PolicyRow

commands = typer.Typer(no_args_is_help=True, help="Policies side by side, simulated.")


@commands.callback()
def _main() -> None:
    """Keep ``bench policies`` two words, though it is the only one."""


@commands.command("policies")
def policies(
    scenario: Annotated[str, typer.Option(help="name, see --list")] = "",
    policy: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer on 3.10 reads Optional
        typer.Option("--policy", help="name, see --list; may repeat; default: all"),
    ] = None,
    data: Annotated[
        Path, typer.Option(help="folder with NAME.onnx and NAME.trace.npz")
    ] = scenarios.DATA,
    jobs: Annotated[int, typer.Option(min=1, help="about how many jobs")] = 2000,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    plot: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="draw accuracy over energy (PNG)"),
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="list scenarios and policies")] = False,
    as_json: AsJson = False,
) -> None:
    """Run policies on the same requests, images and recorded answers."""
    if show:
        _list(as_json)
        return
    if not scenario:
        raise InputError("no scenario; give --scenario NAME, or --list to see the names")
    check_writable(plot)
    made = scenarios.build(scenario, data, jobs=jobs, seed=seed)
    rows = bench.run(made, policy or ())
    if plot is not None:
        found = [row for row in rows if not isinstance(row, bench.Refusal)]
        write_atomic(plot, picture(f"{scenario}: {made.about}", found))
    if as_json:
        render.print_json(
            {
                "scenario": scenario,
                "about": made.about,
                "platform": made.board.name,
                "source": f"simulated; {made.board.source}; answers recorded",
                "seed": seed,
                "horizon_s": made.horizon_ns / 1e9,
                "policies": [_row(row, made.power_mw, made.horizon_ns) for row in rows],
            }
        )
        return
    _table(made, rows)


def _table(made: Scenario, rows: Sequence[PolicyRow | bench.Refusal]) -> None:
    columns = (
        "policy", ">jobs", ">misses", ">accuracy %", ">energy mJ", ">average W", ">exits",
        ">p99 ms", ">switches", "",
    )  # fmt: skip
    cells = []
    for row in rows:
        if isinstance(row, bench.Refusal):
            cells.append((row.policy, *[""] * 8, row.reason))
            continue
        power = row.energy_mj / made.horizon_ns * 1e6
        accuracy = "-" if row.accuracy is None else f"{row.accuracy * 100:.2f}"
        cells.append(
            (
                row.policy, str(row.jobs), str(row.misses), accuracy, f"{row.energy_mj:.1f}",
                f"{power:.3f}", f"{row.mean_depth:.2f}", f"{row.p99_ms:.3f}", str(row.switches),
                "above the cap" if power > made.power_mw / 1e3 else "",
            )
        )  # fmt: skip
    out = render.console()
    out.print(render.table(f"{made.name}: {made.about} (simulated)", columns, cells))


def _row(row: PolicyRow | bench.Refusal, power_mw: float, horizon_ns: int) -> dict[str, Any]:
    if isinstance(row, bench.Refusal):
        return {"policy": row.policy, "refused": row.reason}
    power_w = row.energy_mj / horizon_ns * 1e6
    found = {**asdict(row), "miss_rate": row.miss_rate, "power_w": power_w}
    del found["scenario"]
    if power_mw < float("inf"):
        found["within_cap"] = power_w * 1e3 <= power_mw
    return found


def _list(as_json: bool) -> None:
    specs = scenarios.SPECS
    if as_json:
        render.print_json(
            {
                "scenarios": {
                    name: {k: v for k, v in asdict(spec).items() if v != float("inf")}
                    for name, spec in specs.items()
                },
                "policies": list(bench.POLICIES),
            }
        )
        return
    cells = (
        (name, spec.platform, "+".join(spec.devices), len(spec.networks), spec.about)
        for name, spec in specs.items()
    )
    out = render.console()
    out.print(render.table("", ("scenario", "platform", "devices", ">tasks", "what"), cells))
    out.print("policies: " + ", ".join(bench.POLICIES))
