"""Accuracy of variants: counted as by hand, combined, recorded; the same by one process or two."""

from dataclasses import replace

import numpy as np
import pytest

from heterolith.errors import InputError
from heterolith.metrics import accuracy
from heterolith.metrics.answers import Subject, affected, ask, chunks, pack, unpack_bits
from heterolith.metrics.trace import read_trace, write_trace
from heterolith.sw import execute
from heterolith.sw.variants import MixedNetwork, Rewriter, exits, parse_variant


@pytest.fixture
def subject(exit_nets):
    """Return the network with two exits and 12 images, labelled as its last exit says."""
    network = exit_nets.network()
    images, _ = exit_nets.images(12)
    name = exits(network)[-1]
    labels = [execute(network, {"image": image[None]})[name].argmax() for image in images]
    return Subject(
        network=network,
        exits=exits(network),
        images=images,
        labels=np.array(labels),
        calibration=exit_nets.images(5, 2)[0],
    )


def answered(subject, question, threads=1):
    """Return the answers of all chunks, in order."""
    wanted = range(len(chunks(len(subject.labels))))
    answers = dict(ask(subject, question, wanted, threads))
    return [answers[chunk] for chunk in wanted]


def test_float_accuracy_is_that_of_the_executor(subject):
    """Counting argmax by hand over the plain executor gives the same fraction at every exit."""
    asked = accuracy.candidates(subject.network, ["int8"])
    found = accuracy.measured(asked, answered(subject, accuracy.question(asked)), 12, 2)
    for number, name in enumerate(subject.exits):
        hits = [
            execute(subject.network, {"image": image[None]})[name].argmax() == label
            for image, label in zip(subject.images, subject.labels, strict=True)
        ]
        assert found[0].accuracy[number] == np.mean(hits)
    assert found[0].loss == 0


def test_two_processes_answer_like_one(subject):
    """Answers do not depend on how many processes work."""
    subject = replace(
        subject, images=np.tile(subject.images, (9, 1, 1, 1)), labels=np.tile(subject.labels, 9)
    )
    question = accuracy.question(accuracy.candidates(subject.network, ["lowrank:0.5"])[:3])
    assert len(chunks(len(subject.labels))) > 1
    assert answered(subject, question, 2) == answered(subject, question, 1)


def test_work_shared_by_candidates_does_not_change_their_answers(subject):
    """Each candidate, run as one whole network, is right on the images that its row says."""
    names = ["int8", "fp16", "lowrank:0.5", "int8+lowrank:0.5"]
    asked = accuracy.candidates(subject.network, names, mixes=2)
    (answer,) = answered(subject, accuracy.question(asked))
    right = unpack_bits(answer["correct"], 2 * len(asked), 12).reshape(len(asked), 2, 12)
    rewriter = Rewriter(subject.network, subject.samples())
    for candidate, rows in zip(asked, right, strict=True):
        made = rewriter.realize(candidate.variants)
        network = MixedNetwork(made.network, made.int8, made.quantized)
        for index, image in enumerate(subject.images):
            scores = network.run({"image": image[None]})
            hits = [scores[name].argmax() == subject.labels[index] for name in subject.exits]
            assert rows[:, index].tolist() == hits, candidate.name


def test_only_what_depends_on_a_changed_layer_is_computed_again(subject):
    """A change of the first exit leaves the rest alone; one of the stem leaves nothing."""
    layers = [layer.name for layer in subject.network.layers]
    first = next(name for name in layers if name.startswith("exit1"))
    again = affected(subject.network, [first])
    assert again[0] == first
    assert all(name.startswith("exit1") for name in again)
    assert affected(subject.network, ["stem"]) == tuple(layers)


def test_candidates_are_each_variant_of_each_layer_then_all_then_mixes(subject):
    """Every layer that has a variant appears once with it; mixes are drawn by the seed."""
    found = accuracy.candidates(subject.network, ["int8", "fp16"], 3, 7)
    assert found[0].variants == {}
    alone = [each for each in found if each.kind == "layer"]
    (whole,) = [each for each in found if each.name == "all int8"]
    assert {name for each in alone for name in each.variants if "int8" in each.name} == set(
        whole.variants
    )
    assert found == accuracy.candidates(subject.network, ["int8", "fp16"], 3, 7)
    assert found != accuracy.candidates(subject.network, ["int8", "fp16"], 3, 8)
    with pytest.raises(InputError, match="no variant is named"):
        accuracy.candidates(subject.network, [])


