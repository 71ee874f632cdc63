"""Filters over time: against the golden series, and their promises about state."""

from __future__ import annotations

import numpy as np

from posemask.numbers.filters import blend_masks, low_pass, one_euro
from posemask.numbers.tracking import Landmarks, next_roi, smooth_landmarks


def test_one_euro_equals_the_golden_series(golden, asarray):
    series = golden("filters.json")["one_euro"]
    assert len(series) == 28
    for case in series:
        state, before, result = None, None, []
        sizes = case["object_size"] or [None] * len(case["time"])
        for time, value, size in zip(case["time"], case["input"], sizes, strict=True):
            if before is not None and time <= before:  # the rule for time that does not increase: store nothing
                result.append(value)
                continue
            state, smooth = one_euro(
                state,
                asarray([value]),
                1.0 if before is None else time - before,
                min_cutoff=case["min_cutoff"],
                beta=case["beta"],
                derivative_cutoff=case["derivate_cutoff"],
                value_scale=1 / size if size else 1.0,
            )
            before = time
            result.append(float(smooth[0]))
        np.testing.assert_allclose(result, case["output"], rtol=1e-6, atol=1e-9)


def test_low_pass_equals_the_golden_series(golden, asarray):
    for case in golden("filters.json")["low_pass"]:
        state = None
        for value, expected in zip(case["input"], case["output"], strict=True):
            state = low_pass(state, asarray([value]), case["alpha"])
            np.testing.assert_allclose(float(state[0]), expected, rtol=1e-6)


def test_mask_blend_equals_the_golden_cases(golden, asarray):
    for case in golden("filters.json")["mask_blend"]:
        blended = blend_masks(asarray([case["new"]]), asarray([case["previous"]]), ratio=case["ratio"])
        np.testing.assert_allclose(float(blended[0]), case["output"], rtol=1e-6, atol=1e-9)


def random_landmarks(asarray, people: int, seed: int) -> Landmarks:
    random = np.random.default_rng(seed)
    return Landmarks(
        xyz=asarray(random.uniform(0, 640, (people, 33, 3))),
        auxiliary_xy=asarray(random.uniform(0, 640, (people, 2, 2))),
        world=asarray(random.uniform(-1, 1, (people, 33, 3))),
        visibility=asarray(random.uniform(0, 1, (people, 33))),
        presence=asarray(random.uniform(0, 1, (people, 33))),
        score=asarray(random.uniform(0, 1, people)),
        clarity=asarray(random.uniform(0, 1, people)),
        roi=asarray(random.uniform(1, 640, (people, 4))),
    )


def test_the_first_frame_passes_unchanged(asarray):
    landmarks = random_landmarks(asarray, 2, 1)
    _, smoothed = smooth_landmarks(None, landmarks, 1 / 30)
    for name in Landmarks.__dataclass_fields__:
        np.testing.assert_array_equal(np.asarray(getattr(smoothed, name)), np.asarray(getattr(landmarks, name)))


def test_each_stream_of_points_has_its_own_filter(golden, asarray):
    """All 68 points go through one call: its rows must be what single filters with the rows' parameters give."""
    first, second = random_landmarks(asarray, 1, 1), random_landmarks(asarray, 1, 2)
    state, _ = smooth_landmarks(None, first, 1 / 30)
    _, smoothed = smooth_landmarks(state, second, 0.05)
    center, scale_point = np.asarray(second.auxiliary_xy)[0]
    size = 2 * 1.75 * float(np.hypot(*(scale_point - center)))
    for name, min_cutoff, beta, value_scale in (
        ("xyz", 0.05, 80.0, 1 / size),
        ("auxiliary_xy", 0.02, 40.0, 1 / size),
        ("world", 0.1, 40.0, 1.0),
    ):
        alone, _ = one_euro(None, getattr(first, name), 1 / 30, min_cutoff=min_cutoff, beta=beta)
        _, expected = one_euro(
            alone, getattr(second, name), 0.05, min_cutoff=min_cutoff, beta=beta, value_scale=value_scale
        )
        np.testing.assert_allclose(np.asarray(getattr(smoothed, name)), np.asarray(expected), rtol=1e-9)
    expected = 0.9 * np.asarray(first.visibility) + 0.1 * np.asarray(second.visibility)
    np.testing.assert_allclose(np.asarray(smoothed.visibility), expected)


def test_without_smoothing_only_the_next_region_is_filtered(asarray):
    first, second = random_landmarks(asarray, 1, 1), random_landmarks(asarray, 1, 2)
    state, _ = smooth_landmarks(None, first, 1 / 30, smooth_keypoints=False)
    _, plain = smooth_landmarks(state, second, 1 / 30, smooth_keypoints=False)
    np.testing.assert_array_equal(np.asarray(plain.xyz), np.asarray(second.xyz))
    np.testing.assert_array_equal(np.asarray(plain.world), np.asarray(second.world))
    np.testing.assert_array_equal(np.asarray(plain.visibility), np.asarray(second.visibility))
    _, smoothed = smooth_landmarks(state, second, 1 / 30)
    np.testing.assert_array_equal(np.asarray(plain.auxiliary_xy), np.asarray(smoothed.auxiliary_xy))
    assert not np.allclose(np.asarray(next_roi(plain.auxiliary_xy)), np.asarray(next_roi(second.auxiliary_xy)))


def test_a_person_who_restarts_forgets_and_the_others_do_not(asarray):
    first, second = random_landmarks(asarray, 2, 1), random_landmarks(asarray, 2, 2)
    state, _ = smooth_landmarks(None, first, 1 / 30)
    restart = asarray([0.0, 1.0]) > 0.5
    _, smoothed = smooth_landmarks(state, second, 1 / 30, restart=restart)
    _, all_old = smooth_landmarks(state, second, 1 / 30)
    for name in ("xyz", "world", "visibility", "auxiliary_xy"):
        value = np.asarray(getattr(smoothed, name))
        np.testing.assert_array_equal(value[0], np.asarray(getattr(all_old, name))[0])
        np.testing.assert_array_equal(value[1], np.asarray(getattr(second, name))[1])


def test_a_person_of_no_size_gives_finite_numbers(asarray):
    landmarks = random_landmarks(asarray, 1, 1)
    landmarks = Landmarks(
        **{
            **{name: getattr(landmarks, name) for name in Landmarks.__dataclass_fields__},
            "auxiliary_xy": asarray(np.full((1, 2, 2), 7.0)),
        }
    )
    state, _ = smooth_landmarks(None, landmarks, 1 / 30)
    _, smoothed = smooth_landmarks(state, landmarks, 1 / 30)
    assert np.isfinite(np.asarray(smoothed.xyz)).all()
