"""BodyPix's decoding on heads made by hand, and numpy against torch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posemask.bodies import NO_PART, POSENET_TREE
from posemask.numbers import bodypix as b

STRIDE = 16


def heads(people: list[np.ndarray], cells: tuple[int, int] = (20, 24)) -> dict[str, np.ndarray]:
    """Exact heads for people given as (17, 2) y, x in network pixels: the field of the nearest keypoint everywhere."""
    height, width = cells
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), axis=-1) * float(STRIDE)
    to_keypoint = np.stack([person - grid[:, :, None] for person in people])  # (P, h, w, 17, 2)
    distance = np.linalg.norm(to_keypoint, axis=-1)
    nearest = distance.argmin(axis=0)  # (h, w, 17)
    i, j, k = np.ogrid[:height, :width, :17]
    offsets = to_keypoint[nearest, i, j, k]
    heatmaps = np.exp(-((distance.min(axis=0) / STRIDE) ** 2))
    fwd, bwd = np.zeros((height, width, 16, 2)), np.zeros((height, width, 16, 2))
    stacked = np.stack(people)
    for edge, (parent, child) in enumerate(POSENET_TREE):
        fwd[:, :, edge] = (stacked[:, child] - stacked[:, parent])[nearest[:, :, parent]]
        bwd[:, :, edge] = (stacked[:, parent] - stacked[:, child])[nearest[:, :, child]]
    owner = np.linalg.norm(np.stack([p.mean(axis=0) for p in people])[:, None, None] - grid, axis=-1).argmin(axis=0)
    long_offsets = to_keypoint[owner, i[..., 0], j[..., 0]]

    def flat(field: np.ndarray) -> np.ndarray:
        return np.concatenate([field[..., 0], field[..., 1]], axis=-1).astype(np.float32)

    return {
        "heatmaps": heatmaps.astype(np.float32),
        "offsets": flat(offsets),
        "displacements_fwd": flat(fwd),
        "displacements_bwd": flat(bwd),
        "long_offsets": flat(long_offsets),
        "owner": owner,
    }


def person(rng: np.random.Generator, center: tuple[float, float]) -> np.ndarray:
    return np.array(center) + rng.uniform(-60, 60, (17, 2))


def decode(made: dict[str, np.ndarray], **options: float) -> b.Poses:
    settings = {"output_stride": STRIDE, "max_poses": 10, "score_threshold": 0.4, "nms_radius": 20.0, **options}
    names = ("heatmaps", "offsets", "displacements_fwd", "displacements_bwd")
    return b.decode_poses(*(made[name] for name in names), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(5))
def test_exact_heads_give_back_the_people(seed: int) -> None:
    rng = np.random.default_rng(seed)
    people = [person(rng, (150, 90)), person(rng, (160, 290))]
    found = decode(heads(people))
    strong = found[found.score > 0.4]
    assert len(strong) == 2
    for xy in strong.xy:
        errors = [np.abs(xy[:, ::-1] - p).max() for p in people]
        assert min(errors) < 1e-3


def test_max_poses_and_thresholds() -> None:
    rng = np.random.default_rng(0)
    made = heads([person(rng, (150, 90)), person(rng, (160, 290))])
    assert len(decode(made, max_poses=1)) == 1
    assert len(decode(made, score_threshold=1.0)) == 0
    assert len(decode({**made, "heatmaps": np.zeros_like(made["heatmaps"])})) == 0


def test_a_second_pose_on_the_first_has_no_score() -> None:
    """With a small radius the same person is found again, but its keypoints are taken."""
    made = heads([person(np.random.default_rng(0), (150, 180))])
    found = decode(made, score_threshold=0.01, nms_radius=30.0)
    assert found.score[0] > 0.4
    assert all(found.score[1:] < 0.1)


def test_owners_follow_the_long_offsets() -> None:
    rng = np.random.default_rng(0)
    people = [person(rng, (150, 90)), person(rng, (160, 290))]
    made = heads(people)
    scores = np.ones((2, 17), np.float32)
    poses = b.Poses(xy=np.stack(people)[..., ::-1].astype(np.float32), scores=scores, score=scores[:, 0])
    height, width = made["owner"].shape
    size = ((height - 1) * STRIDE + 1, (width - 1) * STRIDE + 1)
    owners = b.pixel_owners(made["long_offsets"], poses, size, output_stride=STRIDE, min_score=0.3, refine=10)
    assert owners.shape == size
    assert np.mean(owners[::STRIDE, ::STRIDE] == made["owner"]) > 0.97


def test_owners_ignore_weak_keypoints_and_people_without_strong_ones() -> None:
    rng = np.random.default_rng(0)
    people = [person(rng, (150, 90)), person(rng, (160, 290))]
    made = heads(people)
    scores = np.array([[0.1] * 17, [0.9] * 17], np.float32)
    poses = b.Poses(xy=np.stack(people)[..., ::-1].astype(np.float32), scores=scores, score=scores[:, 0])
    owners = b.pixel_owners(made["long_offsets"], poses, (305, 369), output_stride=STRIDE, min_score=0.3, refine=10)
    assert (owners == 1).all()


@given(
    st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    st.floats(0.1, 2),
    st.sampled_from([8, 16, 32]),
)
def test_input_grid_is_valid(size_hw: tuple[int, int], resolution: float, stride: int) -> None:
    grid = b.input_grid(size_hw, resolution, stride)
    for pixels, shrunk in zip(size_hw, grid.input_hw, strict=True):
        assert (shrunk - 1) % stride == 0
        assert shrunk >= stride + 1
        assert shrunk <= max(pixels * resolution + 1, stride + 1)
    assert min(grid.pad_yx) == 0 <= max(grid.pad_yx)


def test_input_grid_of_the_documented_example() -> None:
    assert b.input_grid((861, 1049), 0.5, 16) == b.InputGrid(size_hw=(861, 1049), input_hw=(417, 513), pad_yx=(0, 5))
    assert b.input_grid((513, 257), 1.0, 16).input_hw == (513, 257)
    assert b.input_grid((1, 1), 1.0, 16).input_hw == (17, 17)


def test_masks_meet_the_threshold_where_the_network_says_it() -> None:
    logits = np.linspace(-8, 8, 15 * 15, dtype=np.float32).reshape(15, 15)
    for threshold in (0.1, 0.5, 0.7):
        mask = b.person_probabilities(logits, (15, 15), threshold=threshold)
        np.testing.assert_array_equal(mask > 0.5, 1 / (1 + np.exp(-logits)) > threshold)


def naive_labels(logits: np.ndarray, grid: b.InputGrid) -> np.ndarray:
    """The definition, pixel by pixel: logits to network pixels, sigmoid, probabilities to picture pixels."""

    def lerp(array: np.ndarray, y: float, x: float) -> np.ndarray:
        top, left = min(int(y), array.shape[0] - 2), min(int(x), array.shape[1] - 2)
        fy, fx = y - top, x - left
        upper = array[top, left] * (1 - fx) + array[top, left + 1] * fx
        lower = array[top + 1, left] * (1 - fx) + array[top + 1, left + 1] * fx
        return upper * (1 - fy) + lower * fy

    (h, w), (rows, columns) = logits.shape[:2], grid.input_hw
    enlarged = np.array(
        [
            [lerp(logits, y * (h - 1) / (rows - 1), x * (w - 1) / (columns - 1)) for x in range(columns)]
            for y in range(rows)
        ]
    )
    probabilities = 1 / (1 + np.exp(-enlarged))
    (height, width), (pad_y, pad_x) = grid.size_hw, grid.pad_yx
    step_y, step_x = (rows - 1) / (height + 2 * pad_y - 1), (columns - 1) / (width + 2 * pad_x - 1)
    return np.array(
        [[lerp(probabilities, (y + pad_y) * step_y, (x + pad_x) * step_x).argmax() for x in range(width)]
         for y in range(height)]
    )  # fmt: skip


def test_part_labels_equal_the_definition() -> None:
    grid = b.InputGrid(size_hw=(61, 40), input_hw=(33, 25), pad_yx=(0, 3))
    logits = np.random.default_rng(0).normal(0, 3, (5, 4, 24)).astype(np.float32)
    person = np.random.default_rng(1).random((61, 40)) > 0.3
    labels = b.part_labels(logits, grid, person)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels == NO_PART, ~person)
    expected = naive_labels(logits, grid)
    assert np.mean(labels[person] == expected[person]) > 0.999


def test_torch_equals_numpy() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    people = [person(rng, (150, 90)), person(rng, (160, 290))]
    made = heads(people)
    scores = np.ones((2, 17), np.float32)
    poses = b.Poses(xy=np.stack(people)[..., ::-1].astype(np.float32), scores=scores, score=scores[:, 0])
    size = (305, 369)
    settings = {"output_stride": STRIDE, "min_score": 0.3, "refine": 10}
    ours = b.pixel_owners(made["long_offsets"], poses, size, **settings)  # type: ignore[arg-type]
    theirs = b.pixel_owners(torch.from_numpy(made["long_offsets"]), poses, size, **settings)  # type: ignore[arg-type]
    assert np.mean(ours == theirs.numpy()) > 0.999
    parts = rng.normal(0, 3, (20, 24, 24)).astype(np.float32)
    grid = b.InputGrid(size_hw=(600, 740), input_hw=size, pad_yx=(0, 4))
    inside = rng.random((600, 740)) > 0.2
    labels = b.part_labels(torch.from_numpy(parts), grid, torch.from_numpy(inside))
    assert np.mean(b.part_labels(parts, grid, inside) == labels.numpy()) > 0.9999
    logits = rng.normal(0, 3, (20, 24)).astype(np.float32)
    np.testing.assert_allclose(
        b.person_probabilities(logits, size, threshold=0.7),
        b.person_probabilities(torch.from_numpy(logits), size, threshold=0.7).numpy(),
        atol=1e-5,
    )
