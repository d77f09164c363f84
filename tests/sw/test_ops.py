"""The door of the operators: names, attributes and outputs are checked."""

import warnings

import numpy as np
import pytest

from heterolith.errors import InputError
from heterolith.sw.ops import OPERATORS, compute

X = np.ones((2, 3), np.float32)


def test_unknown_operator_names_near_ones():
    """A misspelt operator gets suggestions."""
    with pytest.raises(InputError, match="Softmax"):
        compute("SoftMax", {}, [X])
    assert "Softmax" in OPERATORS


def test_unknown_attribute_is_refused():
    """An attribute that would be ignored is an error."""
    with pytest.raises(InputError, match=r"attribute of Softmax 'axes'; did you mean axis\?"):
        compute("Softmax", {"axes": 1}, [X])


def test_inputs_that_do_not_fit_are_named():
    """The error names operator, dtypes and shapes."""
    with pytest.raises(InputError, match=r"Add does not fit inputs float32\(2, 3\), int64\(4,\)"):
        compute("Add", {}, [X, np.arange(4)])
    with pytest.raises(InputError, match="Clip does not fit inputs "):
        compute("Clip", {}, [])


def test_too_many_outputs_are_refused():
    """An operator of one output cannot give two."""
    with pytest.raises(InputError, match="Relu gives 1 outputs here, 2 were asked for"):
        compute("Relu", {}, [X], 2)


def test_floating_point_exceptions_are_values():
    """Division by zero and overflow give infinities without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (got,) = compute("Div", {}, [X, 0 * X])
        assert np.all(np.isinf(got))
        assert np.all(np.isinf(compute("Exp", {}, [1000 * X])[0]))


def test_every_operator_is_documented():
    """Each function has a docstring of its own."""
    from heterolith.sw import ops

    assert all(function.__doc__ for function in ops._ONE_OUTPUT.values())
    assert list(ops._ONE_OUTPUT) == sorted(ops._ONE_OUTPUT)
