"""Labelled images as arrays: CIFAR-10 in its usual folder, archives, folders of pictures.

Forms of a path, by what is there:

* ``FILE.npz`` with ``images`` (N, C, H, W) and ``labels`` (N,);
* a folder with ``SPLIT.npz`` of that form, or of JPEG bytes: ``jpeg``, ``offset``, ``label``;
* the folder ``cifar-10-batches-py`` with its six pickled batches (Krizhevsky, 2009);
* a folder with one folder of PNG or JPEG files per class, or those inside a folder ``SPLIT``;
  classes are numbered in the order of their names.

Images of uint8 are scaled to 0..1 and normalized; floats are taken as network inputs.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from heterolith.errors import InputError, MissingExtraError
from heterolith.sw.network import Array, Network

CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
"""Per-channel mean and deviation of CIFAR-10's training images, scaled to 0..1."""
PICTURES = {".png", ".jpg", ".jpeg"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Images (N, C, H, W), uint8 or float32, with labels, int64 (N,).

    Attributes
    ----------
    name
        Where they come from, and which part.
    mean, std
        Usual normalization of this data, ``()`` where none is known.
    """

    name: str
    pixels: Array
    labels: Array
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def first(self, count: int) -> Images:
        """Return the first images.

        Raises
        ------
        InputError
            If there are not that many.
        """
        if not 1 <= count <= len(self):
            raise InputError(f"{count} images of {self.name} are asked for; there are {len(self)}")
        name = self.name if count == len(self) else f"{self.name}, first {count}"
        return replace(self, name=name, pixels=self.pixels[:count], labels=self.labels[:count])

    def inputs(self, mean: Sequence[float] = (), std: Sequence[float] = ()) -> Array:
        """Return network inputs, float32: scaled and normalized if the images are uint8.

        Parameters
        ----------
        mean, std
            Per channel, of images scaled to 0..1; by default the data's own, else none.

        Raises
        ------
        InputError
            If they are not one per channel.
        """
        if self.pixels.dtype != np.uint8:
            if mean or std:
                raise InputError(f"{self.name} holds floats, taken as they are; leave --mean out")
            return self.pixels
        channels = self.pixels.shape[1]
        middle = tuple(mean) or self.mean or (0.0,) * channels
        spread = tuple(std) or self.std or (1.0,) * channels
        if len(middle) != channels or len(spread) != channels or min(spread) <= 0:
            raise InputError(
                f"mean {middle} and deviation {spread} are not one per channel, deviations above "
                f"0; {self.name} has {channels} channels"
            )
        scaled = self.pixels.astype(np.float32) / np.float32(255)
        shape = (1, channels, 1, 1)
        scaled -= np.array(middle, np.float32).reshape(shape)
        scaled /= np.array(spread, np.float32).reshape(shape)
        return scaled


def load_images(path: Path, split: str = "test") -> Images:
    """Read labelled images.

    Parameters
    ----------
    path
        See the module.
    split
        ``test`` or ``train``.

    Raises
    ------
    InputError
        If the path holds no known form, or a file is damaged.
    MissingExtraError
        If pictures are to be read and Pillow is not installed.
    """
    if path.is_file():
        return _archive(path)
    if not path.is_dir():
        raise InputError(f"{path} does not exist; give a folder of images or an .npz file")
    if (path / f"{split}.npz").is_file():
        return _archive(path / f"{split}.npz")
    names = ["test_batch"] if split == "test" else [f"data_batch_{i}" for i in range(1, 6)]
    if all((path / name).is_file() for name in names):
        return _batches([path / name for name in names])
    return _folders(path / split if (path / split).is_dir() else path, split)


def check_fit(network: Network, images: Images, classes: int) -> None:
    """Refuse images or labels that do not fit a network with that many classes.

    Raises
    ------
    InputError
        If the network takes more than one input or another shape, or a label is no class.
    """
    if len(network.inputs) != 1:
        raise InputError(
            f"{network.name} has inputs {', '.join(network.inputs)}; images go into one"
        )
    shape = network.tensors[network.inputs[0]].shape
    if shape[0] != 1 or shape[1:] != images.pixels.shape[1:]:
        raise InputError(
            f"{network.name} takes {shape}, the images are {images.pixels.shape[1:]}; give images "
            "of that size, one at a time"
        )
    low, high = int(images.labels.min()), int(images.labels.max())
    if low < 0 or high >= classes:
        raise InputError(f"labels are {low}..{high}, {network.name} knows classes 0..{classes - 1}")


def _picture(source: Path | BytesIO) -> Array:
    try:
        from PIL import Image
    except ModuleNotFoundError:
        raise MissingExtraError("Pillow", "images") from None
    return np.asarray(Image.open(source).convert("RGB"))


def _checked(name: str, pixels: Array, labels: Array) -> Images:
    """Return images after a look at shapes, dtypes and values."""
    if pixels.ndim != 4 or labels.ndim != 1 or len(pixels) != len(labels) or not len(labels):
        raise InputError(
            f"{name} holds images {pixels.shape} and labels {labels.shape}; give (N, C, H, W) and "
            "(N,), at least one"
        )
    if pixels.shape[3] in (1, 3) and pixels.shape[1] not in (1, 3):
        raise InputError(
            f"{name} holds images {pixels.shape} with channels last; transpose them to (N, C, H, W)"
        )
    if labels.dtype.kind not in "iu":
        raise InputError(f"{name} holds labels of {labels.dtype}; give class numbers, integers")
    if pixels.dtype.kind == "f":
        if not np.isfinite(pixels).all():
            raise InputError(f"{name} holds images that are not finite; check how they were made")
        pixels = pixels.astype(np.float32)
    elif pixels.dtype != np.uint8:
        raise InputError(f"{name} holds images of {pixels.dtype}; give uint8 or floats")
    return Images(name=name, pixels=pixels, labels=labels.astype(np.int64))


def _archive(path: Path) -> Images:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if "jpeg" not in arrays:
            return _checked(path.name, arrays["images"], arrays["labels"])
        data, offset = arrays["jpeg"].tobytes(), arrays["offset"].tolist()
        pixels = np.stack([_picture(BytesIO(data[a:b])) for a, b in pairwise(offset)])
    except KeyError as error:
        raise InputError(
            f"{path} has no array {error}; needs images and labels, or jpeg, offset, label"
        ) from error
    except (OSError, TypeError, ValueError, EOFError, BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read as images: {error}") from error
    images = _checked(path.name, pixels.transpose(0, 3, 1, 2), arrays["label"])
    return _cifar(images, path.stem)


def _cifar(images: Images, split: str) -> Images:
    """Return images with CIFAR-10's normalization if they have its size."""
    if images.pixels.shape[1:] != (3, 32, 32):
        return images
    return replace(images, name=f"CIFAR-10 {split}", mean=CIFAR_MEAN, std=CIFAR_STD)


class _Plain(pickle.Unpickler):
    """Reads arrays and plain containers alone: a pickle could otherwise run any code."""

    ALLOWED = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode"),
        }
    )  # fmt: skip

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} does not belong in a CIFAR-10 batch")
        return super().find_class(module, name)


