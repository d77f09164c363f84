"""What is claimed, covered and excluded, as text, Markdown and data."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from heterolith.sw.backend.claims import UNCLAIMED, claimed
from heterolith.sw.backend.suite import KINDS, Case


def summary(cases: Sequence[Case], failed: Iterable[str] | None = None) -> dict[str, Any]:
    """Return counts by kind, exclusions by reason and operator, and the claimed operators.

    Parameters
    ----------
    failed
        Covered cases that failed, if they were run.
    """
    import onnx

    bad = set(failed or ())
    kinds = {}
    for kind in KINDS:
        own = [case for case in cases if case.kind == kind]
        covered = [case for case in own if not case.reason]
        kinds[kind] = {"cases": len(own), "covered": len(covered)}
        if failed is not None:
            kinds[kind]["passed"] = sum(case.name not in bad for case in covered)
    exclusions: dict[str, Counter[str]] = defaultdict(Counter)
    for case in cases:
        if case.reason:
            exclusions[case.reason][case.subject] += 1
    return {
        "onnx": onnx.__version__,
        "opset": onnx.defs.onnx_opset_version(),
        "kinds": kinds,
        "excluded": {
            reason: dict(sorted(names.items())) for reason, names in sorted(exclusions.items())
        },
        "claimed": dict(sorted(claimed().items())),
        "failed": sorted(bad),
    }


def text(data: dict[str, Any]) -> str:
    """Return a summary for a terminal."""
    lines = [
        f"onnx {data['onnx']}, operator set {data['opset']}, "
        f"{len(data['claimed'])} operators claimed"
    ]
    for kind, counts in data["kinds"].items():
        ran = (
            f"{counts['passed']} of {counts['covered']} covered pass"
            if "passed" in counts
            else (f"{counts['covered']} covered")
        )
        lines.append(f"{kind:18} {counts['cases']:5} cases, {ran}")
    lines += [
        f"excluded {sum(names.values()):4}: {reason} ({_listed(names)})"
        for reason, names in data["excluded"].items()
    ]
    lines += [f"FAILED {name}" for name in data["failed"]]
    return "\n".join(lines)


def _listed(names: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in names.items())


def markdown(cases: Sequence[Case]) -> str:
    """Return the page docs/operators.md."""
    data = summary(cases)
    tests = Counter(case.subject for case in cases if not case.reason and case.kind == "node")
    rows = "\n".join(
        f"| {kind} | {counts['cases']} | {counts['covered']} |"
        for kind, counts in data["kinds"].items()
    )
    excluded = "\n".join(
        f"| {reason} | {sum(names.values())} | {_listed(names)} |"
        for reason, names in data["excluded"].items()
    )
    claims = "\n".join(
        f"| {name} | {domain or 'ai.onnx'} | {tests[name] or ''} |"
        for name, domain in data["claimed"].items()
    )
    unclaimed = "\n".join(f"| {op} | {reason} |" for op, reason in sorted(UNCLAIMED.items()))
    return _PAGE.format(
        version=data["onnx"],
        opset=data["opset"],
        count=len(data["claimed"]),
        kinds=rows,
        excluded=excluded,
        claims=claims,
        unclaimed=unclaimed,
    )


_PAGE = """\
# Operators

Written by `python -m heterolith.sw.backend --write docs/operators.md`. The suite is
`onnx.backend.test` of onnx {version}, operator set {opset}. Every covered case passes at the
suite's own tolerances, run by `heterolith.sw.backend` through the import and the CPU worker that
every run uses; every excluded one is refused by name. `tests/sw/test_backend_suite.py` checks both.

{count} operators are claimed.

| suite | cases | covered |
|---|---|---|
{kinds}

The nine `real` networks have reference outputs that nearly any network of the right shapes would
give. They show that a network imports and runs; numbers are checked with random weights against
ONNX Runtime elsewhere.

A network has static shapes. Where the shape of a result depends on values (`Reshape`, `Expand`,
`Slice`, `Resize`, `TopK` ...), those are constants, or inputs that are bound at import
(`from_model(..., values=)`), as the backend does with what it is given. `NonMaxSuppression`,
`NonZero`, `Compress` and `Unique` give as many results as they find: what they read is bound.

## Excluded cases

| reason | cases | by operator |
|---|---|---|
{excluded}

## Claimed operators

Node tests are those about the operator, bodies of functions included.

| operator | domain | node tests |
|---|---|---|
{claims}

## Operators of ai.onnx that are not claimed

| operator | reason |
|---|---|
{unclaimed}
"""
