"""BodyPix: people's masks, the 24 parts of their bodies and their 17 keypoints, for any number of people.

One fully convolutional network sees the whole picture, padded to the shape of its input and shrunk by the option
``internal_resolution``; what its heads mean stands in `posemask.numbers.bodypix`. It has no memory: a stream is a
series of pictures. For each size of input the network is compiled once; the last few are kept.

Options, defaults and ranges are those of TensorFlow.js ``body-segmentation`` 1.0.2. What that leaves out is here:
``flip_horizontal`` does what it says, masks keep their soft edge, and every person comes with the keypoints.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..bodies import COCO
from ..errors import InputError, ModelFileError, TimestampError
from ..networks.graph import Graph
from ..numbers import bodypix as decode
from ..numbers.geometry import mirror_x
from ..numbers.probability import sigmoid
from ..pixels import native as pixels
from ..results import Array, Mask, Pose, Segmentation
from ..runtimes import RuntimeName

__all__ = ["BodyPix", "BodyPixSpec", "StreamState", "estimate", "estimate_poses", "load", "prepare", "step"]

Network = Callable[[Array], tuple[Array, ...]]
Floats = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]
Resolution = Literal["low", "medium", "high", "full"] | float

RESOLUTIONS: Mapping[str, float] = MappingProxyType({"low": 0.25, "medium": 0.5, "high": 0.75, "full": 1.0})
STRIDES: Mapping[str, tuple[int, ...]] = MappingProxyType({"MobileNetV1": (8, 16, 32), "ResNet50": (16, 32)})
MULTIPLIERS: Mapping[str, tuple[float, ...]] = MappingProxyType({"MobileNetV1": (0.5, 0.75, 1.0), "ResNet50": (1.0,)})
PRECISIONS: Mapping[int, str] = MappingProxyType({4: "float", 2: "quant2", 1: "quant1"})

# Which of the file's outputs is which head: part of its name, and its channels.
HEADS: Mapping[str, tuple[str, int]] = MappingProxyType(
    {
        "segments": ("segment", 1),
        "parts": ("part_heatmap", 24),
        "long_offsets": ("long_offset", 34),
        "heatmaps": ("heatmap", 17),
        "offsets": ("short_offset", 34),
        "displacements_fwd": ("displacement_fwd", 32),
        "displacements_bwd": ("displacement_bwd", 32),
    }
)
NETWORKS_KEPT = 4


@dataclass(frozen=True, slots=True)
class BodyPixSpec:
    """Which published network; `InputError` for one that does not exist.

    Attributes:
        architecture: ``"MobileNetV1"`` (fast) or ``"ResNet50"`` (more exact).
        output_stride: input pixels per cell of the heads: 8, 16 or 32 (ResNet50: 16 or 32). Less is more exact.
        multiplier: width of MobileNetV1: 0.5, 0.75 or 1.0; ResNet50 has 1.0 only.
        quant_bytes: bytes per weight in the file: 4, 2 or 1.
    """

    architecture: str = "MobileNetV1"
    output_stride: int = 16
    multiplier: float | None = None  # None: 0.75 for MobileNetV1, 1.0 for ResNet50
    quant_bytes: int = 4

    def __post_init__(self) -> None:
        if self.architecture not in STRIDES:
            raise InputError(f"architecture must be one of {', '.join(STRIDES)}, got {self.architecture!r}")
        if self.multiplier is None:
            object.__setattr__(self, "multiplier", 0.75 if self.architecture == "MobileNetV1" else 1.0)
        for name, allowed in (
            ("output_stride", STRIDES[self.architecture]),
            ("multiplier", MULTIPLIERS[self.architecture]),
            ("quant_bytes", tuple(PRECISIONS)),
        ):
            if getattr(self, name) not in allowed:
                choices = ", ".join(map(str, allowed))
                raise InputError(f"{name} of {self.architecture} must be one of {choices}, got {getattr(self, name)!r}")

    @property
    def weights(self) -> str:
        """Name of the weights."""
        architecture = "resnet50"
        if self.architecture == "MobileNetV1":
            architecture = f"mobilenet_v1_{round(100 * (self.multiplier or 0)):03}"
        return f"bodypix_{architecture}_{PRECISIONS[self.quant_bytes]}_stride{self.output_stride}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyPix:
    """The chain's network and settings; a value that any number of streams can share.

    Attributes:
        spec: which published network it is.
        network_at: gives the network for an input of (height, width): (1, height, width, 3) -> the `HEADS`, each
            (1, h, w, channels) with h = (height - 1) / stride + 1.
    """

    spec: BodyPixSpec
    network_at: Callable[[tuple[int, int]], Network]


@dataclass(frozen=True, slots=True, eq=False)
class StreamState:
    """What a stream remembers: only the time of its last frame."""

    time: float


def load(
    *,
    architecture: str = "MobileNetV1",
    output_stride: int = 16,
    multiplier: float | None = None,
    quant_bytes: int = 4,
    model_url: str | os.PathLike[str] | None = None,
    runtime: RuntimeName | Literal["auto"] = "auto",
    device: str = "cpu",
    threads: int | None = None,
) -> BodyPix:
    """The published network with these options (see `BodyPixSpec`), or the user's own file, on a runtime.

    Args:
        architecture, output_stride, multiplier, quant_bytes: which network; with ``model_url``, what that file holds.
        model_url: path, folder or http(s) address of a TensorFlow.js graph model with BodyPix's heads.
        runtime, device, threads: as `posemask.runtimes.load` takes them.

    Raises:
        InputError: an option is wrong.
        WeightsError: the weights cannot be had.
        ModelFileError: the file is malformed, or is no BodyPix network of this stride.
        RuntimeUnavailableError: the runtime or the device is not there.
    """
    from .. import runtimes, weights
    from ..networks.read_tfjs import read_tfjs

    spec = BodyPixSpec(architecture, output_stride, multiplier, quant_bytes)
    file = weights.path(spec.weights) if model_url is None else weights.resolve(model_url)
    graph = prepare(read_tfjs(file), spec)

    @functools.lru_cache(maxsize=NETWORKS_KEPT)
    def network_at(input_hw: tuple[int, int]) -> Network:
        network: Network = runtimes.load(
            graph.with_input_shape((1, *input_hw, 3)), runtime=runtime, device=device, threads=threads
        )
        return network

    return BodyPix(spec=spec, network_at=network_at)


def prepare(graph: Graph, spec: BodyPixSpec) -> Graph:
    """A published network cut down to the `HEADS`, in their order; `ModelFileError` if it does not have them."""
    names = []
    for head, (part_of_name, channels) in HEADS.items():
        # "heatmaps" stands in "part_heatmaps", too: the channels tell them apart.
        matching = [n for n in graph.outputs if part_of_name in n and graph.shapes[n][-1] == channels]
        if len(matching) != 1:
            raise ModelFileError(f"the network is no BodyPix: it has {len(matching)} outputs for the head {head!r}")
        names += matching
    size = 2 * spec.output_stride + 1
    graph = graph.with_input_shape((1, size, size, 3)).keep_outputs(names)
    if any(shape[1:3] != (3, 3) for shape in graph.output_shapes):
        raise ModelFileError(f"the network's output stride is not {spec.output_stride}; give the right output_stride")
    return graph


def estimate(
    model: BodyPix,
    image: Picture,
    *,
    multi_segmentation: bool = False,
    segment_body_parts: bool = False,
    flip_horizontal: bool = False,
    internal_resolution: Resolution = "medium",
    segmentation_threshold: float = 0.7,
    max_detections: int = 10,
    score_threshold: float = 0.4,
    nms_radius: float = 20.0,
    min_keypoint_score: float = 0.3,
    refine_steps: int = 10,
) -> list[Segmentation]:
    """The people of a picture.

    Args:
        model: the network.
        image: (H, W, 3) uint8 RGB.
        multi_segmentation: one `Segmentation` a person, strongest first; else exactly one for all people, with the best
            person's pose.
        segment_body_parts: label every pixel of a person with its part.
        flip_horizontal: results in the mirrored picture; left and right stay the person's own.
        internal_resolution: ``"low"`` (0.25), ``"medium"`` (0.5), ``"high"`` (0.75), ``"full"`` (1.0), or a number in
            [0.1, 2]: by how much the picture is shrunk. More finds smaller people and costs time by its square.
        segmentation_threshold: in [0, 1]; where the network's probability is above it, the mask is above 0.5.
        max_detections: at least 1; how many people at most.
        score_threshold: in [0, 1], for the keypoint that a person starts with, and for the whole person.
        nms_radius: above 0, pixels of the network's input; keypoints of a kind that are closer are the same.
        min_keypoint_score: in [0, 1]; weaker keypoints have no say in which person a pixel belongs to.
        refine_steps: 1 to 20; how often a pixel's way to its person's keypoints is made more exact.

    Raises:
        InputError: an option is out of its range.
    """
    options = _Options(
        internal_resolution,
        segmentation_threshold,
        max_detections,
        score_threshold,
        nms_radius,
        min_keypoint_score,
        refine_steps,
    )
    grid, heads = _run(model, image, options)
    found = _decode_poses(model, heads, options)
    found = found[found.score >= score_threshold]
    poses = _poses(found, grid, flip_horizontal)
    probabilities = decode.person_probabilities(
        heads["segments"][..., 0], grid.input_hw, threshold=segmentation_threshold
    )
    if not multi_segmentation:
        best = max(poses, key=lambda pose: pose.score, default=None)
        masks, owners = [probabilities], [best]
    elif poses:
        owner = decode.pixel_owners(
            heads["long_offsets"],
            found,
            grid.input_hw,
            output_stride=model.spec.output_stride,
            min_score=min_keypoint_score,
            refine=refine_steps,
        )
        masks = [np.where(owner == i, probabilities, np.float32(0)) for i in range(len(poses))]
        owners = list(poses)
    else:
        return []
    parts = heads["parts"] if segment_body_parts else None
    return [_segmentation(*pair, parts, grid, flip_horizontal) for pair in zip(masks, owners, strict=True)]


def step(
    model: BodyPix, state: StreamState | None, image: Picture, time: float, **options: Any
) -> tuple[StreamState, list[Segmentation]]:
    """One frame of a stream, as `estimate`; raises `TimestampError` if ``time`` did not increase."""
    if state is not None and time <= state.time:
        raise TimestampError(time, state.time)
    return StreamState(time), estimate(model, image, **options)


def estimate_poses(
    model: BodyPix,
    image: Picture,
    *,
    max_people: int = 10,
    flip_horizontal: bool = False,
    internal_resolution: Resolution = "medium",
    score_threshold: float = 0.4,
    nms_radius: float = 20.0,
) -> list[Pose]:
    """The people's 17 keypoints alone, strongest first; options as in `estimate`."""
    options = _Options(internal_resolution, 0.5, max_people, score_threshold, nms_radius, 0.3, 1)
    grid, heads = _run(model, image, options)
    found = _decode_poses(model, heads, options)
    return _poses(found[found.score >= score_threshold], grid, flip_horizontal)


