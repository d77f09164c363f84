"""The network and plan that a command line names, and its calibration samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from glob import escape
from pathlib import Path

from heterolith import boards
from heterolith.cli.files import read_arrays
from heterolith.cli.options import Ask, load_network
from heterolith.errors import InputError
from heterolith.scheduler import Plan
from heterolith.sw import Array, Network
from heterolith.sw.offload import support


def plan_of(
    source: Path,
    ask: Ask,
    model: Path | None,
    shape: Sequence[str] | None,
    on_fpga: bool = False,
) -> tuple[Network, Plan]:
    """Return a network with its plan.

    Parameters
    ----------
    source
        A plan, or a network to plan as ``ask`` says.
    model
        The network of a plan whose file has moved.
    on_fpga
        Place every layer that the accelerator computes on it, if ``source`` is a network and
        ``ask`` wants nothing of the plan; the plan's notes say so.

    Raises
    ------
    InputError
        If files are missing or do not fit together, or there is no FPGA to place layers on.
    InfeasibleError
        If no plan meets the limits.
    """
    if source.suffix != ".json":
        if not ask.platform:
            raise InputError("a network needs --platform, e.g. --platform ultra96-v2+jetson-tx2")
        network = load_network(source, shape)
        if not on_fpga or ask.asks:
            return network, ask.plan(network)
        return network, _on_fpga(network, ask)
    plan = Plan.load(source)
    if ask.platform and ask.platform != plan.platform:
        raise InputError(
            f"{source} was made for {plan.platform}, not {ask.platform}; plan again for that one"
        )
    path = model or Path(plan.model)
    if not plan.model and model is None:
        raise InputError(f"{source} names no model file; give it with --model MODEL.onnx")
    return load_network(path, shape), plan


def _on_fpga(network: Network, ask: Ask) -> Plan:
    devices = boards.load(ask.platform).devices
    fpga = next((device.name for device in devices if device.kind == "fpga"), "")
    if not fpga:
        raise InputError(f"{ask.platform} has no FPGA; leave --device out, or name another board")
    layers = [layer.name for layer in network.layers if not support(network, layer)]
    plan = replace(ask, pin=[f"{escape(name)}={fpga}" for name in layers]).plan(network)
    note = (
        "every layer that the accelerator computes is placed on it: --device was given and "
        "nothing asked of the plan"
    )
    return replace(plan, notes=(*plan.notes, note))


def samples_of(network: Network, path: Path | None) -> list[dict[str, Array]] | None:
    """Return calibration samples from the first axis of an ``.npy``, ``None`` without a path.

    Raises
    ------
    InputError
        If the file does not fit the network.
    """
    if path is None:
        return None
    array = read_arrays(path)
    if isinstance(array, dict) or len(network.inputs) != 1:
        raise InputError(f"{path}: calibration takes one .npy for a network with one input")
    name = network.inputs[0]
    shape = network.tensors[name].shape
    if array.ndim != len(shape) or array.shape[1:] != shape[1:] or len(array) < shape[0]:
        raise InputError(
            f"{path} has shape {array.shape}; calibration wants (samples, *{shape[1:]})"
        )
    dtype = network.tensors[name].dtype
    starts = range(0, len(array) - shape[0] + 1, shape[0])
    return [{name: array[start : start + shape[0]].astype(dtype)} for start in starts]
