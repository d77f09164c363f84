"""The trained CIFAR-10 networks with their recorded traces, priced on a board, for the studies.

Accuracies come from images that were run through every mix of degrees (examples/cifar10/); times
and powers are data-sheet (`heterolith.scheduler.adaptive.space`). Prints what each block takes.

Run: python benchmarks/adaptive_networks.py --board jetson-tx2 --device cpu
"""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path

from heterolith import boards
from heterolith.scheduler.adaptive.pricing import Priced, price
from heterolith.scheduler.adaptive.scenarios import recorded

FOLDER = Path(__file__).parent.parent / "examples" / "cifar10"
NETWORKS = ("resnet8", "exits")


@cache
def priced(board: str, device: str, folder: Path = FOLDER) -> Priced:
    """Return both networks on a device of a board.

    Raises
    ------
    InputError
        If a network or its trace is missing, or they do not belong together.
    """
    return price(boards.load(board), device, recorded(folder, NETWORKS))


def main() -> None:
    """Print blocks, degrees and WCETs at the fastest point."""
    parser = argparse.ArgumentParser(description=" ".join((__doc__ or "").split()))
    parser.add_argument("--board", default="jetson-tx2")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    for name, network in priced(asked.board, asked.device).networks.items():
        for layer in network.layers:
            for degree in layer.degrees:
                print(f"{name} {layer.name} {degree.name}: {degree.wcet_ns / 1000:.1f} us")


if __name__ == "__main__":
    main()
