"""Where power is read: PYNQ's sensors, hwmon (INA260, PMBus), Jetson's INA3221, RAPL, simulation.

Every back end keeps the Protocol `Rails`. Sysfs readers take the root of the file tree, so that a
copy of a board's tree serves as well as the board. A rail's resolution is one step of its sensor;
it widens every energy that is integrated from it.

Sources: Linux Documentation/hwmon/{ina2xx,ina3221,pmbus}.rst and powercap/powercap.rst; NVIDIA L4T
developer guide, "Power monitor" (JetPack 4: iio; 5 and later: hwmon); PYNQ's ``pynq.pmbus``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from heterolith.errors import InputError, MissingExtraError

INA260_STEP_W = 0.010
"""INA260 data sheet, power register: 10 mW per bit."""
PMBUS_STEP_W = 0.03125
"""Step of the Ultra96-V2's regulators as Avnet's ultra96_pmbus notebook shows it."""
INA3221_STEPS = (0.008, 0.040)
"""INA3221 data sheet: 8 mV per bit of bus voltage, 40 uV per bit across the shunt."""
JETSON_SHUNT_OHM = 0.005
"""Usual shunt of Jetson modules; it sets the step of a current, not its value."""
RAPL_STEP_J = 61e-6
"""Intel SDM volume 3, energy unit at its usual 2^-14 J."""


class Rails(Protocol):
    """Supply rails that can be read now."""

    @property
    def source(self) -> str:
        """``measured`` or ``simulated``."""

    @property
    def resolution_w(self) -> Mapping[str, float]:
        """Rail -> step of its sensor in W."""

    @property
    def total(self) -> str:
        """Rail that already holds all others, or ``""``: then the total is the sum."""

    def read(self) -> Mapping[str, float]:
        """Return rail -> power in W now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SysfsRails:
    """Rails that are files.

    Attributes
    ----------
    files
        Rail -> files whose product, each times its factor, is its power in W.
    """

    files: Mapping[str, tuple[tuple[Path, float], ...]]
    resolution_w: Mapping[str, float]
    total: str = ""
    source: str = "measured"

    def read(self) -> Mapping[str, float]:
        """Return rail -> power in W; raises `InputError` where a sensor is gone."""
        powers = {}
        for rail, parts in self.files.items():
            power = 1.0
            for path, factor in parts:
                power *= _number(path) * factor
            powers[rail] = power
        return powers


def hwmon(root: Path = Path("/")) -> SysfsRails:
    """Return every rail that a hwmon driver offers as power: INA226, INA260, PMBus regulators.

    A rail is called after its label, else ``<device>``, else ``<device>.<n>``.

    Raises
    ------
    InputError
        If there is none.
    """
    files: dict[str, tuple[tuple[Path, float], ...]] = {}
    steps: dict[str, float] = {}
    for folder in sorted((root / "sys/class/hwmon").glob("hwmon*")):
        device = _text(folder / "name")
        inputs = sorted(folder.glob("power*_input"))
        for path in inputs:
            number = path.name.removeprefix("power").removesuffix("_input")
            rail = _text(folder / f"power{number}_label") or device
            if rail in files or (rail == device and len(inputs) > 1):
                rail = f"{device}.{number}"
            files[rail] = ((path, 1e-6),)
            steps[rail] = INA260_STEP_W if device.startswith("ina2") else PMBUS_STEP_W
    if not files:
        raise InputError(f"no power sensor under {root / 'sys/class/hwmon'}; try another source")
    return SysfsRails(files=files, resolution_w=steps)


def jetson(root: Path = Path("/")) -> SysfsRails:
    """Return the INA3221 rails of a Jetson, JetPack 4 (iio) and later (hwmon).

    Channels that are not connected, and the seventh, a sum of shunts, are left out. ``VDD_IN`` or
    ``POM_5V_IN`` is the total where the module has it.

    Raises
    ------
    InputError
        If there is no INA3221.
    """
    files: dict[str, tuple[tuple[Path, float], ...]] = {}
    steps: dict[str, float] = {}
    for folder in sorted((root / "sys/bus/i2c/devices").glob("*")):
        if not _text(folder / "name").startswith("ina3221"):
            continue
        for rail, parts, step in (*_iio_rails(folder), *_hwmon_rails(folder)):
            files[rail], steps[rail] = parts, step
    if not files:
        raise InputError(f"no INA3221 under {root / 'sys/bus/i2c/devices'}: is this a Jetson?")
    total = next((name for name in ("VDD_IN", "POM_5V_IN") if name in files), "")
    return SysfsRails(files=files, resolution_w=steps, total=total)


_Rail = tuple[str, tuple[tuple[Path, float], ...], float]


def _iio_rails(folder: Path) -> Iterator[_Rail]:
    for label in sorted(folder.glob("iio:device*/rail_name_*")):
        number, rail = label.name.removeprefix("rail_name_"), _text(label)
        power = label.with_name(f"in_power{number}_input")
        if rail and rail != "NC" and power.exists():
            volts = _number_or(label.with_name(f"in_voltage{number}_input"), 5000.0) / 1e3
            yield rail, ((power, 1e-3),), volts * INA3221_STEPS[1] / 1e3 / JETSON_SHUNT_OHM