def test_losses_and_sums_are_those_of_counted_answers(subject):
    """From answers written by hand: losses, paired errors, the sum of parts and how far it is."""
    asked = accuracy.candidates(subject.network, ["lowrank:0.3"], keep=["stem", "exit*"])
    assert [each.name for each in asked] == [
        "float", "one lowrank:0.3", "two lowrank:0.3", "all lowrank:0.3"
    ]  # fmt: skip
    wrong = [
        [],
        [0, 1],
        [1, 2, 3],
        [0, 1, 2, 3, 4, 5],
    ]  # images, at the last exit; 11 is wrong in 0

    right = np.ones((4, 2, 12), bool)
    for number, images in enumerate(wrong):
        right[number, 1, images] = False
        right[number, 1, 11] = bool(images)  # a variant may mend an image
    answer = {"correct": pack(np.packbits(right.reshape(8, 12), axis=1))}

    found = accuracy.measured(asked, [answer], 12, 2)
    assert [each.loss for each in found] == pytest.approx([0, 1 / 12, 2 / 12, 5 / 12])
    assert found[2].loss_error == pytest.approx(np.sqrt(4) / 12)
    assert [each.accuracy[0] for each in found] == [1.0] * 4
    (both,) = accuracy.combinations(found)
    assert both.predicted_loss == pytest.approx(3 / 12)
    assert both.error == pytest.approx(2 / 12)


def test_a_joined_variant_stands_beside_the_sum_of_its_parts(subject):
    """int8 and low rank in one layer are compared with each alone, where both were measured."""
    names = ["int8", "lowrank:0.5", "int8+lowrank:0.5", "int8+lowrank:0.3"]
    asked = accuracy.candidates(subject.network, names)
    found = accuracy.measured(asked, answered(subject, accuracy.question(asked)), 12, 2)
    loss = {each.candidate.name: each.loss for each in found}
    sums = {x.measured.candidate.name: x.predicted_loss for x in accuracy.combinations(found)}
    assert sums["one int8+lowrank:0.5"] == loss["one int8"] + loss["one lowrank:0.5"]
    assert "one int8+lowrank:0.3" not in sums
    assert "one int8" not in sums


def recorded(subject, degrees, blocks=()):
    """Return a trace of the subject."""
    made = accuracy.plan_blocks(subject.network, blocks, degrees)
    question = accuracy.every_mix(made, accuracy.ends(subject.network, made))
    return accuracy.recorded(subject.network, "random", made, answered(subject, question))


def test_every_mix_in_a_trace_is_what_the_mixed_network_says(subject, tmp_path):
    """Each mix of degrees, run as one network, has the confidences and answers of the trace."""
    trace = recorded(subject, ["int8", "lowrank:0.5"])
    assert trace.exits == (0, 1)
    assert len(trace.choices) == 9
    rewriter = Rewriter(subject.network, subject.samples())
    for row, choice in enumerate(trace.choices):
        degrees = [block.degrees[at] for block, at in zip(trace.blocks, choice, strict=True)]
        if "int8" in {degree.name for degree in degrees} and len({*choice}) > 1:
            continue  # calibrated otherwise: ranges of a block do not depend on the mix around it
        mix = {name: parse_variant(d.name) for d in degrees for name in d.changed}
        made = rewriter.realize(mix)
        network = MixedNetwork(made.network, made.int8, made.quantized)
        for index, image in enumerate(subject.images):
            scores = network.run({"image": image[None]})
            for number, name in enumerate(subject.exits):
                sure = trace.confidence[row, index, number]
                assert abs(sure - scores[name].max()) <= 0.5 / 255 + 1e-4
                right = scores[name].argmax() == subject.labels[index]
                assert trace.correct[row, index, number] == right
    path = tmp_path / "t.npz"
    path.write_bytes(write_trace(trace))
    again = read_trace(path)
    assert again.blocks == trace.blocks
    assert (again.confidence == trace.confidence).all()
    assert (again.correct == trace.correct).all()


def test_losses_of_blocks_are_those_of_their_rows(subject):
    """A block's loss is the exact accuracy less that of the row where it alone is changed."""
    trace = recorded(subject, ["lowrank:0.3"])
    exact = trace.accuracy[0, -1]
    row = trace.choices.index((1, 0))
    assert trace.blocks[0].degrees[1].loss == exact - trace.accuracy[row, -1]
    assert trace.blocks[0].degrees[1].macs < trace.blocks[0].degrees[0].macs
    assert trace.blocks[0].degrees[0].loss == 0


@pytest.mark.parametrize(
    ("blocks", "degrees", "word"),
    [
        ([["stem"], ["one*"], ["two*"]], ["int8"], "is in no block"),
        ([["two*", "exit2*"], ["stem*", "one*", "exit1*"]], ["int8"], "one after the other"),
        ([["*"], ["nothing*"]], ["int8"], "matches no layer"),
        ([["*"]], ["int8"], "each exit ends a block of its own"),
        ([], ["int8", "fp16", "lowrank:0.5", "lowrank:0.3"], "at most 5 blocks of 4"),
    ],
)
def test_blocks_that_do_not_part_the_network_are_refused(subject, blocks, degrees, word):
    """Layers left out, blocks out of order, empty patterns, two exits in one, too many degrees."""
    with pytest.raises(InputError, match=word):
        recorded(subject, degrees, blocks)
