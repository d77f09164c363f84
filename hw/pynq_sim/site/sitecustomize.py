"""Python runs this at start where its folder is on PYTHONPATH: PYNQ's import enables a simulation.

Nothing happens before ``import pynq``, nor without HETEROLITH_SIM. Another ``sitecustomize``
further down the path still runs.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

_HERE = str(Path(__file__).parent)


class _AfterPynq(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads pynq as usual, then the simulated board."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:  # noqa: ANN401
        if name != "pynq":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            self._loader: Any = spec.loader
            spec.loader = self
        return spec

    def create_module(self, spec: Any) -> Any:  # noqa: ANN401
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:  # noqa: ANN401
        self._loader.exec_module(module)
        module.__spec__.loader = self._loader
        import heterolith.hw.pynq_sim.auto  # noqa: F401


if os.environ.get("HETEROLITH_SIM"):
    sys.meta_path.insert(0, _AfterPynq())

_rest = [entry for entry in sys.path if entry and str(Path(entry)) != _HERE]
_next = importlib.machinery.PathFinder.find_spec("sitecustomize", _rest)
if _next is not None and _next.loader is not None:
    _next.loader.exec_module(importlib.util.module_from_spec(_next))
