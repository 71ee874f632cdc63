"""Single pictures against MediaPipe Tasks 1.2.2.

Tolerances: MediaPipe's own XNNPACK build rounds differently, and one rounding more or less in the detector moves a
region of thousands of pixels by a fraction of one. Measured here: the worst picture's mean distance is 0.19 px (lite),
0.10 px (full), 0.14 px (heavy); metres differ by at most 0.0008. The golden masks are 8-bit, which alone is 0.001.
"""

from __future__ import annotations

import numpy as np
import pytest

import posemask


@pytest.mark.parametrize("model_type", ["lite", "full", "heavy"])
def test_poses_equal_mediapipes(golden, golden_mask, iou, picture, model_type):
    cases = golden("images.json")
    detector = posemask.create_detector(model_type=model_type, enable_segmentation=model_type == "full")
    for key, case in cases.items():
        poses = detector.estimate_poses(picture(key))
        expected = case["poses"][model_type]
        assert len(poses) == len(expected), f"{key}: somebody is missed or invented"
        for pose, row in zip(poses, expected, strict=True):
            xyz = np.array(row["xyz"])
            distance = np.linalg.norm(pose.xy - xyz[:, :2], axis=1)
            assert distance.mean() <= 0.3, f"{key}: {distance.mean()} px"
            # The heat map's window jumps by four pixels of the crop from one cell to the next, so a keypoint that lies
            # on a cell's border may jump with the last bit of the detector's sums. One may.
            assert np.sort(distance)[-2] <= 1.0, f"{key}: {distance.max()} px"
            # No heat map pins z, so it is compared in pixels of the crop.
            assert np.abs(pose.z - xyz[:, 2]).mean() <= 0.15 * pose.roi[2] / 256, key
            np.testing.assert_allclose(pose.world, row["world"], atol=0.003, err_msg=key)
            np.testing.assert_allclose(pose.visibility, row["visibility"], atol=0.01, err_msg=key)
            np.testing.assert_allclose(pose.presence, row["presence"], atol=0.01, err_msg=key)
            if pose.segmentation is not None:
                mask, reference = np.asarray(pose.segmentation.mask), golden_mask(case["masks"]["blazepose_full"])
                assert iou(mask, reference) >= 0.995, key
                assert np.abs(mask - reference).mean() <= 0.002, key


@pytest.mark.parametrize("model_type", ["general", "landscape"])
def test_selfie_masks_equal_mediapipes(golden, golden_mask, iou, picture, model_type):
    segmenter = posemask.create_segmenter("selfie_segmentation", model_type=model_type)
    for key, case in golden("images.json").items():
        (segmentation,) = segmenter.segment_people(picture(key))
        mask, reference = np.asarray(segmentation.mask), golden_mask(case["masks"][f"selfie_{model_type}"])
        assert mask.shape == reference.shape
        assert np.abs(mask - reference).mean() <= 0.003, key
        assert iou(mask, reference) >= 0.995, key
