"""``heterolith run net.hlb``: run a compiled bundle with numpy and the standard library alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from heterolith.cli.files import check_writable, read_arrays, write_atomic
from heterolith.cli.repeat import repeated
from heterolith.cli.summary import (
    array_file,
    check_exact,
    print_json,
    run_data,
    totals_data,
    totals_text,
)
from heterolith.errors import HeterolithError, InputError
from heterolith.scheduler.bundle import BundleRunner
from heterolith.scheduler.bundle_file import SUFFIX, read_bundle
from heterolith.sw.inputs import make_inputs
from heterolith.sw.segments import SegmentOptions
from heterolith.sw.workers.devices import DEVICES

INTERRUPTED = 130
"""Exit code after Ctrl-C."""


class _Parser(argparse.ArgumentParser):
    """Complains in one line."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see: heterolith run net{SUFFIX} --help")


def names_bundle(arguments: Sequence[str]) -> bool:
    """Return whether a command line runs a bundle."""
    return arguments[:1] == ["run"] and any(x.endswith(SUFFIX) for x in arguments[1:])


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="heterolith run", description="Run a compiled bundle (heterolith compile)."
    )
    add = parser.add_argument
    add("bundle", type=Path, metavar=f"net{SUFFIX}")
    add(
        "--input",
        required=True,
        help=".npy, .npz with one array per input, or random:SEED",
    )
    add(
        "--device",
        choices=list(DEVICES),
        help="what computes FPGA layers, to the same bits; default: the board if pynq is "
        "installed, else golden",
    )
    add("--threads", type=_count, help="threads of the CPU worker; default: all cores")
    add("--repeat", type=_count, default=1, help="runs; the time is their median")
    add(
        "--compile-cpu",
        action=argparse.BooleanOptionalAction,
        help="compile CPU layers that follow each other; default: from 20 runs on, if it is faster",
    )
    add("--out", type=Path, help="write the output (.npy; .npz if there are several)")
    add("--check", action="store_true", help="compare every code with the golden model")
    add("--json", action="store_true", help="print JSON")
    return parser


def run_bundle(arguments: Sequence[str]) -> int:
    """Run ``heterolith run`` with these arguments; returns the exit code."""
    try:
        _run(_parser().parse_args(list(arguments)))
    except HeterolithError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: files that were written are complete in themselves\n")
        return INTERRUPTED
    return 0


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0; give 1 or more")
    return int(text)


def _run(options: argparse.Namespace) -> None:
    check_writable(options.out)
    bundle = read_bundle(options.bundle)
    network = bundle.quantized.network
    given = options.input
    if not given.startswith("random:"):
        given = read_arrays(Path(given))
    inputs = make_inputs(network, given)
    device = options.device or ("board" if find_spec("pynq") else "golden")
    how = SegmentOptions(verify=options.check or device in ("functional", "rtl"))
    with BundleRunner(bundle, device, how, options.threads) as runner:
        outputs, trace, times = repeated(runner, inputs, options.repeat, options.compile_cpu)
        totals = runner.totals()
    check_exact(totals)
    if options.out is not None:
        write_atomic(options.out, array_file(outputs))
    plan = replace(bundle.plan, fingerprint=bundle.model_fingerprint)
    data = {
        "network": plan.network,
        "platform": plan.platform,
        "devices_used": list(bundle.kinds),
        "kinds_used": list(dict.fromkeys(bundle.kinds.values())),
        "backends": dict(trace.backends),
        "calibration": bundle.quantized.calibration,
        **totals_data(totals),
        **run_data(plan, outputs, trace),
        **times.data(),
    }
    if options.json:
        print_json(data)
        return
    lines = [f"{name}: {backend}" for name, backend in trace.backends]
    lines.append(f"int8 calibration: {bundle.quantized.calibration}")
    lines.append(totals_text(totals))
    lines += times.lines("measured")
    lines += [f"{name}: {list(v.shape)}, top-1 {v.argmax()}" for name, v in outputs.items()]
    sys.stdout.write("\n".join(filter(None, lines)) + "\n")
