"""Detection heads: choice of boxes, and pooling over regions of interest.

Source: ONNX NonMaxSuppression-11, RoiAlign-16, MaxRoiPool-1; He et al., "Mask R-CNN", ICCV 2017,
section 3 (RoiAlign).
"""

from __future__ import annotations

import numpy as np

from heterolith.errors import InputError, unknown_name
from heterolith.sw.network import Array


def _corners(boxes: Array, center_point_box: int) -> tuple[Array, Array]:
    """Return the lower and the upper corners of boxes, both (N, 2)."""
    if center_point_box not in (0, 1):
        raise InputError(f"center_point_box {center_point_box} is not known; use 0 or 1")
    first, second = boxes[:, :2], boxes[:, 2:]
    if center_point_box:
        return first - second / 2, first + second / 2
    return np.minimum(first, second), np.maximum(first, second)


def non_max_suppression(
    boxes: Array,
    scores: Array,
    most: Array | None = None,
    iou_threshold: Array | None = None,
    score_threshold: Array | None = None,
    *,
    center_point_box: int = 0,
) -> Array:
    """Return the best boxes of each class that overlap no better one too much.

    Parameters
    ----------
    boxes
        Float array (B, N, 4): two opposite corners, or centre and size with ``center_point_box``.
    scores
        Float array (B, classes, N).
    most
        Most boxes per class and batch element, one element; 0 by default.
    iou_threshold
        Intersection over union above which a box is dropped, one element; 0 by default.
    score_threshold
        Score that a box must exceed, one element; none by default.

    Returns
    -------
    int64 array (chosen, 3) of batch element, class and box
    """
    limit = 0 if most is None else int(most.item())
    overlap = 0.0 if iou_threshold is None else float(iou_threshold.item())
    if not 0 <= overlap <= 1:
        raise InputError(f"iou_threshold {overlap:g} is outside of [0, 1]")
    floor = None if score_threshold is None else score_threshold.item()
    chosen: list[tuple[int, int, int]] = []
    for batch in range(boxes.shape[0]):
        corners = _corners(boxes[batch], center_point_box)
        for label in range(scores.shape[1]):
            best = _best_boxes(corners, scores[batch, label], limit, overlap, floor)
            chosen.extend((batch, label, box) for box in best)
    return np.array(chosen, np.int64).reshape(-1, 3)


def _best_boxes(
    corners: tuple[Array, Array], scores: Array, limit: int, overlap: float, floor: float | None
) -> list[int]:
    low, high = corners
    areas = np.prod(high - low, axis=1)
    order = np.argsort(-scores, kind="stable")
    if floor is not None:
        order = order[scores[order] > floor]
    chosen: list[int] = []
    while order.size and len(chosen) < limit:
        best, order = int(order[0]), order[1:]
        chosen.append(best)
        sides = np.minimum(high[best], high[order]) - np.maximum(low[best], low[order])
        shared = np.prod(np.maximum(sides, 0), axis=1)
        union = areas[best] + areas[order] - shared
        ratio = np.where(shared > 0, shared / np.where(union > 0, union, 1), 0)
        order = order[ratio <= overlap]
    return chosen


