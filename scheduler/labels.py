"""Label tables: every way to carry out the first tasks of a module, one per column.

A column holds when devices and links become free, where each live tensor was made and when it is
at each device, and the amounts paid. `LARGEST` stands for "not there". Between columns with equal
makers, what follows is monotone in all of these (max-plus), also in "not there": where a link is
free no later after carrying a tensor, a transfer yet to start arrives no earlier. So a column that
is nowhere smaller than another one is redundant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from heterolith.scheduler.model import Model, Option
from heterolith.scheduler.modules import Module

Slot = tuple[int, int]
"""A live tensor and the first row of its entry: maker, ready time, then arrival per device."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Row numbers of a table."""

    devices: int
    links: int
    quantities: int
    slots: int

    ENTRY = 0
    """Row of the device through which the module was entered."""
    END = 1
    """Row of the latest end of any task."""
    DEVICE = 2
    """First row of the times at which devices become free."""

    @property
    def link(self) -> int:
        """First row of the times at which links become free."""
        return self.DEVICE + self.devices

    @property
    def amount(self) -> int:
        """First row of the amounts."""
        return self.link + self.links

    def slot(self, index: int) -> int:
        """First row of a slot."""
        return self.amount + self.quantities + index * (2 + self.devices)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.slot(self.slots)


@dataclass(frozen=True, slots=True)
class Step:
    """What dispatching one task does to a table.

    Attributes
    ----------
    inputs, outputs, survivors
        Slots read; slots of outputs that are still needed; other slots still needed afterwards,
        with whether an earlier reader may have sent the tensor.
    options
        Per device the task's options.
    compared
        Rows that decide dominance afterwards.
    """

    task: int
    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    survivors: tuple[tuple[Slot, bool], ...]
    options: tuple[tuple[int, tuple[Option, ...]], ...]
    compared: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """A module's steps, with the slots of its entries and of what leaves it."""

    module: Module
    layout: Layout
    entries: tuple[Slot, ...]
    exits: tuple[Slot, ...]
    steps: tuple[Step, ...]


class _Needs:
    """What the tasks from a given one on may use: devices, links, and where each tensor may go."""

    def __init__(self, model: Model, module: Module) -> None:
        problem = model.problem
        devices: set[int] = set()
        links: set[int] = set()
        targets: dict[int, set[int]] = {}
        if module.final:
            for tensor in problem.outputs:
                targets[tensor] = {problem.home}
                links |= _links(model, tensor, targets[tensor])
        self.devices, self.links, self.targets = [devices], [links], [targets]
        for index in range(module.last - 1, module.first - 1, -1):
            places = {option.device for option in model.options[index]}
            devices = devices | places
            targets = targets.copy()
            for tensor in problem.tasks[index].inputs:
                targets[tensor] = targets.get(tensor, set()) | places
                links = links | _links(model, tensor, places)
            self.devices.insert(0, devices)
            self.links.insert(0, links)
            self.targets.insert(0, targets)


def _links(model: Model, tensor: int, targets: set[int]) -> set[int]:
    routes = model.routes[tensor].items()
    return {leg.link for (_, target), legs in routes if target in targets for leg in legs}


class _Slots:
    """Hands out slots to live tensors and takes them back."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.count = 0
        self.held: dict[int, int] = {}
        self._free: list[int] = []

    def hold(self, tensor: int) -> Slot:
        if not self._free:
            self._free.append(self.layout.slot(self.count))
            self.count += 1
        self.held[tensor] = self._free.pop()
        return tensor, self.held[tensor]

    def release(self, tensor: int) -> None:
        self._free.append(self.held.pop(tensor))


def compile_module(model: Model, module: Module, uses: Sequence[int]) -> Program:
    """Return the steps of a module; ``uses`` is `last_uses` of the problem."""
    problem = model.problem
    layout = Layout(len(problem.devices), len(problem.links), model.quantities, 0)
    needs = _Needs(model, module)
    slots = _Slots(layout)
    entries = tuple(slots.hold(tensor) for tensor in module.entries)
    read: set[int] = set()
    steps = []
    for index in range(module.first, module.last):
        task = problem.tasks[index]
        inputs = tuple((tensor, slots.held[tensor]) for tensor in dict.fromkeys(task.inputs))
        read.update(task.inputs)
        # A slot must not be reused before the task's inputs have been read: free it afterwards.
        dead = [tensor for tensor in slots.held if uses[tensor] <= index]
        survivors = tuple(
            (item, item[0] in read) for item in slots.held.items() if uses[item[0]] > index
        )
        outputs = tuple(slots.hold(tensor) for tensor in task.outputs if uses[tensor] > index)
        for tensor in dead:
            slots.release(tensor)
        by_device: dict[int, list[Option]] = {}
        for option in model.options[index]:
            by_device.setdefault(option.device, []).append(option)
        steps.append(
            Step(
                task=index,
                inputs=inputs,
                outputs=outputs,
                survivors=survivors,
                options=tuple((device, tuple(rows)) for device, rows in by_device.items()),
                compared=_compared(layout, module, needs, index + 1 - module.first, slots.held),
            )
        )
    leaving = dict.fromkeys(problem.outputs) if module.final else slots.held
    exits = tuple((tensor, slots.held[tensor]) for tensor in leaving)
    return Program(module, replace(layout, slots=slots.count), entries, exits, tuple(steps))


def _compared(
    layout: Layout, module: Module, needs: _Needs, position: int, held: Mapping[int, int]
) -> tuple[int, ...]:
    rows = [layout.END] if module.final else []
    rows += [layout.amount + quantity for quantity in range(layout.quantities)]
    for tensor, base in held.items():
        targets = needs.targets[position].get(tensor, set())
        rows.append(base + 1)
        rows += [base + 2 + device for device in targets]
    rows += [layout.DEVICE + device for device in needs.devices[position]]
    rows += [layout.link + link for link in needs.links[position]]
    return tuple(rows)
