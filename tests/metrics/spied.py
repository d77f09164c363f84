"""What a CPU worker really calls: each array call that touches memory of its team, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest

from heterolith.metrics.measure import Subject
from heterolith.metrics.sweep import KINDS, probes
from heterolith.sw import CpuWorker
from heterolith.sw.network import Array, Layer
from heterolith.sw.workers.arena import Arena
from heterolith.sw.workers.scratch import Scratch

_MOVES: tuple[Callable[..., Any], ...] = (np.copyto, np.concatenate)
"""Functions of numpy that write without a ufunc; others of its functions move nothing here."""


@cache
def sixty() -> tuple[Subject, ...]:
    """Return probes of all kinds, sixty layers; drawing their weights takes a while."""
    return tuple(probes(tuple(KINDS), 60))


@dataclass(frozen=True, slots=True)
class Call:
    """One array call: its name, the addresses of what it reads and writes, elements written."""

    name: str
    reads: tuple[int, ...]
    write: int
    elements: int


CALLS: list[Call] = []
"""Calls since it was cleared last."""


class Seen(np.ndarray[Any, np.dtype[Any]]):
    """An array that notes every call that reads it or writes to it."""

    def fill(self, value: object) -> None:
        """Note and fill."""
        CALLS.append(Call("fill", (), _address(self), self.size))
        _plain(self).fill(value)

    def __setitem__(self, key: Any, value: Any) -> None:
        """Note and assign; after ``x[key] += y``, what assigns to itself is no call."""
        target = _plain(self)[key]
        if not (isinstance(value, np.ndarray) and _address(value) == _address(target)):
            CALLS.append(Call("assign", (_address(value),), _address(target), target.size))
            target[...] = value

    def __array_ufunc__(
        self,
        ufunc: np.ufunc,
        method: str,
        *inputs: Any,
        **kwargs: Any,
    ) -> Any:
        """Note and call."""
        out = kwargs.get("out")
        given = {**kwargs, **({"out": tuple(map(_plain, out))} if out else {})}
        found = getattr(ufunc, method)(*map(_plain, inputs), **given)
        result = out[0] if out else np.asarray(found).view(Seen)
        reads = tuple(_address(x) for x in inputs if isinstance(x, np.ndarray))
        CALLS.append(Call(ufunc.__name__, reads, _address(result), result.size))
        return result

    def __array_function__(
        self,
        func: Any,
        types: Any,
        args: Any,
        kwargs: Any,
    ) -> Any:
        """Note what moves elements, and call."""
        if func in _MOVES:
            out = kwargs.get("out", args[0])
            read = args[0] if func is np.concatenate else [args[1]]
            CALLS.append(Call(func.__name__, tuple(map(_address, read)), _address(out), out.size))
        return super().__array_function__(func, types, args, kwargs)


def _plain(x: Any) -> Any:
    return x.view(np.ndarray) if isinstance(x, Seen) else x


def _address(x: Array) -> int:
    return int(x.__array_interface__["data"][0])


@dataclass(frozen=True, slots=True)
class Ran:
    """How a layer ran.

    Attributes
    ----------
    calls
        Calls in order.
    taken
        Slot and elements of scratch that parts took, in order.
    names
        Name of memory -> address of its first byte and of the one behind its last.
    """

    layer: Layer
    calls: Sequence[Call]
    taken: Sequence[tuple[int, int]]
    names: Mapping[str | int, tuple[int, int]]

    def memory(self, address: int) -> str | int:
        """Return the name of the memory that an address lies in, ``""`` for anything else."""
        found = (name for name, (low, high) in self.names.items() if low <= address < high)
        return next(found, "")


@contextmanager
def _watched(taken: list[tuple[int, Array]]) -> Iterator[None]:
    """Note what teams made meanwhile give out, and make it an array that is seen."""
    empty, take = Arena.empty, Scratch.take

    def seen_take(scratch: Scratch, slot: int, shape: Sequence[int], dtype: Any) -> Array:
        taken.append((slot, take(scratch, slot, shape, dtype).view(Seen)))
        return taken[-1][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Arena, "empty", lambda *given: empty(*given).view(Seen))
        patch.setattr(Scratch, "take", seen_take)
        yield


def ran(subject: Subject) -> Iterator[Ran]:
    """Run a network on one thread, layer by layer, and yield how each ran."""
    network = subject.network
    values: dict[str, Array] = {name: array.view(Seen) for name, array in subject.inputs.items()}
    taken: list[tuple[int, Array]] = []
    with _watched(taken):  # before a team is made, which takes the functions with it
        worker = CpuWorker(1)
        try:
            for layer in network.layers:
                worker.load(network, layer)
                taken.clear()
                CALLS.clear()
                (result,) = worker.run(layer, values)
                calls = list(CALLS)
                values[layer.outputs[0]] = result
                held: dict[str | int, Array] = {f"scratch {slot}": each for slot, each in taken}
                held |= {i: values[name] for i, name in enumerate(network.activations(layer))}
                held["result"] = result
                names = {name: _extent(array) for name, array in held.items()}
                sizes = [(slot, array.size) for slot, array in taken]
                yield Ran(layer, calls, sizes, names)
        finally:
            worker.close()


def _extent(array: Array) -> tuple[int, int]:
    return _address(array), _address(array) + array.nbytes
