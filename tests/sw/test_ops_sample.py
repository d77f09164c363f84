"""Sampling, detection and resizing agree with ONNX Runtime over all their modes."""

import numpy as np
import pytest

from heterolith.errors import InputError
from heterolith.sw.ops import compute

RNG = np.random.default_rng(0)
MAP = RNG.standard_normal((2, 3, 5, 6)).astype(np.float32)
NONE = np.zeros(0, np.float32)


def agree(reference, op, attributes, inputs, opset=18):
    """Check the one result against ONNX Runtime."""
    (got,) = compute(op, attributes, inputs)
    (expected,) = reference(op, attributes, inputs, opset=opset)
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("corners", [0, 1])
def test_grid_sample(reference, mode, padding, corners):
    """Places inside and far outside of the map are read as ONNX Runtime reads them."""
    grid = RNG.uniform(-1.7, 1.7, (2, 7, 5, 2)).astype(np.float32)
    attributes = {"mode": mode, "padding_mode": padding, "align_corners": corners}
    agree(reference, "GridSample", attributes, [MAP, grid], opset=20)


@pytest.mark.parametrize("corners", [0, 1])
def test_affine_grid(reference, corners):
    """Grids of maps and of volumes."""
    for theta, size in (((2, 2, 3), (2, 3, 4, 5)), ((1, 3, 4), (1, 2, 3, 4, 5))):
        inputs = [RNG.standard_normal(theta).astype(np.float32), np.array(size)]
        agree(reference, "AffineGrid", {"align_corners": corners}, inputs, opset=20)


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("pixels", ["half_pixel", "output_half_pixel"])
@pytest.mark.parametrize("ratio", [0, 1])
def test_roi_align(reference, mode, pixels, ratio):
    """Regions that leave the map, adaptive and fixed sampling; swapped corners give 0."""
    rois = np.array([[-2, 0, 3, 5], [1, 1, 9, 9], [0.5, 0.7, 1.1, 1.2], [4, 4, 2, 2]], np.float32)
    images = np.array([0, 1, 1, 0])
    if mode == "max" and ratio == 0:  # ONNX Runtime sums there what is to be a maximum
        rois, images = rois[3:], images[3:]
    attributes = {
        "mode": mode,
        "coordinate_transformation_mode": pixels,
        "sampling_ratio": ratio,
        "output_height": 2,
        "output_width": 3,
        "spatial_scale": 0.5,
    }
    if mode == "avg" or ratio == 1 or pixels == "half_pixel":
        agree(reference, "RoiAlign", attributes, [MAP, rois, images])


def test_max_roi_pool(reference):
    """Corners are rounded and included."""
    rois = np.array([[0, 0, 0, 3, 4], [1, 2, 1, 5, 2]], np.float32)
    agree(reference, "MaxRoiPool", {"pooled_shape": [2, 3]}, [MAP, rois])


@pytest.mark.parametrize("centre", [0, 1])
@pytest.mark.parametrize("most", [0, 2, 100])
def test_non_max_suppression(reference, centre, most):
    """The same boxes in the same order, whatever the limits."""
    boxes = np.sort(RNG.uniform(0, 1, (2, 40, 2, 2)), axis=2).reshape(2, 40, 4)
    scores = RNG.uniform(0, 1, (2, 3, 40))
    inputs = [boxes.astype(np.float32), scores.astype(np.float32), np.array([most])]
    for overlap, score in ((0.0, 0.0), (0.3, 0.5), (1.0, 0.9)):
        limits = [np.array([overlap], np.float32), np.array([score], np.float32)]
        agree(reference, "NonMaxSuppression", {"center_point_box": centre}, [*inputs, *limits], 11)


@pytest.mark.parametrize("groups", [(1, 1), (2, 1), (2, 2)])
def test_deform_conv(reference, groups):
    """Offsets, masks and groups."""
    group, offset_group = groups
    rng = np.random.default_rng(2)
    shapes = [(2, 4, 5, 6), (4, 4 // group, 3, 2), (2, 12 * offset_group, 4, 5), (4,)]
    inputs = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    inputs.append(rng.standard_normal((2, 6 * offset_group, 4, 5)).astype(np.float32))
    attributes = {"group": group, "offset_group": offset_group, "pads": [1, 0, 0, 0]}
    agree(reference, "DeformConv", attributes, inputs, opset=19)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("antialias", [0, 1])
@pytest.mark.parametrize("coordinates", ["half_pixel", "align_corners", "asymmetric"])
def test_resize_by_weights(reference, mode, antialias, coordinates):
    """Linear and cubic weights, stretched where antialiasing shrinks a map."""
    attributes = {
        "mode": mode,
        "antialias": antialias,
        "coordinate_transformation_mode": coordinates,
        "cubic_coeff_a": -0.5,
    }
    for size in ((2, 3, 3, 9), (2, 3, 8, 4)):
        agree(reference, "Resize", attributes, [MAP, None, None, np.array(size)])


def test_resize_crops_and_excludes(reference):
    """Regions of interest and weights outside of the map."""
    attributes = {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"}
    roi = np.array([0, 0, 0.2, -0.3, 1, 1, 0.7, 1.1], np.float32)
    inputs = [MAP, roi, None, np.array([2, 3, 4, 7])]
    agree(reference, "Resize", {**attributes, "extrapolation_value": 9.0}, inputs)
    outside = {"mode": "cubic", "exclude_outside": 1}
    agree(reference, "Resize", outside, [MAP, None, None, np.array([2, 3, 9, 11])])


@pytest.mark.parametrize(
    ("op", "attributes", "inputs", "words"),
    [
        ("GridSample", {"mode": "area"}, [MAP, MAP], "GridSample mode 'area'"),
        ("GridSample", {"padding_mode": "wrap"}, [MAP, MAP], "padding mode 'wrap'"),
        ("GridSample", {}, [MAP, MAP], "a grid of shape"),
        ("RoiAlign", {"mode": "min"}, [MAP, NONE, NONE], "RoiAlign mode 'min'"),
        ("RoiAlign", {}, [MAP, np.zeros((1, 4)), np.array([2])], "leave the 2 images"),
        ("Resize", {"mode": "linear"}, [MAP.astype(int), None, np.ones(4)], "linear of int64"),
        ("Resize", {}, [MAP, None, np.ones(3)], "Resize of 4 axes got 3"),
        ("Resize", {}, [MAP, None, -np.ones(4)], "must be above 0"),
        ("AffineGrid", {}, [np.zeros((1, 2, 3)), np.array([2, 1, 2, 2])], "matrices of shape"),
        ("NonMaxSuppression", {"center_point_box": 2}, [MAP[0], MAP[0]], "center_point_box 2"),
        ("DeformConv", {}, [MAP, MAP[:, :, :3, :3], MAP], "offsets of shape"),
    ],
)
def test_refusals_name_the_reason(op, attributes, inputs, words):
    """Unknown modes and inputs that do not fit raise InputError."""
    with pytest.raises(InputError, match=words):
        compute(op, attributes, inputs)
