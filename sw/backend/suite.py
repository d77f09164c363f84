"""The official conformance suite, ``onnx.backend.test``, case by case: covered, or why not.

Cases of kind ``real`` are the nine networks in the onnx wheel, whose reference outputs nearly any
network with the right shapes would give: they show that a network imports and runs, no more.
"""

from __future__ import annotations

import os
import unittest
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, cast

from heterolith.errors import MissingExtraError
from heterolith.sw.backend.claims import excluded, operators

if TYPE_CHECKING:
    from onnx import ModelProto
    from onnx.backend.base import Backend
    from onnx.backend.test.case.test_case import TestCase

KINDS = ("node", "real", "simple", "pytorch-operator", "pytorch-converted")


@dataclass(frozen=True, slots=True)
class Case:
    """One test of the suite.

    Attributes
    ----------
    name
        As the suite names it, without the device.
    subject
        The operator it is about.
    operators
        All operators of its model.
    reason
        Why it is not covered, or ``""``.
    """

    name: str
    kind: str
    subject: str
    operators: tuple[str, ...]
    reason: str


def cases() -> list[Case]:
    """Return all cases of the installed onnx.

    Raises
    ------
    MissingExtraError
        If onnx is not installed.
    """
    try:
        from onnx.backend.test.loader import load_model_tests
    except ModuleNotFoundError as error:
        raise MissingExtraError("onnx", "verify") from error
    found: dict[str, Case] = {}
    for kind in KINDS:
        with quiet():
            tests = load_model_tests(kind=kind)
        for test in sorted(tests, key=lambda entry: entry.name):
            found[test.name] = _case(test, kind, found)
    return list(found.values())


def _case(test: TestCase, kind: str, earlier: dict[str, Case]) -> Case:
    model = _model(test)
    subject, reason = excluded(model)
    # The body of a function is about the operator whose body it is.
    own = earlier.get(test.name.partition("_expanded")[0])
    names = operators(model)
    if own is not None:
        subject = own.subject
    return Case(test.name, kind, subject or names[0], names, reason)


def _model(test: TestCase) -> ModelProto:
    """Return a test's model, which is in memory, in a folder or in the onnx package."""
    import onnx

    if test.model is not None:
        return test.model
    if test.model_dir is not None:
        return onnx.load(Path(test.model_dir) / "model.onnx", load_external_data=False)
    assert test.url is not None  # the networks in the wheel have one
    place = Path(onnx.__file__).parent.parent / test.url
    return onnx.load(place, load_external_data=False)


@contextmanager
def quiet() -> Iterator[None]:
    """Let the suite's own computation of its expected results warn nobody."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_classes(module: str) -> dict[str, type[unittest.TestCase]]:
    """Return the suite's test classes for this backend, with the covered cases alone."""
    from onnx.backend.test import BackendTest

    from heterolith.sw import backend

    covered = {f"{case.name}_cpu" for case in cases() if not case.reason}
    with quiet():
        suite = BackendTest(cast("type[Backend]", backend), module)
        classes: dict[str, type[unittest.TestCase]] = suite.test_cases
    for group in classes.values():
        for name in [name for name in vars(group) if name.startswith("test_")]:
            if name not in covered:
                delattr(group, name)
    return classes


def failures() -> dict[str, str]:
    """Run all covered cases; return the message of each that fails, by name."""
    failed = {}
    with scratch_home():
        for group in test_classes(__name__).values():
            for name in sorted(name for name in vars(group) if name.startswith("test_")):
                try:
                    getattr(group(name), name)()
                except Exception as error:  # whatever a case raises, it has failed
                    failed[name.removesuffix("_cpu")] = " ".join(str(error).split())[:200]
    return failed


@contextmanager
def scratch_home() -> Iterator[None]:
    """Let the suite keep its files in a folder that goes away."""
    before = os.environ.get("ONNX_HOME")
    with TemporaryDirectory() as folder:
        os.environ["ONNX_HOME"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["ONNX_HOME"]
            else:
                os.environ["ONNX_HOME"] = before
