"""Regions and affine maps: against the golden numbers, and against each other."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from posemask.numbers import geometry, landmarks

# The golden numbers are printed with 9 to 12 digits.
CLOSE = {"rtol": 1e-8, "atol": 1e-7}


def roi_row(roi):
    size = roi["size"][0] if isinstance(roi["size"], list) else roi["size"]
    return [*roi["centre"], size, roi["rotation"]]


def test_roi_from_points_equals_the_golden_regions(golden, asarray):
    cases = golden("geometry.json")["roi_from_keypoints"]
    rois = geometry.roi_from_points(
        asarray([case["centre_point"] for case in cases]), asarray([case["scale_point"] for case in cases])
    )
    np.testing.assert_allclose(np.asarray(rois), [roi_row(case["roi"]) for case in cases], **CLOSE)


def test_image_from_crop_equals_the_golden_matrices(golden, asarray):
    square = [case for case in golden("geometry.json")["crop_matrix"] if len(set(case["roi"]["size"])) == 1]
    assert len(square) == 5
    for case in square:
        affine = geometry.image_from_crop(asarray(roi_row(case["roi"])), case["tensor"]["width"])
        np.testing.assert_allclose(np.asarray(affine), case["image_from_crop"], **CLOSE)
        np.testing.assert_allclose(np.asarray(geometry.invert_affine(affine)), case["crop_from_image"], **CLOSE)


def test_a_whole_image_is_stretched_by_the_golden_matrix(golden):
    """The one upright golden case that is not square is Selfie Segmentation's."""
    (case,) = (
        case
        for case in golden("geometry.json")["crop_matrix"]
        if len(set(case["roi"]["size"])) == 2 and case["roi"]["rotation"] == 0
    )
    width, height = case["roi"]["size"]
    resized_hw = (case["tensor"]["height"], case["tensor"]["width"])
    affine = geometry.image_from_resized((height, width), resized_hw, half_pixel=False)
    np.testing.assert_allclose(affine, case["image_from_crop"], **CLOSE)


def test_projection_equals_the_golden_points(golden, asarray):
    for case in golden("geometry.json")["projection"]:
        xyz, world = landmarks.project_landmarks(
            asarray(case["crop_xyz"]), asarray(case["model_world"]), asarray(roi_row(case["roi"]))
        )
        np.testing.assert_allclose(np.asarray(xyz), case["image_xyz"], rtol=1e-7, atol=1e-5)
        np.testing.assert_allclose(np.asarray(world), case["world"], rtol=1e-7, atol=1e-8)


def test_letterbox_pads_as_the_golden_cases_do(golden):
    whole_images = [case for case in golden("geometry.json")["letterbox"] if "image" in case]
    assert len(whole_images) == 6
    for case in whole_images:
        width, height = case["image"]
        x, y, size, rotation = geometry.letterbox_roi((height, width))
        assert [x, y, size, rotation] == roi_row(case["roi"])
        padding = case["padding"]
        assert math.isclose((size - width) / 2 / size, padding["left"], abs_tol=1e-9)
        assert math.isclose((size - height) / 2 / size, padding["top"], abs_tol=1e-9)


finite = st.floats(-1e4, 1e4)


@given(finite, finite, st.floats(0.5, 1e4), st.floats(-math.pi, math.pi), st.lists(finite, min_size=2, max_size=2))
def test_a_map_and_its_inverse_undo_each_other(x, y, size, rotation, point):
    affine = geometry.image_from_crop(np.array([x, y, size, rotation]), 256)
    there = geometry.apply_affine(affine, np.array([point]))
    back = geometry.apply_affine(geometry.invert_affine(affine), there)
    np.testing.assert_allclose(back, [point], atol=1e-6 * max(1.0, 1e4 / size * 256))


@given(st.lists(finite, min_size=12, max_size=12), st.lists(finite, min_size=2, max_size=2))
def test_composing_maps_is_applying_one_after_the_other(numbers, point):
    outer, inner = np.array(numbers).reshape(2, 2, 3) / 1e2
    xy = np.array([point])
    together = geometry.apply_affine(geometry.compose_affine(outer, inner), xy)
    np.testing.assert_allclose(together, geometry.apply_affine(outer, geometry.apply_affine(inner, xy)), atol=1e-3)


@given(st.floats(0, 1000), st.floats(0, 1000), st.floats(1, 500), st.floats(-math.pi + 1e-3, math.pi - 1e-3))
def test_a_roi_is_found_again_from_its_own_points(x, y, size, rotation):
    center = np.array([x, y])
    up = center + size / 2 * np.array([math.sin(rotation), -math.cos(rotation)])
    np.testing.assert_allclose(
        geometry.roi_from_points(center, up, scale=1.0), [x, y, size, rotation], rtol=1e-6, atol=1e-6
    )


def test_mirroring_twice_changes_nothing(asarray):
    affine = asarray([[1.5, -0.2, 30.0], [0.2, 1.5, -4.0]])
    twice = geometry.mirror_x(geometry.mirror_x(affine, 640), 640)
    np.testing.assert_allclose(np.asarray(twice), np.asarray(affine))
    x, y = np.asarray(geometry.apply_affine(geometry.mirror_x(affine, 640), asarray([[10.0, 20.0]])))[0]
    plain = np.asarray(geometry.apply_affine(affine, asarray([[10.0, 20.0]])))[0]
    np.testing.assert_allclose([x, y], [639 - plain[0], plain[1]])
