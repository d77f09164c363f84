"""The onnx.backend interface on the import and the CPU worker that every run uses.

`prepare`, `run_model`, `run_node` and `supports_device` are those of ``onnx.backend.base.Backend``;
``onnx.backend.test.BackendTest`` takes this module as it is. ``python -m heterolith.sw.backend
--report`` says which tests of that suite are covered and why the others are not.
"""

from heterolith.sw.backend.interface import (
    Prepared,
    prepare,
    run_model,
    run_node,
    supports_device,
)

__all__ = ["Prepared", "prepare", "run_model", "run_node", "supports_device"]
