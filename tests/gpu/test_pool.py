"""Many streams on the device: the same results as the CPU's chain, people who come and go, and nothing that waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from posemask.errors import (
    ImageError,
    InferenceError,
    InputError,
    ModelFileError,
    RuntimeUnavailableError,
    TimestampError,
)
from posemask.gpu.compiler import CudaKernels
from posemask.gpu.feed import Arrivals, Departures, Download, Feed
from posemask.gpu.memory import enough_memory
from posemask.gpu.pictures import Effect
from posemask.gpu.pool import PosePool, SelfiePool
from posemask.networks.graph import Graph
from posemask.pixels import torch as pixels

from .emulate import EmulatedKernels, need_emulator

Read = Callable[[str], Graph]


def shifted(picture: np.ndarray, by: int) -> torch.Tensor:
    return torch.from_numpy(np.roll(picture, by, axis=1).copy())


@pytest.mark.slow
@pytest.mark.usefixtures("tiles_of_one_picture")
def test_the_chain_equals_the_cpu_chain(graph_of: Read, kernel_folder: Path, person: np.ndarray) -> None:
    need_emulator()
    from posemask.models import blazepose, blazepose_stream

    sizes = [person.shape[:2], (360, 480)]
    graphs = graph_of("pose_detection"), graph_of("pose_landmark_lite")
    pool = PosePool(EmulatedKernels(kernel_folder), *graphs, sizes, effect=Effect(), skeleton=True)
    model = blazepose.load("lite", segmentation=True)
    state = None
    small = torch.zeros((360, 480, 3), dtype=torch.uint8)
    for frame in range(2):
        picture = shifted(person, 4 * frame)
        result = pool.step([picture, small], [0.1 + frame / 30] * 2)
        state, poses = blazepose_stream.step(model, state, picture.numpy(), 0.1 + frame / 30)
        assert result.found.tolist() == [1, 0]
        # Distances in pixels of the 256 crop; the detector's region is the same to rounding.
        crop_pixel = float(result.roi[0, 2]) / 256
        distance = np.linalg.norm(result.xyz[0, :, :2].numpy() - poses[0].xy, axis=-1) / crop_pixel
        assert distance.mean() < 0.02
        assert distance.max() < 0.1
        np.testing.assert_allclose(result.visibility[0], poses[0].visibility, atol=0.001)
        np.testing.assert_allclose(result.world[0], poses[0].world, atol=0.002)
        mask, expected = (
            result.masks[0].float().numpy() > 0.5,
            np.asarray(poses[0].segmentation.mask.probabilities) > 0.5,
        )
        assert (mask & expected).sum() / (mask | expected).sum() > 0.99
    # Nobody is in the second stream: its finished frame is the blurred picture.
    assert result.pictures[1].eq(0).all()
    assert not result.pictures[0].eq(picture).all()


def two_of(person: np.ndarray, gap: int) -> np.ndarray:
    """The same person twice, the second one mirrored, some pixels apart."""
    black = np.zeros((person.shape[0], gap, 3), np.uint8)
    return np.concatenate([person, black, person[:, ::-1]], axis=1)


@pytest.mark.slow
@pytest.mark.usefixtures("tiles_of_one_picture")
def test_several_people_are_the_cpu_chains(graph_of: Read, kernel_folder: Path, person: np.ndarray) -> None:
    """Two people in the first stream, nobody in the second; then one of the two is gone."""
    need_emulator()
    from posemask.models import blazepose, blazepose_stream

    person = pixels.resize(torch.from_numpy(person[:, 200:800]), (333, 300)).numpy()
    two, one = two_of(person, 60), two_of(person, 60)
    one[:, 300:] = 0
    empty = torch.zeros((120, 160, 3), dtype=torch.uint8)
    graphs = graph_of("pose_detection"), graph_of("pose_landmark_lite")
    pool = PosePool(
        EmulatedKernels(kernel_folder),
        *graphs,
        [two.shape[:2], (120, 160)],
        max_people=2,
        effect=Effect(),
        skeleton=True,
    )
    model, state, ids = blazepose.load("lite", segmentation=True), None, []
    for frame, picture in enumerate((two, two, one, one)):
        result = pool.step([torch.from_numpy(picture), empty], [0.1 + frame / 30] * 2)
        state, poses = blazepose_stream.step(model, state, picture, 0.1 + frame / 30, max_people=2)
        assert int(result.found.sum()) == len(poses) == (2 if frame < 2 else 1)
        assert not result.found[2:].any()
        ids.append(sorted(result.ids[result.found != 0].tolist()))
        for pose in poses:
            apart = [
                np.linalg.norm(result.xyz[row, :, :2].numpy() - pose.xy, axis=-1).mean() / (float(pose.roi[2]) / 256)
                for row in np.flatnonzero(result.found.numpy())
            ]
            assert min(apart) < 0.05
    assert ids[:2] == [[1, 2], [1, 2]]
    assert ids[2] == ids[3]
    assert len(ids[2]) == 1
    pool.reset(0)
    result = pool.step([torch.from_numpy(two), empty], [0.05, 1.0])
    assert sorted(result.ids.tolist()) == [0, 0, 1, 2]


def test_what_a_pool_refuses(graph_of: Read, kernel_folder: Path) -> None:
    need_emulator()
    place = EmulatedKernels(kernel_folder)
    network = graph_of("selfie_segmentation_landscape")
    with pytest.raises(InputError, match="even height"):
        SelfiePool(place, network, [(101, 64)], form="nv12")
    with pytest.raises(InputError, match="at least one stream"):
        SelfiePool(place, network, [])
    for wrong in ({"max_people": 0}, {"max_people": 33}, {"search_every": 0}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            PosePool(place, network, network, [(64, 96)], **wrong)
    with pytest.raises(InputError, match="'rgb', 'nv12'"):
        SelfiePool(place, network, [(64, 96)], form="bgr")  # type: ignore[arg-type]
    with torch.inference_mode():  # which a pool does not hand down to its later calls
        pool = SelfiePool(place, network, [(64, 96)])
    frame = torch.zeros((64, 96, 3), dtype=torch.uint8)
    pool.step([frame], [1.0])
    with pytest.raises(TimestampError):
        pool.step([frame], [1.0])
    pool.reset(0)
    pool.step([frame], [0.5])
    with pytest.raises(ImageError, match="expected 1 frames"):
        pool.step([], [2.0])
    with pytest.raises(ImageError, match="must be a uint8 tensor"):
        pool.step([frame[:32]], [2.0])
    with pytest.raises(ImageError, match="must be a uint8 tensor"):
        pool.step([frame.numpy()], [2.0])  # type: ignore[list-item]
    with pytest.raises(InputError, match="times in seconds"):
        pool.step([frame], [float("nan")])
    with pytest.raises(InputError, match="backgrounds are for"):
        pool.step([frame], [2.0], backgrounds=[frame])
    pool.step([frame], [2.0])  # what was refused has changed nothing


@pytest.mark.parametrize("form", ["rgb", "nv12"])
def test_a_selfie_pool_puts_people_before_another_background(
    graph_of: Read, kernel_folder: Path, person: np.ndarray, form: str
) -> None:
    need_emulator()
    picture = pixels.resize(torch.from_numpy(person), (180, 270))
    size = (180, 270)
    effect = Effect(background="picture", edge=(0.4, 0.9))
    pool = SelfiePool(
        EmulatedKernels(kernel_folder), graph_of("selfie_segmentation_landscape"), [size], form=form, effect=effect
    )  # type: ignore[arg-type]
    beach = torch.full((*size, 3), 200, dtype=torch.uint8)

    def given(rgb: torch.Tensor) -> torch.Tensor:
        if form == "rgb":
            return rgb
        luma, chroma = pixels.rgb_to_nv12(rgb)
        return torch.cat([luma, chroma.reshape(90, 270)])

    result = pool.step([given(picture)], [0.0], backgrounds=[given(beach)])
    made = result.pictures[0]
    if form == "nv12":
        made = pixels.nv12_to_rgb(made[:180], made[180:].reshape(90, 135, 2))
    probability = pixels.paste(result.masks.float(), result.image_from_crop, size, border="replicate")[0]
    person_inside, nobody = probability > 0.97, probability < 0.1
    assert person_inside.any()
    assert nobody.any()
    tolerance = 1 if form == "rgb" else 40  # NV12 holds one colour for four pixels
    assert (made[nobody].int() - 200).abs().max() <= (0 if form == "rgb" else tolerance)
    assert (made[person_inside].int() - picture[person_inside].int()).abs().float().mean() <= (
        tolerance if form == "rgb" else 8
    )


def test_feeds_and_arrivals_on_a_cpu() -> None:
    feed = Feed(torch.zeros(4), torch.device("cpu"))
    feed.set([1.0, 2.0])
    assert feed.tensor.tolist() == [1, 2, 0, 0]
    arrivals = Arrivals(feed.tensor)
    assert arrivals.newest() is None
    arrivals.request()
    feed.set([5.0])
    arrivals.request()
    assert arrivals.newest().tolist() == [5, 2, 0, 0]  # type: ignore[union-attr]
    flags = torch.tensor([1, 0, 1, 1])
    values, first = Download(feed.tensor, flags).first(2)
    assert (values.tolist(), first.tolist()) == ([5, 2], [1, 0])


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_departures_leave_in_order(device: str) -> None:
    source = torch.zeros(3, device=device)
    leaving = Departures(source, depth=2)
    assert leaving.take() is None
    for value in (1.0, 2.0):
        source.fill_(value)
        leaving.send()
    assert leaving.full
    seen = [leaving.take()[0].tolist()]  # type: ignore[index]
    source.fill_(3.0)
    leaving.send()
    seen += [leaving.take()[0].tolist() for _ in range(2)]  # type: ignore[index]
    assert seen == [[1.0] * 3, [2.0] * 3, [3.0] * 3]
    assert leaving.take() is None


def test_used_up_memory_is_said() -> None:
    """In torch's words and in CUDA's, of a with statement and a decorated function; other errors stay what they are."""
    with (
        pytest.raises(InferenceError, match=r"a pool needs more memory .* \(CUDA out of memory. Tried"),
        enough_memory("a pool"),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.\nSee the documentation")
    with pytest.raises(InferenceError, match="fewer streams"):
        enough_memory("a pool")(lambda: (_ for _ in ()).throw(RuntimeError("CUDA error: out of memory")))()
    with pytest.raises(RuntimeError, match="something else"), enough_memory("a pool"):
        raise RuntimeError("something else")


@pytest.mark.gpu
def test_too_many_streams_are_refused(graph_of: Read) -> None:
    free, _ = torch.cuda.mem_get_info()
    side, streams = 16384, 2
    while streams * 3 * side**2 < free:  # finished frames alone
        streams *= 2
    with pytest.raises(InferenceError, match="a pool of streams needs more memory"):
        SelfiePool(CudaKernels(), graph_of("selfie_segmentation"), [(side, side)] * streams, effect=Effect())
    torch.cuda.empty_cache()


def test_pictures_of_the_host_are_read_as_everywhere() -> None:
    from posemask.gpu.chain import read_picture

    tensor = torch.arange(36, dtype=torch.uint8).reshape(3, 4, 3)
    assert isinstance(read_picture(tensor), np.ndarray)
    np.testing.assert_array_equal(read_picture(tensor, bgr=True), tensor.numpy()[..., ::-1])


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_nothing_waits_and_people_come_and_go(graph_of: Read, person: np.ndarray) -> None:
    size = person.shape[:2]
    streams = 8
    pool = PosePool(
        CudaKernels(), graph_of("pose_detection"), graph_of("pose_landmark_lite"), [size] * streams, effect=Effect()
    )
    there, empty = torch.from_numpy(person).cuda(), torch.zeros((*size, 3), dtype=torch.uint8, device="cuda")
    frames = [there] * streams
    arrivals = Arrivals(pool._results.found)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        seen = []
        for step in range(1000):
            # Stream 3 is empty from step 300 to 600, stream 5 until step 500.
            frames[3] = empty if 300 <= step < 600 else there
            frames[5] = empty if step < 500 else there
            pool.step(frames, [step / 30] * streams)
            arrivals.request()
            while True:  # the test itself wants every frame's flags, in order
                flags = arrivals.newest()
                if flags is not None:
                    break
                time.sleep(0)
            seen.append(flags)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    found = np.stack(seen)
    others = [0, 1, 2, 4, 6, 7]
    assert found[5:, others].all()
    assert not found[310:600, 3].any()
    assert found[603:, 3].all()
    assert not found[:500, 5].any()
    assert found[503:, 5].all()


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_several_people_come_and_go_without_waiting(graph_of: Read, person: np.ndarray) -> None:
    """The second person of two comes at step 100 and leaves at step 200; the first keeps the id."""
    two, one = two_of(person, 80), two_of(person, 80)
    one[:, person.shape[1] :] = 0
    pool = PosePool(
        CudaKernels(),
        graph_of("pose_detection"),
        graph_of("pose_landmark_lite"),
        [two.shape[:2]] * 4,
        max_people=3,
        search_every=2,
        effect=Effect(),
        skeleton=True,
    )
    both, alone = torch.from_numpy(two).cuda(), torch.from_numpy(one).cuda()
    arrivals = Arrivals(pool._results.ids)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        seen = []
        for step in range(300):
            pool.step([both if 100 <= step < 200 else alone] * 4, [step / 30] * 4)
            arrivals.request()
            while True:
                ids = arrivals.newest()
                if ids is not None:
                    break
                time.sleep(0)
            seen.append(np.sort(ids.reshape(4, 3), axis=1))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    ids = np.stack(seen)
    assert (ids[5:100] == [0, 0, 1]).all()
    assert (ids[104:200] == [0, 1, 2]).all()
    assert (ids[203:] == [0, 0, 1]).all()


@pytest.mark.gpu
def test_the_gpu_equals_the_cpu_chain(graph_of: Read, person: np.ndarray) -> None:
    blazepose = pytest.importorskip("posemask.models.blazepose", exc_type=RuntimeUnavailableError)
    pool = PosePool(
        CudaKernels(), graph_of("pose_detection"), graph_of("pose_landmark_full"), [person.shape[:2]], segmentation=True
    )
    picture = torch.from_numpy(person)
    for _ in range(2):
        pool.reset(0)
        result = pool.step([picture.cuda()], [0.1])
    torch.cuda.synchronize()
    poses = blazepose.estimate(blazepose.load("full", segmentation=True), person)
    crop_pixel = float(result.roi[0, 2]) / 256
    distance = np.linalg.norm(result.xyz[0, :, :2].cpu().numpy() - poses[0].xy, axis=-1) / crop_pixel
    assert result.found.item() == 1
    assert distance.mean() < 0.1
    assert distance.max() < 0.5


def test_files_of_other_networks_are_refused(
    monkeypatch: pytest.MonkeyPatch, kernel_folder: Path, graph_of: Read
) -> None:
    from posemask import weights
    from posemask.gpu import chain

    for name in ("pose_detection", "pose_landmark_full", "selfie_segmentation_landscape"):
        graph_of(name)  # or the test is skipped
    landscape = weights.path("selfie_segmentation_landscape")
    monkeypatch.setattr(chain, "CudaKernels", lambda device: EmulatedKernels(kernel_folder))
    with pytest.raises(ModelFileError, match="no Selfie Segmentation 'general'"):
        chain.load_selfie("general", model_url=landscape)
    with pytest.raises(ModelFileError, match="no BlazePose detector"):
        chain.load_blazepose(detector_url=landscape)
    with pytest.raises(ModelFileError, match="no BlazePose landmark network"):
        chain.load_blazepose(landmarks_url=landscape)


@pytest.mark.slow
@pytest.mark.usefixtures("tiles_of_one_picture")
def test_the_unified_apis_calls(graph_of: Read, kernel_folder: Path, person: np.ndarray) -> None:
    need_emulator()
    from posemask.gpu.chain import BlazePoseChain
    from posemask.models import blazepose

    graphs = graph_of("pose_detection"), graph_of("pose_landmark_lite")
    with torch.inference_mode():  # which a chain does not hand down to its calls
        chain = BlazePoseChain(EmulatedKernels(kernel_folder), *graphs, segmentation=True)
    poses = chain.estimate(person, flip_horizontal=True)
    expected = blazepose.estimate(blazepose.load("lite", segmentation=True), person, flip_horizontal=True)
    crop_pixel = float(expected[0].roi[2]) / 256
    assert len(poses) == 1
    assert np.linalg.norm(poses[0].xy - expected[0].xy, axis=-1).mean() / crop_pixel < 0.5
    assert chain.estimate(np.zeros_like(person)) == []
    state, poses = chain.step(None, person, 1.0)
    assert [pose.id for pose in poses] == [1]
    with pytest.raises(TimestampError):
        chain.step(state, person, 1.0)
    state, poses = chain.step(state, np.zeros_like(person), 1.1)
    assert poses == []
    assert len(state.rois) == 0


@pytest.mark.slow
@pytest.mark.usefixtures("tiles_of_one_picture")
def test_faces_are_those_of_the_cpu(graph_of: Read, kernel_folder: Path, person: np.ndarray) -> None:
    """In two views, of which the first shows nobody."""
    need_emulator()
    from posemask import runtimes
    from posemask.gpu.batches import DeviceBatches
    from posemask.models.faces import FACE_DETECTORS, look_for_faces
    from posemask.numbers.geometry import letterbox_roi

    graphs = [graph_of(spec.weights) for spec in FACE_DETECTORS]
    with torch.inference_mode():
        batches = DeviceBatches(
            EmulatedKernels(kernel_folder),
            graph_of("pose_detection"),
            graph_of("pose_landmark_lite"),
            segmentation=True,
            face_detectors=graphs,
        )
    x, y, size, _ = letterbox_roi(person.shape[:2])
    views = np.array([[-5000.0, -5000, 100, 0], [x, y - size / 6, size / 2, 0]])
    expected = look_for_faces([runtimes.load(graph) for graph in graphs], person, views, 0.4)
    found = batches.look_for_faces(torch.from_numpy(person), views, 0.4)
    assert sum(len(faces) for faces in expected) > 0
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.views.tolist() == theirs.views.tolist()
        np.testing.assert_allclose(ours.points, theirs.points, atol=0.02)
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-3)
