"""Accuracy over energy of the policies on one scenario, as a picture."""

from __future__ import annotations

from collections.abc import Sequence

from heterolith.scheduler.adaptive.run import PolicyRow
from heterolith.scheduler.gantt import new_figure, png


def picture(title: str, rows: Sequence[PolicyRow]) -> bytes:
    """Return PNG bytes: one dot per policy, hollow if jobs of hard tasks missed.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    figure = new_figure(7, 5)
    axes = figure.subplots()
    for number, row in enumerate(rows):
        if row.accuracy is None:
            continue
        face = "none" if row.hard_misses else f"C{number % 10}"
        axes.scatter(
            row.energy_mj, row.accuracy * 100, facecolors=face, edgecolors=f"C{number % 10}"
        )
        axes.annotate(
            row.policy, (row.energy_mj, row.accuracy * 100), fontsize=7,
            xytext=(4, 2 + 5 * (number % 3)), textcoords="offset points",
        )  # fmt: skip
    axes.set_title(title)
    axes.set_xlabel("energy of the board until the horizon (mJ), simulated")
    axes.set_ylabel("accuracy, misses count as wrong (%)")
    return png(figure)