def roi_align(
    x: Array,
    rois: Array,
    images: Array,
    *,
    coordinate_transformation_mode: str = "half_pixel",
    mode: str = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> Array:
    """Return every region pooled from points that lie between pixels.

    Parameters
    ----------
    x
        Float array (N, C, H, W).
    rois
        Regions (R, 4) as x1, y1, x2, y2, times ``spatial_scale`` in pixels of `x`.
    images
        Image of each region, int64 (R,).
    coordinate_transformation_mode
        half_pixel puts pixel centres at halves, output_half_pixel does not.
    mode
        avg of the points of a cell, or max of their weighted corners.
    sampling_ratio
        Points per cell and axis; 0 takes as many as the cell has pixels, which gives 0 for none.

    Returns
    -------
    array of shape (R, C, output_height, output_width)
    """
    kinds = ("half_pixel", "output_half_pixel")
    if coordinate_transformation_mode not in kinds:
        raise unknown_name("RoiAlign coordinate mode", coordinate_transformation_mode, kinds)
    if mode not in ("avg", "max"):
        raise unknown_name("RoiAlign mode", mode, ("avg", "max"))
    shift = 0.5 if coordinate_transformation_mode == "half_pixel" else 0.0
    size = (output_height, output_width)
    out = np.zeros((len(rois), x.shape[1], *size), x.dtype)
    if images.size and (images.min() < 0 or images.max() >= len(x)):
        raise InputError(f"batch indices leave the {len(x)} images")
    for at, roi in enumerate(rois.astype(np.float64) * spatial_scale - shift):
        spans = roi[2:] - roi[:2] if shift else np.maximum(roi[2:] - roi[:2], 1.0)
        if sampling_ratio or np.all(spans > 0):
            region = (roi, spans, sampling_ratio)
            out[at] = _pooled(x[images[at]].astype(np.float64), region, size, mode)
    return out


def _pooled(
    image: Array, region: tuple[Array, Array, int], size: tuple[int, int], mode: str
) -> Array:
    """Return the cells of one region, (C, height, width); a region is begin, spans and points."""
    roi, spans, ratio = region
    rows = _points(roi[1], spans[1], size[0], ratio)
    columns = _points(roi[0], spans[0], size[1], ratio)
    terms = _corner_terms(image, rows, columns)
    if mode == "avg":
        return np.asarray(_by_cell(np.add.reduce(terms), *size).mean(axis=(2, 4)))
    return np.asarray(_by_cell(np.maximum.reduce(terms), *size).max(axis=(2, 4)))


def _points(start: float, span: float, cells: int, ratio: int) -> Array:
    """Return the sampled places on one axis, cell by cell."""
    count = ratio or max(1, int(np.ceil(span / cells)))
    return start + (np.arange(cells * count) + 0.5) * span / (cells * count)


def _corner_terms(image: Array, rows: Array, columns: Array) -> list[Array]:
    """Return the four weighted pixels around each point, (C, rows, columns), zero if far out."""
    low_rows, high_rows, weight_rows = _neighbours(rows, image.shape[1])
    low_columns, high_columns, weight_columns = _neighbours(columns, image.shape[2])
    terms = []
    for row, row_weight in ((low_rows, 1 - weight_rows), (high_rows, weight_rows)):
        row_weight = np.where((rows < -1) | (rows > image.shape[1]), 0, row_weight)
        for column, weight in ((low_columns, 1 - weight_columns), (high_columns, weight_columns)):
            weight = np.where((columns < -1) | (columns > image.shape[2]), 0, weight)
            pixels = image[:, row[:, None], column]
            terms.append(pixels * row_weight[:, None] * weight)
    return terms


def _neighbours(places: Array, length: int) -> tuple[Array, Array, Array]:
    """Return the pixels below and above each place, and the weight of the upper one."""
    inside = np.clip(places, 0, length - 1)
    low = np.floor(inside).astype(np.int64)
    return low, np.minimum(low + 1, length - 1), inside - low


def _by_cell(values: Array, height: int, width: int) -> Array:
    """Return (C, height, points, width, points) of values at all points."""
    channels, rows, columns = values.shape
    return values.reshape(channels, height, rows // height, width, columns // width)


def max_roi_pool(
    x: Array, rois: Array, *, pooled_shape: tuple[int, int], spatial_scale: float = 1.0
) -> Array:
    """Return the largest pixel in each cell of every region.

    `rois` are (R, 5): image, x1, y1, x2, y2, whose corners are rounded to pixels and included. A
    cell without pixels gives 0.
    """
    height, width = pooled_shape
    out = np.zeros((len(rois), x.shape[1], height, width), x.dtype)
    for at, (image, *corners) in enumerate(rois.tolist()):
        if not 0 <= int(image) < len(x):
            raise InputError(f"region {at} names image {image:g} of {len(x)}")
        left, top, right, bottom = (int(np.floor(c * spatial_scale + 0.5)) for c in corners)
        rows = _cell_edges(top, bottom, height, x.shape[2])
        columns = _cell_edges(left, right, width, x.shape[3])
        for row, (first, last) in enumerate(rows):
            for column, (start, stop) in enumerate(columns):
                cell = x[int(image), :, first:last, start:stop]
                if cell.size:
                    out[at, :, row, column] = cell.max(axis=(1, 2))
    return out


def _cell_edges(first: int, last: int, cells: int, length: int) -> list[tuple[int, int]]:
    size = max(last - first + 1, 1) / cells
    return [
        (
            min(max(int(np.floor(cell * size)) + first, 0), length),
            min(max(int(np.ceil((cell + 1) * size)) + first, 0), length),
        )
        for cell in range(cells)
    ]
