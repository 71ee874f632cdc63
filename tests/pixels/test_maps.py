"""Probabilities, heat maps and mask smoothing; threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from posemask import _pixels
from posemask.errors import InputError
from posemask.numbers.filters import blend_masks
from posemask.numbers.landmarks import refine_landmarks
from posemask.pixels import native

from .test_crop import turned_square


def test_sigmoid(on_every_level) -> None:
    x = np.concatenate([np.linspace(-30, 30, 4001), [-np.inf, np.inf, -1e9, 1e9, 0, -88, 88]]).astype(np.float32)
    result = on_every_level(lambda: native.sigmoid(x))
    expected = 1 / (1 + np.exp(-np.clip(x.astype(np.float64), -700, 700)))
    np.testing.assert_allclose(result, expected, atol=3e-7, rtol=3e-6)
    square = x[:4000].reshape(40, 100).copy()
    assert native.sigmoid(square, out=square) is square
    np.testing.assert_array_equal(square.ravel(), result[:4000])


def test_refinement_gives_the_golden_numbers(shared_data: Path, level) -> None:
    for case in json.loads((shared_data / "golden" / "geometry.json").read_text())["heatmap_refinement"]:
        heatmap = np.full((64, 64, 1), case["background_logit"], np.float32)
        column, row = case["peak_column_row"]
        heatmap[row, column] = case["peak_logit"]
        if case["next_column_logit"] is not None:
            heatmap[row, column + 1] = case["next_column_logit"]
        landmark = np.float32([[*case["crop_xy"], 0, 0, 0]])
        xy = native.refine_heatmap(landmark, heatmap, kernel=case["kernel"])
        np.testing.assert_allclose(xy[0], case["refined_crop_xy"], rtol=1e-5)


def test_refinement_equals_the_array_version(on_every_level) -> None:
    rng = np.random.default_rng(0)
    for kernel in (1, 7, 9):
        landmarks = rng.uniform(-30, 290, (1, 39 * 5)).astype(np.float32)
        landmarks[0, :15] = [-0.5, 100, 0, 0, 0, 255.99, 255.99, 0, 0, 0, 256, 10, 0, 0, 0]
        heatmap = rng.normal(-1.5, 1, (1, 64, 64, 39)).astype(np.float32)
        xy = on_every_level(lambda a=landmarks, b=heatmap, k=kernel: native.refine_heatmap(a, b, kernel=k))
        before = landmarks.reshape(39, 5)[:, :2]
        expected = refine_landmarks(before.astype(np.float64), heatmap[0].astype(np.float64), kernel=kernel)
        np.testing.assert_allclose(xy, expected, atol=1e-4)
        if kernel > 1:
            assert 5 < (np.abs(xy - before) > 0.01).any(axis=1).sum() < 39


def test_mask_blend_gives_the_golden_numbers(shared_data: Path, level) -> None:
    cases = json.loads((shared_data / "golden" / "filters.json").read_text())["mask_blend"]
    assert len(cases) > 20
    for case in cases:
        new, previous = np.float32([case["new"]]), np.float32([case["previous"]])
        result = native.blend_masks(new, previous, ratio=case["ratio"])
        np.testing.assert_allclose(result, [case["output"]], atol=2e-6)


def test_mask_blend_equals_the_array_version(on_every_level) -> None:
    rng = np.random.default_rng(0)
    new, previous = rng.random((2, 37, 41), np.float32)
    result = on_every_level(lambda: native.blend_masks(new, previous, ratio=0.4))
    np.testing.assert_allclose(result, blend_masks(new.astype(np.float64), previous, ratio=0.4), atol=2e-6)
    np.testing.assert_array_equal(native.blend_masks(new, previous, ratio=0.4, out=previous), result)


def test_kernels_run_side_by_side() -> None:
    rng = np.random.default_rng(0)
    image, mask = rng.integers(0, 256, (240, 320, 3), dtype=np.uint8), rng.random((64, 64), np.float32)

    def work(i: int) -> list[np.ndarray]:
        transform = turned_square((160, 120), (100 + i, 120), i / 10, (64, 64))
        alpha = native.paste(mask, transform, (240, 320), out=np.empty((240, 320), np.uint8))
        return [native.crop(image, transform, (64, 64)), alpha, native.blend_blurred(image, alpha, 2.0 + i)]

    with ThreadPoolExecutor(4) as threads:
        for i, results in enumerate(threads.map(work, range(24))):
            for got, expected in zip(results, work(i), strict=True):
                np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", [*_pixels.levels(), "", "vax"])
def test_the_instruction_set_can_be_chosen(name: str) -> None:
    code = "import posemask.pixels.native; from posemask import _pixels; print(_pixels.level())"
    environment = {**os.environ, "POSEMASK_ISA": name}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    if name != "vax":
        assert run.stdout.strip() == (name or _pixels.levels()[-1])
    else:
        assert f"one of {', '.join(_pixels.levels())}; got 'vax'" in run.stderr


def test_says_what_is_wrong() -> None:
    heatmap = np.zeros((64, 64, 39), np.float32)
    with pytest.raises(InputError, match=r"5 K landmark values .* got \(10,\)"):
        native.refine_heatmap(np.zeros(10, np.float32), heatmap)
    with pytest.raises(InputError, match="odd number"):
        native.refine_heatmap(np.zeros(195, np.float32), heatmap, kernel=8)
    with pytest.raises(InputError, match="differ in shape"):
        native.blend_masks(heatmap, heatmap[1:])
    with pytest.raises(InputError, match="contiguous float32"):
        native.sigmoid(heatmap, out=np.zeros((64, 64, 39)))
