"""The trained networks of examples/cifar10: what is committed about them is true of them."""

import json
from pathlib import Path

import numpy as np
import pytest

from heterolith.metrics.images import Images, load_images
from heterolith.metrics.trace import RecordedTrace, read_trace
from heterolith.sw import Network, load_onnx
from heterolith.sw.variants import MixedNetwork, exits

FOLDER = Path(__file__).parents[1] / "examples" / "cifar10"
SHARED = Path(__file__).parents[2] / "shared" / "data" / "cifar10"
NAMES = ("resnet8", "exits")


def answers(network: Network, images: Images) -> tuple[np.ndarray, np.ndarray]:
    """Return confidence and correctness of each exit, (images, exits), of the float network."""
    run = MixedNetwork(network)
    scores = [run.run({"image": image[None]}) for image in images.inputs()]
    names = exits(network)
    sure = np.array([[float(each[name].max()) for name in names] for each in scores])
    found = np.array([[int(each[name].argmax()) for name in names] for each in scores])
    return sure, found == images.labels[:, None]


def check(network: Network, trace: RecordedTrace, images: Images) -> None:
    """Compare what the float network says now with the first row of its trace."""
    sure, right = answers(network, images)
    assert np.abs(sure - trace.confidence[0, : len(images)]).max() <= 0.5 / 255 + 1e-3
    assert (right == trace.correct[0, : len(images)]).mean() >= 0.999


@pytest.mark.parametrize("name", NAMES)
def test_the_trace_is_of_the_network_and_its_images(name: str) -> None:
    """Fingerprints agree, and 16 committed images get the recorded answers."""
    network, trace = load_onnx(FOLDER / f"{name}.onnx"), read_trace(FOLDER / f"{name}.trace.npz")
    trace.check(network)
    check(network, trace, load_images(FOLDER / "images.npz"))


@pytest.fixture(scope="module")
def held_out() -> Images:
    """Return the first 300 images of the test split, where the data is beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("CIFAR-10 is not beside the checkout")
    return load_images(SHARED).first(300)


@pytest.mark.parametrize("name", NAMES)
def test_recorded_answers_are_those_of_the_data(name: str, held_out: Images) -> None:
    """300 images, run again, get the answers of the trace."""
    network, trace = load_onnx(FOLDER / f"{name}.onnx"), read_trace(FOLDER / f"{name}.trace.npz")
    check(network, trace, held_out)


@pytest.mark.parametrize("name", NAMES)
def test_training_and_workers_measure_the_same_and_int8_keeps_it(name: str) -> None:
    """Accuracy per exit is that of the training log; int8 everywhere loses 0.5 points at most."""
    trained = json.loads((FOLDER / f"{name}.json").read_text())
    table = json.loads((FOLDER / f"{name}.accuracy.json").read_text())
    rows = {row["name"]: row for row in table["rows"]}
    assert table["images"] == 10_000
    assert rows["float"]["accuracy"] == pytest.approx(trained["test_accuracy"], abs=1e-3)
    assert rows["all int8"]["loss"] <= 0.005
    assert len(trained["temperatures"]) == len(rows["float"]["accuracy"])


@pytest.mark.parametrize("name", NAMES)
def test_targets_of_training_and_sums_of_joined_variants_hold(name: str) -> None:
    """ResNet-8 reaches 84 %, the last exit 86 %; joined variants lose what their parts lose."""
    table = json.loads((FOLDER / f"{name}.accuracy.json").read_text())
    rows = {row["name"]: row for row in table["rows"]}
    assert rows["float"]["accuracy"][-1] >= {"resnet8": 0.84, "exits": 0.86}[name]
    assert abs(rows["all fp16"]["loss"]) <= 0.001
    joined = [r for r in rows.values() if r["kind"] == "layer" and r["predicted_loss"] is not None]
    assert len(joined) >= 8
    assert max(abs(row["prediction_error"]) for row in joined) <= 0.003


def test_the_last_exit_is_the_best_and_low_ranks_lose_more_the_lower() -> None:
    """Depth pays on the test images; over all blocks the lower rank loses more, int8 the least."""
    trace = read_trace(FOLDER / "exits.trace.npz")
    assert list(trace.accuracy[0]) == sorted(trace.accuracy[0])
    losses = dict.fromkeys(("int8", "lowrank:0.5", "lowrank:0.25"), 0.0)
    for block in trace.blocks:
        for degree in block.degrees[1:]:
            losses[degree.name] += degree.loss
        macs = [degree.macs for degree in block.degrees]
        assert macs[0] == macs[1] > macs[2] > macs[3]
    assert losses["lowrank:0.25"] > losses["lowrank:0.5"]
    assert losses["lowrank:0.25"] > losses["int8"]


def test_files_are_small() -> None:
    """Networks stay below 2 MB each, traces below 1.5 MB together, images below 100 kB."""
    sizes = {path.name: path.stat().st_size for path in FOLDER.iterdir() if path.is_file()}
    assert max(sizes[f"{name}.onnx"] for name in NAMES) <= 2_000_000
    assert sum(sizes[f"{name}.trace.npz"] for name in NAMES) <= 1_500_000
    assert sizes["images.npz"] <= 100_000
