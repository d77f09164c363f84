import numpy as np
import pytest

from heterolith import boards
from heterolith.scheduler.adaptive.space import (
    Work,
    active_w,
    front,
    space_of,
    times,
    top_of,
    voltage,
)

TX2 = boards.load("jetson-tx2")


@pytest.mark.parametrize(("name", "count"), [("jetson-tx2", 11_760), ("jetson-agx-xavier", 51_968)])
def test_the_spaces_have_the_published_number_of_points(name, count):
    """The spaces have the published number of points."""
    platform = boards.load(name)
    assert space_of(platform, platform.device("gpu")).enumerated == count


def test_points_that_are_the_same_to_a_device_are_listed_once():
    """Points that are the same to a device are listed once."""
    space = space_of(TX2, TX2.device("cpu"))
    # 7 clocks x 4 core counts of the A57, 15 settings of Denver, 4 of the memory
    assert len(space) == 7 * 4 * 15 * 4


def test_idle_power_of_the_tx2_is_near_the_measured_one():
    """Idle power of the TX2 is near the measured one."""
    space = space_of(TX2, TX2.device("cpu"))
    assert space.idle_w.min() == pytest.approx(TX2.idle_w)
    assert space.idle_w.max() == pytest.approx(3.56, rel=0.05)  # NeuOS, all at maximum


def test_full_power_of_the_gpu_at_the_top_is_the_published_one():
    """Full power of the GPU at the top is the published one."""
    gpu = TX2.device("gpu")
    space = space_of(TX2, gpu)
    at = top_of(space)
    work = [Work(operations=10**12, moved_bytes=1, weight_bytes=1, rate=gpu.fp32_gmacs)]
    full = active_w(*times(work, space, TX2, gpu), space, TX2, gpu)[at] + space.idle_w[at]
    assert full == pytest.approx(14.58, rel=1e-3)  # QuTiBench, ResNet-50 in mode maxn


def test_each_part_of_a_layer_follows_its_own_clock():
    """Each part of a layer follows its own clock."""
    cpu = TX2.device("cpu")
    space = space_of(TX2, cpu)
    bound = [Work(operations=10**7, moved_bytes=4, weight_bytes=4, rate=cpu.fp32_gmacs)]
    start, computing = times(bound, space, TX2, cpu)
    top = top_of(space)
    assert start == pytest.approx(start[top] / space.host)
    assert computing == pytest.approx(computing[top] / (space.core * space.cores))
    streaming = [Work(operations=1, moved_bytes=10**7, weight_bytes=0, rate=cpu.fp32_gmacs)]
    _, computing = times(streaming, space, TX2, cpu)
    assert computing == pytest.approx(computing[top] / space.memory)


def test_the_highest_point_is_the_fastest():
    """The highest point is the fastest."""
    cpu = TX2.device("cpu")
    space = space_of(TX2, cpu)
    work = [Work(operations=10**6, moved_bytes=10**5, weight_bytes=10**4, rate=cpu.fp32_gmacs)]
    whole = sum(times(work, space, TX2, cpu))
    assert whole[top_of(space)] == whole.min()


def test_voltage_is_seventy_percent_at_forty_percent_of_the_clock():
    """Voltage is seventy percent at forty percent of the clock."""
    assert voltage(np.array([0.4, 1.0])) == pytest.approx([0.7, 1.0])


def test_the_front_leaves_out_what_is_slower_and_draws_as_much():
    """The front leaves out what is slower and draws as much."""
    slowdown, power = np.array([1.0, 2.0, 1.5, 1.0]), np.array([5.0, 3.0, 5.0, 6.0])
    assert front(slowdown, power).tolist() == [0, 1]
