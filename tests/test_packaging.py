"""Wheel and sdist hold what they should and nothing else."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"boards", "bitstreams", "hw", "sw", "metrics", "scheduler", "notebooks", "cli"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build sdist and wheel from the files git tracks."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    archive = out / "tree.tar"
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    with tarfile.open(archive, "w") as tree:
        for name in names.splitlines():
            if (ROOT / name).exists():
                tree.add(ROOT / name, name)
    with tarfile.open(archive) as tree:
        tree.extractall(source, filter="data")
    archive.unlink()
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_wheel_content(built: Path) -> None:
    """The wheel has one top-level name, every package and data file, no tests and no links."""
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
    assert {name.split("/")[0].split("-")[0] for name in names} == {"heterolith"}
    folders = {n.split("/")[1] for n in names if n.startswith("heterolith/") and n.count("/") > 1}
    assert folders == PACKAGES
    boards = {Path(name).name for name in names if name.startswith("heterolith/boards/")}
    assert {path.name for path in (ROOT / "boards").glob("*.toml")} <= boards
    allowed = {".py", ".toml", ".typed", ".sv", ".f", ".hpp", ".cpp", ".tcl", ".vlt", ".svh"}
    allowed |= {".json", ".hwh", ".bit", ".ipynb"}
    stray = {
        n
        for n in names
        if n.startswith("heterolith/")
        and Path(n).suffix not in allowed
        and Path(n).name != "py.typed"
    }
    assert not stray


def test_sdist_builds_the_same_wheel_without_links(built: Path) -> None:
    """The sdist carries sources once: no symbolic link and no second copy under src/heterolith."""
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as sdist:
        members = sdist.getmembers()
    assert not [m.name for m in members if m.issym() or m.islnk()]
    twice = [m.name for m in members if "/src/heterolith/boards/" in m.name]
    assert not twice
    assert any(m.name.endswith("/boards/ultra96-v2.toml") for m in members)
