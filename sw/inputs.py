"""Inputs of a network from what a user gives: arrays, arrays by name, or ``random:SEED``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from heterolith.errors import InputError
from heterolith.sw.execute import check_inputs
from heterolith.sw.network import Array, Network


def make_inputs(network: Network, inputs: str | Array | Mapping[str, Array]) -> dict[str, Array]:
    """Return network inputs by name, checked against shapes and dtypes.

    Parameters
    ----------
    inputs
        ``"random:SEED"`` (standard normal), one array for a network with one input, or arrays by
        name.

    Raises
    ------
    InputError
        If a name, shape or dtype is not the network's.
    """
    if isinstance(inputs, str):
        values = _random_inputs(network, inputs)
    elif isinstance(inputs, Mapping):
        values = dict(inputs)
    elif len(network.inputs) == 1:
        values = {network.inputs[0]: inputs}
    else:
        raise InputError(
            f"{network.name} has {len(network.inputs)} inputs ({', '.join(network.inputs)}); "
            "give arrays by name"
        )
    check_inputs(network, values)
    return values


def _random_inputs(network: Network, text: str) -> dict[str, Array]:
    kind, _, seed = text.partition(":")
    if kind != "random" or not seed.isdecimal():
        raise InputError(
            f"input {text!r} is neither an .npy/.npz file nor random:SEED, e.g. random:0"
        )
    rng = np.random.default_rng(int(seed))
    return {
        name: rng.standard_normal(network.tensors[name].shape).astype(network.tensors[name].dtype)
        for name in network.inputs
    }
