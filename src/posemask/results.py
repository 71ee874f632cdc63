"""What the models give: frozen values that hold arrays.

Coordinates are pixels of the source image, x right, y down; the centre of the top-left pixel is
(0, 0). Arrays that the library owns are read-only, so that a result never changes behind its
reader's back. Arrays are numpy on the CPU; on a GPU they are tensors on that device, and
``np.asarray(mask)`` is the only thing here that waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .bodies import BLAZEPOSE, PARTS, Skeleton
from .errors import InputError

__all__ = ["Array", "Frame", "Keypoint", "Mask", "Pose", "Segmentation"]

Array = Any
"""A numpy array or a torch tensor: whatever the runtime and device that made it use."""

Border = Literal["zero", "replicate"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One picture of a video or camera.

    Attributes:
        image: (H, W, 3) uint8, RGB, upright (rotation metadata already applied).
        time: presentation time in seconds from the start of the stream.
        index: number of the frame in its stream, from 0.
    """

    image: Array
    time: float
    index: int

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return int(self.image.shape[0]), int(self.image.shape[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Keypoint:
    """One keypoint of one person.

    Attributes:
        name: as in `posemask.bodies`.
        x, y: pixels of the source image.
        z: depth in the same pixels relative to the hips' midpoint, smaller is nearer; nan if the model has none.
        score: probability that the keypoint is visible (BlazePose) or right (BodyPix).
    """

    name: str
    x: float
    y: float
    z: float
    score: float


Paste = Callable[..., Array]
"""paste(probabilities, image_from_crop, size_hw, *, border) -> (H, W) float32; see `posemask.pixels`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mask:
    """A person mask, kept at the network's size until pixels are asked for.

    Attributes:
        probabilities: (h, w) float32 in [0, 1], in the pixels of the crop that the network saw.
        image_from_crop: (2, 3) float64; crop pixel (u, v) lies at image_from_crop @ (u, v, 1).
        size_hw: height and width of the source image.
        border: what lies outside the crop: "zero" (nobody) or "replicate" (the crop's edge).
        paste: resamples the probabilities into the image; the pixels room of the device.
    """

    probabilities: Array
    image_from_crop: Array
    size_hw: tuple[int, int]
    border: Border = "zero"
    paste: Paste = field(repr=False)

    def pixels(self) -> Array:
        """(H, W) float32 in [0, 1] at the size of the source image, on the mask's own device."""
        return self.paste(self.probabilities, self.image_from_crop, self.size_hw, border=self.border)

    def at(self, height: int, width: int) -> Array:
        """(height, width) float32: the mask over the whole source image, drawn at another size.

        Pixel centres follow the half-pixel convention: both grids cover the same area.
        """
        if not all(isinstance(size, (int, np.integer)) and size >= 1 for size in (height, width)):
            raise InputError(f"a mask's size must be at least 1 x 1 whole pixels, got {height!r} x {width!r}")
        scale_y, scale_x = height / self.size_hw[0], width / self.size_hw[1]
        scaled_from_image = np.array(
            [[scale_x, 0.0, 0.5 * scale_x - 0.5], [0.0, scale_y, 0.5 * scale_y - 0.5], [0.0, 0.0, 1.0]]
        )
        to_host = getattr(self.image_from_crop, "cpu", None)
        image_from_crop = np.asarray(to_host() if to_host else self.image_from_crop, dtype=np.float64)
        scaled_from_crop = scaled_from_image[:2, :2] @ image_from_crop
        scaled_from_crop[:, 2] += scaled_from_image[:2, 2]
        return self.paste(self.probabilities, scaled_from_crop, (height, width), border=self.border)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("a Mask is resampled when it becomes an array; it cannot be had without a copy")
        pixels = self.pixels()
        to_host = getattr(pixels, "cpu", None)
        return np.asarray(to_host() if to_host else pixels, dtype=dtype)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segmentation:
    """Which pixels are a person, or people, and which part of the body each pixel is.

    Attributes:
        mask: probability that a pixel belongs to the person (or to any person).
        part_labels: (H, W) uint8, part 0-23 as in `posemask.bodies.PARTS`, 24 where nobody is; None if not asked for.
        pose: the person's keypoints where the model gives them.
    """

    mask: Mask
    part_labels: Array | None = None
    pose: Pose | None = None

    def label_of(self, value: int) -> str:
        """Name of a mask value: a part's name with body parts, else ``"person"``.

        Raises `InputError` for a value that is not an integer in [0, 255], or is not a part.
        """
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value <= 255:
            raise InputError(f"a mask value is an integer in [0, 255], got {value!r}")
        if self.part_labels is None:
            return "person"
        if value >= len(PARTS):
            raise InputError(f"a body part's value is in [0, {len(PARTS) - 1}], got {value}")
        return PARTS[value]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pose:
    """One person: keypoints in the image and in metres, and what is known about them.

    Attributes:
        xy: (K, 2) float32, pixels of the source image. Keypoints outside the image are not clamped.
        z: (K,) float32, depth in the same pixels, origin at the hips' midpoint, smaller is nearer.
        visibility: (K,) float32, probability that the keypoint is in the picture and not hidden.
        presence: (K,) float32, probability that the keypoint lies within the picture.
        world: (K, 3) float32, metres, origin between the hips, x right, y down, smaller z nearer; None without 3D.
        score: probability that there is a person at all.
        box: (4,) float32, x_min, y_min, x_max, y_max in pixels: the tight box of the keypoints.
        roi: (4,) float32, the square that the network looked at: centre x, centre y, size (pixels), rotation (radians).
        id: number that stays with a person through a stream; None for pictures.
        segmentation: the person's mask if it was asked for.
        skeleton: names and edges of the keypoints.
    """

    xy: Array
    z: Array
    visibility: Array
    presence: Array
    world: Array | None
    score: float
    box: Array
    roi: Array | None = None
    id: int | None = None
    segmentation: Segmentation | None = None
    skeleton: Skeleton = field(default=BLAZEPOSE, repr=False)

    def __len__(self) -> int:
        return len(self.skeleton)

    def __getitem__(self, name: str) -> Keypoint:
        return self._keypoint(self.skeleton.index(name))

    def __iter__(self) -> Iterator[Keypoint]:
        return (self._keypoint(i) for i in range(len(self.skeleton)))

    def _keypoint(self, i: int) -> Keypoint:
        return Keypoint(
            name=self.skeleton.names[i],
            x=float(self.xy[i, 0]),
            y=float(self.xy[i, 1]),
            z=float(self.z[i]),
            score=float(self.visibility[i]),
        )
