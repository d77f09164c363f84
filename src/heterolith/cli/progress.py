"""A progress bar for runs that take the simulation minutes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from heterolith.hw.device.protocol import Device

INTERVAL_S = 0.5


@contextmanager
def bar(device: Device, name: str, cycles: int) -> Iterator[None]:
    """Show on standard error, if that is a terminal, how many of the predicted cycles are done.

    Parameters
    ----------
    device
        Nothing is shown for one without registers to look at.
    """
    registers = getattr(device, "registers", None)
    if registers is None or not sys.stderr.isatty():
        yield
        return
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("cycles"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    done = Event()

    def look() -> None:
        while not done.wait(INTERVAL_S):
            progress.update(task, completed=registers.read("CYCLES_LOW"))

    with progress:
        task = progress.add_task(name, total=cycles or None)
        thread = Thread(target=look, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