def _hwmon_rails(folder: Path) -> Iterator[_Rail]:
    for label in sorted(folder.glob("hwmon/hwmon*/in*_label")):
        number, rail = label.name.removeprefix("in").removesuffix("_label"), _text(label)
        volts, amperes = (
            label.with_name(f"in{number}_input"),
            label.with_name(f"curr{number}_input"),
        )
        if rail in ("", "NC") or number == "7" or not (volts.exists() and amperes.exists()):
            continue
        step = _number_or(volts, 5000.0) / 1e3 * INA3221_STEPS[1] / 1e3 / JETSON_SHUNT_OHM
        yield rail, ((volts, 1e-3), (amperes, 1e-3)), step


class RaplRails:
    """Energy counters of an Intel or AMD host as power between two reads.

    Parameters
    ----------
    root
        Root of the file tree.
    clock_ns
        Clock to divide by.

    Raises
    ------
    InputError
        If the host has no readable counter.
    """

    source = "measured"
    total = ""

    def __init__(
        self, root: Path = Path("/"), clock_ns: Callable[[], int] = time.perf_counter_ns
    ) -> None:
        self._clock_ns = clock_ns
        self._files: dict[str, tuple[Path, float]] = {}
        for folder in sorted((root / "sys/class/powercap").glob("intel-rapl:*")):
            if folder.name.count(":") == 1:
                path = folder / "energy_uj"
                wrap_uj = _number_or(folder / "max_energy_range_uj", float(2**32))
                self._files[_text(folder / "name") or folder.name] = (path, wrap_uj)
        try:
            self._last = (clock_ns(), self._counters())
        except InputError as error:
            raise InputError(f"{error}; RAPL takes root, or: chmod a+r energy_uj") from error
        if not self._files:
            raise InputError(f"no RAPL counter under {root / 'sys/class/powercap'}")
        self.resolution_w = dict.fromkeys(self._files, RAPL_STEP_J / 1e-3)

    def _counters(self) -> dict[str, float]:
        return {rail: _number(path) for rail, (path, _) in self._files.items()}

    def read(self) -> Mapping[str, float]:
        """Return rail -> mean power in W since the read before."""
        now, counters = self._clock_ns(), self._counters()
        before, old = self._last
        self._last = (now, counters)
        elapsed_us = max((now - before) / 1e3, 1e-3)
        return {
            rail: (counters[rail] - old[rail]) % self._files[rail][1] / elapsed_us
            for rail in counters
        }


class PynqRails:
    """The rails that PYNQ knows by name on its boards (``pynq.get_rails``, libsensors).

    Parameters
    ----------
    rails
        Rail -> object with ``power.value``; default: those of the board this runs on.

    Raises
    ------
    MissingExtraError
        If pynq is not installed.
    InputError
        If the board has no rail; the KV260's module has an INA260 instead: `hwmon`.
    """

    source = "measured"

    def __init__(self, rails: Mapping[str, Any] | None = None) -> None:
        if rails is None:
            try:
                from pynq import get_rails  # type: ignore[import-untyped,unused-ignore]
            except ImportError as error:
                raise MissingExtraError("pynq", "pynq") from error
            rails = get_rails()
        self._rails = {name: rail for name, rail in rails.items() if rail.power is not None}
        if not self._rails:
            raise InputError("this board has no rails that PYNQ knows; read its hwmon tree instead")
        self.resolution_w = dict.fromkeys(self._rails, PMBUS_STEP_W)
        self.total = next((name for name in ("VSYS", "12V", "5V") if name in self._rails), "")

    def read(self) -> Mapping[str, float]:
        """Return rail -> power in W."""
        return {name: float(rail.power.value) for name, rail in self._rails.items()}


class SimulatedRails:
    """Rails whose power is a function of time: for tests and for planned traces.

    Parameters
    ----------
    power_w
        Function of a time in ns that returns rail -> W.
    resolution_w
        Step that readings are rounded to.
    clock_ns
        Clock to read.
    """

    source = "simulated"
    total = ""

    def __init__(
        self,
        power_w: Callable[[int], Mapping[str, float]],
        resolution_w: float = 0.0,
        clock_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self._power_w, self._clock_ns, self._step_w = power_w, clock_ns, resolution_w
        self.resolution_w = dict.fromkeys(power_w(clock_ns()), resolution_w)

    def read(self) -> Mapping[str, float]:
        """Return rail -> power in W now, rounded to the resolution."""
        powers = self._power_w(self._clock_ns())
        if not self._step_w:
            return powers
        return {rail: round(w / self._step_w) * self._step_w for rail, w in powers.items()}


def find(root: Path = Path("/")) -> Rails:
    """Return the first source that this machine has: Jetson, hwmon, RAPL.

    Raises
    ------
    InputError
        If it has none; the message says what was looked for.
    """
    reasons = []
    sources: Sequence[Callable[[Path], SysfsRails | RaplRails]] = (jetson, hwmon, RaplRails)
    for source in sources:
        try:
            return source(root)
        except InputError as error:
            reasons.append(str(error))
    raise InputError("this machine has no power sensor: " + "; ".join(reasons))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _number(path: Path) -> float:
    try:
        return float(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the sensor {path}: {error}") from error


def _number_or(path: Path, default: float) -> float:
    try:
        return _number(path)
    except InputError:
        return default
