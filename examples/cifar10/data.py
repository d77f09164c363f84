"""CIFAR-10 images (Krizhevsky, 2009) as arrays: from the usual folder, or .npz files of JPEG bytes.

The usual folder is ``cifar-10-batches-py`` with its six pickled batches. The other form is
``train.npz`` and ``test.npz`` with ``jpeg`` (uint8), ``offset`` (int64), ``label`` (uint8).
"""

from __future__ import annotations

import pickle
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heterolith.errors import InputError

MEAN = np.array([0.4914, 0.4822, 0.4465], np.float32)
STD = np.array([0.2470, 0.2435, 0.2616], np.float32)
"""Per-channel mean and deviation of the training images, scaled to 0..1."""

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


def load(folder: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return images, shape (N, 3, 32, 32), and labels, shape (N,).

    Parameters
    ----------
    folder
        Either form, see the module.
    split
        ``train`` (50,000 images) or ``test`` (10,000).

    Raises
    ------
    InputError
        If the folder holds neither form, or an archive is damaged.
    """
    if (folder / f"{split}.npz").is_file():
        return _from_npz(folder / f"{split}.npz")
    names = ["test_batch"] if split == "test" else [f"data_batch_{i}" for i in range(1, 6)]
    if all((folder / name).is_file() for name in names):
        return _from_batches([folder / name for name in names])
    raise InputError(
        f"{folder} holds neither {split}.npz nor {names[0]}; give the folder cifar-10-batches-py"
    )


def _from_npz(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    from PIL import Image

    try:
        with np.load(path) as file:
            data, offset, labels = file["jpeg"].tobytes(), file["offset"], file["label"]
        images = np.stack(
            [np.asarray(Image.open(BytesIO(data[a:b])).convert("RGB")) for a, b in pairwise(offset)]
        )
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path} cannot be read as CIFAR-10: {error}") from error
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)), labels.astype(np.int64)


class _Plain(pickle.Unpickler):
    """Reads arrays and plain containers alone: a pickle could otherwise run any code."""

    ALLOWED = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype"),
            ("_codecs", "encode"),
        }
    )  # fmt: skip

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} does not belong in a CIFAR-10 batch")
        return super().find_class(module, name)


def _from_batches(paths: list[Path]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    images, labels = [], []
    for path in paths:
        try:
            with path.open("rb") as file:
                batch = _Plain(file, encoding="bytes").load()
            images.append(np.asarray(batch[b"data"], np.uint8).reshape(-1, 3, 32, 32))
            labels.append(np.asarray(batch[b"labels"], np.int64))
        except (OSError, KeyError, ValueError, EOFError, pickle.UnpicklingError) as error:
            raise InputError(f"{path} cannot be read as a CIFAR-10 batch: {error}") from error
    return np.concatenate(images), np.concatenate(labels)


def normalize(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return network inputs: zero mean and unit deviation per channel, float32."""
    scaled = images.astype(np.float32) / 255
    return np.asarray((scaled - MEAN[:, None, None]) / STD[:, None, None])
