"""Times CPU workers against ONNX Runtime on the nine networks with seeded random weights.

Run: python benchmarks/cpu_workers.py [--threads 2] [--json] [--memory] [--reference] [NAME ...].
Engines take turns in one process, with the same number of threads; times are measured on this
machine, medians, and ONNX Runtime's are those of its default optimization. A turn is five runs
after a rest of 50 ms, the same for all: ONNX Runtime's threads go on spinning for about 20 ms after
a run and would take a core from whoever comes next. Every result is compared with ONNX Runtime's.
Rows go to benchmarks/results/cpu_workers.csv as they come. A ratio below 1 is
faster than ONNX Runtime; ``cpu_ratio`` compares processor time, which other programs disturb less.
``--block`` times an inception block on one and two workers, and the scaling of the machine itself.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter, process_time, sleep
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from inception_block import inception_block, machine_scaling
from networks import randomized
from table import write
from torch_network import torch_runner

from heterolith.sw import Array, load_onnx
from heterolith.sw.fast import CompiledNetwork, IntegerConv, Options

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

RESULTS = Path(__file__).parent / "results" / "cpu_workers.csv"
SEED = 0
_REST_S, _TURN = 0.05, 5
_Row = dict[str, Any]


def _session(path: Path, threads: int) -> InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def interleaved(
    engines: dict[str, Callable[[], object]], repeats: int, budget_s: float
) -> dict[str, tuple[list[float], list[float]]]:
    """Return wall and processor seconds of each engine; they take turns, each after a rest."""
    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in engines}
    for run in engines.values():
        run()
    begin = perf_counter()
    for repeat in range(repeats):
        for name, run in engines.items():
            sleep(_REST_S)
            for _ in range(_TURN):
                wall, cpu = perf_counter(), process_time()
                run()
                times[name][0].append(perf_counter() - wall)
                times[name][1].append(process_time() - cpu)
        if repeat >= 4 and perf_counter() - begin > budget_s:
            break
    return times


def measure(name: str, path: Path, arguments: argparse.Namespace) -> _Row:
    """Return one network's row."""
    network, threads = load_onnx(path), arguments.threads
    rng = np.random.default_rng(SEED)
    inputs = {
        key: rng.standard_normal(network.tensors[key].shape, np.float32) for key in network.inputs
    }
    options = Options(threads=threads, workers=arguments.workers, tune_s=arguments.tune)
    compiled, session = CompiledNetwork(network, options), _session(path, threads)
    engines: dict[str, Callable[[], object]] = {
        "ours": lambda: compiled.run(inputs),
        "ort": lambda: session.run(None, inputs),
    }
    torch_run = torch_runner(network, threads)
    if torch_run is not None:
        engines["torch"] = lambda: torch_run(inputs)
    (found,), (expected,) = compiled.run(inputs).values(), session.run(None, inputs)
    times = interleaved(engines, arguments.repeats, arguments.seconds)
    compiled.close()
    wall = {key: float(np.median(value[0])) * 1e3 for key, value in times.items()}
    cpu = {key: float(np.median(value[1])) for key, value in times.items()}
    least = min(times["ours"][0]) / min(times["ort"][0])
    return {
        "network": name,
        "threads": threads,
        "ours_ms": round(wall["ours"], 3),
        "ort_ms": round(wall["ort"], 3),
        "ratio": round(wall["ours"] / wall["ort"], 3),
        "ratio_of_minima": round(least, 3),
        "cpu_ratio": round(cpu["ours"] / cpu["ort"], 3) if threads == 1 else "",
        "torch_ms": round(wall["torch"], 3) if "torch" in wall else "not installed",
        "reference_ms": _reference(path, arguments.reference),
        "error": f"{np.abs(found - expected).max() / np.abs(expected).max():.1e}",
        "top1_agrees": bool(found.argmax() == expected.argmax()),
        "workers": compiled.workers if threads > 1 else "one",
        "activations_mb": round(compiled.bytes / 1e6, 1),
        **(_peaks(path, threads) if arguments.memory else {}),
    }


def _reference(path: Path, bound_s: float) -> float | str:
    """Return milliseconds of one run of onnx's own evaluator, or why there are none."""
    if not bound_s:
        return "not run"
    command = [sys.executable, __file__, "--evaluate", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=bound_s, check=False)
    except subprocess.TimeoutExpired:
        return f"above {bound_s:g} s"
    return float(done.stdout) if done.returncode == 0 else "fails"


