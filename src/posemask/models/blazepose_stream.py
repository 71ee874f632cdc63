"""BlazePose in a stream: the landmark network's last look at a person says where to look in the next frame.

    a frame before            looks at                     leads to
    nobody was followed       the detector's people        people are followed, where the landmark network agrees
    fewer than are wanted     their last regions, and the  those whom the landmark network sees, each once
                              detector's other people
    as many as are wanted     their last regions           those whom the landmark network still sees

So the detector runs only while somebody may be missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import TimestampError
from ..numbers.filters import OneEuro
from ..numbers.geometry import compose_affine, image_from_crop, invert_affine
from ..numbers.people import NO_TRACKS, Tracks, expected_keypoints, torso_distance, track
from ..numbers.tracking import Landmarks, Smoothing, next_roi, smooth_landmarks
from ..pixels import native as pixels
from ..results import Pose
from .blazepose import (
    MODEL_TYPES,
    BlazePose,
    Floats,
    Picture,
    distinct_people,
    make_poses,
    observe,
    select_people,
)
from .newcomers import newcomers
from .search import FACE

__all__ = ["StreamState", "step"]

FADED = 0.35  # clarity below which somebody who was followed is gone, or hidden, and what is left are other things
SAME_TORSO = 0.1  # of the height: who is found so near to somebody who is followed is that person once more


@dataclass(frozen=True, slots=True, eq=False)
class StreamState:
    """What a stream remembers after a frame.

    Attributes:
        time: of that frame, seconds.
        size_hw: of that frame.
        rois: (P, 4), where its people will be looked for; P = 0 when nobody is followed.
        tracks: who had which id.
        smoothing: the filters' state, None when nobody is followed.
        masks: (P, 256, 256) the smoothed probabilities of that frame, None without segmentation.
        image_from_crop: (P, 2, 3) where those masks lie.
        views_seen: how many views the rolling search has looked at.
    """

    time: float
    size_hw: tuple[int, int]
    rois: Floats
    tracks: Tracks = NO_TRACKS
    smoothing: Smoothing | None = None
    masks: npt.NDArray[np.float32] | None = None
    image_from_crop: Floats | None = None
    views_seen: int = 0


def step(
    model: BlazePose,
    state: StreamState | None,
    image: Picture,
    time: float,
    *,
    max_people: int = 1,
    flip_horizontal: bool = False,
) -> tuple[StreamState, list[Pose]]:
    """One frame of a stream.

    Args:
        model: the networks.
        state: what this function gave for the frame before; None at the start.
        image: (H, W, 3) uint8 RGB; its size may change from frame to frame.
        time: seconds, later than the frame before.
        max_people: how many people at most. While fewer are followed, the detector looks for more in each frame.
        flip_horizontal: results in the mirrored picture; left and right stay the person's own.

    Raises:
        TimestampError: time did not increase.
    """
    size_hw = (image.shape[0], image.shape[1])
    if state is not None and time <= state.time:
        raise TimestampError(time, state.time)
    if state is None or state.size_hw != size_hw:
        # Regions and filters are in pixels of the old size: start afresh, as on the first frame.
        state = StreamState(time=time, size_hw=size_hw, rois=np.empty((0, 4)))

    followed = state.rois[:max_people]
    rois, views_seen = followed, state.views_seen
    if len(followed) < max_people:
        faces = state.tracks.keypoints[: len(followed), FACE, :2].mean(axis=1)
        found, views_seen = newcomers(model, image, followed, faces, max_people, views_seen)
        rois = np.concatenate([followed, found])[:max_people]
    nobody = StreamState(time=time, size_hw=size_hw, rois=np.empty((0, 4)), tracks=state.tracks, views_seen=views_seen)
    if not len(rois):
        return nobody, []
    landmarks, masks = observe(model, image, rois)
    seen = _believed(model, landmarks, _each_once(model, landmarks, state.tracks, len(followed), time), len(followed))
    if not len(seen):
        return nobody, []

    landmarks, masks = select_people(landmarks, masks, seen)
    keypoints = np.concatenate([landmarks.xyz[..., :2], landmarks.visibility[..., None]], axis=-1)
    known = (
        np.where(seen < len(followed), state.tracks.ids[np.minimum(seen, len(followed) - 1)], 0)
        if len(followed)
        else None
    )
    tracks, ids = track(state.tracks, keypoints, time, kind=model.tracker, followed=known)
    smoothing, restart = _carry(state.smoothing, seen, len(followed))
    smoothing, smoothed = smooth_landmarks(
        smoothing, landmarks, time - state.time, smooth_keypoints=model.smooth_keypoints, restart=restart
    )
    affine = image_from_crop(landmarks.roi, MODEL_TYPES["full"].crop_size)
    if masks is not None and model.smooth_masks and state.masks is not None and state.image_from_crop is not None:
        for row, before in enumerate(seen):
            if before < len(followed):
                _blend(masks[row], affine[row], state.masks[before], state.image_from_crop[before])
    new_state = StreamState(
        time=time,
        size_hw=size_hw,
        rois=next_roi(smoothed.auxiliary_xy),
        tracks=tracks,
        smoothing=smoothing,
        masks=masks,
        image_from_crop=affine,
        views_seen=views_seen,
    )
    return new_state, make_poses(smoothed, masks, image, flip_horizontal, ids)


def _each_once(
    model: BlazePose, landmarks: Landmarks, tracks: Tracks, followed: int, time: float
) -> npt.NDArray[np.intp]:
    """As `distinct_people`; of two who were followed and now show one body, the one stays who was heading there.

    When people cross, whoever is hidden is soon seen in the one in front.
    """
    if followed < 2:
        return distinct_people(model, landmarks, first=followed)
    before = expected_keypoints(tracks, time)[:followed, :, :2]
    apart = torso_distance(landmarks.xyz[:followed, :, :2], before).diagonal()
    order = np.concatenate([np.argsort(apart, kind="stable"), np.arange(followed, len(landmarks.score))])
    return np.sort(order[distinct_people(model, landmarks[order], first=followed)])


def _believed(
    model: BlazePose, landmarks: Landmarks, seen: npt.NDArray[np.intp], followed: int
) -> npt.NDArray[np.intp]:
    """Of the rows ``seen`` those that are not likely mistakes: who fades away, and a second one on a followed body."""
    if model.search == "thorough":  # which alone asks for clarity
        seen = seen[landmarks.clarity[seen] >= FADED]
    before, new = seen[seen < followed], seen[seen >= followed]
    if not len(before) or not len(new):
        return seen
    apart = torso_distance(landmarks.xyz[new, :, :2], landmarks.xyz[before, :, :2])
    return np.concatenate([before, new[apart.min(axis=1) >= SAME_TORSO]])


def _carry(
    smoothing: Smoothing | None, seen: npt.NDArray[np.intp], followed: int
) -> tuple[Smoothing | None, npt.NDArray[np.bool_] | None]:
    """The filters' state of the rows ``seen``, and which of them are new and start afresh."""
    restart = seen >= followed
    if smoothing is None or restart.all():
        return None, None
    if np.array_equal(seen, np.arange(len(smoothing.visibility))):
        return smoothing, None
    rows = np.where(restart, 0, seen)
    points = smoothing.points
    carried = Smoothing(
        points=OneEuro(raw=points.raw[rows], smooth=points.smooth[rows], slope=points.slope[rows]),
        visibility=smoothing.visibility[rows],
    )
    return carried, restart if restart.any() else None


def _blend(
    mask: npt.NDArray[np.float32], affine: Floats, before: npt.NDArray[np.float32], affine_before: Floats
) -> None:
    """Blends the mask before into a mask, in the pixels of the new crop.

    MediaPipe blends masks of the size of the image. Here both stay in their crops: 65,536 pixels instead of a
    million, and nothing depends on the image's size. Outside its crop the mask before is 0, as it is there.
    """
    crop_from_crop_before = compose_affine(invert_affine(affine), affine_before)
    pixels.blend_masks(mask, pixels.paste(before, crop_from_crop_before, mask.shape), out=mask)
