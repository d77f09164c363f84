"""Files: what is damaged is told, what is large is read once and only when needed."""

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from heterolith.errors import InputError
from heterolith.sw.onnx_file import read_file, split_model
from heterolith.sw.onnx_import import from_model, load_onnx

from .onnx_models import chain

WEIGHTS = np.random.default_rng(5).standard_normal((16, 16, 3, 3)).astype(np.float32)


def model():
    """Return a model with one tensor of 9 KiB and a small one."""
    return chain(
        ("Conv", ["x", "w", "b"], ["c"], {"name": "conv"}),
        ("Relu", ["c"], ["y"], {}),
        inputs={"x": (1, 16, 8, 8)},
        constants={"w": WEIGHTS, "b": np.arange(16.0)},
    )


def message(path):
    """Return the message with which a file is refused, which is one line."""
    with pytest.raises(InputError) as error:
        load_onnx(path)
    text = str(error.value)
    assert "\n" not in text
    return text


def stored_as(fields):
    """Return the model with its large tensor moved to another field of TensorProto."""
    changed = model()
    tensor = next(entry for entry in changed.graph.initializer if entry.name == "w")
    tensor.ClearField("raw_data")
    for name, value in fields.items():
        getattr(tensor, name).extend(value)
    return changed


@pytest.mark.parametrize("kind", ["raw", "float_data"])
def test_large_tensor_is_cut_out_and_read_back(tmp_path, kind):
    """Weights stored as bytes or as packed floats are left out of the parse, and are the same."""
    path = tmp_path / "m.onnx"
    onnx.save(model() if kind == "raw" else stored_as({"float_data": WEIGHTS.ravel()}), path)
    source = read_file(path)
    assert source.proto.ByteSize() < 1000
    assert "w" in {entry.name for entry in source.proto.graph.input}
    assert [entry.name for entry in source.proto.graph.initializer] == ["b"]
    np.testing.assert_array_equal(source.initializers["w"].read(), WEIGHTS)
    np.testing.assert_array_equal(load_onnx(path).constants["w"], WEIGHTS)


@pytest.mark.parametrize(
    ("dtype", "field"),
    [("float64", "double_data"), ("int64", "int64_data"), ("float16", "int32_data")],
)
def test_other_ways_to_store(tmp_path, dtype, field):
    """Tensors of every field and type come back as they went in."""
    value = np.arange(4000).reshape(40, 100).astype(dtype)
    tensor = helper.make_tensor(
        "t",
        helper.np_dtype_to_tensor_dtype(value.dtype),
        value.shape,
        value.ravel() if dtype != "float16" else value.ravel().tolist(),
    )
    assert len(getattr(tensor, field)) == 4000
    whole = chain(("Relu", ["x"], ["y"], {}))
    whole.graph.initializer.append(tensor)
    path = tmp_path / "m.onnx"
    onnx.save(whole, path)
    for source in (read_file(path), split_model(whole)):
        got = source.initializers["t"].read()
        np.testing.assert_array_equal(got, value)
        assert got.dtype == value.dtype


def test_external_data(tmp_path):
    """Weights in a file beside the model are read from their offsets."""
    path = tmp_path / "m.onnx"
    onnx.save(model(), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    expected = from_model(model(), "m")
    assert load_onnx(path).fingerprint() == expected.fingerprint()
    (tmp_path / "w.bin").unlink()
    text = message(path)
    assert "external data 'w.bin' of tensor" in text
    assert "is missing; put it beside m.onnx in" in text


def test_external_data_stays_in_its_folder(tmp_path):
    """A location outside of the model's folder is refused, whatever it names."""
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "m.onnx"
    onnx.save(model(), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    (tmp_path / "w.bin").write_bytes((tmp_path / "in" / "w.bin").read_bytes())
    path.write_bytes(path.read_bytes().replace(b"\x05w.bin", b"\x05../w."))
    assert "names external data '../w.' outside of" in message(path)


def test_external_data_of_a_model_in_memory(tmp_path):
    """A model in memory has no folder to look into."""
    path = tmp_path / "m.onnx"
    onnx.save(model(), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    loose = onnx.load(path, load_external_data=False)
    with pytest.raises(InputError, match=r"lies in the file 'w.bin'; load by path"):
        from_model(loose, "loose")


def test_tensor_of_wrong_size(tmp_path):
    """A tensor that holds fewer bytes than its shape needs is told by name and size."""
    short = model()
    tensor = next(entry for entry in short.graph.initializer if entry.name == "w")
    tensor.raw_data = tensor.raw_data[:-4]
    path = tmp_path / "m.onnx"
    onnx.save(short, path)
    assert "tensor 'w' holds 9212 bytes in m.onnx, its shape (16, 16, 3, 3)" in message(path)
    with pytest.raises(InputError, match=r"tensor 'w' of shape \(16, 16, 3, 3\) cannot be read"):
        from_model(short, "short")


def test_no_model_at_all(tmp_path):
    """Missing, empty, a directory, text, a pointer of git-lfs, another protobuf: each is told."""
    path = tmp_path / "m.onnx"
    assert message(path) == f"{path} does not exist; give the path of an ONNX file"
    assert "is a directory; give the path" in message(tmp_path)
    path.write_bytes(b"")
    assert f"{path} is empty" in message(path)
    path.write_text("<html>\nnot found")
    assert "is a text file (it starts with '<html>'), not an ONNX model" in message(path)
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert message(path).endswith("fetch it with: git lfs pull")
    path.write_bytes(numpy_helper.from_array(WEIGHTS, "w").SerializeToString())
    assert "not ONNX" in message(path) or "holds no ONNX graph" in message(path)
    path.write_bytes(onnx.ModelProto(ir_version=8).SerializeToString())
    assert "holds no ONNX graph; export the model again" in message(path)


def test_file_that_may_not_be_read(tmp_path):
    """A path through a file is an error of the system, passed on in its words."""
    (tmp_path / "f").write_text("")
    assert message(tmp_path / "f" / "m.onnx").startswith("cannot read ")


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_damage_is_an_input_error(tmp_path_factory, data):
    """Cut short or with bytes changed, a file is imported or refused, never a traceback."""
    damaged = bytearray(model().SerializeToString())
    place = st.one_of(st.integers(0, 400), st.integers(len(damaged) - 400, len(damaged) - 1))
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(damaged) - 1)) :]
    else:
        for at in data.draw(st.lists(place, min_size=1, max_size=3)):
            damaged[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    path.write_bytes(damaged)
    text = ""
    try:
        load_onnx(path)
    except InputError as error:
        text = str(error)
    assert "\n" not in text
