"""Variants by name, float16, exits, sections, and networks in two formats."""

from dataclasses import replace

import numpy as np
import pytest

from heterolith import hw
from heterolith.errors import InputError
from heterolith.sw import CpuWorker, FpgaWorker, GpuWorker, execute, quantize
from heterolith.sw.onnx_import import from_model
from heterolith.sw.variants import (
    MixedNetwork,
    Rewriter,
    Variant,
    after_exit,
    exits,
    half,
    parse_variant,
    rewrite,
    section,
    shapes,
    stages,
    up_to_exit,
    why_not,
)


@pytest.fixture
def net(exit_nets):
    """Return the network with two exits."""
    return exit_nets.network()


@pytest.fixture
def samples(exit_nets):
    """Return network inputs."""
    return [{"image": image[None]} for image in exit_nets.images(6)[0]]


def offered(net, text):
    """Return every layer that has a variant, with it."""
    variant = parse_variant(text)
    return {x.name: variant for x in net.layers if not why_not(net, x, variant)}


@pytest.mark.parametrize("text", ["fp32", "fp16", "int8", "lowrank:0.5", "int8+lowrank:0.25"])
def test_names_of_variants_come_back(text):
    """Reading a name and writing it gives the name."""
    assert parse_variant(text).name == text


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("int7", "int8"),
        ("", "unknown variant"),
        ("lowrank:1", "above 0 and below 1"),
        ("lowrank:0", "above 0"),
        ("lowrank:x", "e.g. lowrank:0.5"),
        ("int8:2", "unknown variant"),
    ],
)
def test_other_names_are_refused(text, word):
    """Near misses are named, shares outside (0, 1) refused."""
    with pytest.raises(InputError, match=word):
        parse_variant(text)


def test_float16_layers_round_what_they_read_and_make(net, samples):
    """A float16 layer gives what rounding inputs, weights and result by hand gives."""
    made = half(net, ["stem", "one"])
    inputs = samples[0]
    got = execute(made, inputs, keep=True)

    def rounded(x):
        return x.astype(np.float16).astype(np.float32)

    by_hand = replace(net, constants={k: rounded(v) if k.startswith("stem.") else v
                                      for k, v in net.constants.items()})  # fmt: skip
    stem = execute(by_hand, {"image": rounded(inputs["image"])}, keep=True)
    name = net.layers[0].outputs[0]
    assert (got[name] == rounded(stem[name])).all()
    assert made.outputs == net.outputs
    worst = max(np.abs(got[x] - execute(net, inputs)[x]).max() for x in net.outputs)
    assert 0 < worst < 1e-2


def test_every_worker_that_computes_floats_runs_float16_layers(net, samples):
    """CPU and GPU workers agree with the executor on a network whose layers are float16."""
    made = rewrite(net, offered(net, "fp16")).network
    inputs = samples[0]
    expected = execute(made, inputs)
    for worker in (CpuWorker(1), GpuWorker(1)):
        values = dict(inputs)
        for layer in made.layers:
            worker.load(made, layer)
            values.update(zip(layer.outputs, worker.run(layer, values), strict=True))
        worker.close()
        assert all(np.allclose(values[x], expected[x], atol=2e-3) for x in net.outputs)


def test_weights_beyond_float16_are_refused(net):
    """A weight of 1e5 has no float16 form; an unknown layer has none either."""
    constants = {k: v * 1e6 if k == "stem.w" else v for k, v in net.constants.items()}
    with pytest.raises(InputError, match="float16 ends at 65504"):
        half(replace(net, constants=constants), ["stem"])
    with pytest.raises(InputError, match="unknown layer 'steam'; did you mean stem"):
        half(net, ["steam"])


def test_exits_come_in_order_of_depth(net):
    """Whatever the order of outputs, the first exit is the shallow one; stages part the layers."""
    turned = replace(net, outputs=net.outputs[::-1])
    assert exits(turned) == exits(net) == ("exit1.scores.y", "exit2.scores.y")
    parts = stages(net)
    assert sorted(sum(parts, ())) == sorted(layer.name for layer in net.layers)
    assert "two" in parts[1]


def test_outputs_without_confidence_are_refused(exit_nets):
    """A last exit in raw scores is refused by name."""
    with pytest.raises(InputError, match=r"'exit2\.scores\.y' is made by Gemm"):
        exits(from_model(exit_nets.two_exits(last="Relu"), "raw"))


def test_a_network_cut_at_an_exit_goes_on_where_it_stopped(net, samples):
    """First part and continuation give the whole network's results, to the last bit."""
    inputs = samples[0]
    whole = execute(net, inputs)
    first, rest = up_to_exit(net, 1), after_exit(net, 1)
    early = execute(first, inputs)
    late = execute(rest, {name: early[name] for name in rest.inputs})
    assert (early["exit1.scores.y"] == whole["exit1.scores.y"]).all()
    assert (late["exit2.scores.y"] == whole["exit2.scores.y"]).all()
    only = up_to_exit(net, 2)
    assert len(only.layers) == len(net.layers)


