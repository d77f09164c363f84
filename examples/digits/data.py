"""scikit-learn's digits (1,797 images of 8x8, UCI ML hand-written digits) in a fixed split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def split() -> tuple[
    NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]
]:
    """Return training images and labels, held-out images and labels (1,197 and 600).

    Images are float32 of shape (n, 1, 8, 8) in [0, 1].
    """
    digits = load_digits()
    images = (digits.images / 16.0).astype(np.float32)[:, None]
    labels = digits.target.astype(np.int64)
    train_x, held_x, train_y, held_y = train_test_split(
        images, labels, test_size=600, random_state=0, stratify=labels
    )
    return train_x, train_y, held_x, held_y
