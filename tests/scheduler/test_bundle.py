"""Compiled bundles: what runs from one is what the plan runs, and what is not whole is refused."""

import json
import zipfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from heterolith import api
from heterolith.errors import InputError
from heterolith.scheduler.bundle import BundleRunner
from heterolith.scheduler.bundle_file import bundle_bytes, read_bundle
from heterolith.sw.segments import SegmentOptions

PINS = {"norm": "cpu", "prob*": "cpu", "*": "fpga"}


@pytest.fixture(scope="module")
def network(cnn_path):
    """Give a CNN with two branches."""
    return api.load(cnn_path)


@pytest.fixture(scope="module")
def plan(network):
    """Give a plan with two segments and two layers on the CPU."""
    return api.plan(network, "ultra96-v2", pins=PINS)


@pytest.fixture(scope="module")
def file(network, plan, tmp_path_factory) -> Path:
    """Give the bundle's file."""
    path = tmp_path_factory.mktemp("bundle") / "net.hlb"
    path.write_bytes(bundle_bytes(api.compile_plan(plan, network)))
    return path


@pytest.mark.parametrize("device", ["golden", "functional"])
def test_a_bundle_computes_what_its_plan_computes(device, network, plan, file):
    """Outputs are equal to the last bit, on the golden model and from the stored commands."""
    inputs = api.make_inputs(network, "random:0")
    expected = api.run(plan, network, inputs, threads=1).outputs
    bundle = read_bundle(file)
    with BundleRunner(bundle, device, SegmentOptions(verify=True), threads=1) as runner:
        for _ in range(2):
            outputs, trace = runner.run(inputs)
            for name, value in expected.items():
                np.testing.assert_array_equal(outputs[name], value)
        totals = runner.totals()
    assert totals.predicted_cycles == sum(
        segment.predicted_cycles for segment in bundle.compiled.segments.values()
    )
    assert totals.bit_exact is (True if device == "functional" else None)
    assert {event.device for event in trace.events} == {"cpu", "fpga"}


def test_the_same_plan_is_the_same_file(network, plan, file):
    """Compiling twice gives the same bytes: a bundle can be compared by its hash."""
    assert bundle_bytes(api.compile_plan(plan, network)) == file.read_bytes()


def test_a_bundle_holds_its_weights_once(network, file):
    """Its arrays are the int8 parameters, the commands and what the CPU reads, hardly more."""
    with zipfile.ZipFile(file) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    weights = sum(size for name, size in sizes.items() if name.endswith(".weights.npy"))
    on_fpga = sum(network.constants[x].size for x in ("w0", "w1", "w2", "w3", "w4"))
    assert on_fpga <= weights <= on_fpga + 5 * 256
    others = [n for n in sizes if n.startswith("arrays/constant")]
    assert sum(sizes[name] for name in others) < 200 * len(others)


def rewritten(file: Path, target: Path, change, comment=None):
    """Write a copy of a bundle with a changed manifest, by default with the hash that fits it."""
    with zipfile.ZipFile(file) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(entries["manifest.json"])
    change(manifest)
    text = json.dumps(manifest).encode()
    with zipfile.ZipFile(target, "w") as archive:
        archive.comment = comment or f"x {sha256(text).hexdigest()}".encode()
        for name, data in {**entries, "manifest.json": text}.items():
            archive.writestr(name, data)
    return target


def _other_config(manifest):
    manifest["sites"]["fpga"]["config"]["requantizers"] = 8


REFUSED = {
    "newer": (lambda m: m.update(version=2), "version 2, this program reads 1; install a newer"),
    "other commands": (lambda m: m.update(command_set="0"), "compiled for command set 0"),
    "other format": (lambda m: m.update(format="zip"), "is no heterolith-bundle; make one"),
    "other accelerator": (_other_config, "compile the plan again"),
    "no plan": (lambda m: m.pop("plan"), "no whole bundle"),
    "no scales": (lambda m: m["network"].pop("scales"), "network is damaged"),
    "wrong array": (
        lambda m: m["sha256"].update(dict.fromkeys(m["sha256"], "0" * 64)),
        "copy the bundle again",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_with_the_remedy(case, file, tmp_path):
    """Versions, hashes and configurations are checked before anything runs."""
    change, expected = REFUSED[case]
    with pytest.raises(InputError, match=expected) as caught:
        read_bundle(rewritten(file, tmp_path / "x.hlb", change))
    assert "\n" not in str(caught.value)


def test_a_manifest_that_was_edited_is_refused(file, tmp_path):
    """The archive's comment holds the manifest's hash."""
    with zipfile.ZipFile(file) as archive:
        comment = archive.comment
    path = rewritten(file, tmp_path / "x.hlb", lambda m: m["plan"].update(network="y"), comment)
    with pytest.raises(InputError, match=r"manifest\.json has SHA-256"):
        read_bundle(path)


def test_no_flipped_bit_is_accepted(file, tmp_path):
    """Wherever a byte of the file changes, it is refused or the bundle is the same."""
    whole, path = file.read_bytes(), tmp_path / "x.hlb"
    expected = bundle_bytes(read_bundle(file))
    rng = np.random.default_rng(0)
    refusals = []
    for at in rng.integers(0, len(whole), 120):
        data = bytearray(whole)
        data[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(data))
        try:
            assert bundle_bytes(read_bundle(path)) == expected
        except InputError as error:
            refusals.append(str(error))
    assert len(refusals) > 60
    assert not any("\n" in line for line in refusals)


@pytest.mark.parametrize("size", [0, 10, 1000, -1])
def test_a_cut_file_is_refused(size, file, tmp_path):
    """So is one that is not there."""
    path = tmp_path / "x.hlb"
    path.write_bytes(file.read_bytes()[:size])
    with pytest.raises(InputError, match=r"no whole bundle|copy the bundle again"):
        read_bundle(path)
    with pytest.raises(InputError, match="cannot read"):
        read_bundle(tmp_path / "missing.hlb")


def test_a_plan_with_a_gpu_is_refused(network):
    """A bundle runs FPGA and CPU alone; the message says how to plan for them."""
    plan = api.plan(network, "ultra96-v2+jetson-tx2", pins={"block": "gpu"})
    with pytest.raises(InputError, match="--pin"):
        api.compile_plan(plan, network)


def test_a_plan_of_another_network_is_refused(network, plan):
    """As when it is run."""
    with pytest.raises(InputError, match="plan this model again"):
        api.compile_plan(replace(plan, fingerprint="0" * 16), network)
