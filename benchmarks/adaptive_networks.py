"""The trained CIFAR-10 networks with their recorded traces, priced on a board, for the studies.

Accuracies come from images that were run through every mix of degrees (examples/cifar10/); times
and powers are data-sheet (`heterolith.scheduler.adaptive.space`).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from heterolith import api, boards
from heterolith.errors import InputError
from heterolith.metrics.trace import read_trace
from heterolith.scheduler.adaptive.pricing import Priced, price

FOLDER = Path(__file__).parent.parent / "examples" / "cifar10"
NETWORKS = ("resnet8", "exits")


@cache
def priced(board: str, device: str, folder: Path = FOLDER) -> Priced:
    """Return both networks on a device of a board.

    Raises
    ------
    InputError
        If a network or its trace is missing.
    """
    found = {}
    for name in NETWORKS:
        model, trace = folder / f"{name}.onnx", folder / f"{name}.trace.npz"
        for path in (model, trace):
            if not path.is_file():
                raise InputError(
                    f"{path} is missing; examples/cifar10/README.md says how to make it"
                )
        found[name] = (api.load(model), read_trace(trace))
    return price(boards.load(board), device, found)
