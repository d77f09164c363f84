"""``heterolith accuracy``: tables, rows for plans, traces, resumption, refusals."""

import json

import numpy as np
import pytest

from heterolith.cli.terminal import main
from heterolith.metrics import from_csv
from heterolith.metrics.trace import read_trace


@pytest.fixture
def files(exit_nets, tmp_path):
    """Return model and data of the network with two exits."""
    model, data = exit_nets.files(tmp_path)
    return str(model), str(data)


def run(capsys, *arguments):
    """Run the command on one process; return exit code, standard output and error."""
    code = main(["accuracy", *map(str, arguments), "--threads", "1"])
    out, err = capsys.readouterr()
    return code, out, err


def test_rows_of_every_variant_are_measured(files, capsys):
    """The JSON has the float network, each layer's variant, all of them, mixes with predictions."""
    model, data = files
    code, out, _ = run(
        capsys, model, "--data", data, "--variants", "int8,lowrank:0.5", "--mixes", 1, "--json"
    )
    assert code == 0
    report = json.loads(out)
    assert report["source"] == "measured"
    assert report["images"] == 12
    kinds = [row["kind"] for row in report["rows"]]
    assert kinds[0] == "float"
    assert kinds[-3:] == ["all", "all", "mix"]
    for row in report["rows"]:
        assert len(row["accuracy"]) == 2
        assert (row["predicted_loss"] is None) == (row["kind"] in ("float", "layer"))


def test_losses_stand_in_rows_that_a_plan_takes(files, capsys, tmp_path):
    """--out writes rows of a board; int8 rows on the FPGA carry what was measured."""
    model, data = files
    out = tmp_path / "rows.csv"
    code, text, err = run(
        capsys, model, "--data", data, "--variants", "int8", "--mixes", 0,
        "--platform", "ultra96-v2", "--out", out,
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "measured on 12 images" in text
    rows = from_csv(out.read_text())
    assert {row.device for row in rows} == {"fpga"}
    assert all(row.accuracy_loss is not None for row in rows)
    assert main(["plan", model, "--platform", "ultra96-v2", "--profile", str(out)]) == 0


def test_the_table_can_be_kept_as_a_file(files, capsys, tmp_path):
    """--out FILE.json holds what --json prints and needs no board."""
    model, data = files
    out = tmp_path / "table.json"
    arguments = (model, "--data", data, "--variants", "int8", "--mixes", 0, "--json")
    code, text, _ = run(capsys, *arguments, "--out", out)
    assert code == 0
    assert json.loads(out.read_text()) == json.loads(text)


def test_a_recorded_trace_holds_every_mix(files, capsys, tmp_path):
    """--record writes blocks of the exits, with the degrees asked for."""
    model, data = files
    out = tmp_path / "t.npz"
    code, text, _ = run(
        capsys, model, "--data", data, "--variants", "int8,lowrank:0.5", "--keep", "stem,exit*",
        "--record", out, "--json",
    )  # fmt: skip
    assert code == 0
    assert json.loads(text)["mixes"] == 9
    trace = read_trace(out)
    assert [len(block.degrees) for block in trace.blocks] == [3, 3]
    assert trace.blocks[0].degrees[2].changed == ("one",)
    assert not list(tmp_path.glob("*.partial"))


def test_an_interrupted_run_goes_on(files, capsys, tmp_path, monkeypatch):
    """Answers so far are kept; --resume asks only for the rest and writes the same file."""
    import heterolith.cli.accuracy as command
    from heterolith.metrics import answers

    monkeypatch.setattr(answers, "CHUNK", 2)
    model, data = files
    arguments = (model, "--data", data, "--variants", "int8", "--mixes", 0,
                 "--platform", "ultra96-v2", "--out")  # fmt: skip
    whole, cut = tmp_path / "whole.csv", tmp_path / "cut.csv"
    assert run(capsys, *arguments, whole)[0] == 0
    real, asked = command.ask, []

    def stops(subject, question, wanted, threads):
        asked.append(len(wanted))
        for count, item in enumerate(real(subject, question, wanted, threads)):
            if len(asked) == 1 and count == 4:
                raise KeyboardInterrupt
            yield item

    monkeypatch.setattr(command, "ask", stops)
    assert run(capsys, *arguments, cut)[0] == 130
    assert not cut.exists()
    with (tmp_path / "cut.csv.partial").open("a") as file:
        file.write('[5, {"corr')  # a line that was cut off
    assert run(capsys, *arguments, cut, "--resume")[0] == 0
    assert asked[1] == asked[0] - 4
    assert cut.read_text() == whole.read_text()


def test_wrong_input_is_one_line_and_leaves_no_file(files, capsys, tmp_path):
    """Unknown variants, data that is not there, nothing to resume, rows without a board, ..."""
    model, data = files
    out = tmp_path / "rows.csv"
    np.savez(tmp_path / "big.npz", images=np.zeros((2, 3, 9, 9), np.float32), labels=np.arange(2))
    for arguments, word in (
        ((model, "--data", data, "--variants", "int9"), "did you mean"),
        ((model, "--data", tmp_path / "none"), "does not exist"),
        ((model, "--data", tmp_path / "big.npz"), "give images of that size"),
        ((model, "--data", data, "--images", "99"), "there are 12"),
        ((model, "--data", data, "--resume"), "--resume needs"),
        ((model, "--data", data, "--out", out), "--platform ultra96-v2"),
        ((model, "--data", data, "--out", out, "--platform", "ultra96-v2", "--resume"),
         "nothing to resume"),
        ((model, "--data", data, "--mean", "a,b"), "no list of numbers"),
        ((model, "--data", data, "--split", "best"), "neither test nor train"),
        ((model, "--data", data, "--record", out, "--blocks", "stem;one"), "is in no block"),
    ):  # fmt: skip
        code, _, err = run(capsys, *arguments)
        assert code == 1
        assert word in " ".join(err.split())
        assert not out.exists()
