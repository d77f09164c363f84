"""One process at a time on an accelerator."""

import os
import subprocess
import sys

import pytest

from heterolith.errors import InputError
from heterolith.hw.driver.lock import FOLDER_VARIABLE, Lock

HOLD = """
import sys
from heterolith.hw.driver.lock import Lock
lock = Lock("board")
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Locks of their own for every test."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    return tmp_path


def test_a_second_holder_is_told_who_holds_it():
    """The process is named; other accelerators are free."""
    lock = Lock("board")
    with pytest.raises(InputError, match=f"board is in use by process {os.getpid()}"):
        Lock("board")
    Lock("another").release()
    lock.release()
    lock.release()
    Lock("board").release()


def test_a_lock_ends_with_its_process():
    """However that ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"process {other.pid}"):
            Lock("board")
        other.kill()
    Lock("board").release()


def test_a_folder_that_takes_no_files_is_named(monkeypatch):
    """With the variable that moves it."""
    monkeypatch.setenv(FOLDER_VARIABLE, "/nowhere")
    with pytest.raises(InputError, match=FOLDER_VARIABLE):
        Lock("board")