@dataclass(frozen=True, slots=True)
class _Options:
    """The options of `estimate` with a range, checked."""

    internal_resolution: Resolution
    segmentation_threshold: float
    max_detections: int
    score_threshold: float
    nms_radius: float
    min_keypoint_score: float
    refine_steps: int

    def __post_init__(self) -> None:
        for name in ("segmentation_threshold", "score_threshold", "min_keypoint_score"):
            _check(name, getattr(self, name), 0, 1)
        _check("max_detections", self.max_detections, 1, None, whole=True)
        _check("refine_steps", self.refine_steps, 1, 20, whole=True)
        _check("nms_radius", self.nms_radius, 0, None)
        if self.nms_radius == 0:
            raise InputError("nms_radius must be above 0, got 0")
        self.resolution  # noqa: B018 - raises for a wrong one

    @property
    def resolution(self) -> float:
        """The internal resolution as a factor."""
        if isinstance(self.internal_resolution, str):
            if self.internal_resolution not in RESOLUTIONS:
                names = ", ".join(map(repr, RESOLUTIONS))
                raise InputError(f"internal_resolution must be {names} or a number, got {self.internal_resolution!r}")
            return RESOLUTIONS[self.internal_resolution]
        _check("internal_resolution", self.internal_resolution, 0.1, 2)
        return self.internal_resolution