@pytest.mark.parametrize("number", [0, 2, 3])
def test_nothing_goes_on_after_the_last_exit(number, net):
    """There is no network after exit 0, the last one, or one that is not there."""
    with pytest.raises(InputError, match="give 1 to 1"):
        after_exit(net, number)


def test_sections_that_tensors_leave_and_enter_again_are_refused(net):
    """A section around a layer it does not hold names what lies between."""
    names = [layer.name for layer in net.layers]
    with pytest.raises(InputError, match="name the layers between"):
        section(net, [names[0], "two"])
    with pytest.raises(InputError, match="at least one"):
        section(net, [])


def test_mixed_networks_give_the_bits_of_the_accelerator(net, samples):
    """All layers that have it in int8: the HLS C++ gives the same codes layer by layer."""
    inputs = samples
    made = Rewriter(net, inputs).realize(offered(net, "int8"))
    mixed = MixedNetwork(made.network, made.int8, made.quantized)
    worker = FpgaWorker(made.quantized, hw.config("ultra96"), "functional")
    codes = {"image": made.quantized.encode("image", inputs[0]["image"])}
    for layer in net.layers:
        if layer.op == "Softmax":
            scores = made.quantized.decode(layer.inputs[0], codes[layer.inputs[0]])
            codes[layer.outputs[0]] = execute(
                section(net, [layer.name]), {layer.inputs[0]: scores}
            )[layer.outputs[0]]
            continue
        worker.load(net, layer)
        codes[layer.outputs[0]] = worker.run(layer, codes)[0]
    worker.close()
    got = mixed.run(inputs[0])
    mixed.close()
    assert all((got[name] == codes[name]).all() for name in net.outputs)


@pytest.mark.parametrize("text", ["int8", "fp16", "lowrank:0.75", "int8+lowrank:0.75"])
def test_one_layer_in_a_variant_changes_little_but_something(text, net, samples):
    """Each variant of a middle layer runs, and its confidences stay near the exact ones."""
    inputs = samples
    variant = parse_variant(text)
    made = Rewriter(net, inputs).realize({"one": variant})
    mixed = MixedNetwork(made.network, made.int8, made.quantized)
    gaps = [np.abs(mixed.run(x)[net.outputs[1]] - execute(net, x)[net.outputs[1]]) for x in inputs]
    assert 1e-7 < max(gap.max() for gap in gaps) < 0.3


@pytest.mark.parametrize("text", ["fp16", "lowrank:0.5", "int8+lowrank:0.5"])
def test_shapes_are_those_of_the_network_that_runs(text, net):
    """All but the weights of low ranks is equal: layers, work, tensors, sizes of constants."""
    real, bare = rewrite(net, offered(net, text)), shapes(net, offered(net, text))
    assert (bare.int8, bare.origin) == (real.int8, real.origin)
    assert bare.network.layers == real.network.layers
    assert bare.network.tensors == real.network.tensors
    assert {k: (v.shape, v.dtype) for k, v in bare.network.constants.items()} == {
        k: (v.shape, v.dtype) for k, v in real.network.constants.items()
    }


def test_ranges_of_the_network_itself_are_measured_once(net, samples, monkeypatch):
    """Layers in int8 at full rank share one set of scales."""
    import heterolith.sw.variants.variant as module

    runs = []
    monkeypatch.setattr(module, "quantize", lambda *asked: runs.append(1) or quantize(*asked))
    rewriter = Rewriter(net, samples)
    first, second = (rewriter.realize({name: parse_variant("int8")}) for name in ("stem", "one"))
    assert first.quantized is second.quantized
    assert len(runs) == 1


def test_what_has_no_variant_is_refused_with_the_reason(net, samples):
    """Softmax in int8, a low rank of a pool, int8 without scales, a layer that is not there."""
    names = {layer.op: layer.name for layer in net.layers}
    with pytest.raises(InputError, match="no variant int8: the accelerator has no Softmax"):
        rewrite(net, {names["Softmax"]: Variant(precision="int8")})
    with pytest.raises(InputError, match="no weights to factor"):
        rewrite(net, {names["GlobalAveragePool"]: Variant(share=0.5)})
    with pytest.raises(InputError, match="need scales"):
        MixedNetwork(net, ["stem"])
    with pytest.raises(InputError, match="did you mean stem"):
        rewrite(net, {"stam": Variant(precision="fp16")})
    with pytest.raises(InputError, match="no int8 form"):
        MixedNetwork(net, [names["Softmax"]], quantize(net, samples))
