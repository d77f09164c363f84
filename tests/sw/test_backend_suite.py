"""The official ONNX conformance suite: covered cases pass, excluded ones are refused by name."""

import warnings

import numpy as np
import onnx
import pytest
from onnx.backend.test.loader import load_model_tests

from heterolith.errors import InputError
from heterolith.sw import backend
from heterolith.sw.backend import suite

CASES = suite.cases()
globals().update(suite.test_classes(__name__))


@pytest.fixture(autouse=True, scope="module")
def scratch_home():
    """Keep the suite's files out of the user's home."""
    with suite.scratch_home():
        yield


def test_every_covered_case_is_a_test():
    """As many tests are collected as cases are covered, so that none is lost on the way."""
    groups = [value for name, value in globals().items() if name.startswith("OnnxBackend")]
    collected = [name for group in groups for name in vars(group) if name.startswith("test_")]
    covered = [f"{case.name}_cpu" for case in CASES if not case.reason]
    assert sorted(collected) == sorted(covered)
    assert len(covered) > 1000


def test_excluded_cases_are_refused():
    """What is outside of the claim raises InputError, whatever it holds: no number comes out."""
    excluded = {case.name for case in CASES if case.reason}
    answered = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tests = [test for kind in suite.KINDS for test in load_model_tests(kind=kind)]
    for test in tests:
        if test.name not in excluded:
            continue
        model = suite._model(test)
        inputs = test.data_sets[0][0] if test.data_sets else []
        try:
            backend.prepare(model).run([np.asarray(value) for value in inputs])
        except InputError:
            continue
        answered.append(test.name)
    assert not answered


def test_operators_of_covered_cases_are_claimed():
    """No covered case leans on an operator that the claim does not name."""
    from heterolith.sw.backend.claims import UNCLAIMED, claimed

    used = {op for case in CASES if not case.reason for op in case.operators}
    assert used <= set(claimed())
    assert not set(UNCLAIMED) & set(claimed())
    assert len(claimed()) >= 120


def test_every_operator_of_onnx_is_claimed_or_has_a_reason():
    """Nothing that the installed onnx defines is left unsaid."""
    from heterolith.sw.backend.claims import UNCLAIMED, claimed

    defined = {schema.name for schema in onnx.defs.get_all_schemas() if not schema.domain}
    assert defined <= set(claimed()) | set(UNCLAIMED)
