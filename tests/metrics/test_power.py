"""Rails, sampling and energy."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from heterolith.errors import InputError
from heterolith.metrics import power
from heterolith.metrics.power import Recording


def tree(root: Path, files: dict[str, str]) -> Path:
    """Write files under a root."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def test_jetpack_4_rails_come_from_iio(tmp_path: Path) -> None:
    """Milliwatts become watts, channels that are not connected are left out."""
    base = "sys/bus/i2c/devices/0-0041"
    root = tree(
        tmp_path,
        {
            f"{base}/name": "ina3221x",
            f"{base}/iio:device1/rail_name_0": "VDD_IN",
            f"{base}/iio:device1/in_power0_input": "5700",
            f"{base}/iio:device1/in_voltage0_input": "19000",
            f"{base}/iio:device1/rail_name_1": "NC",
            f"{base}/iio:device1/in_power1_input": "0",
            f"{base}/iio:device1/rail_name_2": "VDD_SYS_DDR",
            f"{base}/iio:device1/in_power2_input": "1090",
            "sys/bus/i2c/devices/0-0050/name": "eeprom",
        },
    )
    rails = power.jetson(root)
    assert rails.read() == pytest.approx({"VDD_IN": 5.7, "VDD_SYS_DDR": 1.09})
    assert rails.total == "VDD_IN"
    assert rails.resolution_w["VDD_IN"] == pytest.approx(0.152)


def test_jetpack_5_rails_come_from_hwmon(tmp_path: Path) -> None:
    """Volts times amperes; the seventh channel is a sum and is left out."""
    base = "sys/bus/i2c/devices/1-0040"
    root = tree(
        tmp_path,
        {
            f"{base}/name": "ina3221",
            f"{base}/hwmon/hwmon4/in1_label": "VDD_GPU_SOC",
            f"{base}/hwmon/hwmon4/in1_input": "19000",
            f"{base}/hwmon/hwmon4/curr1_input": "500",
            f"{base}/hwmon/hwmon4/in2_label": "VDD_CPU_CV",
            f"{base}/hwmon/hwmon4/in2_input": "19000",
            f"{base}/hwmon/hwmon4/curr2_input": "100",
            f"{base}/hwmon/hwmon4/in7_label": "sum of shunt voltages",
            f"{base}/hwmon/hwmon4/in7_input": "1",
            f"{base}/hwmon/hwmon4/curr7_input": "1",
        },
    )
    rails = power.jetson(root)
    assert rails.read() == pytest.approx({"VDD_GPU_SOC": 9.5, "VDD_CPU_CV": 1.9})
    assert rails.total == ""


def test_hwmon_names_rails_after_label_or_device(tmp_path: Path) -> None:
    """KV260's INA260 has one power without label; a regulator has one per output."""
    root = tree(
        tmp_path,
        {
            "sys/class/hwmon/hwmon0/name": "ina260_u14",
            "sys/class/hwmon/hwmon0/power1_input": "4800000",
            "sys/class/hwmon/hwmon1/name": "irps5401",
            "sys/class/hwmon/hwmon1/power1_input": "656250",
            "sys/class/hwmon/hwmon1/power2_input": "125000",
            "sys/class/hwmon/hwmon1/power2_label": "PSDDR",
        },
    )
    rails = power.hwmon(root)
    assert rails.read() == pytest.approx({"ina260_u14": 4.8, "irps5401.1": 0.65625, "PSDDR": 0.125})
    assert rails.resolution_w["ina260_u14"] == 0.010


def test_rapl_is_energy_over_time_and_wraps(tmp_path: Path) -> None:
    """Two reads a second apart give the mean power, also over the counter's end."""
    base = "sys/class/powercap/intel-rapl:0"
    root = tree(
        tmp_path,
        {
            f"{base}/name": "package-0",
            f"{base}/energy_uj": "900000",
            f"{base}/max_energy_range_uj": "1000000",
            f"{base}:0/name": "core",
        },
    )
    now = iter([0, 10**9, 2 * 10**9])
    rails = power.RaplRails(root, lambda: next(now))
    (tmp_path / base / "energy_uj").write_text("950000")
    assert rails.read() == pytest.approx({"package-0": 0.05})
    (tmp_path / base / "energy_uj").write_text("20000")
    assert rails.read() == pytest.approx({"package-0": 0.07})


def test_pynq_rails_are_read_by_name() -> None:
    """Whatever pynq.get_rails returns is read; rails without a power sensor are left out."""
    rails = power.PynqRails(
        {
            "INT": SimpleNamespace(power=SimpleNamespace(value=0.156)),
            "5V": SimpleNamespace(power=SimpleNamespace(value=7.5)),
            "AUX": SimpleNamespace(power=None),
        }
    )
    assert rails.read() == {"INT": 0.156, "5V": 7.5}
    assert rails.total == "5V"
    with pytest.raises(InputError, match="no rails that PYNQ knows"):
        power.PynqRails({})


def test_a_machine_without_sensors_says_what_was_looked_for(tmp_path: Path) -> None:
    """Every source names the place it looked at."""
    with pytest.raises(InputError, match=r"INA3221.*hwmon.*RAPL"):
        power.find(tmp_path)


def test_find_takes_the_most_specific_source(tmp_path: Path) -> None:
    """A Jetson also has other hwmon devices; its INA3221 wins."""
    base = "sys/bus/i2c/devices/1-0040"
    root = tree(
        tmp_path,
        {
            f"{base}/name": "ina3221",
            f"{base}/hwmon/hwmon4/in1_label": "VDD_IN",
            f"{base}/hwmon/hwmon4/in1_input": "5000",
            f"{base}/hwmon/hwmon4/curr1_input": "1000",
            "sys/class/hwmon/hwmon0/name": "other",
            "sys/class/hwmon/hwmon0/power1_input": "1",
        },
    )
    assert power.find(root).read() == pytest.approx({"VDD_IN": 5.0})


