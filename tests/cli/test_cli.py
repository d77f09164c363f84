"""The command line: what it prints, its exit codes, and its one-line refusals."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from heterolith import boards
from heterolith.metrics import from_csv
from heterolith.sw import Array, CpuWorker, Layer

from .commands import call, refusal

BOTH = "ultra96-v2+jetson-tx2"


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    """--version prints name and version; --help lists every command."""
    assert call("--version") == 0
    assert capsys.readouterr().out.startswith("heterolith ")
    assert call("--help") == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ("boards", "inspect", "plan", "run", "profile"))


def test_boards_lists_and_shows(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a name every board is listed; with one, its figures come with sources."""
    assert call("boards", "--json") == 0
    names = {row["name"] for row in json.loads(capsys.readouterr().out)}
    assert {"ultra96-v2", "jetson-tx2", "arty-a7-35t"} <= names
    assert call("boards", "jetson-tx2", "--json") == 0
    assert json.loads(capsys.readouterr().out)["operating_points"] == 11760
    assert call("boards", "ultra96-v2") == 0
    assert "Cortex-A53" in capsys.readouterr().out


def test_inspect_accounts_for_layers(cnn_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Layers come with MACs, nodes and whether the FPGA takes them."""
    assert call("inspect", cnn_path, "--json") == 0
    data = json.loads(capsys.readouterr().out)
    fpga = {layer["name"]: layer["fpga"] for layer in data["layers"]}
    assert fpga["stem"] == "yes"
    assert "LRN" in fpga["norm"]
    assert data["macs"] == 16 * 256 * 27 + 16 * 256 * 16 + 16 * 256 * 144 + 32 * 256 * 288 + 320
    assert call("inspect", cnn_path) == 0
    assert "small_cnn" in capsys.readouterr().out


def test_plan_prints_json_and_writes_files(
    cnn_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plan has figures, assignment and certificate; plan file and picture are written."""
    out, gantt = tmp_path / "deep" / "plan.json", tmp_path / "gantt.png"
    code = call(
        "plan",
        cnn_path,
        "--platform",
        BOTH,
        "--deadline",
        "100ms",
        "--json",
        "--out",
        out,
        "--gantt",
        gantt,
    )
    assert code == 0
    data = json.loads(capsys.readouterr().out)
    assert data["feasible"] is True
    assert 0 < data["latency_ms"] <= 100
    assert data["certificate"]["gap"] == 0
    assert data["certificate"]["lower_bound"] == data["certificate"]["objective"]
    assert data["certificate"]["objective"] == pytest.approx(data["energy_mj"])
    assert data["average_power_w"] == pytest.approx(data["energy_mj"] / 100)
    assert {"layer", "device"} <= set(data["assignment"][0])
    used = data.pop("resources")
    assert {row["device"] for row in data["assignment"]} <= set(used)
    assert all(0 < row["occupancy"] <= 1 for row in used.values())
    assert all(0 <= row["longest_queued_ms"] <= row["queued_ms"] for row in used.values())
    assert json.loads(out.read_text()) == data
    assert gantt.read_bytes()[:4] == b"\x89PNG"


def test_plan_prints_a_table(cnn_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --json the plan is a table with lanes and the next-best place of each layer."""
    assert call("plan", cnn_path, "--platform", BOTH, "--objective", "latency") == 0
    text = capsys.readouterr().out
    assert "proved optimal" in text
    assert "% busy" in text
    assert "next best" in text


@pytest.mark.parametrize("objective", ["energy", "latency", "power", "scalenet"])
def test_every_objective_is_solved_with_and_without_deadline(
    objective: str, cnn_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each objective gives a plan with gap 0."""
    for extra in ([], ["--deadline", "50ms"]):
        arguments = ["--platform", BOTH, "--objective", objective, "--json", *extra]
        assert call("plan", cnn_path, *arguments) == 0
        assert json.loads(capsys.readouterr().out)["certificate"]["gap"] == 0


def test_infeasible_is_exit_code_two_and_explained(
    cnn_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An impossible deadline names the fastest plan; JSON says feasible false."""
    assert call("plan", cnn_path, "--platform", BOTH, "--deadline", "1us", "--json") == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out)["feasible"] is False
    assert "fastest plan takes" in captured.err
    assert call("plan", cnn_path, "--platform", BOTH, "--power", "1W") == 2
    assert "idle" in refusal(capsys)


def test_run_of_model_and_of_plan_agree(
    cnn_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Running a model and running its plan give the same output, close to float32."""
    plan, first, second = tmp_path / "plan.json", tmp_path / "a.npy", tmp_path / "b.npy"
    where = ["--platform", BOTH, "--deadline", "100ms", "--pin", "block=fpga"]
    assert call("plan", cnn_path, *where, "--out", plan) == 0
    capsys.readouterr()
    assert call("run", plan, "--input", "random:3", "--out", first, "--check", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert {"max_abs_error", "max_rel_error", "top1_agrees", "devices_used"} <= set(data)
    assert data["max_abs_error"] < 0.1
    code = call("run", cnn_path, *where, "--input", "random:3", "--out", second, "--check")
    assert code == 0
    assert "synthetic" in capsys.readouterr().out
    np.testing.assert_array_equal(np.load(first), np.load(second))


def test_run_takes_arrays_pins_and_calibration(
    cnn_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An .npy input, pinned layers and real samples are used and reported."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.standard_normal((1, 3, 16, 16)).astype(np.float32))
    np.save(tmp_path / "c.npy", rng.standard_normal((6, 3, 16, 16)).astype(np.float32))
    code = call(
        "run",
        cnn_path,
        "--platform",
        BOTH,
        "--input",
        tmp_path / "x.npy",
        "--json",
        "--check",
        "--calibrate",
        tmp_path / "c.npy",
        "--pin",
        "stem=fpga",
        "--pin",
        "l*=gpu",
        "--pin",
        "*=cpu",
    )
    assert code == 0
    data = json.loads(capsys.readouterr().out)
    assert set(data["kinds_used"]) == {"fpga", "gpu", "cpu"}
    assert data["calibration"] == "6 samples"


@pytest.mark.parametrize("device", ["functional", "rtl"])
def test_every_accelerator_device_gives_the_same_output(
    device: str, cnn_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """HLS C++ and RTL compute what the golden model computes, to the last bit."""
    run = ["run", cnn_path, "--platform", "ultra96-v2", "--input", "random:1", "--threads", 1]
    run += ["--pin", "norm=cpu", "--pin", "prob*=cpu", "--pin", "*=fpga"]
    golden, other = tmp_path / "golden.npy", tmp_path / "other.npy"
    assert call(*run, "--out", golden) == 0
    assert call(*run, "--out", other, "--device", device, "--json") == 0
    text = capsys.readouterr().out
    backends = json.loads(text[text.index("{") :])["backends"]
    assert "bit-exact" in backends["fpga"]
    assert "golden" not in backends["fpga"]
    np.testing.assert_array_equal(np.load(golden), np.load(other))


def test_profile_measures_and_feeds_the_plan(
    cnn_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Measured rows come as CSV and take the place of modelled ones."""
    rows = tmp_path / "cpu.csv"
    assert call("profile", cnn_path, "--device", "cpu", "--threads", 1, "--out", rows) == 0
    assert "measured" in rows.read_text()
    capsys.readouterr()
    arguments = ["--platform", BOTH, "--profile", rows, "--pin", "*=cpu", "--json"]
    assert call("plan", cnn_path, *arguments) == 0
    sources = {row["source"] for row in json.loads(capsys.readouterr().out)["assignment"]}
    assert sources == {"measured"}


def test_an_interrupted_profile_keeps_what_was_measured(
    cnn_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ctrl-C after three layers ends with exit code 130 and a file of three rows."""
    run = CpuWorker.run

    def impatient(self: CpuWorker, layer: Layer, inputs: dict[str, Array]) -> Sequence[Array]:
        if layer.name == "right":
            raise KeyboardInterrupt
        return run(self, layer, inputs)

    monkeypatch.setattr(CpuWorker, "run", impatient)
    rows = tmp_path / "cpu.csv"
    assert call("profile", cnn_path, "--threads", 1, "--warmup", 0, "--out", rows) == 130
    assert "interrupted" in capsys.readouterr().err
    assert [row.layer for row in from_csv(rows.read_text())] == ["stem", "norm", "left"]


def test_a_malformed_board_file_is_refused_with_its_line(
    cnn_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A user's own board file that is no TOML names file and line."""
    board = tmp_path / "mine.toml"
    board.write_text("[device.cpu]\ndescription = \n")
    assert call("plan", cnn_path, "--platform", board) == 1
    assert "line 2" in (text := refusal(capsys))
    assert "mine.toml" in text


@pytest.mark.parametrize("bandwidth", ["0", "-1", "nan", "inf"])
def test_a_board_whose_link_has_no_bandwidth_is_refused(
    cnn_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], bandwidth: str
) -> None:
    """Nothing would ever arrive over it: file, link, value and bound in one line, exit code 1."""
    text = (Path(boards.__file__).parent / "ultra96-v2.toml").read_text(encoding="utf-8")
    start = text.index("bandwidth_mbs")
    line = text[start : text.index("\n", start)]
    board = tmp_path / "mine.toml"
    board.write_text(text.replace(line, f"bandwidth_mbs = {bandwidth}"), encoding="utf-8")
    for command in (["plan", cnn_path], ["compare", cnn_path, "--deadline", "9ms"]):
        assert call(*command, "--platform", board) == 1
        assert f"bandwidth_mbs is {bandwidth}; it must be a number above 0" in refusal(capsys)


def test_a_misspelt_command_is_answered_with_the_right_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A command that does not exist gives exit code 1 and a suggestion."""
    assert call("plann") == 1
    assert "plan" in refusal(capsys)


def broken_models(folder: Path, cnn_path: Path) -> dict[str, tuple[Path, str]]:
    """Return files that are no usable model: name -> path and what the refusal must say."""
    model = onnx.load(cnn_path)
    whole = model.SerializeToString()
    (folder / "truncated.onnx").write_bytes(whole[: len(whole) // 2])
    (folder / "text.onnx").write_text("this is a letter, not a network\n")
    dynamic = onnx.load(cnn_path)
    dynamic.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    onnx.save(dynamic, folder / "dynamic.onnx")
    unknown = onnx.load(cnn_path)
    unknown.graph.node[2].CopyFrom(helper.make_node("Bernoulli", ["r0"], ["n0"], name="coin"))
    onnx.save(unknown, folder / "unknown.onnx")
    poisoned = onnx.load(cnn_path)
    weight = numpy_helper.to_array(poisoned.graph.initializer[0]).copy()
    weight[0, 0, 0, 0] = np.nan
    poisoned.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "w0"))
    onnx.save(poisoned, folder / "nan.onnx")
    return {
        "missing": (folder / "absent.onnx", "absent.onnx"),
        "truncated": (folder / "truncated.onnx", "truncated.onnx"),
        "text": (folder / "text.onnx", "text.onnx"),
        "dynamic": (folder / "dynamic.onnx", "--shape x=1x3x16x16"),
        "unknown operator": (folder / "unknown.onnx", "Bernoulli"),
        "NaN weights": (folder / "nan.onnx", "w0"),
        "a folder": (folder, str(folder)),
    }


@pytest.mark.parametrize(
    "case",
    ["missing", "truncated", "text", "dynamic", "unknown operator", "NaN weights", "a folder"],
)
def test_bad_models_are_refused_in_one_line(
    case: str, cnn_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is no usable network gives exit code 1, one line, and no output file."""
    path, expected = broken_models(tmp_path, cnn_path)[case]
    out = tmp_path / "plan.json"
    assert call("plan", path, "--platform", BOTH, "--out", out) == 1
    assert expected in refusal(capsys)
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--platform", "ultra96v2"], "ultra96-v2"),  # near match
        (["--platform", BOTH, "--deadline", "-5ms"], "-5ms"),  # negative
        (["--platform", BOTH, "--deadline", "33"], "33ms"),  # no unit
        (["--platform", BOTH, "--power", "4"], "2W"),  # no unit
        (["--platform", BOTH, "--memory", "lots"], "512MiB"),  # no number
        (["--platform", BOTH, "--objective", "speed"], "speed"),  # unknown objective
        (["--platform", BOTH, "--shape", "x=1,3"], "data=1x3x224x224"),  # malformed shape
        (["--platform", BOTH, "--shape", "z=1x3x16x16"], "z"),  # no such input
        (["--platform", BOTH, "--pin", "nothing=cpu"], "nothing"),  # no such layer
        (["--platform", BOTH, "--pin", "norm=fpga"], "LRN"),  # the FPGA has no LRN
        (["--platform", BOTH, "--out", "/proc/nowhere/plan.json"], "/proc/nowhere"),
        (["--platform", BOTH, "--profile", "absent.csv"], "absent.csv"),
        ([], "--platform"),  # missing option
        (["--platform", BOTH, "--dedline", "5ms"], "--deadline"),  # misspelt option
    ],
)
def test_bad_options_are_refused_in_one_line(
    arguments: list[str], expected: str, cnn_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong option gives exit code 1 and one line that says what would be right."""
    assert call("plan", cnn_path, *arguments) == 1
    assert expected in refusal(capsys)


def test_bad_inputs_are_refused_in_one_line(
    cnn_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong shape, dtype, file or seed of the input gives exit code 1 and no output."""
    np.save(tmp_path / "shape.npy", np.zeros((1, 3, 8, 8), np.float32))
    np.save(tmp_path / "dtype.npy", np.zeros((1, 3, 16, 16), np.float64))
    (tmp_path / "text.npy").write_text("numbers")
    cases = {
        "shape.npy": "(1, 3, 16, 16)",
        "dtype.npy": "float32",
        "text.npy": "text.npy",
        "absent.npy": "absent.npy",
    }
    out = tmp_path / "y.npy"
    where = ["--platform", BOTH, "--out", out]
    for name, expected in cases.items():
        assert call("run", cnn_path, *where, "--input", tmp_path / name) == 1
        assert expected in refusal(capsys)
    assert call("run", cnn_path, *where, "--input", "random:x") == 1
    assert "random:0" in refusal(capsys)
    assert not out.exists()


def test_a_plan_for_another_network_is_refused(
    cnn_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A plan runs only the network it was made for; a damaged plan is refused."""
    plan = tmp_path / "plan.json"
    assert call("plan", cnn_path, "--platform", "ultra96-v2", "--out", plan) == 0
    other = onnx.load(cnn_path)
    weight = numpy_helper.to_array(other.graph.initializer[0]) * 2
    other.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "w0"))
    onnx.save(other, tmp_path / "other.onnx")
    capsys.readouterr()
    run = ["run", plan, "--input", "random:0"]
    assert call(*run, "--model", tmp_path / "other.onnx") == 1
    assert "plan this model again" in refusal(capsys)
    plan.write_text(plan.read_text().replace('"assignment"', '"assignments"'))
    assert call(*run) == 1
    assert "damaged" in refusal(capsys)
    plan.write_text("{")
    assert call(*run) == 1
    assert "not a plan" in refusal(capsys)


def test_several_inputs_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A network with two inputs takes an .npz with both and refuses a single array."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["y"], name="add")],
        "two",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4, 5, 5]) for n in "ab"],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 5, 5])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, tmp_path / "two.onnx")
    one = np.ones((1, 4, 5, 5), np.float32)
    np.save(tmp_path / "one.npy", one)
    np.savez(tmp_path / "both.npz", a=one, b=2 * one)
    run = ["run", tmp_path / "two.onnx", "--platform", "ultra96-v2", "--pin", "add=cpu"]
    assert call(*run, "--input", tmp_path / "one.npy") == 1
    assert "a, b" in refusal(capsys)
    assert call(*run, "--input", tmp_path / "both.npz", "--out", tmp_path / "y.npy") == 0
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), 3 * one)
