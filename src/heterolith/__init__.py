"""Heterolith: place the layers of an ONNX network on FPGA, CPU and GPU, prove it, run it.

The five-line use::

    import heterolith as ht

    network = ht.load("squeezenet.onnx")
    platform = ht.platform("ultra96-v2+jetson-tx2")
    plan = ht.plan(network, platform, deadline="100ms", objective="energy")
    result = ht.run(plan, network, "random:0")

Importing this module loads nothing but the standard library; each name is imported on first use,
so that the parts a board needs (floors 0-2 and the dispatcher) run with numpy alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heterolith.api import Runner, RunResult, load, plan, platform, run

__version__ = "0.1.0"
__all__ = ["RunResult", "Runner", "__version__", "load", "plan", "platform", "run"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in __all__:
        return getattr(import_module("heterolith.api"), name)
    raise AttributeError(f"module 'heterolith' has no attribute {name!r}")
