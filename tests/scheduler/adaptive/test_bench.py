import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from heterolith import api
from heterolith.cli import main
from heterolith.errors import InputError
from heterolith.metrics.accuracy import ends, plan_blocks
from heterolith.metrics.trace import RecordedTrace, write_trace
from heterolith.scheduler.adaptive import bench, scenarios
from heterolith.scheduler.adaptive.run import PolicyRow


def model(stages, path):
    """Write a small network: a convolution and a classifier per stage."""
    rng = np.random.default_rng(0)
    nodes, constants, outputs, here, channels = [], [], [], "image", 3

    def constant(name, *shape):
        constants.append(numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name))
        return name

    for stage in range(stages):
        weight = constant(f"w{stage}", 16, channels, 3, 3)
        nodes += [
            helper.make_node("Conv", [here, weight], [f"c{stage}"], name=f"conv{stage}",
                             kernel_shape=[3, 3], pads=[1] * 4),
            helper.make_node("Relu", [f"c{stage}"], [f"r{stage}"], name=f"relu{stage}"),
            helper.make_node("GlobalAveragePool", [f"r{stage}"], [f"g{stage}"], name=f"m{stage}"),
            helper.make_node("Flatten", [f"g{stage}"], [f"f{stage}"], name=f"flat{stage}"),
            helper.make_node("Gemm", [f"f{stage}", constant(f"v{stage}", 16, 10)], [f"l{stage}"],
                             name=f"logits{stage}"),
            helper.make_node("Softmax", [f"l{stage}"], [f"s{stage}"], name=f"scores{stage}"),
        ]  # fmt: skip
        here, channels = f"r{stage}", 16
        outputs.append(helper.make_tensor_value_info(f"s{stage}", TensorProto.FLOAT, [1, 10]))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 32, 32])
    graph = helper.make_graph(nodes, "net", [image], outputs, constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(made, path)


def answers(path, seed):
    """Return invented answers in every mix of degrees."""
    network = api.load(path)
    blocks = plan_blocks(network, [], ["int8", "lowrank:0.5"])
    last = ends(network, blocks)
    blocks = tuple(
        replace(b, degrees=tuple(replace(d, loss=0.01 * i) for i, d in enumerate(b.degrees)))
        for b in blocks
    )
    count = int(np.prod([len(b.degrees) for b in blocks]))
    rng = np.random.default_rng(seed)
    confidence = rng.integers(100, 256, (count, 40, len(last))).astype(np.float32) / 255
    for exit_, end in enumerate(last):  # the same answer for all mixes with the same beginning
        step = count // int(np.prod([len(b.degrees) for b in blocks[: end + 1]]))
        confidence[:, :, exit_] = np.repeat(confidence[::step, :, exit_], step, axis=0)
    return RecordedTrace(
        network=network.name, fingerprint=network.fingerprint(), data="invented", blocks=blocks,
        exits=last, confidence=confidence, correct=confidence > 0.5,
    )  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return a folder of two small networks with invented traces."""
    folder = tmp_path_factory.mktemp("data")
    for seed, (name, stages) in enumerate({"resnet8": 1, "exits": 3}.items()):
        model(stages, folder / f"{name}.onnx")
        trace = answers(folder / f"{name}.onnx", seed)
        (folder / f"{name}.trace.npz").write_bytes(write_trace(trace))
    return folder


@pytest.mark.parametrize("name", scenarios.names())
def test_every_policy_takes_every_scenario_or_says_why_not(name, data):
    """All policies run on all scenarios; a refusal has a reason that fits the scenario."""
    made = scenarios.build(name, data, jobs=40)
    spec = scenarios.SPECS[name]
    for row in bench.run(made):
        if isinstance(row, bench.Refusal):
            assert ("at random" in row.reason and spec.clients) or "rejected" in row.reason, row
        else:
            assert row.jobs > 20
            assert 0 <= row.accuracy <= 1
            if row.policy in {"apnet", "heterolith"} and spec.load <= 1 and not spec.clients:
                assert row.hard_misses == 0


def test_rows_repeat_under_a_seed_and_differ_under_another(data):
    """A scenario is the same under its seed."""
    rows = [
        bench.run(scenarios.build("cohort-2", data, jobs=60, seed=seed), ["heterolith", "lcf"])
        for seed in (1, 1, 2)
    ]
    assert rows[0] == rows[1] != rows[2]


def test_scenarios_have_the_load_that_they_declare(data):
    """The exact networks need the declared part of the first device's time."""
    for name, spec in scenarios.SPECS.items():
        if spec.clients is None:
            made = scenarios.on_first(scenarios.build(name, data, jobs=10))
            load = sum(t.network.wcet_ns / t.period_ns for t in made.tasks)
            assert load == pytest.approx(spec.load, rel=1e-3)


def test_heft_places_where_blocks_end_first(data):
    """HEFT uses more than the first device where that ends earlier."""
    made = scenarios.build("three-devices-overload", data, jobs=10)
    used = {x.resource for t in bench.heft(made).tasks for x in t.network.layers}
    assert len(used) > 1


def test_unknown_names_and_missing_data_are_refused(data, tmp_path):
    """Unknown scenarios and policies and a folder without traces are refused with the remedy."""
    with pytest.raises(InputError, match="scenario"):
        scenarios.build("nope", data)
    with pytest.raises(InputError, match="policy"):
        bench.run(scenarios.build("cohort-2", data, jobs=10), ["nope"])
    with pytest.raises(InputError, match="record"):
        scenarios.build("cohort-2", tmp_path)


def test_a_trace_of_another_network_is_refused(data, tmp_path):
    """A trace that was recorded on another network is refused."""
    for name in ("resnet8", "exits"):
        (tmp_path / f"{name}.onnx").write_bytes((data / f"{name}.onnx").read_bytes())
        (tmp_path / f"{name}.trace.npz").write_bytes((data / "exits.trace.npz").read_bytes())
    with pytest.raises(InputError, match="trace was recorded on"):
        scenarios.build("cohort-2", tmp_path)


def test_the_command_prints_rows_and_draws(data, tmp_path, capsys):
    """JSON has a row per policy; the picture is a PNG; --list names what there is."""
    picture = tmp_path / "p.png"
    command = ["bench", "policies", "--scenario", "cap-4", "--data", str(data), "--jobs", "40"]
    chosen = ["--policy", "edf", "--policy", "heterolith", "--json", "--plot", str(picture)]
    assert main([*command, *chosen]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [row["policy"] for row in report["policies"]] == ["edf", "heterolith"]
    assert report["source"].startswith("simulated")
    assert all("within_cap" in row for row in report["policies"])
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main(["bench", "policies", "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert set(listed["scenarios"]) == set(scenarios.names())
    assert "heterolith" in listed["policies"]
    assert main(command) == 0
    assert "simulated" in capsys.readouterr().out


def test_the_command_refuses_what_is_not_there(data, capsys):
    """Wrong names end with exit code 1 and one line."""
    assert main(["bench", "policies"]) == 1
    assert main(["bench", "policies", "--scenario", "nope", "--data", str(data)]) == 1
    assert "unknown scenario" in capsys.readouterr().err


def test_policy_rows_are_rows(data):
    """Rows carry the scenario's name."""
    rows = bench.run(scenarios.build("underload-1", data, jobs=20), ["edf"])
    assert isinstance(rows[0], PolicyRow)
    assert rows[0].scenario == "underload-1"
