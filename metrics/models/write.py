"""Sample files: profile rows with the work behind them, for `plan --profile` and for `fit`."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import fields
from io import StringIO

from heterolith.metrics.models.features import layer_rows
from heterolith.metrics.models.samples import WORK
from heterolith.metrics.profile import Cost
from heterolith.sw.network import Network

ADDED = (
    "network",
    "family",
    "shape",
    *(name for name in WORK if name not in ("images", "input_elements")),
)


def to_csv(costs: Sequence[tuple[Network, Cost]], **columns: float | str) -> str:
    """Return rows as CSV text: the columns of `Cost`, labels and work, then ``columns``.

    Parameters
    ----------
    columns
        Column -> its value in all rows: clocks, MHz, and what made the figures.
    """
    text = StringIO()
    names = [column.name for column in fields(Cost)]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, *ADDED, *columns])
    works = {id(network): layer_rows(network) for network, _ in costs}
    for network, cost in costs:
        work = works[id(network)][cost.layer]
        writer.writerow(
            [
                *(getattr(cost, name) for name in names),
                *(work.get(name, 0) for name in ADDED),
                *columns.values(),
            ]
        )
    return text.getvalue()