def _evaluate_ms(path: Path) -> float:
    """Return milliseconds of one run of onnx's own evaluator, in float32 on one input."""
    from onnx.reference import ReferenceEvaluator

    model, network, rng = onnx.load(path), load_onnx(path), np.random.default_rng(SEED)
    inputs = {x: rng.standard_normal(network.tensors[x].shape, np.float32) for x in network.inputs}
    evaluator = ReferenceEvaluator(model)
    start = perf_counter()
    evaluator.run(None, inputs)
    return round((perf_counter() - start) * 1e3, 1)


def _peaks(path: Path, threads: int) -> _Row:
    """Return the peak memory that each engine adds to its imports, in a process of its own."""
    row: _Row = {}
    for engine in ("ours", "ort"):
        command = [sys.executable, __file__, "--peak", engine, str(path), "--threads", str(threads)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        row[f"{engine}_peak_mb"] = float(done.stdout)
    row["peak_ratio"] = round(row["ours_peak_mb"] / row["ort_peak_mb"], 2)
    return row


def _peak_mb(engine: str, path: Path, threads: int) -> float:
    """Load a file, run it twice; return the growth of the peak resident memory in MB.

    The peak is the process's own (VmHWM); a child forked by `CompiledNetwork` shares its pages.
    """
    import onnxruntime  # noqa: F401  both engines pay for the same imports

    def high_water() -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        (line,) = [line for line in lines if line.startswith("VmHWM")]
        return float(line.split()[1]) * 1024 / 1e6

    before = high_water()
    if engine == "ort":
        session = _session(path, threads)
        feeds = {x.name: np.zeros(x.shape, np.float32) for x in session.get_inputs()}
        for _ in range(2):
            session.run(None, feeds)
    else:
        network = load_onnx(path)
        zeros = {x: np.zeros(network.tensors[x].shape, np.float32) for x in network.inputs}
        compiled = CompiledNetwork(network, Options(threads=threads, tune_s=0.0))
        for _ in range(2):
            compiled.run(zeros)
        compiled.close()
    return round(high_water() - before, 1)


def block(arguments: argparse.Namespace) -> _Row:
    """Return the speed-up of an inception block on two workers, by kind of workers."""
    network, inputs = inception_block()
    engines, made = {}, []
    for name, threads, workers in (
        ("one", 1, "threads"),
        ("threads", 2, "threads"),
        ("processes", 2, "processes"),
    ):
        made.append(
            CompiledNetwork(
                network, Options(threads=threads, workers=workers, tune_s=arguments.tune)
            )
        )
        engines[name] = lambda compiled=made[-1]: compiled.run(inputs)
    times = interleaved(engines, 40 * arguments.repeats, arguments.seconds)
    for compiled in made:
        compiled.close()
    row: _Row = {"machine_scaling": round(machine_scaling(), 2)}
    for name, (wall, _) in times.items():
        row[f"{name}_ms"] = round(float(np.median(wall)) * 1e3, 3)
        row[f"{name}_speedup"] = round(float(np.median(times["one"][0]) / np.median(wall)), 2)
        row[f"{name}_speedup_of_minima"] = round(min(times["one"][0]) / min(wall), 2)
    return row


def _one_node(op: str, x: Array, w: Array, kinds: tuple[int, int], **attributes: object) -> bytes:
    """Return a model of one operator of a constant; kinds are ONNX types of input and output."""
    from onnx import helper, numpy_helper

    node = helper.make_node(op, ["x", "w"], ["y"], **attributes)
    given = helper.make_tensor_value_info("x", kinds[0], x.shape)
    made = helper.make_tensor_value_info("y", kinds[1], None)
    graph = helper.make_graph([node], "node", [given], [made], [numpy_helper.from_array(w, "w")])
    opsets = [helper.make_opsetid("", 13)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return bytes(model.SerializeToString())


def int8(arguments: argparse.Namespace) -> _Row:
    """Return times of an int8 layer, 56x56x64 -> 64, 3x3, on one thread; all give equal sums.

    ONNX Runtime's MatMulInteger gets its patches for nothing.
    """
    rng, pads = np.random.default_rng(SEED), (1, 1, 1, 1)
    x = rng.integers(-128, 128, (1, 64, 56, 56), np.int8)
    w = rng.integers(-128, 128, (64, 64, 3, 3), np.int8)
    padded = np.pad(x[0], ((0, 0), (1, 1), (1, 1)))
    patches = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    patches = patches.transpose(1, 2, 0, 3, 4).reshape(56 * 56, -1)
    floats = x.astype(np.float32)
    conv, network = IntegerConv(w, x.shape, pads=pads), None
    engines: dict[str, Callable[[], Array]] = {"ours_int8": lambda: conv.run(x)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "node.onnx"
        for op, kinds, values, kernels in (
            ("ConvInteger", (3, 6), x, w),
            ("MatMulInteger", (3, 6), patches, w.reshape(64, -1).T.copy()),
            ("Conv", (1, 1), floats, w.astype(np.float32)),
        ):
            more = {} if op == "MatMulInteger" else {"pads": pads}
            path.write_bytes(_one_node(op, values, kernels, kinds, **more))
            session = _session(path, 1)
            engines[f"ort_{op}"] = lambda s=session, v=values: s.run(None, {"x": v})[0]
        network = load_onnx(path)
    for name, winograd in (("ours_float", False), ("ours_float_winograd", True)):
        made = CompiledNetwork(network, Options(threads=1, winograd=winograd, tune_s=0.0))
        engines[name] = lambda c=made: c.run({"x": floats})["y"]
    sums = engines["ours_int8"]()
    equal = np.array_equal(sums, engines["ort_ConvInteger"]())
    equal &= np.array_equal(sums.reshape(64, -1).T, engines["ort_MatMulInteger"]())
    times = interleaved(engines, 10 * arguments.repeats, arguments.seconds)
    medians = {key: float(np.median(wall)) * 1e3 for key, (wall, _) in times.items()}
    row: _Row = {f"{key}_ms": round(value, 3) for key, value in medians.items()}
    row["int8_over_float"] = round(medians["ours_int8"] / medians["ours_float"], 2)
    row["equal"] = bool(equal)
    return row


def rows(arguments: argparse.Namespace) -> Iterator[_Row]:
    """Yield one row per network."""
    for name, file in randomized(arguments.names, SEED):
        yield measure(name, file, arguments)


def _write(row: _Row) -> None:
    """Replace a network's row in the table, or add it."""
    table: dict[tuple[str, str], _Row] = {}
    if RESULTS.exists():
        with RESULTS.open() as file:
            table = {(old["network"], old["threads"]): old for old in csv.DictReader(file)}
    key = (row["network"], str(row["threads"]))
    table[key] = {**table.get(key, {}), **row}
    write(RESULTS, [table[key] for key in sorted(table, key=lambda key: (key[1], key[0]))])


def summary(table: Sequence[_Row]) -> _Row:
    """Return our times over those of each engine: geometric means, and per network or extremes."""
    found: _Row = {}
    for engine in ("ort", "torch", "reference"):
        timed = [row for row in table if isinstance(row[f"{engine}_ms"], float)]
        if not timed:
            continue
        exact = [row["ours_ms"] / row[f"{engine}_ms"] for row in timed]
        mean = round(float(np.exp(np.mean(np.log(exact)))), 3)
        ratios = {row["network"]: round(r, 3) for row, r in zip(timed, exact, strict=True)}
        if engine == "ort":
            found |= {"geomean": mean, "ratio": ratios}
        else:
            extremes = {"least": min(ratios.values()), "most": max(ratios.values())}
            found[engine] = {"geomean": mean, **extremes}
    return found


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="networks; default: all nine")
    parser.add_argument("--threads", type=int, default=1, help="of every engine")
    parser.add_argument("--workers", default="auto", help="auto, threads or processes")
    parser.add_argument(
        "--tune", type=float, default=60.0, help="seconds to measure paths, 0 for none"
    )
    parser.add_argument("--repeats", type=int, default=25, help="turns that every engine gets")
    parser.add_argument(
        "--seconds", type=float, default=8.0, help="end a network's turns after these"
    )
    parser.add_argument("--memory", action="store_true", help="measure peak memory as well")
    parser.add_argument(
        "--reference",
        type=float,
        nargs="?",
        const=60.0,
        default=0.0,
        metavar="SECONDS",
        help="run onnx's evaluator once, for so long at most (60 s by default)",
    )
    parser.add_argument("--evaluate", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--block", action="store_true", help="time an inception block instead")
    parser.add_argument("--int8", action="store_true", help="time an int8 layer instead")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--peak", nargs=2, metavar=("ENGINE", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.evaluate:
        print(_evaluate_ms(arguments.evaluate))
        return
    if arguments.peak:
        print(_peak_mb(arguments.peak[0], Path(arguments.peak[1]), arguments.threads))
        return
    if arguments.block or arguments.int8:
        row = block(arguments) if arguments.block else int8(arguments)
        name = f"cpu_workers_{'block' if arguments.block else 'int8'}.json"
        RESULTS.with_name(name).write_text(json.dumps(row, indent=2) + "\n")
        print(json.dumps(row, indent=2))
        return
    table = []
    for row in rows(arguments):
        table.append(row)
        _write(row)
        if not arguments.json:
            print(row, flush=True)
    found = {**summary(table), "load": os.getloadavg()[0]}
    if arguments.json:
        print(json.dumps({**found, "rows": table}, indent=2))
    else:
        print(found)


if __name__ == "__main__":
    main()
