"""Files of recorded traces: what is damaged, of another format or network is refused."""

from dataclasses import replace

import numpy as np
import pytest

from heterolith.errors import InputError
from heterolith.metrics.trace import (
    Block,
    BlockDegree,
    RecordedTrace,
    degree_network,
    read_trace,
    write_trace,
)


def trace(network, images=10, seed=0):
    """Return a trace of two blocks with two and three degrees, drawn at random."""
    rng = np.random.default_rng(seed)

    def block(name, layer, degrees):
        made = (BlockDegree(name=d, changed=(layer,), macs=9, loss=0.0) for d in degrees)
        return Block(name=name, layers=(layer,), degrees=tuple(made))

    first = rng.integers(0, 256, (2, images)).astype(np.float32) / 255
    last = rng.integers(0, 256, (6, images)).astype(np.float32) / 255
    answers = rng.random((6, images, 2)) < 0.5
    answers[:, :, 0] = np.repeat(answers[::3, :, 0], 3, axis=0)
    return RecordedTrace(
        network=network.name,
        fingerprint=network.fingerprint(),
        data="random",
        blocks=(
            block("one", "stem", ("fp32", "int8")),
            block("two", "two", ("fp32", "int8", "lowrank:0.5")),
        ),
        exits=(0, 1),
        confidence=np.stack([np.repeat(first, 3, axis=0), last], axis=2),
        correct=answers,
    )


def test_a_trace_comes_back_from_its_file(exit_nets, tmp_path):
    """Every answer, block and degree; the choices are the product, the first block slowest."""
    made = trace(exit_nets.network())
    path = tmp_path / "a.npz"
    path.write_bytes(write_trace(made))
    again = read_trace(path)
    assert (again.confidence == made.confidence).all()
    assert (again.correct == made.correct).all()
    assert again.blocks == made.blocks
    assert again.choices[:4] == ((0, 0), (0, 1), (0, 2), (1, 0))
    assert again.accuracy.shape == (6, 2)


def test_a_trace_of_another_network_is_refused(exit_nets):
    """The message names both and the remedy."""
    made = trace(exit_nets.network())
    made.check(exit_nets.network())
    with pytest.raises(InputError, match="heterolith accuracy --record"):
        made.check(exit_nets.network(seed=1))


def test_files_that_are_no_trace_are_refused(exit_nets, tmp_path):
    """Missing, empty, other arrays, another format, answers cut short."""
    path = tmp_path / "a.npz"
    with pytest.raises(InputError, match="cannot read"):
        read_trace(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="no recorded trace"):
        read_trace(path)
    np.savez(path, x=np.zeros(3))
    with pytest.raises(InputError, match="no recorded trace"):
        read_trace(path)
    path.write_bytes(write_trace(trace(exit_nets.network())))
    arrays = dict(np.load(path))
    np.savez(path, **{**arrays, "confidence_1": arrays["confidence_1"][:4]})
    with pytest.raises(InputError, match="answers of exit 1"):
        read_trace(path)
    other = arrays["meta"].tobytes().replace(b"trace 1", b"trace 9")
    np.savez(path, **{**arrays, "meta": np.frombuffer(other, np.uint8)})
    with pytest.raises(InputError, match="trace 9"):
        read_trace(path)


def test_answers_must_have_the_shape_of_the_choices(exit_nets):
    """A trace with a row too few is refused when it is made."""
    made = trace(exit_nets.network())
    with pytest.raises(InputError, match="ask for"):
        replace(made, correct=made.correct[1:])


def test_a_degree_of_a_block_is_a_network(exit_nets):
    """Pricing gets the rewritten layers of a block, told from the others by their origin."""
    network = exit_nets.network()
    made = degree_network(network, trace(network).blocks[1].degrees[2])
    names = [x.name for x in made.network.layers if made.origin[x.name] == "two"]
    assert names == ["two.v", "two.h"]