def test_a_sensor_that_goes_away_is_an_error(tmp_path: Path) -> None:
    """A reading that fails is no silent zero."""
    path = "sys/class/hwmon/hwmon0/power1_input"
    rails = power.hwmon(tree(tmp_path, {"sys/class/hwmon/hwmon0/name": "ina226", path: "5"}))
    (tmp_path / path).unlink()
    with pytest.raises(InputError, match="cannot read the sensor"):
        rails.read()


def recording(
    function: Callable[[np.ndarray], np.ndarray], step_ns: int = 10**6, resolution: float = 0.0
) -> Recording:
    """Return a recording of one rail over ten seconds, unevenly sampled."""
    rng = np.random.default_rng(0)
    times = np.unique(np.r_[0, np.cumsum(rng.integers(1, 2 * step_ns, 10_000)), 10**10])
    times = times[times <= 10**10]
    return Recording(
        rails=("VDD",),
        time_ns=times,
        power_w=function(times / 1e9)[:, None],
        resolution_w=np.array([resolution]),
        source="simulated",
    )


def test_energy_is_the_integral_over_uneven_samples() -> None:
    """A ramp of 1 W per second from 1 W takes 8 J between 2 and 4 s."""
    found = power.window_energy(recording(lambda t: 1 + t), 2 * 10**9, 4 * 10**9)
    assert found.energy_j == pytest.approx(8.0, rel=1e-9)
    assert found.average_w == pytest.approx(4.0)
    assert found.peak_w == pytest.approx(5.0, rel=1e-3)


def test_idle_is_subtracted_and_counted_until_the_deadline() -> None:
    """Dynamic energy is above idle; until the deadline idle power goes on."""
    trace = recording(lambda t: np.where((t > 3) & (t < 5), 6.0, 2.0))
    idle = power.idle_power(
        Recording(
            rails=trace.rails,
            time_ns=trace.time_ns[trace.time_ns < 2.9e9],
            power_w=trace.power_w[trace.time_ns < 2.9e9],
            resolution_w=trace.resolution_w,
        )
    )
    assert idle == 2.0
    busy = power.window_energy(trace, 3 * 10**9, 5 * 10**9, idle)
    assert busy.energy_j == pytest.approx(12, rel=1e-3)
    assert busy.dynamic_j == pytest.approx(8, rel=1e-3)
    assert power.until_deadline(busy, idle, 4.0) == pytest.approx(16, rel=1e-3)
    with pytest.raises(InputError, match="takes 2000 ms, the deadline is 1000 ms"):
        power.until_deadline(busy, idle, 1.0)


def test_resolution_enters_the_interval() -> None:
    """A sensor with steps of 0.5 W cannot know a constant 3 W better than 0.25 W."""
    trace = recording(lambda t: np.full_like(t, 3.0), resolution=0.5)
    found = power.window_energy(trace, 10**9, 3 * 10**9, idle_w=1.0)
    assert found.high_j - found.energy_j == pytest.approx(0.5)
    assert found.dynamic_high_j - found.dynamic_j == pytest.approx(1.0)
    fine = power.window_energy(recording(lambda t: np.full_like(t, 3.0)), 10**9, 3 * 10**9)
    assert fine.high_j - fine.energy_j < 1e-9


def test_a_window_without_readings_is_refused() -> None:
    """Extrapolating power is guessing."""
    trace = recording(np.ones_like)
    with pytest.raises(InputError, match="do not cover the window"):
        power.window_energy(trace, 9 * 10**9, 11 * 10**9)
    with pytest.raises(InputError, match="is empty"):
        power.window_energy(trace, 10**9, 10**9)
    with pytest.raises(InputError, match="no rail 'GPU'; rails: VDD"):
        power.window_energy(trace, 10**9, 2 * 10**9, rail="GPU")


def test_a_measurement_of_simulated_rails_has_idle_and_work() -> None:
    """The recorder samples in the background while the work runs; energies are per run."""
    busy = [False]

    def work() -> None:
        busy[0] = True
        sum(range(200_000))
        busy[0] = False

    rails = power.SimulatedRails(lambda _: {"A": 5.0 if busy[0] else 1.0, "B": 0.5}, 0.25)
    schedule = power.Schedule(idle_s=0.05, settle_s=0.0, warmup=1, runs=5)
    energy, idle_w, trace = power.measure_energy(rails, work, schedule, period_s=0.001)
    assert idle_w == 1.5
    assert trace.rails == ("A", "B")
    assert trace.source == "simulated"
    assert energy.peak_w <= 5.5
    assert energy.energy_j == pytest.approx(energy.average_w * energy.seconds)
    assert energy.energy_j >= 1.5 * energy.seconds * 0.999


def test_an_error_in_the_sampling_thread_reaches_the_caller() -> None:
    """A sensor that fails during the measurement is not swallowed."""
    count = [0]

    def failing(_: int) -> dict[str, float]:
        count[0] += 1
        if count[0] > 3:
            raise InputError("sensor gone")
        return {"A": 1.0}

    with (
        pytest.raises(InputError, match="sensor gone"),
        power.Recorder(power.SimulatedRails(failing), 0.001) as recorder,
    ):
        recorder._thread.join(5)
