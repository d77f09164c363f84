"""Parts of the simulated board that need no pynq."""

import asyncio
import sys

import pytest

from heterolith import boards
from heterolith.errors import InputError, MissingExtraError
from heterolith.hw.overlay import SIMULATED, clocking
from heterolith.hw.pynq_sim import VARIABLE, enable, environment, startup_folder
from heterolith.hw.pynq_sim.clocks import CRL_APB, IOPLL_CTRL, PL0_REF_CTRL, RPLL_CTRL, Clocks
from heterolith.hw.pynq_sim.interrupts import (
    ACKNOWLEDGE,
    CLEAR_ENABLE,
    MASTER,
    PENDING,
    SET_ENABLE,
    Controller,
    Uio,
)
from heterolith.hw.pynq_sim.rails import sensors


@pytest.mark.parametrize("board", SIMULATED)
def test_clocks_divide_the_io_pll(board):
    """Two divisors of six bits; 0 divides by 1."""
    clocks = Clocks(clocking(board))
    assert clocks.mhz == pytest.approx(boards.load(board).device("fpga").mhz, abs=0.01)
    source = {0: IOPLL_CTRL, 2: RPLL_CTRL}[clocks.read(CRL_APB + PL0_REF_CTRL) & 7]
    pll = 33.333 * (clocks.read(CRL_APB + source) >> 8 & 0x7F)
    for first, second in ((5, 3), (0, 63), (63, 0), (1, 1)):
        clocks.write(CRL_APB + PL0_REF_CTRL, first << 8 | second << 16)
        assert clocks.mhz == pytest.approx(pll / (max(first, 1) * max(second, 1)))
    assert clocks.read(CRL_APB + 0x58) == 0


def test_the_interrupt_controller_latches_a_level_until_acknowledged():
    """As AMD PG099 has it: a level that stays comes back."""
    controller = Controller(Uio())
    controller.drive(True)
    assert controller.read(PENDING) == 0  # not enabled
    controller.write(SET_ENABLE, 1)
    controller.drive(False)
    assert controller.read(PENDING) == 1
    controller.write(ACKNOWLEDGE, 1)
    assert controller.read(PENDING) == 0
    controller.drive(True)
    controller.write(ACKNOWLEDGE, 1)
    assert controller.read(PENDING) == 1
    controller.write(CLEAR_ENABLE, 1)
    assert controller.read(PENDING) == 0


@pytest.mark.parametrize("first", ["event", "level"])
def test_events_are_set_whichever_comes_first(first):
    """No interrupt is lost between the level and the one who waits."""
    uio = Uio()
    controller = Controller(uio)
    controller.write(MASTER, 3)
    controller.write(SET_ENABLE, 1)

    async def wait():
        event = asyncio.Event()
        if first == "level":
            controller.drive(True)
        uio.add_event(event, 0)
        if first == "event":
            controller.drive(True)
        await asyncio.wait_for(event.wait(), 5)
        return event.is_set()

    assert asyncio.run(wait())
    uio.fire()  # nobody waits: nothing happens


@pytest.mark.parametrize("board", SIMULATED)
def test_rails_add_up_to_the_power_model(board):
    """Idle watts of the board's file, and `active_w` times the load on one rail."""
    platform, load = boards.load(board), [0.0]
    found = sensors(platform, lambda: load[0])
    assert sum(s.value for s in found.values()) == pytest.approx(platform.idle_w)
    load[0] = 0.5
    active_w = platform.device("fpga").active_w
    assert sum(s.get_value() for s in found.values()) == pytest.approx(
        platform.idle_w + active_w / 2
    )
    assert all(f"name={name}_power" in repr(sensor) for name, sensor in found.items())


def test_the_environment_names_board_and_folder(monkeypatch):
    """What stands on PYTHONPATH already stays, behind."""
    monkeypatch.setenv("PYTHONPATH", "/some/where")
    env = environment("kv260")
    assert env[VARIABLE] == "kv260"
    assert env["PYTHONPATH"] == f"{startup_folder()}:/some/where"
    assert (startup_folder() / "sitecustomize.py").is_file()


@pytest.mark.parametrize("ask", [environment, enable])
def test_an_unknown_board_is_refused(ask):
    """Near matches are named."""
    with pytest.raises(InputError, match="ultra96-v2"):
        ask("ultra96-v3")


def test_without_pynq_the_extra_is_named(monkeypatch):
    """`pip install heterolith[pynq]`."""
    monkeypatch.setitem(sys.modules, "pynq", None)
    with pytest.raises(MissingExtraError, match="pynq"):
        enable("ultra96-v2")
