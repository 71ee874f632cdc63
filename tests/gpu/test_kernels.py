"""The kernels for pictures and people against torch and `posemask.numbers`: emulated on any machine, and on a GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from posemask.bodies import BLAZEPOSE
from posemask.errors import InputError
from posemask.gpu.compiler import CudaKernels, Kernels
from posemask.gpu.crowd import Crowd, take_in
from posemask.gpu.feed import Table
from posemask.gpu.people import CROP_SIZE, KEYPOINTS, People
from posemask.gpu.pictures import Composer, Cropper, Effect, ToRgb, picture_row, plane_shape
from posemask.gpu.pool import PoseResults, Skeleton
from posemask.models.blazepose import SAME_NEXT_REGION, SAME_PERSON
from posemask.models.blazepose_stream import SAME_TORSO
from posemask.numbers import people as numbers
from posemask.numbers.geometry import image_from_crop
from posemask.numbers.landmarks import decode_landmarks, project_landmarks, refine_landmarks
from posemask.numbers.tracking import Landmarks, next_roi, smooth_landmarks
from posemask.pixels import native
from posemask.pixels import torch as pixels
from posemask.pixels.torch import YuvColors

from .emulate import EmulatedKernels, need_emulator

SIZE = HEIGHT, WIDTH = 116, 202
COLORS = [
    YuvColors(),
    YuvColors(matrix="bt601"),
    YuvColors(matrix="bt601", full_range=True),
    YuvColors(matrix="bt2020"),
]


@pytest.fixture(params=["emulated", pytest.param("cuda", marks=pytest.mark.gpu)])
def place(request: pytest.FixtureRequest, kernel_folder: Path) -> Kernels:
    if request.param == "cuda":
        return CudaKernels()
    need_emulator()
    return EmulatedKernels(kernel_folder)


@pytest.fixture
def picture() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(7).integers(0, 256, (*SIZE, 3), dtype=np.uint8))


def smooth_picture() -> torch.Tensor:
    """Without edges: chroma for four pixels loses little of it."""
    y, x = torch.meshgrid(torch.arange(HEIGHT) / HEIGHT, torch.arange(WIDTH) / WIDTH, indexing="ij")
    return torch.stack([255 * x, 255 * y, 255 - 127 * (x + y)], -1).round().to(torch.uint8)


def nv12(rgb: torch.Tensor, colors: YuvColors | None = None) -> torch.Tensor:
    luma, chroma = pixels.rgb_to_nv12(rgb, colors)
    return torch.cat([luma, chroma.reshape(HEIGHT // 2, WIDTH)])


def rgb(planes: torch.Tensor, colors: YuvColors | None = None) -> torch.Tensor:
    return pixels.nv12_to_rgb(planes[:HEIGHT], planes[HEIGHT:].reshape(HEIGHT // 2, WIDTH // 2, 2), colors)


@pytest.mark.parametrize("form", ["rgb", "nv12"])
def test_crops(place: Kernels, picture: torch.Tensor, form: str) -> None:
    given = (nv12(picture) if form == "nv12" else picture).to(place.device)
    seen = rgb(nv12(picture)) if form == "nv12" else picture
    table = torch.tensor([picture_row(given, SIZE, form)], dtype=torch.int64).to(place.device)  # type: ignore[arg-type]
    rng = np.random.default_rng(3)
    turned = np.where(np.arange(6) % 2, 1.0, 0.0) * rng.uniform(-3, 3, 6)
    rois = torch.from_numpy(
        np.stack([rng.uniform(0, WIDTH, 6), rng.uniform(0, HEIGHT, 6), rng.uniform(20, 400, 6), turned], -1)
    )
    cropper = Cropper(place, (64, 64), 6, border="replicate", scale=1 / 255, offset=0.0, from_rois=True)
    rows = torch.zeros(6, dtype=torch.int32, device=place.device)
    got = cropper.run(table, rows, 6, rois.to(place.device)).cpu()
    expected = pixels.crop(seen, image_from_crop(rois, 64), (64, 64), border="replicate")
    # A coordinate is rounded to 1/32 pixel; sines of another library may round the other way.
    wrong = (got[..., :3].float() - expected).abs() > 2**-12  # the rounding of half precision
    assert wrong.float().mean() < 1e-3
    assert not got[..., 3].any()


@pytest.mark.parametrize("border", ["zero", "replicate"])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 3)])
def test_crops_of_slivers(place: Kernels, size: tuple[int, int], border: str) -> None:
    sliver = np.random.default_rng(4).integers(1, 256, (*size, 3), dtype=np.uint8)
    around = np.full((size[0] + 2, size[1] + 2, 3), 255, np.uint8)  # which must not be seen
    around[1:-1, 1:-1] = sliver
    given = torch.from_numpy(around).to(place.device)[1:-1, 1:-1]
    maps = image_from_crop(np.array([[0.3, 0.2, 4.0, 0.0], [4.0, 3.0, 12.0, 0.0], [0.0, 0.0, 1.5, 0.0]]), 32)
    cropper = Cropper(place, (32, 32), 3, border=border, scale=1 / 255, offset=0.0, from_rois=False, exact=True)
    cropper.maps.copy_(torch.from_numpy(maps))
    table = torch.tensor([picture_row(given, size, "rgb")], dtype=torch.int64).to(place.device)
    got = cropper.run(table, torch.zeros(3, dtype=torch.int32, device=place.device), 3).cpu().numpy()
    for crop, one in zip(got, maps, strict=True):
        expected = native.crop(sliver, one, (32, 32), border=border, scale=1 / 255)  # type: ignore[arg-type]
        np.testing.assert_allclose(crop, expected, atol=1e-6)


@pytest.mark.parametrize("colors", COLORS)
def test_rgb_of_nv12(place: Kernels, picture: torch.Tensor, colors: YuvColors) -> None:
    given, made = nv12(picture, colors).to(place.device), torch.zeros((*SIZE, 3), dtype=torch.uint8).to(place.device)
    table, outputs = Table([SIZE], "nv12", place.device, [colors]), Table([SIZE], "rgb", place.device)
    table.set([given])
    outputs.set([made])
    ToRgb(place, SIZE).run(table.tensor, outputs.tensor)
    difference = (made.cpu().int() - rgb(nv12(picture, colors), colors).int()).abs()
    assert difference.max() <= 1
    assert difference.float().mean() < 1e-3


def masks_and_maps() -> tuple[torch.Tensor, torch.Tensor]:
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    mask = torch.sigmoid((20 - ((y - 30) ** 2 + (x - 36) ** 2).sqrt()) / 3)
    return mask[None].half(), torch.from_numpy(image_from_crop(np.array([[110.0, 60.0, 120.0, 0.4]]), 64))


def composed(
    place: Kernels, effect: Effect, form: str, colors: YuvColors | None, *pictures: torch.Tensor
) -> torch.Tensor:
    """A finished frame, of the picture or of the picture and its background, as RGB."""
    masks, maps = masks_and_maps()
    given = [(p if form == "rgb" else nv12(p, colors)).to(place.device) for p in pictures]
    made = torch.zeros(plane_shape(SIZE, form), dtype=torch.uint8, device=place.device)  # type: ignore[arg-type]
    tables = [Table([SIZE], form, place.device, [colors]) for _ in range(3)]  # type: ignore[arg-type]
    for table, one in zip(tables, (given[0], made, given[-1]), strict=True):
        table.set([one])
    composer = Composer(place, [SIZE], (64, 64), effect, border="zero")
    found = torch.ones(1, dtype=torch.int32, device=place.device)
    composer.run(*(t.tensor for t in tables), masks.to(place.device), maps.to(place.device), found)
    return made.cpu() if form == "rgb" else rgb(made.cpu(), colors)


def opacity(edge: tuple[float, float]) -> torch.Tensor:
    masks, maps = masks_and_maps()
    kernel = torch.tensor([1.0, 2, 1])
    soft = torch.nn.functional.conv2d(masks.float()[None], (kernel[:, None] * kernel / 16)[None, None], padding=1)[0]
    probability = pixels.paste(soft, maps, SIZE)[0]
    return ((probability - edge[0]) / (edge[1] - edge[0])).clamp(0, 1)


@pytest.mark.parametrize("background", ["color", "picture"])
def test_people_before_another_background(place: Kernels, picture: torch.Tensor, background: str) -> None:
    effect = Effect(background=background, color=(10, 200, 90))  # type: ignore[arg-type]
    behind = smooth_picture() if background == "picture" else torch.tensor([10, 200, 90]).expand(*SIZE, 3)
    made = composed(place, effect, "rgb", None, picture, behind.to(torch.uint8))
    alpha = opacity(effect.edge)[..., None]
    expected = behind.float() + (picture.float() - behind.float()) * alpha
    assert (made.float() - expected).abs().max() < 1.5
    assert 0.05 < float(alpha.mean()) < 0.5


@pytest.mark.parametrize("background", ["blur", "color", "picture"])
@pytest.mark.parametrize("colors", COLORS[:3])
def test_finished_frames_are_the_same_in_nv12(place: Kernels, background: str, colors: YuvColors) -> None:
    picture, behind = smooth_picture(), torch.flip(smooth_picture(), (1,))
    effect = Effect(background=background)  # type: ignore[arg-type]
    as_rgb = composed(place, effect, "rgb", None, picture, behind)
    as_nv12 = composed(place, effect, "nv12", colors, picture, behind)
    assert (as_rgb.int() - as_nv12.int()).abs().float().mean() < 3


def drawing(
    place: Kernels,
    form: str,
    xyz: torch.Tensor,
    visibility: torch.Tensor,
    found: list[int],
    on: torch.Tensor | None = None,
) -> torch.Tensor:
    """The skeletons of (P, 33, 3) people of one stream on a frame of that form, or on grey."""
    grey = torch.full((*SIZE, 3), 60, dtype=torch.uint8)
    made = (on if on is not None else grey if form == "rgb" else nv12(grey)).to(place.device).clone()
    outputs = Table([SIZE], form, place.device)  # type: ignore[arg-type]
    outputs.set([made])
    nothing = torch.zeros(1)
    results = PoseResults(
        found=torch.tensor(found, dtype=torch.int32, device=place.device),
        **dict.fromkeys(("ids", "score", "world", "presence", "roi", "masks", "image_from_crop"), nothing),
        xyz=xyz.to(place.device),
        visibility=visibility.to(place.device),
        pictures=(),
    )
    Skeleton(place, [SIZE], people=len(xyz)).run(outputs.tensor, results)
    return made.cpu()


@pytest.mark.parametrize("form", ["rgb", "nv12"])
def test_skeletons(place: Kernels, form: str) -> None:
    """Lines where the keypoints are, the same in both formats, and nothing elsewhere."""
    rng = np.random.default_rng(2)
    xyz = torch.from_numpy(rng.uniform((20, 20, 0), (WIDTH - 20, HEIGHT - 20, 1), (1, KEYPOINTS, 3))).float()
    visibility = torch.ones(1, KEYPOINTS)
    visibility[0, 11:] = 0.0  # the head alone
    made = drawing(place, form, xyz, visibility, [1])
    drawn = made if form == "rgb" else rgb(made)
    for x, y in xyz[0, :11, :2].round().int().tolist():
        assert drawn[y, x].float().mean() > 150
    first, second = next((a, b) for a, b in BLAZEPOSE.edges if max(a, b) < 11)
    x, y = ((xyz[0, first, :2] + xyz[0, second, :2]) / 2).round().int().tolist()
    assert drawn[y, x].float().mean() > 100
    top = int(xyz[0, :11, 1].min()) - 4
    assert top > 0
    assert (drawn[:top].int() - 60).abs().max() <= 1


@pytest.mark.parametrize("form", ["rgb", "nv12"])
def test_skeletons_of_several(place: Kernels, form: str) -> None:
    """One after the other, in the order of the rows, without whoever is not there."""
    rng = np.random.default_rng(4)
    xyz = torch.from_numpy(rng.uniform((20, 20, 0), (WIDTH - 20, HEIGHT - 20, 1), (3, KEYPOINTS, 3))).float()
    visibility = torch.ones(3, KEYPOINTS)
    first = drawing(place, form, xyz[:1], visibility[:1], [1])
    both = drawing(place, form, xyz[2:], visibility[2:], [1], on=first)
    assert not both.equal(first)
    assert drawing(place, form, xyz, visibility, [1, 0, 1]).equal(both)


def test_effects_show_everybody(place: Kernels) -> None:
    """A pixel is covered by whoever of a stream covers it most: as with the larger of the masks alone."""
    masks = torch.rand(2, 3, 64, 64).half()  # of two streams
    maps = image_from_crop(torch.tensor([[100.0, 60, 160, 0.0]], dtype=torch.float64), 64).repeat(6, 1, 1)
    pictures = [torch.randint(0, 255, (*SIZE, 3), dtype=torch.uint8, device=place.device) for _ in range(2)]
    found = torch.tensor([1, 1, 0, 0, 0, 0], dtype=torch.int32, device=place.device)
    table, outputs = Table([SIZE] * 2, "rgb", place.device), Table([SIZE] * 2, "rgb", place.device)
    table.set(pictures)
    for effect in (Effect(background="color", edge=(0.0, 1.0)), Effect(strength=4, edge=(0.0, 1.0))):
        made = {}
        for people in (1, 3):
            finished = [torch.zeros((*SIZE, 3), dtype=torch.uint8, device=place.device) for _ in range(2)]
            outputs.set(finished)
            composer = Composer(place, [SIZE] * 2, (64, 64), effect, border="zero", people=people)
            rows = slice(None) if people == 3 else slice(0, 6, 3)
            composer.run(
                table.tensor,
                outputs.tensor,
                None,
                masks.reshape(6, 64, 64)[rows].contiguous().to(place.device),
                maps[rows].contiguous().to(place.device),
                found[rows].contiguous(),
            )
            made[people] = [one.cpu().int() for one in finished]
        assert made[1][1].equal(made[3][1])  # nobody
        more = (made[3][0] - pictures[0].cpu().int()).abs().sum() < (made[1][0] - pictures[0].cpu().int()).abs().sum()
        assert more  # the second covers more of the picture


def test_effects_that_make_no_sense() -> None:
    for wrong in ({"background": "sea"}, {"strength": 0.5}, {"edge": (0.9, 0.4)}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            Effect(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("smooth", [False, True])
def test_people_are_what_numbers_says(place: Kernels, smooth: bool) -> None:
    """Three frames of two people, of whom the second goes and comes back."""
    rng = np.random.default_rng(5)
    people = People(place, 2, smooth=smooth, min_presence=0.5)
    rois = np.array([[300.0, 200, 180, 0.3], [500, 240, 90, -1.0]])
    people.roi.copy_(torch.from_numpy(rois))
    state, before = None, np.array([False, False])
    for frame in range(4):
        there = np.array([True, frame != 1])
        people.has_roi.fill_(1)
        raw = rng.normal(0, 1, (2, 39, 5)).astype(np.float32)
        raw[..., :2] = 128 + 60 * np.sin(np.arange(39)[None, :, None] + rng.normal(0, 0.05, (2, 39, 2)))
        heatmap = rng.normal(0, 2, (2, 64, 64, 40 if frame % 2 else 39)).astype(np.float16)
        metres = rng.normal(0, 0.4, (2, 117)).astype(np.float32)
        score = np.where(there, 0.9, 0.1).astype(np.float32)
        dt = np.array([1 / 30, 1 / 24])
        given = [torch.from_numpy(a).to(place.device) for a in (raw.reshape(2, 195), score, heatmap, metres, dt)]
        used = people.roi.cpu().numpy().copy()
        people.run(*given)  # type: ignore[arg-type]

        crop_xyz, visibility, presence = decode_landmarks(raw.reshape(2, 195).astype(np.float64))
        crop_xyz[..., :2] = refine_landmarks(crop_xyz[..., :2], heatmap[..., :39].astype(np.float64))
        xyz, world = project_landmarks(crop_xyz[:, :35], metres.reshape(2, 39, 3)[:, :33].astype(np.float64), used)
        landmarks = Landmarks(
            xyz=xyz[:, :33],
            auxiliary_xy=xyz[:, 33:, :2],
            world=world,
            visibility=visibility[:, :33],
            presence=presence[:, :33],
            score=score,
            clarity=score,
            roi=used,
        )
        new_state, smoothed = smooth_landmarks(state, landmarks, dt, smooth_keypoints=smooth, restart=~before)
        assert people.found.tolist() == there.astype(int).tolist()
        seen = np.flatnonzero(there)
        crop_pixel = used[seen, 2].max() / CROP_SIZE
        np.testing.assert_allclose(people.xyz.cpu()[seen, :, :2], smoothed.xyz[seen, :, :2], atol=1e-3 * crop_pixel)
        np.testing.assert_allclose(people.world.cpu()[seen], smoothed.world[seen], atol=1e-5)
        np.testing.assert_allclose(people.visibility.cpu()[seen], smoothed.visibility[seen], atol=1e-6)
        np.testing.assert_allclose(people.values.cpu()[seen, :33, :2], xyz[seen, :33, :2], atol=1e-3 * crop_pixel)
        np.testing.assert_allclose(
            people.roi.cpu()[seen], next_roi(smoothed.auxiliary_xy)[seen], atol=1e-3 * crop_pixel
        )
        state, before = new_state, there
        people.roi.copy_(torch.from_numpy(rois))


@pytest.mark.parametrize("seed", range(4))
def test_crowds_are_sorted_out_as_numbers_says(place: Kernels, seed: int) -> None:
    """Two streams of five places with people who are near each other: who stays, and which id they have."""
    rng = np.random.default_rng(seed)
    streams, most = 2, 5
    crowd, people = Crowd(place, streams, most), People(place, streams * most, smooth=False, min_presence=0.5)
    body = rng.uniform(-60, 60, (33, 2)) * [0.5, 1.0]
    ids, next_id, middles = np.zeros((streams, most), int), np.ones(streams, int), np.zeros((streams, most, 2))
    alive = np.zeros((streams, most), bool)
    dropped = kept = 0
    for _ in range(8):
        places = rng.choice([100.0, 112, 160, 260, 400], (streams, most, 1, 1)) * [1.0, 0.6]
        points = places + body + rng.normal(0, 3, (streams, most, 33, 2))
        visibility = rng.uniform(0.0, 1.0, (streams, most, 33)).astype(np.float32) ** 0.5
        centers = places[:, :, 0] + rng.normal(0, 2, (streams, most, 2))
        regions = np.concatenate([centers, np.full((streams, most, 2), [150.0, 0])], axis=-1)
        found = rng.random((streams, most)) < 0.8
        before = alive & (rng.random((streams, most)) < 0.9)

        people.values[:, :33, :2] = torch.from_numpy(points.reshape(-1, 33, 2)).to(place.device)
        people.visibility.copy_(torch.from_numpy(visibility.reshape(-1, 33)))
        people.roi.copy_(torch.from_numpy(regions.reshape(-1, 4)))
        for flags in (people.found, people.has_roi, people.alive, people.flags):
            flags.copy_(torch.from_numpy(found.reshape(-1).astype(np.int32)))
        crowd.run(people, torch.from_numpy(before.reshape(-1).astype(np.int32)).to(place.device))

        for n in range(streams):
            torso = points[n][:, numbers.TORSO].mean(axis=1)
            height = np.ptp(points[n][:, :, 1], axis=1)
            moved = np.linalg.norm(torso - middles[n], axis=1) / height
            order = [p for p in np.lexsort((moved * before[n], ~before[n])) if found[n, p]]
            keypoints = np.concatenate([points[n], visibility[n][..., None]], axis=-1)[order]
            squares = numbers.tight_boxes(np.stack([regions[n][order, :2] - 75, regions[n][order, :2] + 75], axis=1))
            apart = numbers.torso_distance(keypoints[..., :2], keypoints[..., :2])
            followed = before[n][order]
            alike = (
                (numbers.keypoint_similarity(keypoints, keypoints) > SAME_PERSON)
                | (numbers.box_similarity(squares, squares) > SAME_NEXT_REGION)
                | ((apart < SAME_TORSO) & ~followed[:, None] & followed[None])
            )
            stays = np.array(order)[numbers.distinct(alike.astype(float), 0.5)].astype(int)
            expected = np.isin(np.arange(most), stays)
            kept, dropped = kept + expected.sum(), dropped + (found[n] & ~expected).sum()
            fresh = expected & ~before[n]
            ids[n] = np.where(fresh, next_id[n] + np.cumsum(fresh) - 1, np.where(expected, ids[n], 0))
            next_id[n] += fresh.sum()
            middles[n][expected] = torso[expected]
            alive[n] = expected
            for flags in (people.found, people.has_roi, people.alive, people.flags):
                assert flags.reshape(streams, most)[n].tolist() == expected.astype(int).tolist()
            assert crowd.ids.reshape(streams, most)[n].tolist() == ids[n].tolist()
    assert dropped > 5
    assert kept > 20


def test_who_is_found_is_put_where_nobody_is() -> None:
    rois = torch.tensor([[[100.0, 100, 50, 0], [0, 0, 0, 0], [300, 100, 50, 0]]]).double().repeat(3, 1, 1)
    taken = torch.tensor([[1, 0, 1], [1, 1, 1], [0, 0, 0]], dtype=torch.int32)
    found = torch.tensor([[[105.0, 100, 50, 0], [200, 100, 50, 0.5], [400, 100, 50, 0]]]).double().repeat(3, 1, 1)
    scores = torch.tensor([[0.9, 0.8, 0.7], [0.9, 0.8, 0.0], [0.9, 0.8, 0.0]])
    new, flags = take_in(found, scores, rois, taken)
    # The first is followed already; the second moves in, and there is no place for the third.
    assert new[0].tolist() == [[100, 100, 50, 0], [200, 100, 50, 0.5], [300, 100, 50, 0]]
    assert flags.tolist() == [[1, 1, 1], [1, 1, 1], [1, 1, 0]]
    assert new[1].equal(rois[1])
    assert new[2, :2].tolist() == [[105, 100, 50, 0], [200, 100, 50, 0.5]]
