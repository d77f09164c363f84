"""Notebooks run unchanged under PYNQ on the simulated board."""

import json
import warnings
from pathlib import Path

import pytest

from heterolith.hw.pynq_sim import environment

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("pynq", reason="pynq is not installed: make notebooks")
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_to_its_end(path, tmp_path, monkeypatch):
    """Every cell, in order; its assertions hold."""
    monkeypatch.setenv("HETEROLITH_LOCKS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    notebook = nbformat.read(path, as_version=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the notebook client's event loops
        client = nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3")
        client.execute(env=environment("ultra96-v2"))
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_in_a_notebook_tells_a_board_from_its_simulation(path):
    """No code names the simulation, its variables or a way to ask for it."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code").lower()
    assert not [word for word in ("simulat", "_sim", "verilat", "environ") if word in code]
