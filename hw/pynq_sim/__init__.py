"""The simulated board under PYNQ. Door: `enable`, or one import: ``heterolith.hw.pynq_sim.auto``.

With ``HETEROLITH_SIM=ultra96-v2`` and the folder of `startup_folder` on ``PYTHONPATH``, which is
what ``heterolith simulate ultra96-v2 COMMAND`` sets, PYNQ scripts and notebooks run without any
change.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from heterolith.errors import InputError, MissingExtraError, unknown_name
from heterolith.hw.overlay import SIMULATED

VARIABLE = "HETEROLITH_SIM"
"""Environment variable that names the board to simulate."""


def startup_folder() -> Path:
    """Return the folder whose ``sitecustomize`` enables the simulation with PYNQ's import."""
    return Path(__file__).parent / "site"


def environment(board: str) -> dict[str, str]:
    """Return a process environment in which PYNQ finds a simulated board.

    Raises
    ------
    InputError
        If there is no such board; near matches are in the message.
    """
    if board not in SIMULATED:
        raise unknown_name("simulated board", board, SIMULATED)
    path = os.pathsep.join(filter(None, [str(startup_folder()), os.environ.get("PYTHONPATH")]))
    return {**os.environ, VARIABLE: board, "PYTHONPATH": path}


def enable(board: str = "") -> Any:  # noqa: ANN401
    """Make a simulated board PYNQ's active device and return it.

    Parameters
    ----------
    board
        By default what ``HETEROLITH_SIM`` names, else ``ultra96-v2``.

    Raises
    ------
    MissingExtraError
        If pynq is not installed.
    InputError
        If there is no such board, or another one is simulated already.
    """
    board = board or os.environ.get(VARIABLE) or "ultra96-v2"
    if board not in SIMULATED:
        raise unknown_name("simulated board", board, SIMULATED)
    try:
        import pynq
        from pynq import pmbus
    except ImportError as error:
        raise MissingExtraError("pynq", "pynq") from error
    from heterolith.hw.pynq_sim.device import SimulatedDevice

    active = getattr(pynq.Device, "_active_device", None)
    if not isinstance(active, SimulatedDevice):
        active = SimulatedDevice(board)
        pynq.Device.active_device, pynq.Device._devices = active, [active]
        pmbus._enumerate_sensors = _rails
    if active.name != board:
        raise InputError(f"{active.name} is simulated already; simulate {board} in another process")
    return active


def _rails(config_file: object = None) -> dict[str, Any]:
    """Return PYNQ's rails over the simulated sensors, in place of those of libsensors."""
    del config_file
    import pynq
    from pynq.pmbus import Rail

    rails = {}
    for name, sensor in pynq.Device.active_device.sensors().items():
        rails[name] = Rail(name)
        rails[name].power = sensor
    return rails
