"""Selfie Segmentation: the pixels of everybody in the picture, for people within about two metres.

One small network sees the whole picture stretched to its input (256 x 256, or 144 high and 256 wide for
"landscape") and gives a probability for each of its pixels. Neither MediaPipe nor TensorFlow.js smooth it over
time; for a stream that can be asked for here, with the blend that BlazePose's masks use.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .. import runtimes
from ..errors import InputError, ModelFileError, TimestampError
from ..networks.graph import Graph
from ..numbers.geometry import image_from_resized, mirror_x
from ..pixels import native as pixels
from ..results import Array, Mask, Segmentation
from ..runtimes import RuntimeName
from .files import read_network
from .tfjs_twins import selfie_like_tflite

__all__ = [
    "MODEL_TYPES",
    "Selfie",
    "SelfieSpec",
    "StreamState",
    "estimate",
    "load",
    "make_segmentation",
    "only_one_mask",
    "read",
    "step",
]

Network = Callable[[Array], tuple[Array, ...]]
Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class SelfieSpec:
    """One published network.

    Attributes:
        weights: its name.
        input_hw: height and width of its input in pixels.
    """

    weights: str
    input_hw: tuple[int, int]


MODEL_TYPES = {
    "general": SelfieSpec("selfie_segmentation", (256, 256)),
    "landscape": SelfieSpec("selfie_segmentation_landscape", (144, 256)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selfie:
    """The chain's network and settings; a value that any number of streams can share.

    Attributes:
        spec: which published network it is.
        network: (1, h, w, 3) in [0, 1] -> (1, h, w, 1) probabilities.
        smooth_masks: blend each frame's mask with the one before.
        whole: a picture, whatever it takes for one, -> (h, w) probabilities; takes the place of ``network`` and of all
            that lies around it: a GPU's way.
    """

    spec: SelfieSpec
    network: Network
    smooth_masks: bool = False
    whole: Callable[[Array], npt.NDArray[np.float32]] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class StreamState:
    """What a stream remembers: the time of the last frame and its (h, w) probabilities."""

    time: float
    probabilities: npt.NDArray[np.float32]


def load(
    model_type: str = "general",
    *,
    smooth_masks: bool = False,
    model_url: str | os.PathLike[str] | None = None,
    runtime: RuntimeName | Literal["auto"] = "auto",
    device: str = "cpu",
    threads: int | None = None,
) -> Selfie:
    """The published network of a model type, or the user's own file, on a runtime.

    Args:
        model_type: ``"general"`` or ``"landscape"``.
        smooth_masks: as in `Selfie`.
        model_url: another file for the network, as `posemask.models.files.read_network` takes it.
        runtime, device, threads: as `posemask.runtimes.load` takes them.

    Raises:
        InputError: an option is wrong.
        WeightsError: the weights cannot be had.
        ModelFileError: the file is malformed, or is not this kind of network.
        RuntimeUnavailableError: the runtime or the device is not there.
    """
    spec, graph = read(model_type, model_url)
    network = runtimes.load(graph, runtime=runtime, device=device, threads=threads)
    one_channel = graph.output_shapes[0][3] == 1
    return Selfie(spec=spec, network=network if one_channel else selfie_like_tflite(network), smooth_masks=smooth_masks)


def read(model_type: str, model_url: str | os.PathLike[str] | None) -> tuple[SelfieSpec, Graph]:
    """The network of a model type, or the user's own file in its place; errors as of `load`."""
    if model_type not in MODEL_TYPES:
        raise InputError(f"model_type must be one of {', '.join(map(repr, MODEL_TYPES))}, got {model_type!r}")
    spec = MODEL_TYPES[model_type]
    graph = read_network(spec.weights, model_url)
    if graph.input_shapes != ((1, *spec.input_hw, 3),) or graph.output_shapes[0][:3] != (1, *spec.input_hw):
        raise ModelFileError(f"the network is no Selfie Segmentation {model_type!r}: {graph}")
    return spec, graph


def estimate(model: Selfie, image: Picture, *, flip_horizontal: bool = False) -> list[Segmentation]:
    """Everybody in a picture, as exactly one `Segmentation`."""
    return [make_segmentation(model, _run(model, image), image, flip_horizontal)]


def step(
    model: Selfie, state: StreamState | None, image: Picture, time: float, *, flip_horizontal: bool = False
) -> tuple[StreamState, list[Segmentation]]:
    """One frame of a stream, as `estimate`; raises `TimestampError` if ``time`` did not increase."""
    if state is not None and time <= state.time:
        raise TimestampError(time, state.time)
    probabilities = _run(model, image)
    if state is not None and model.smooth_masks:
        probabilities = pixels.blend_masks(probabilities, state.probabilities)
    return StreamState(time, probabilities), [make_segmentation(model, probabilities, image, flip_horizontal)]


def only_one_mask(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function with ``multi_segmentation`` and ``segment_body_parts``, which must be False.

    Raises `InputError` where they are not: this network tells neither people nor parts apart.
    """

    def checked(
        *arguments: Any, multi_segmentation: bool = False, segment_body_parts: bool = False, **options: Any
    ) -> Any:
        if multi_segmentation or segment_body_parts:
            raise InputError(
                "selfie_segmentation gives one mask of all people, without parts of the body; "
                "use create_segmenter('blazepose') or create_segmenter('bodypix') for people or parts"
            )
        return function(*arguments, **options)

    return checked


def _run(model: Selfie, image: Picture) -> npt.NDArray[np.float32]:
    if model.whole is not None:
        return model.whole(image)
    # The input is stretched without a half-pixel shift, as MediaPipe's CPU path does; resizing the usual way gives
    # masks that agree with MediaPipe's only to an IoU of 0.91 to 0.94.
    input_hw = model.spec.input_hw
    affine = np.asarray(image_from_resized((image.shape[0], image.shape[1]), input_hw, half_pixel=False))
    tensor = pixels.crop(image, affine, input_hw, border="replicate", scale=1 / 255)
    (output,) = model.network(tensor[None])
    return np.array(output[0, :, :, 0], np.float32)


def make_segmentation(
    model: Selfie, probabilities: npt.NDArray[np.float32], image: Picture, flip_horizontal: bool
) -> Segmentation:
    """The result of one frame from its (h, w) probabilities, which become read-only."""
    height, width = image.shape[:2]
    affine = np.asarray(image_from_resized((height, width), model.spec.input_hw, half_pixel=True))
    if flip_horizontal:
        affine = mirror_x(affine, width)
    probabilities.flags.writeable = affine.flags.writeable = False
    mask = Mask(
        probabilities=probabilities,
        image_from_crop=affine,
        size_hw=(height, width),
        border="replicate",
        paste=pixels.paste,
    )
    return Segmentation(mask=mask)
