"""How numpy is set while layers are computed, in the thread that does it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

BUFFER = 1024
"""Elements of numpy's buffer; its own choice is 8192.

Operands whose runs of memory are shorter than the buffer are copied into it first, which leaves a
half to a fifth of the speed of a pass (float32, trials).
"""


@contextmanager
def prepared_numpy(buffer: int = BUFFER) -> Iterator[None]:
    """Let numpy compute without warnings and with a small buffer, in this thread."""
    with np.errstate(all="ignore"):
        before = np.setbufsize(buffer)
        try:
            yield
        finally:
            np.setbufsize(before)
