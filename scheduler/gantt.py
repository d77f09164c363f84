"""A plan as a picture: one row per device and link over time."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from heterolith.errors import MissingExtraError
from heterolith.scheduler.plan import Plan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Bar = tuple[float, float, str]
"""Start in ms, length in ms, label."""

COLORS = ("#4477aa", "#228833", "#cc6677", "#aa7744", "#66ccee", "#997788")
LINK_COLOR = "#bbbbbb"


def rows(plan: Plan) -> dict[str, list[Bar]]:
    """Return the bars per device in order of first use, then per link."""
    lanes: dict[str, list[Bar]] = {}
    for row in plan.assignments:
        bar = (row.start_ns / 1e6, (row.end_ns - row.start_ns) / 1e6, row.layer)
        lanes.setdefault(row.device, []).append(bar)
    for hop in plan.transfers:
        bar = (hop.start_ns / 1e6, (hop.end_ns - hop.start_ns) / 1e6, hop.tensor)
        lanes.setdefault(hop.link, []).append(bar)
    return lanes


def text(plan: Plan, width: int = 60) -> dict[str, str]:
    """Return one line of ``width`` characters per device and link, filled where it is busy."""
    total_ms = plan.metrics.latency_ns / 1e6 or 1.0
    lines = {}
    for name, bars in rows(plan).items():
        cells = [" "] * width
        for start_ms, length_ms, _ in bars:
            if length_ms:
                first = min(int(start_ms / total_ms * width), width - 1)
                last = min(int((start_ms + length_ms) / total_ms * width), width - 1)
                cells[first : last + 1] = "█" * (last - first + 1)
        lines[name] = "".join(cells)
    return lines


def picture(plan: Plan) -> bytes:
    """Return the Gantt chart of a plan as PNG bytes; raises as `lanes_picture` does."""
    deadline_ns = dict(plan.limits).get("deadline_ns")
    near = deadline_ns is not None and deadline_ns <= 2 * plan.metrics.latency_ns
    return lanes_picture(
        rows(plan),
        headline(plan),
        links={hop.link for hop in plan.transfers},
        deadline_ms=deadline_ns / 1e6 if deadline_ns is not None and near else None,
        what="time (ms), predicted",
    )


def lanes_picture(
    lanes: Mapping[str, Sequence[Bar]],
    title: str,
    *,
    links: Collection[str] = (),
    deadline_ms: float | None = None,
    what: str = "time (ms), simulated",
) -> bytes:
    """Return bars per lane as PNG bytes.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    figure = new_figure(12, 1.6 + 0.6 * len(lanes))
    axes = figure.subplots()
    total_ms = max((bar[0] + bar[1] for bars in lanes.values() for bar in bars), default=1.0) or 1.0
    for lane, (name, bars) in enumerate(lanes.items()):
        color = LINK_COLOR if name in links else COLORS[lane % len(COLORS)]
        axes.broken_barh(
            [bar[:2] for bar in bars],
            (lane - 0.38, 0.76),
            facecolors=color,
            edgecolors="white",
            linewidth=0.3,
        )
        _label(axes, lane, bars, total_ms)
    if deadline_ms is not None:
        axes.axvline(deadline_ms, color="#aa3377", linestyle="--", linewidth=1, label="deadline")
        axes.legend(loc="upper right", frameon=False)
    axes.set_yticks(range(len(lanes)), list(lanes))
    axes.invert_yaxis()
    axes.set_xlabel(what)
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    return png(figure)


def new_figure(width_in: float, height_in: float) -> Figure:
    """Return an empty figure that needs no display.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    os.environ.setdefault("MPLBACKEND", "Agg")
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("matplotlib", "plot") from error
    return Figure(figsize=(width_in, height_in), layout="constrained")


def png(figure: Figure) -> bytes:
    """Return a figure as PNG bytes."""
    data = BytesIO()
    figure.savefig(data, format="png", dpi=130)
    return data.getvalue()


def headline(plan: Plan) -> str:
    """Return network, platform and the main figures in one line."""
    metrics = plan.metrics
    return (
        f"{plan.network} on {plan.platform}: {metrics.latency_ns / 1e6:.2f} ms, "
        f"{metrics.energy_pj / 1e9:.1f} mJ, {metrics.average_power_mw / 1e3:.2f} W average"
    )


def _label(axes: object, lane: int, bars: Sequence[Bar], total_ms: float) -> None:
    for start_ms, length_ms, name in bars:
        room = int(length_ms / total_ms * 130)
        if room >= 3:
            short = name if len(name) <= room else name[: room - 1] + "…"
            axes.text(  # type: ignore[attr-defined]
                start_ms + length_ms / 2,
                lane,
                short,
                ha="center",
                va="center",
                fontsize=6,
                color="white",
            )
