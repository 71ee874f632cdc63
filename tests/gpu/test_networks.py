"""Graph = plan = kernels: fusing changes nothing, and every kernel equals torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from posemask import runtimes
from posemask.errors import InputError, RuntimeUnavailableError
from posemask.gpu import reference
from posemask.gpu.compiler import require_cuda
from posemask.gpu.launches import launch_of
from posemask.gpu.network import CudaNetwork, load
from posemask.gpu.pack import columns, pack, rows
from posemask.gpu.plan import Block, Plain, Pointwise, Refine, Squeeze, Stem, Tower, Upsample, inputs_of, plan
from posemask.networks.graph import Graph
from posemask.networks.to_torch import to_torch
from posemask.pixels import torch as pixels

from .emulate import EmulatedKernels, emulate, need_emulator

NETWORKS = (
    "pose_detection",
    "pose_landmark_lite",
    "pose_landmark_full",
    "pose_landmark_heavy",
    "selfie_segmentation",
    "selfie_segmentation_landscape",
)
FACE_DETECTORS = ("face_detection_short_range", "face_detection_full_range_sparse")  # not tuned: they are small
Read = Callable[[str], Graph]


@pytest.mark.parametrize("name", NETWORKS + FACE_DETECTORS)
def test_fusing_changes_nothing(graph_of: Read, name: str) -> None:
    graph = graph_of(name)
    torch.manual_seed(1)
    image = torch.rand(1, *graph.input_shapes[0][1:])
    with torch.inference_mode():
        expected, got = to_torch(graph)(image), reference.run(plan(graph), image)
    for a, b in zip(got, expected, strict=True):
        assert a.shape == b.shape
        assert float((a - b).norm()) < 1e-4 * float(b.norm()) + 1e-6


@pytest.mark.parametrize("name", NETWORKS)
def test_nearly_everything_is_fused(graph_of: Read, name: str) -> None:
    steps = plan(graph_of(name)).steps
    plain = {step.op for step in steps if isinstance(step, Plain)}
    assert plain <= {"reshape", "concat", "depth_to_space", "max_pool", "add", "pad"}
    known = {plan(graph_of(name)).input}
    for step in steps:
        assert known.issuperset(inputs_of(step))
        known.add(step.output)


def test_packing_deals_every_channel_once() -> None:
    for channels in (8, 16, 24, 40, 88, 144):
        assert sorted(c for c in rows(channels) if c < channels) == list(range(channels))
        assert sorted(columns(channels // 8)) == list(range(channels))
    weights = np.arange(32 * 8, dtype=np.float32).reshape(32, 8)
    packed = pack(weights)
    assert packed.shape == (2, 1, 32, 2, 2)
    assert packed[1, 0, 4 * 3 + 2, 1, 1] == weights[16 + 8 + 2 * 2 + 1, 3]


# One step of each kind and shape that matters: (network, index of the step, its kind)
STEPS = [
    ("pose_landmark_full", 0, Block),  # stem
    ("pose_landmark_full", 2, Block),  # expand, stride 2
    ("pose_landmark_full", 4, Block),  # separable
    ("pose_landmark_full", 12, Block),  # 5 x 5, whole map, residual
    ("pose_landmark_full", 19, Block),  # no projection
    ("pose_landmark_full", 21, Upsample),
    ("pose_landmark_full", 25, Refine),
    ("pose_landmark_full", 26, Refine),  # to one channel
    ("pose_landmark_full", 27, Pointwise),  # an odd number of channels
    ("pose_landmark_full", 29, Tower),
    ("pose_landmark_full", 30, Pointwise),  # float32 in and out
    ("pose_detection", 14, Block),  # 7 x 7, several pictures a block
    ("pose_detection", 18, Plain),  # depth to space
    ("pose_detection", 29, Block),  # columns padded
    ("selfie_segmentation_landscape", 0, Stem),
    ("selfie_segmentation_landscape", 7, Block),  # gate
    ("selfie_segmentation_landscape", 13, Pointwise),  # gate
    ("selfie_segmentation_landscape", 20, Squeeze),
    ("selfie_segmentation_landscape", 21, Upsample),  # gate
    ("selfie_segmentation_landscape", 22, Block),  # transposed convolution
]


# With one picture thread blocks share a tile; with many they hold several.
CASES = [(512, *step) for step in STEPS] + [(1, "pose_landmark_full", index, Block) for index in (2, 12, 19, 28)]
FACES = [
    (64, "face_detection_short_range", 25, Block),  # 56 to 64 channels
    (64, "face_detection_short_range", 38, Block),  # 88 to 96, stride 2
    (64, "face_detection_full_range_sparse", 71, Plain),  # depth to space
]
PRECISE = [case for case in CASES if not case[1].startswith("selfie")] + FACES


@pytest.mark.parametrize(("batch", "name", "index", "kind"), PRECISE)
def test_precise_kernels_have_the_errors_of_float32(
    graph_of: Read, kernel_folder: Path, batch: int, name: str, index: int, kind: type
) -> None:
    need_emulator()
    fused = plan(graph_of(name))
    step, frames = fused.steps[index], 2
    torch.manual_seed(index)
    values = {}
    for value in inputs_of(step):
        shape = fused.shapes[value]
        random = torch.rand(frames, *shape) if shape[-1] == 3 else torch.randn(frames, *shape).clamp(-1, 6)
        values[value] = random
    launch = launch_of(step, fused.shapes, batch=batch, precise=True, float_output=True)
    assert launch is not None
    assert launch.float_output
    got = emulate(launch, values, frames, kernel_folder)[..., : fused.shapes[step.output][-1]]
    expected = reference.run_step(step, {name: value.double() for name, value in values.items()}, fused.shapes)
    assert float((got.reshape(expected.shape) - expected).norm() / expected.norm()) < 2e-5


@pytest.mark.parametrize(("batch", "name", "index", "kind"), CASES)
def test_kernels_equal_torch(
    graph_of: Read, kernel_folder: Path, batch: int, name: str, index: int, kind: type
) -> None:
    need_emulator()
    fused = plan(graph_of(name))
    step = fused.steps[index]
    assert type(step) is kind
    frames = 3
    torch.manual_seed(index)
    values, exact = {}, {}
    for value in inputs_of(step):
        shape = fused.shapes[value]
        random = (
            torch.rand(frames, *shape)
            if shape[-1] == 3 or shape[:2] == (1, 1)
            else torch.randn(frames, *shape).clamp(-1, 6)
        )
        full_precision = shape[:2] == (1, 1) or (isinstance(step, Pointwise) and step.flatten)
        exact[value] = random if full_precision else random.half().float()
        padded = torch.cat([exact[value], torch.zeros_like(random[..., :1])], -1) if shape[-1] == 3 else exact[value]
        values[value] = padded if full_precision else padded.half().contiguous()
    flat = isinstance(step, Pointwise) and step.flatten
    launch = launch_of(step, fused.shapes, batch=batch, float_output=flat, float_input=flat)
    assert launch is not None
    got = emulate(launch, values, frames, kernel_folder)[..., : fused.shapes[step.output][-1]].float()
    expected = reference.run_step(step, exact, fused.shapes)
    assert torch.isfinite(got).all()
    worst = 5e-3
    assert float((got.reshape(expected.shape) - expected).norm() / expected.norm()) < worst


def test_a_whole_network_of_kernels(graph_of: Read, kernel_folder: Path) -> None:
    need_emulator()
    graph = graph_of("selfie_segmentation_landscape")
    network = CudaNetwork(graph, EmulatedKernels(kernel_folder), batch=1)
    assert network.input_shape == (144, 256, 4)
    torch.manual_seed(3)
    image = torch.rand(2, 144, 256, 3)
    padded = torch.cat([image, torch.zeros_like(image[..., :1])], -1).half()
    (got,), (expected,) = network(padded), reference.run(network.plan, image)
    assert (got.float() - expected).abs().max() < 0.02
    with pytest.raises(InputError, match="float16"):
        network(image)


def test_a_precise_network_equals_float32(graph_of: Read, kernel_folder: Path) -> None:
    """Steps without a precise kernel (gates) run with torch's operators."""
    need_emulator()
    graph = graph_of("selfie_segmentation_landscape")
    network = CudaNetwork(graph, EmulatedKernels(kernel_folder), batch=1, precise=True)
    torch.manual_seed(4)
    image = torch.rand(1, *network.input_shape)
    for got, expected in zip(network(image), reference.run(network.plan, image), strict=True):
        # Maps leave in half precision, so that what they are rounded to has their sign.
        worst = 1e-5 if got.dtype == torch.float32 else 6e-4
        assert float((got - expected).norm() / expected.norm()) < worst


