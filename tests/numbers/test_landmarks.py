"""Decoding and heat-map refinement of landmarks."""

from __future__ import annotations

import numpy as np
import pytest

from posemask.numbers import landmarks


def test_refinement_equals_the_golden_cases(golden, asarray):
    for case in golden("geometry.json")["heatmap_refinement"]:
        heatmap = np.full((64, 64, 1), case["background_logit"])
        column, row = case["peak_column_row"]
        heatmap[row, column] = case["peak_logit"]
        if column + 1 < 64:
            heatmap[row, column + 1] = case["next_column_logit"]
        refined = landmarks.refine_landmarks(asarray([case["crop_xy"]]), asarray(heatmap), kernel=case["kernel"])
        np.testing.assert_allclose(np.asarray(refined)[0], case["refined_crop_xy"], atol=1e-8)


def refine_one(xy: np.ndarray, heatmap: np.ndarray, kernel: int) -> np.ndarray:
    """The same rule said pixel by pixel."""
    column, row = int(xy[0] / 4), int(xy[1] / 4)
    if not (0 <= column < 64 and 0 <= row < 64):
        return xy
    total = x = y = best = 0.0
    for r in range(max(0, row - kernel // 2), min(64, row + kernel // 2 + 1)):
        for c in range(max(0, column - kernel // 2), min(64, column + kernel // 2 + 1)):
            confidence = 1 / (1 + np.exp(-heatmap[r, c]))
            total, x, y = total + confidence, x + c * confidence, y + r * confidence
            best = max(best, confidence)
    return np.array([x, y]) / total * 4 if best >= 0.5 and total > 0 else xy


@pytest.mark.parametrize("kernel", [7, 9])
def test_refinement_equals_the_rule_pixel_by_pixel(asarray, kernel):
    random = np.random.default_rng(5)
    xy = random.uniform(-20, 276, (39, 2))
    heatmap = random.normal(-3, 2, (64, 64, 39))
    refined = np.asarray(landmarks.refine_landmarks(asarray(xy), asarray(heatmap), kernel=kernel))
    expected = [refine_one(xy[k], heatmap[:, :, k], kernel) for k in range(39)]
    np.testing.assert_allclose(refined, expected, atol=1e-9)


def test_refinement_of_a_batch_equals_one_by_one(asarray):
    random = np.random.default_rng(6)
    xy, heatmap = random.uniform(0, 256, (3, 5, 2)), random.normal(0, 2, (3, 64, 64, 5))
    together = np.asarray(landmarks.refine_landmarks(asarray(xy), asarray(heatmap)))
    for i in range(3):
        alone = np.asarray(landmarks.refine_landmarks(asarray(xy[i]), asarray(heatmap[i])))
        np.testing.assert_allclose(together[i], alone)


def test_decoding_splits_coordinates_from_probabilities(asarray):
    raw = np.arange(195.0)
    raw[3::5], raw[4::5] = 0.0, 1000.0
    xyz, visibility, presence = landmarks.decode_landmarks(asarray(raw))
    assert np.asarray(xyz).shape == (39, 3)
    np.testing.assert_allclose(np.asarray(xyz)[2], [10, 11, 12])
    np.testing.assert_allclose(np.asarray(visibility), 0.5)
    np.testing.assert_allclose(np.asarray(presence), 1.0)


def test_clarity_is_the_mean_of_the_keypoints_peaks(asarray):
    heatmap = np.full((2, 64, 64, 39), -50.0)
    heatmap[0, 5, 9, :11] = 50.0  # a third of the keypoints is seen for sure
    heatmap[1, 60, 3, 33:] = 50.0  # what is no keypoint does not count
    np.testing.assert_allclose(np.asarray(landmarks.heatmap_clarity(asarray(heatmap))), [1 / 3, 0.0], atol=1e-9)
