"""Exact convolution of quantized tensors by products in float32.

Codes minus their zero points are small integers, which float32 holds. A sum of products is exact,
in any order, while no partial sum can pass 2**24: the sum over a kernel of |weight| times the
largest |input| bounds that. Channels are split into runs that stay below it; the runs' sums are
added in int32. What int32 may not hold is refused when the layer is made.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from heterolith.errors import InputError
from heterolith.sw.fast.crew import Alone
from heterolith.sw.fast.program import Choice, Program, compile_program
from heterolith.sw.network import Array, Layer, Network, TensorType
from heterolith.sw.ops.window import Attribute, Window
from heterolith.sw.workers.team import hold_blas

EXACT = 1 << 24
"""Integers up to this are exact in float32."""

_INT32_MAX = np.iinfo(np.int32).max


def channel_runs(w: Array, largest: int) -> list[int]:
    """Return where runs of channels begin, and the end: each run's sums are exact in float32.

    Parameters
    ----------
    w
        Integer kernels (M, C, rows, columns), zero points subtracted.
    largest
        Largest magnitude of an input.

    Raises
    ------
    InputError
        If one channel alone may pass 2**24, or all together int32.
    """
    bounds = np.abs(w.astype(np.int64)).sum(axis=(2, 3)) * largest  # (M, C)
    worst = int(bounds.sum(axis=1).max(initial=0))
    if worst > _INT32_MAX:
        raise InputError(f"sums may reach {worst}, above int32 {_INT32_MAX}; split the layer")
    edges, total = [0], np.zeros(len(w), np.int64)
    for channel in range(w.shape[1]):
        total += bounds[:, channel]
        if total.max(initial=0) > EXACT:
            edges.append(channel)
            total = bounds[:, channel].copy()
        if total.max(initial=0) > EXACT:
            raise InputError(
                f"sums of channel {channel} may reach {int(total.max())}, above 2**24; "
                "use a smaller kernel"
            )
    return [*dict.fromkeys(edges), w.shape[1]]


class IntegerConv:
    """A convolution of codes into int32, prepared for one input shape and one worker.

    Parameters
    ----------
    w
        int8 or uint8 kernels (M, C, rows, columns).
    shape
        Shape of the input, (N, C, H, W).
    zeros
        Zero points of input and kernels; padding counts as the input's.
    codes
        dtype of the input, int8 or uint8.
    **geometry
        ``strides``, ``pads``, ``dilations``, as `heterolith.sw.ops.window.Window.of` reads them.

    Raises
    ------
    InputError
        If shapes or dtypes do not fit, or a sum might not be exact.
    """

    def __init__(
        self,
        w: Array,
        shape: tuple[int, int, int, int],
        zeros: tuple[int, int] = (0, 0),
        codes: str = "int8",
        **geometry: Attribute,
    ) -> None:
        if w.dtype.name not in ("int8", "uint8") or codes not in ("int8", "uint8"):
            raise InputError(f"codes of {codes} and kernels of {w.dtype}; give int8 or uint8")
        if w.ndim != 4 or w.shape[1] != shape[1]:
            raise InputError(f"kernels of shape {w.shape} do not fit an input of shape {shape}")
        limits = np.iinfo(codes)
        largest = max(abs(limits.min - zeros[0]), abs(limits.max - zeros[0]))
        centred = w.astype(np.int32) - zeros[1]
        self._codes, self._shape, self._zero = codes, shape, zeros[0]
        edges = channel_runs(centred, largest)
        window = Window.of(w.shape[2:], geometry)
        out = (shape[0], w.shape[0], *window.output(shape[2:]))
        self._parts: list[tuple[slice, Program, Alone]] = []
        for first, last in pairwise(edges):
            run = slice(first, last)
            kernels = centred[:, run].astype(np.float32)
            program = _program(kernels, (shape[0], last - first, *shape[2:]), out, geometry)
            self._parts.append((run, program, Alone([phase[0] for phase in program.phases])))

    @property
    def runs(self) -> int:
        """Number of runs of channels whose sums are added in int32."""
        return len(self._parts)

    def run(self, x: Array) -> Array:
        """Return the exact int32 sums, (N, M, rows, columns).

        Raises
        ------
        InputError
            If the input has another shape or dtype.
        """
        if (x.shape, x.dtype.name) != (self._shape, self._codes):
            raise InputError(
                f"codes are {x.dtype} of shape {x.shape}; needs {self._codes} of {self._shape}"
            )
        total: Array | None = None
        with hold_blas():
            for run, program, alone in self._parts:
                np.copyto(program.inputs["x"], x[:, run])
                if self._zero:
                    program.inputs["x"] -= np.float32(self._zero)
                alone.run()
                sums = program.outputs["y"]
                if total is None:
                    total = np.empty_like(sums, dtype=np.int32)
                    np.copyto(total, sums, casting="unsafe")
                else:
                    total += sums.astype(np.int32)
        assert total is not None
        return total


def _program(
    kernels: Array, shape: tuple[int, ...], out: tuple[int, ...], geometry: dict[str, Attribute]
) -> Program:
    layer = Layer(name="conv", op="Conv", inputs=("x", "w"), outputs=("y",), attributes=geometry)
    network = Network(
        name="integer",
        inputs=("x",),
        outputs=("y",),
        layers=(layer,),
        tensors={"x": TensorType(shape), "y": TensorType(out)},
        constants={"w": kernels},
    )

    def choose(spec: object, given: bool) -> Choice:
        return Choice("pointwise" if pointwise else "gather")

    plain = not any(geometry.get("pads") or ()) and set(geometry.get("strides") or (1,)) == {1}
    pointwise = kernels.shape[2:] == (1, 1) and plain
    return compile_program(network, choose)
