"""``heterolith fit`` and ``heterolith evaluate``: cost models, and how good they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import Enum
from io import BytesIO
from pathlib import Path
from typing import Annotated, Optional

import numpy as np
import typer

from heterolith.cli import render
from heterolith.cli.files import check_writable, write_atomic
from heterolith.cli.options import AsJson
from heterolith.errors import InputError, MissingExtraError
from heterolith.metrics import models
from heterolith.metrics.models import Errors, Evaluation, Prediction, Samples, Stored
from heterolith.metrics.models.samples import TARGETS


class Metric(str, Enum):
    """What a model predicts."""

    latency = "latency"
    power = "power"
    energy = "energy"


Files = Annotated[
    list[Path], typer.Argument(metavar="FILE.csv...", help="samples: see metrics/README.md")
]
Plot = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="write predicted over measured (PNG; extra plot)"),
]


def fit(
    files: Files,
    metric: Annotated[Metric, typer.Option(help="what to predict")] = Metric.latency,
    level: Annotated[
        float, typer.Option(min=0.5, max=0.99, help="share of new rows an interval should hold")
    ] = 0.9,
    learner: Annotated[
        bool,
        typer.Option(
            "--residual/--no-residual",
            help="let a learner correct the physical model where cross-validation proves it pays",
        ),
    ] = True,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="write the model (JSON)"),
    ] = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Fit a cost model to measured samples; print coefficients, errors and intervals.

    Errors are those on whole networks, and whole shape families, that the fit had not seen.
    """
    check_writable(out, plot)
    samples, digest = models.read(files, metric.value)
    model = models.CostModel(metric=metric.value, level=level, residual=learner).fit(samples)
    devices = sorted(set(samples.labels["device"].tolist()))
    stored = Stored(
        model=model,
        device="+".join(filter(None, devices)),
        source="fitted",
        data_sha256=digest,
        rows=len(samples),
    )
    content = models.to_json(stored)
    image = picture(samples, model.predict(samples), metric.value) if plot is not None else b""
    if out is not None:
        write_atomic(out, (json.dumps(content, indent=1) + "\n").encode())
    if plot is not None:
        write_atomic(plot, image)
    if as_json:
        render.print_json(content)
    else:
        _show(stored, samples)
        for path in filter(None, (out, plot)):
            render.console().print(f"wrote {path}", soft_wrap=True)


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL.cost.json", help="a fitted model")],
    files: Files,
    extrapolate: Annotated[
        bool, typer.Option("--extrapolate", help="flag rows outside the fitted range, not refuse")
    ] = False,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Compare a model with samples it has not seen: error, and how many its intervals hold."""
    check_writable(plot)
    stored = models.load(model)
    samples, digest = models.read(files, stored.model.metric)
    if digest == stored.data_sha256:
        raise InputError(
            f"{model} was fitted on exactly these samples; evaluate it on others, its errors on "
            "networks left out are in its file"
        )
    found, prediction = models.evaluate(stored.model, samples)
    if not extrapolate:
        models.refuse_outside(prediction, samples)
    if plot is not None:
        write_atomic(plot, picture(samples, prediction, stored.model.metric))
    if as_json:
        render.print_json(_evaluation_json(found, prediction, samples))
    else:
        _show_evaluation(found, stored)


def _evaluation_json(
    found: Evaluation, prediction: Prediction, samples: Samples
) -> dict[str, object]:
    return {
        "rows": found.errors.rows,
        "mape": found.errors.mape,
        "median": found.errors.median,
        "within_10pct": found.errors.within_10pct,
        "bias": found.errors.bias,
        "coverage": found.coverage,
        "outside": found.outside,
        "networks": found.networks,
        "pace": None
        if found.paced is None
        else {
            "slower": found.slower,
            "mape": found.paced.mape,
            "within_10pct": found.paced.within_10pct,
            "bias": found.paced.bias,
            "networks": found.paced_networks,
        },
        "samples": [
            {
                "network": network,
                "layer": layer,
                "predicted": value,
                "low": low,
                "high": high,
                "outside": reason,
            }
            for network, layer, value, low, high, reason in zip(
                samples.labels["network"].tolist(),
                samples.labels["layer"].tolist(),
                prediction.value.tolist(),
                prediction.low.tolist(),
                prediction.high.tolist(),
                prediction.outside,
                strict=True,
            )
        ],
    }


def _show(stored: Stored, samples: Samples) -> None:
    out, model = render.console(), stored.model
    fitted = model.physics_
    out.print(
        f"[bold]{model.metric}[/bold] of {stored.device or 'a device'}: {stored.rows} samples of "
        f"{len(set(samples.labels['network'].tolist()))} networks"
    )
    content = models.to_json(stored)
    share = _shares(stored, samples)
    rows = [
        (row["name"], row["kind"], row["clock"] or "-", f"{row['coefficient']:.4g}", row["unit"], s)
        for row, s in zip(content["terms"], share, strict=True)
        if row["coefficient"] > 0
    ]
    columns = ("term", "kind", "clock", ">coefficient", "unit", ">share")
    out.print(render.table("", columns, rows))
    form = fitted.form
    overlap = "add up" if form.order == 1 else f"overlap (order {form.order:g})"
    if model.metric == "latency":
        out.print(f"arithmetic and memory traffic {overlap}")
    else:
        out.print(f"voltage follows clock to the power {form.beta:g}")
    if fitted.residual is not None:
        out.print("a residual learner corrects it: cross-validation is better with it; the model is"
                  " no longer monotone in work")  # fmt: skip
    for errors in model.errors_:
        out.print(_error_line(errors))
    spread = model.spread_
    if np.isfinite(spread.quantile):
        out.print(
            f"{spread.level:.0%} interval: typically x/÷ {np.exp(spread.quantile):.3f}; "
            f"{spread.groups} groups support {min(spread.level, spread.supported):.0%} without "
            "assumptions"
        )
    else:
        out.print("no interval: it takes at least two networks or shape families")
    for line in model.warnings_:
        render.console().print(f"note: {line}", soft_wrap=True, markup=False)


def _shares(stored: Stored, samples: Samples) -> list[str]:
    """Return each term's share of the metric over all samples."""
    from heterolith.metrics.models import terms

    fitted = stored.model.physics_
    matrix = terms.design(fitted.terms, samples, fitted.reference, fitted.metric)
    parts = matrix * np.array(fitted.coefficients)
    total = parts.sum(axis=1, keepdims=True)
    return [f"{value:.1%}" for value in (parts / np.where(total > 0, total, 1)).mean(axis=0)]


