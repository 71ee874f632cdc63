"""Anchors, box decoding and weighted suppression."""

from __future__ import annotations

import numpy as np
import pytest

from posemask.numbers import anchors, boxes


def test_anchors_equal_the_golden_grid(golden, shared_data):
    expected = golden("geometry.json")["detector_anchors"]
    grid = anchors.detector_anchors()
    assert grid.shape == (expected["count"], 2) == anchors.DETECTOR_ANCHORS_SHAPE
    for start, rows in ((0, "first"), (1568, "at_1568"), (1960, "at_1960")):
        np.testing.assert_allclose(grid[start : start + len(expected[rows])], expected[rows], atol=1e-7)
    np.testing.assert_allclose(grid[-1], expected["last"], atol=1e-7)
    np.testing.assert_allclose(grid.sum(axis=0, dtype=np.float64), expected["sum"], atol=1e-3)
    assert not grid.flags.writeable


def test_suppression_equals_the_golden_result(golden, asarray):
    case = golden("geometry.json")["weighted_nms"]
    points = asarray(np.concatenate([case["boxes_x0y0x1y1"], case["keypoints"]], axis=-1))
    people, scores = boxes.weighted_nms(points, asarray(case["scores"]), max_people=4, iou_threshold=case["threshold"])
    people, scores = np.asarray(people), np.asarray(scores)
    expected = case["result"]
    np.testing.assert_allclose(scores[: len(expected)], [row["score"] for row in expected])
    np.testing.assert_allclose(people[: len(expected), :4], [row["box"] for row in expected], rtol=1e-6)
    np.testing.assert_allclose(people[: len(expected), 4:], [row["keypoint"] for row in expected], rtol=1e-6)
    assert (scores[len(expected) :] == 0).all()


def test_decoding_puts_a_zero_box_on_its_anchor(asarray):
    grid = asarray(anchors.detector_anchors())
    raw, logits = np.zeros((2254, 12)), np.zeros((2254, 1))
    raw[:, 2:4] = 20.0
    raw[7, 2], logits[5] = -1.0, 200.0
    points, scores = boxes.decode_detections(asarray(raw), asarray(logits), grid, input_size=224)
    points, scores = np.asarray(points), np.asarray(scores)
    centers = anchors.detector_anchors()
    np.testing.assert_allclose((points[9:, :2] + points[9:, 2:4]) / 2, centers[9:], atol=1e-6)
    np.testing.assert_allclose(points[:, 4:], np.tile(centers, 4), atol=1e-6)
    assert scores[7] == 0, "a box of negative width is nobody"
    assert scores[5] == pytest.approx(1.0)
    assert scores[0] == 0.5


def test_batched_suppression_equals_one_by_one(asarray):
    random = np.random.default_rng(3)
    corner = random.uniform(0, 200, (4, 60, 2))
    points = np.concatenate([corner, corner + random.uniform(0, 60, (4, 60, 2)), corner], axis=-1)
    scores = random.uniform(0, 1, (4, 60))
    together, together_scores = boxes.weighted_nms(asarray(points), asarray(scores), max_people=5)
    for i in range(4):
        people, people_scores = boxes.weighted_nms(asarray(points[i]), asarray(scores[i]), max_people=5)
        np.testing.assert_allclose(np.asarray(together)[i], np.asarray(people))
        np.testing.assert_allclose(np.asarray(together_scores)[i], np.asarray(people_scores))


def test_suppression_ends_on_boxes_without_area(asarray):
    points = np.zeros((3, 6))
    people, scores = boxes.weighted_nms(asarray(points), asarray([0.9, 0.8, 0.7]), max_people=5)
    np.testing.assert_allclose(np.asarray(scores), [0.9, 0.8, 0.7, 0, 0])
    assert np.isfinite(np.asarray(people)).all()


def test_nobody_where_no_score_is_high_enough(asarray):
    points = np.array([[0, 0, 10, 10, 5, 5.0]])
    _, scores = boxes.weighted_nms(asarray(points), asarray([0.49]), max_people=1)
    assert np.asarray(scores).tolist() == [0.0]