def _batches(paths: Sequence[Path]) -> Images:
    pixels, labels = [], []
    for path in paths:
        try:
            with path.open("rb") as file:
                batch = _Plain(file, encoding="bytes").load()
            pixels.append(np.asarray(batch[b"data"], np.uint8).reshape(-1, 3, 32, 32))
            labels.append(np.asarray(batch[b"labels"], np.int64))
        except (
            OSError,
            KeyError,
            TypeError,
            ValueError,
            EOFError,
            pickle.UnpicklingError,
        ) as error:
            raise InputError(f"{path} cannot be read as a CIFAR-10 batch: {error}") from error
    name = "test" if len(paths) == 1 else "train"
    return _cifar(_checked(name, np.concatenate(pixels), np.concatenate(labels)), name)


def _folders(path: Path, split: str) -> Images:
    classes = sorted(entry for entry in path.iterdir() if entry.is_dir())
    files = [
        (number, file)
        for number, entry in enumerate(classes)
        for file in sorted(entry.iterdir())
        if file.suffix.lower() in PICTURES
    ]
    if not files:
        raise InputError(
            f"{path} holds no images: neither {split}.npz, nor the batches of CIFAR-10, nor a "
            "folder of PNG or JPEG files per class"
        )
    pixels: list[Array] = []
    for _, file in files:
        try:
            pixels.append(_picture(file))
        except OSError as error:
            raise InputError(f"{file} cannot be read as a picture: {error}") from error
        if pixels[-1].shape != pixels[0].shape:
            raise InputError(
                f"{file} is {pixels[-1].shape[:2]} pixels, {files[0][1].name} "
                f"{pixels[0].shape[:2]}; resize them to one size"
            )
    labels = np.array([number for number, _ in files], np.int64)
    return _checked(path.name, np.stack(pixels).transpose(0, 3, 1, 2), labels)