def _check(name: str, value: Any, least: float, most: float | None, *, whole: bool = False) -> None:
    numbers = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    inside = isinstance(value, numbers) and not isinstance(value, bool) and least <= value
    if not inside or (most is not None and value > most):
        kind = "an integer" if whole else "a number"
        span = f"in [{least}, {most}]" if most is not None else f"of at least {least}"
        raise InputError(f"{name} must be {kind} {span}, got {value!r}")


def _run(model: BodyPix, image: Picture, options: _Options) -> tuple[decode.InputGrid, dict[str, Floats]]:
    """How the picture lies in the input, and the heads without the batch, as numpy arrays."""
    height, width = image.shape[:2]
    grid = decode.input_grid((height, width), options.resolution, model.spec.output_stride)
    # Padding is black; where the input reaches past the last pixel of an unpadded picture, that pixel is repeated.
    border: Literal["zero", "replicate"] = "zero" if any(grid.pad_yx) else "replicate"
    if model.spec.architecture == "MobileNetV1":
        scale, shift = 2 / 255, np.full(3, -1, np.float32)
    else:
        scale, shift = 1.0, np.array([-123.15, -115.90, -103.06], np.float32)
    tensor = pixels.crop(image, grid.image_from_sampled(), grid.input_hw, border=border, scale=scale) + shift
    outputs = model.network_at(grid.input_hw)(tensor[None])
    return grid, {name: _host(output)[0] for name, output in zip(HEADS, outputs, strict=True)}