def _error_line(errors: Errors) -> str:
    return (
        f"leave one {errors.by} out: mean error {errors.mape:.1%}, median {errors.median:.1%}, "
        f"{errors.within_10pct:.0%} of {errors.rows} rows within 10 %, bias {errors.bias:+.1%}, "
        f"worst {errors.worst[0]} {errors.worst[1]:.0%}"
    )


def _show_evaluation(found: Evaluation, stored: Stored) -> None:
    out = render.console()
    out.print(
        f"{found.errors.rows} rows: mean error {found.errors.mape:.1%}, median "
        f"{found.errors.median:.1%}, {found.errors.within_10pct:.0%} within 10 %, bias "
        f"{found.errors.bias:+.1%}"
    )
    level = stored.model.level
    if np.isfinite(found.coverage):
        out.print(f"{found.coverage:.0%} of rows lie in their {level:.0%} interval")
    if found.outside:
        out.print(f"{found.outside} rows lie outside the fitted range and have no interval")
    shown = {"sum of rows": found.networks}
    if found.paced is not None:
        shown["at their pace"] = found.paced_networks
        out.print(
            f"the machine took {found.slower:.3f} times as long as in the fit (reference network); "
            f"at the samples' pace: mean error {found.paced.mape:.1%}, "
            f"{found.paced.within_10pct:.0%} within 10 %, bias {found.paced.bias:+.1%}",
            soft_wrap=True,
        )
    rows = (
        (name, *(f"{errors[name]:+.1%}" for errors in shown.values())) for name in found.networks
    )
    out.print(render.table("", ("network", *(f">{title}" for title in shown)), rows))


def picture(samples: Samples, prediction: Prediction, metric: str) -> bytes:
    """Return a PNG of predicted over measured, one colour per operator family.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plot") from error
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    measured = samples.targets[metric]
    families: Sequence[str] = samples.labels["family"].tolist()
    for family in dict.fromkeys(families):
        rows = np.array([name == family for name in families])
        ratio = prediction.value[rows] / measured[rows]
        axes.plot(measured[rows], ratio, ".", label=family or "networks")
    for edge, style in ((0.9, ":"), (1.0, "-"), (1.1, ":")):
        axes.axhline(edge, color="grey", linestyle=style, linewidth=0.8)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel=f"measured {metric} / {TARGETS[metric]}",
        ylabel="predicted / measured",
    )
    axes.legend(fontsize="small")
    data = BytesIO()
    figure.savefig(data, format="png", dpi=120)
    return data.getvalue()
