"""Labelled images: every form is read the same, near misses are refused in one line."""

import pickle
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from heterolith.errors import InputError
from heterolith.metrics.images import CIFAR_MEAN, CIFAR_STD, check_fit, load_images

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 3, 32, 32)).astype(np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def batch(path, pixels, labels):
    """Write one pickled CIFAR-10 batch."""
    path.write_bytes(pickle.dumps({b"data": pixels.reshape(len(pixels), -1), b"labels": labels}))


def test_cifar_batches_and_archives_hold_the_same_images(tmp_path):
    """Pickled batches, an archive of arrays and one of PNG bytes give equal pixels and labels."""
    batch(tmp_path / "test_batch", PIXELS, LABELS.tolist())
    batches = load_images(tmp_path)
    np.savez(tmp_path / "plain.npz", images=PIXELS, labels=LABELS)
    plain = load_images(tmp_path / "plain.npz")
    files = []
    for image in PIXELS:
        file = BytesIO()
        Image.fromarray(image.transpose(1, 2, 0)).save(file, "PNG")
        files.append(file.getvalue())
    folder = tmp_path / "archive"
    folder.mkdir()
    np.savez(
        folder / "test.npz",
        jpeg=np.frombuffer(b"".join(files), np.uint8),
        offset=np.cumsum([0, *map(len, files)]),
        label=LABELS.astype(np.uint8),
    )
    packed = load_images(folder)
    for found in (batches, plain, packed):
        assert (found.pixels == PIXELS).all()
        assert (found.labels == LABELS).all()
    assert packed.name == batches.name == "CIFAR-10 test"
    assert packed.mean == CIFAR_MEAN
    assert plain.mean == ()


def test_the_train_split_is_five_batches(tmp_path):
    """Five batches are joined in order; one that is missing leaves no train split."""
    for number in range(1, 6):
        batch(tmp_path / f"data_batch_{number}", PIXELS, [number] * 6)
    assert load_images(tmp_path, "train").labels.tolist() == [
        number for number in range(1, 6) for _ in LABELS
    ]
    (tmp_path / "data_batch_3").unlink()
    with pytest.raises(InputError, match="holds no images"):
        load_images(tmp_path, "train")


def test_class_folders_are_numbered_in_the_order_of_their_names(tmp_path):
    """PNG files in a folder per class, directly or under the split's name."""
    for name, label in (("cat", 1), ("ant", 0), ("dog", 2)):
        folder = tmp_path / "test" / name
        folder.mkdir(parents=True)
        Image.fromarray(PIXELS[label].transpose(1, 2, 0)).save(folder / "a.png")
        (folder / "notes.txt").write_text("no picture")
    found = load_images(tmp_path)
    assert found.labels.tolist() == [0, 1, 2]
    assert (found.pixels == PIXELS[:3]).all()
    assert (load_images(tmp_path / "test").pixels == found.pixels).all()
    Image.new("RGB", (5, 4)).save(tmp_path / "test" / "cat" / "b.png")
    with pytest.raises(InputError, match="resize them to one size"):
        load_images(tmp_path)


def test_uint8_images_are_normalized_and_floats_are_not(tmp_path):
    """Inputs of CIFAR-10 have its mean and deviation; floats pass, and refuse a mean."""
    batch(tmp_path / "test_batch", PIXELS, LABELS.tolist())
    found = load_images(tmp_path)
    by_hand = (PIXELS / 255 - np.reshape(CIFAR_MEAN, (3, 1, 1))) / np.reshape(CIFAR_STD, (3, 1, 1))
    assert np.allclose(found.inputs(), by_hand, atol=1e-5)
    given = found.inputs((0.5,) * 3, (0.25,) * 3)
    assert np.allclose(given, (PIXELS / 255 - 0.5) / 0.25, atol=1e-5)
    np.savez(tmp_path / "f.npz", images=by_hand, labels=LABELS)
    floats = load_images(tmp_path / "f.npz")
    assert floats.inputs().dtype == np.float32
    with pytest.raises(InputError, match="leave --mean out"):
        floats.inputs((0.5,) * 3)
    with pytest.raises(InputError, match="not one per channel"):
        found.inputs((0.5,), (1.0,))


def damaged(tmp_path, arrays):
    """Write an archive and return its path."""
    np.savez(tmp_path / "x.npz", **arrays)
    return tmp_path / "x.npz"


@pytest.mark.parametrize(
    ("arrays", "word"),
    [
        ({"images": PIXELS}, "no array 'labels"),
        ({"images": PIXELS.transpose(0, 2, 3, 1), "labels": LABELS}, "channels last"),
        ({"images": PIXELS, "labels": LABELS[:3]}, "give .N, C, H, W. and"),
        ({"images": PIXELS, "labels": LABELS / 2}, "integers"),
        ({"images": PIXELS.astype(int), "labels": LABELS}, "uint8 or floats"),
        ({"images": PIXELS * np.nan, "labels": LABELS}, "not finite"),
        ({"jpeg": np.zeros(9, np.uint8), "offset": [0, 9], "label": LABELS[:1]}, "cannot be read"),
    ],
)
def test_archives_that_hold_something_else_are_refused(tmp_path, arrays, word):
    """Each near miss says what is there and what is wanted, in one line."""
    with pytest.raises(InputError, match=word) as caught:
        load_images(damaged(tmp_path, arrays))
    assert "\n" not in str(caught.value)


def test_missing_and_damaged_files_are_refused(tmp_path):
    """A path that is not there, an archive that is none, a pickle of something else."""
    with pytest.raises(InputError, match="does not exist"):
        load_images(tmp_path / "nowhere")
    (tmp_path / "a.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match="cannot be read as images"):
        load_images(tmp_path / "a.npz")
    (tmp_path / "test_batch").write_bytes(pickle.dumps({b"data": BytesIO}))
    with pytest.raises(InputError, match="does not belong in a CIFAR-10 batch"):
        load_images(tmp_path)


def test_first_images_and_fit_are_checked(exit_nets, tmp_path):
    """More images than there are, another size, a label beyond the classes."""
    found = load_images(damaged(tmp_path, {"images": PIXELS, "labels": LABELS}))
    assert len(found.first(2)) == 2
    assert "first 2" in found.first(2).name
    with pytest.raises(InputError, match="7 images of x"):
        found.first(7)
    with pytest.raises(InputError, match="give images of that size"):
        check_fit(exit_nets.network(), found, 4)
    small = damaged(tmp_path, {"images": PIXELS[:, :, :8, :8], "labels": LABELS})
    with pytest.raises(InputError, match=r"labels are 0\.\.2"):
        check_fit(exit_nets.network(), load_images(small), 2)