def _host(array: Array) -> Floats:
    to_host = getattr(array, "cpu", None)
    return np.asarray(to_host() if to_host else array, np.float32)


def _decode_poses(model: BodyPix, heads: Mapping[str, Floats], options: _Options) -> decode.Poses:
    return decode.decode_poses(
        sigmoid(heads["heatmaps"]),
        heads["offsets"],
        heads["displacements_fwd"],
        heads["displacements_bwd"],
        output_stride=model.spec.output_stride,
        max_poses=options.max_detections,
        score_threshold=options.score_threshold,
        nms_radius=options.nms_radius,
    )


def _poses(found: decode.Poses, grid: decode.InputGrid, flip_horizontal: bool) -> list[Pose]:
    affine = grid.image_from_sampled()
    if flip_horizontal:
        affine = mirror_x(affine, grid.size_hw[1])
    xy = found.xy @ affine[:, :2].T + affine[:, 2]
    poses = []
    for i in range(len(found)):
        scores = _owned(found.scores[i])
        poses.append(
            Pose(
                xy=_owned(xy[i]),
                z=_owned(np.full(len(COCO), np.nan)),
                visibility=scores,
                presence=scores,
                world=None,
                score=float(found.score[i]),
                box=_owned(np.concatenate([xy[i].min(axis=0), xy[i].max(axis=0)])),
                skeleton=COCO,
            )
        )
    return poses


def _segmentation(
    probabilities: Floats, pose: Pose | None, parts: Floats | None, grid: decode.InputGrid, flip_horizontal: bool
) -> Segmentation:
    affine = grid.image_from_input()
    labels = None
    if parts is not None:
        person = pixels.paste(probabilities, affine, grid.size_hw, border="replicate") > 0.5
        labels = decode.part_labels(parts, grid, person)
        labels = _owned(labels[:, ::-1] if flip_horizontal else labels, np.uint8)
    mask = Mask(
        probabilities=_owned(probabilities),
        image_from_crop=_owned(mirror_x(affine, grid.size_hw[1]) if flip_horizontal else affine, np.float64),
        size_hw=grid.size_hw,
        border="replicate",
        paste=pixels.paste,
    )
    return Segmentation(mask=mask, part_labels=labels, pose=pose)


def _owned(array: Array, dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
    result = np.array(array, dtype)
    result.flags.writeable = False
    return result
