"""How numpy is set while layers are computed, in the thread that does it."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from functools import cache
from importlib import import_module
from typing import Any, TypeVar

import numpy as np

BUFFER = 1024
"""Elements of numpy's buffer; its own choice is 8192.

Operands with short runs of memory are copied into it first, which leaves a half to a fifth of the
speed of a pass (float32, trials): numpy 2.3 and later do it where a run, times one more than the
operands whose strides break there, is no longer than the buffer.
"""


class prepared_numpy:  # noqa: N801 - used like a function, as `numpy.errstate` is
    """Let numpy compute without warnings and with a small buffer, in this thread."""

    __slots__ = ("_before", "_buffer", "_state")

    def __init__(self, buffer: int = BUFFER) -> None:
        self._buffer, self._state = buffer, np.errstate(all="ignore")

    def __enter__(self) -> None:
        self._state.__enter__()
        self._before = np.setbufsize(self._buffer)

    def __exit__(self, *error: Any) -> None:  # noqa: ANN401 - as errstate's
        np.setbufsize(self._before)
        self._state.__exit__(*error)


_T = TypeVar("_T")


@cache
def within(buffer: int) -> Callable[..., Any]:
    """Return what calls a function with `prepared_numpy`: ``call(function, *arguments)``.

    Where numpy keeps its settings in a context (2.0 and later), entering one that holds them
    already takes a tenth of the time of setting and putting back.
    """

    def call(function: Callable[..., _T], *arguments: Any) -> _T:  # noqa: ANN401 - anything
        with prepared_numpy(buffer):
            return function(*arguments)

    if int(np.__version__.partition(".")[0]) < 2:
        return call
    settled = Context()
    settled.run(prepared_numpy(buffer).__enter__)
    # a copy, as a context can be entered once at a time
    return lambda function, *arguments: settled.copy().run(function, *arguments)


def _clip() -> Callable[..., Any]:
    """Return the ufunc behind ``np.clip``, which numpy does not export."""
    for module in ("numpy._core.umath", "numpy.core.umath"):
        try:
            return getattr(import_module(module), "clip", np.clip)
        except ModuleNotFoundError:
            continue
    return np.clip


clip = _clip()
"""``np.clip`` of an array between two scalars of its dtype, into ``out``, a third of its calls."""
