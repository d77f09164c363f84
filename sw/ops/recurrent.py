"""Recurrent layers over sequences: RNN, GRU and LSTM, in one or both directions.

Shapes: T steps, B sequences, I inputs, H cells, D directions. Gates lie one after the other on the
rows of the weights. Source: ONNX operator set 18.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from heterolith.errors import InputError, unknown_name
from heterolith.sw.network import Array
from heterolith.sw.ops import activation
from heterolith.sw.ops.window import Attribute

Function = Callable[[Array], Array]
_Step = Callable[[Array, tuple[Array, ...]], tuple[Array, ...]]


# What all three operators take; `gru` and `lstm` take one more each.
ATTRIBUTES = frozenset(
    {
        "activation_alpha",
        "activation_beta",
        "activations",
        "clip",
        "direction",
        "hidden_size",
        "layout",
    }
)


def _affine(x: Array, alpha: float, beta: float) -> Array:
    return np.asarray(x.dtype.type(alpha) * x + x.dtype.type(beta))


def _scaled_tanh(x: Array, alpha: float, beta: float) -> Array:
    return np.asarray(x.dtype.type(alpha) * np.tanh(x.dtype.type(beta) * x))


_NEEDED = math.nan  # ONNX names no default, and engines have different ones

# Activation -> function of (x, alpha, beta), and the defaults of those it has.
_ACTIVATIONS: dict[str, tuple[Callable[..., Array], tuple[float | None, float | None]]] = {
    "relu": (lambda x, _a, _b: activation.relu(x), (None, None)),
    "tanh": (lambda x, _a, _b: np.tanh(x), (None, None)),
    "sigmoid": (lambda x, _a, _b: activation.sigmoid(x), (None, None)),
    "softsign": (lambda x, _a, _b: activation.softsign(x), (None, None)),
    "softplus": (lambda x, _a, _b: activation.softplus(x), (None, None)),
    "affine": (_affine, (_NEEDED, _NEEDED)),
    "leakyrelu": (lambda x, a, _b: activation.leaky_relu(x, alpha=a), (0.01, None)),
    "thresholdedrelu": (lambda x, a, _b: activation.thresholded_relu(x, alpha=a), (1.0, None)),
    "scaledtanh": (_scaled_tanh, (_NEEDED, _NEEDED)),
    "hardsigmoid": (lambda x, a, b: activation.hard_sigmoid(x, alpha=a, beta=b), (0.2, 0.5)),
    "elu": (lambda x, a, _b: activation.elu(x, alpha=a), (1.0, None)),
}


@dataclass(frozen=True, slots=True)
class _Layer:
    """What the three operators share: sequences and states in layout 0, weights per direction."""

    x: Array
    lengths: Array | None
    hidden_size: int
    directions: tuple[bool, ...]
    functions: tuple[tuple[Function, ...], ...]

    def state(self, initial: Array | None, direction: int) -> Array:
        """Return the first state of a direction, of shape (B, H)."""
        shape = (len(self.directions), self.x.shape[1], self.hidden_size)
        if initial is None:
            return np.zeros(shape[1:], self.x.dtype)
        first: Array = _expect(initial, shape, "first states")[direction]
        return first

    def scan(
        self, direction: int, states: tuple[Array, ...], step: _Step
    ) -> tuple[Array, tuple[Array, ...]]:
        """Run one direction; return its hidden states (T, B, H) and its last states.

        Behind the end of a sequence results are zero and states stay.
        """
        steps = self.x.shape[0]
        out = np.zeros((steps, self.x.shape[1], self.hidden_size), self.x.dtype)
        order = range(steps - 1, -1, -1) if self.directions[direction] else range(steps)
        for at in order:
            moved = step(self.x[at], states)
            if self.lengths is None:
                states, out[at] = moved, moved[0]
                continue
            alive = (at < self.lengths)[:, None]
            states = tuple(
                np.where(alive, new, old) for new, old in zip(moved, states, strict=True)
            )
            out[at] = np.where(alive, moved[0], 0)
        return out, states


def _functions(
    attributes: dict[str, Attribute], defaults: Sequence[str], directions: int
) -> tuple[tuple[Function, ...], ...]:
    """Return the activation functions of each direction, clipped where the attributes say so."""
    names = [str(name) for name in attributes.get("activations") or [*defaults] * directions]
    if len(names) != len(defaults) * directions:
        raise InputError(f"{len(names)} activations; {len(defaults) * directions} are needed")
    alphas = iter(attributes.get("activation_alpha") or ())
    betas = iter(attributes.get("activation_beta") or ())
    each, clip = len(defaults), attributes.get("clip")
    # The third function is LSTM's of the cell, which is not clipped.
    made = [
        _function(name, alphas, betas, clip if at % each < 2 else None)
        for at, name in enumerate(names)
    ]
    if next(alphas, None) is not None or next(betas, None) is not None:
        raise InputError(f"activations {names} take fewer alphas or betas than were given")
    return tuple(tuple(made[at : at + each]) for at in range(0, len(made), each))


def _function(
    name: str, alphas: Iterator[float], betas: Iterator[float], clip: float | None
) -> Function:
    if name.lower() not in _ACTIVATIONS:
        raise unknown_name("activation of a recurrent layer", name, _ACTIVATIONS)
    function, (alpha, beta) = _ACTIVATIONS[name.lower()]
    alpha = None if alpha is None else next(alphas, alpha)
    beta = None if beta is None else next(betas, beta)
    if any(value is not None and math.isnan(value) for value in (alpha, beta)):
        raise InputError(f"activation {name} needs activation_alpha and activation_beta")

    def apply(x: Array) -> Array:
        if clip is not None:
            x = np.clip(x, x.dtype.type(-clip), x.dtype.type(clip))
        return function(x, alpha, beta)

    return apply


def _layer(
    x: Array,
    weights: tuple[Array, Array],
    lengths: Array | None,
    attributes: dict[str, Attribute],
    defaults: Sequence[str],
    gates: int,
) -> _Layer:
    w, r = weights
    hidden = r.shape[-1]
    _expect(r, (len(w), gates * hidden, hidden), "recurrence weights")
    if attributes.get("hidden_size", hidden) != hidden or w.shape[1:] != (
        gates * hidden,
        x.shape[-1],
    ):
        raise InputError(f"weights {w.shape} and {r.shape} do not fit inputs {x.shape}")
    direction = attributes.get("direction", "forward")
    kinds = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
    if direction not in kinds:
        raise unknown_name("direction", direction, kinds)
    if len(w) != len(kinds[direction]):
        raise InputError(
            f"weights for {len(w)} directions; {direction} has {len(kinds[direction])}"
        )
    if attributes.get("layout", 0) not in (0, 1):
        raise InputError(f"layout {attributes['layout']} is not known; use 0 or 1")
    sequences = x.swapaxes(0, 1) if attributes.get("layout") else x
    if lengths is not None and (
        lengths.shape != sequences.shape[1:2]
        or np.any((lengths < 0) | (lengths > sequences.shape[0]))
    ):
        raise InputError(f"sequence lengths {lengths.tolist()} do not fit inputs {x.shape}")
    functions = _functions(attributes, defaults, len(w))
    return _Layer(sequences, lengths, hidden, kinds[direction], functions)


def _expect(x: Array, shape: tuple[int, ...], what: str) -> Array:
    if x.shape != shape:
        raise InputError(f"{what} have shape {x.shape}; {shape} is needed")
    return x


def _biases(b: Array | None, r: Array) -> tuple[Array, Array]:
    """Return the input and recurrence biases, both of shape (D, gates * H)."""
    if b is None:
        zeros = np.zeros(r.shape[:2], r.dtype)
        return zeros, zeros
    half = r.shape[1]
    _expect(b, (len(r), 2 * half), "biases")
    return b[:, :half], b[:, half:]


def _batch_first(initial: Array | None, layout: int) -> Array | None:
    return initial.swapaxes(0, 1) if initial is not None and layout else initial


def _results(runs: Sequence[tuple[Array, tuple[Array, ...]]], layout: int) -> tuple[Array, ...]:
    """Return Y, (T, D, B, H), and each last state, (D, B, H); batch first for layout 1."""
    y = np.stack([out for out, _ in runs], axis=1)
    last = [np.stack(states) for states in zip(*(states for _, states in runs), strict=True)]
    if layout:
        return (y.transpose(2, 0, 1, 3), *(state.swapaxes(0, 1) for state in last))
    return (y, *last)


def rnn(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    lengths: Array | None = None,
    initial_h: Array | None = None,
    **attributes: Attribute,
) -> tuple[Array, ...]:
    """Return ``H = f(x W' + H R' + Wb + Rb)`` of every step, and of the last.

    Parameters
    ----------
    x
        Float array (T, B, I); (B, T, I) for ``layout`` 1.
    w, r
        Weights (D, H, I) and (D, H, H).
    b
        Biases (D, 2 H): of the input, then of the recurrence.
    lengths
        Steps of each sequence, int (B,).
    initial_h
        First state (D, B, H); (B, D, H) for ``layout`` 1.
    **attributes
        ``activations``, ``activation_alpha``, ``activation_beta``, ``clip``, ``direction``,
        ``hidden_size``, ``layout``.

    Returns
    -------
    Y of shape (T, D, B, H), Y_h of shape (D, B, H); (B, T, D, H) and (B, D, H) for ``layout`` 1
    """
    layer = _layer(x, (w, r), lengths, attributes, ("Tanh",), 1)
    initial = _batch_first(initial_h, attributes.get("layout", 0))
    wb, rb = _biases(b, r)
    runs = []
    for at, (f,) in enumerate(layer.functions):

        def step(
            inputs: Array, states: tuple[Array, ...], at: int = at, f: Function = f
        ) -> tuple[Array, ...]:
            return (f(inputs @ w[at].T + states[0] @ r[at].T + wb[at] + rb[at]),)

        runs.append(layer.scan(at, (layer.state(initial, at),), step))
    return _results(runs, attributes.get("layout", 0))


def gru(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    lengths: Array | None = None,
    initial_h: Array | None = None,
    **attributes: Attribute,
) -> tuple[Array, ...]:
    """Return the hidden states of gated recurrent units; gates are update, reset, hidden.

    Shapes and attributes as in `rnn`, with 3 H rows of weights and 6 H biases. With
    ``linear_before_reset`` the reset gate acts behind the recurrence.
    """
    layer = _layer(x, (w, r), lengths, attributes, ("Sigmoid", "Tanh"), 3)
    initial = _batch_first(initial_h, attributes.get("layout", 0))
    size = layer.hidden_size
    wb, rb = _biases(b, r)
    linear = bool(attributes.get("linear_before_reset", 0))
    runs = []
    for at, (f, g) in enumerate(layer.functions):

        def step(
            inputs: Array,
            states: tuple[Array, ...],
            at: int = at,
            f: Function = f,
            g: Function = g,
        ) -> tuple[Array, ...]:
            (h,) = states
            own = inputs @ w[at].T + wb[at]
            both = f(own[:, : 2 * size] + h @ r[at, : 2 * size].T + rb[at, : 2 * size])
            update, reset = both[:, :size], both[:, size:]
            rows, bias = r[at, 2 * size :].T, rb[at, 2 * size :]
            recurrent = reset * (h @ rows + bias) if linear else (reset * h) @ rows + bias
            new = g(own[:, 2 * size :] + recurrent)
            return ((1 - update) * new + update * h,)

        runs.append(layer.scan(at, (layer.state(initial, at),), step))
    return _results(runs, attributes.get("layout", 0))


def lstm(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    lengths: Array | None = None,
    initial_h: Array | None = None,
    initial_c: Array | None = None,
    peepholes: Array | None = None,
    **attributes: Attribute,
) -> tuple[Array, ...]:
    """Return the hidden states of long short-term memory; gates are input, output, forget, cell.

    Shapes and attributes as in `rnn`, with 4 H rows of weights and 8 H biases; `peepholes` are
    (D, 3 H) for input, output and forget gate. With ``input_forget`` the forget gate is one minus
    the input gate. ``clip`` bounds what enters the gates, not the cell on its way to the output,
    as in ONNX Runtime.

    Returns
    -------
    Y, Y_h as in `rnn`, and Y_c of the shape of Y_h
    """
    layer = _layer(x, (w, r), lengths, attributes, ("Sigmoid", "Tanh", "Tanh"), 4)
    layout, size = attributes.get("layout", 0), layer.hidden_size
    first_h, first_c = _batch_first(initial_h, layout), _batch_first(initial_c, layout)
    wb, rb = _biases(b, r)
    none = np.zeros((len(w), 3 * size), x.dtype)
    peep = none if peepholes is None else _expect(peepholes, none.shape, "peepholes")
    coupled, runs = bool(attributes.get("input_forget", 0)), []
    for at, functions in enumerate(layer.functions):

        def step(
            inputs: Array,
            states: tuple[Array, ...],
            at: int = at,
            functions: tuple[Function, ...] = functions,
        ) -> tuple[Array, ...]:
            f, g, hidden = functions
            h, c = states
            sums = inputs @ w[at].T + h @ r[at].T + wb[at] + rb[at]
            i, o, forget, cell = (sums[:, part * size : (part + 1) * size] for part in range(4))
            pi, po, pf = (peep[at, part * size : (part + 1) * size] for part in range(3))
            entry = f(i + pi * c)
            kept = 1 - entry if coupled else f(forget + pf * c)
            new = kept * c + entry * g(cell)
            return f(o + po * new) * hidden(new), new

        states = (layer.state(first_h, at), layer.state(first_c, at))
        runs.append(layer.scan(at, states, step))
    return _results(runs, layout)