def test_no_silent_fall_back() -> None:
    with pytest.raises(RuntimeUnavailableError, match="CUDA"):
        require_cuda("cpu")
    with pytest.raises(InputError, match="'cuda:first'"):
        require_cuda("cuda:first")
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeUnavailableError, match="not available"):
            require_cuda("cuda")


@pytest.mark.gpu
@pytest.mark.parametrize("batch", [1, 512])  # for which the tiles are chosen
@pytest.mark.parametrize("precise", [False, True])
@pytest.mark.parametrize("name", NETWORKS + FACE_DETECTORS)
def test_networks_on_the_gpu(graph_of: Read, person: np.ndarray, name: str, precise: bool, batch: int) -> None:
    network = load(graph_of(name), precise=precise, batch=batch)
    image = pixels.resize(torch.from_numpy(person), network.input_shape[:2]).float().expand(3, -1, -1, -1) / 255
    padded = torch.cat([image, torch.zeros_like(image[..., :1])], -1)[..., : network.input_shape[2]]
    padded = padded.to(network.input_dtype).contiguous().cuda()
    expected = reference.run(network.plan, image)
    replay = network.capture(3)
    replay.input.copy_(padded)
    replay.replay()
    for a, b, c in zip(network(padded), expected, replay.outputs, strict=True):
        torch.testing.assert_close(a, c, atol=4e-3, rtol=0)  # sums of a gate's mean come in any order
        half = a.dtype == torch.float16
        error = float((a.cpu().float() - b).norm() / b.norm())
        assert error < (0.03 if not precise else 6e-4 if half else 1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("batch", [1, 8])  # without and with cuDNN
def test_the_torch_runtime_on_the_gpu_has_the_errors_of_float32(graph_of: Read, person: np.ndarray, batch: int) -> None:
    graph = graph_of("pose_landmark_lite")
    side = graph.input_shapes[0][1:3]
    image = (pixels.resize(torch.from_numpy(person), side).float() / 255).expand(batch, -1, -1, -1).numpy().copy()
    on_gpu, on_cpu = (runtimes.load(graph, runtime="torch", device=device) for device in ("cuda", "cpu"))
    for got, expected in zip(on_gpu(image), on_cpu(image), strict=True):
        assert np.linalg.norm(got - expected) / np.linalg.norm(expected) < 1e-5
