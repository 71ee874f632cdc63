"""The kernels for pictures and people against torch and `posemask.numbers`: emulated on any machine, and on a GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from posemask.bodies import BLAZEPOSE
from posemask.errors import InputError
from posemask.gpu.compiler import CudaKernels, Kernels
from posemask.gpu.feed import Table
from posemask.gpu.people import CROP_SIZE, KEYPOINTS, People
from posemask.gpu.pictures import Composer, Cropper, Effect, ToRgb, picture_row, plane_shape
from posemask.gpu.pool import PoseResults, Skeleton
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


@pytest.mark.parametrize("form", ["rgb", "nv12"])
def test_skeletons(place: Kernels, form: str) -> None:
    """Lines where the keypoints are, the same in both formats, and nothing elsewhere."""
    rng = np.random.default_rng(2)
    xyz = torch.from_numpy(rng.uniform((20, 20, 0), (WIDTH - 20, HEIGHT - 20, 1), (1, KEYPOINTS, 3))).float()
    visibility = torch.ones(1, KEYPOINTS)
    visibility[0, 11:] = 0.0  # the head alone
    grey = torch.full((*SIZE, 3), 60, dtype=torch.uint8)
    made = (grey if form == "rgb" else nv12(grey)).to(place.device)
    outputs = Table([SIZE], form, place.device)  # type: ignore[arg-type]
    outputs.set([made])
    nothing = torch.zeros(1)
    results = PoseResults(
        found=torch.ones(1, dtype=torch.int32, device=place.device),
        **dict.fromkeys(("score", "world", "presence", "roi", "masks", "image_from_crop"), nothing),
        xyz=xyz.to(place.device),
        visibility=visibility.to(place.device),
        pictures=(),
    )
    Skeleton(place, [SIZE]).run(outputs.tensor, results)
    drawn = made.cpu() if form == "rgb" else rgb(made.cpu())
    for x, y in xyz[0, :11, :2].round().int().tolist():
        assert drawn[y, x].float().mean() > 150
    first, second = next((a, b) for a, b in BLAZEPOSE.edges if max(a, b) < 11)
    x, y = ((xyz[0, first, :2] + xyz[0, second, :2]) / 2).round().int().tolist()
    assert drawn[y, x].float().mean() > 100
    top = int(xyz[0, :11, 1].min()) - 4
    assert top > 0
    assert (drawn[:top].int() - 60).abs().max() <= 1


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
