"""Many streams stepped together, each with its own people, wholly on the device.

    frame -> crop -> landmark network -> keypoints, filters, next region -> mask -> finished frame     every stream
    frame -> letterbox -> detector -> regions                                       streams with places for people

The state of all streams is one set of tensors, with a row for each person that a stream may have: the k-th place of
stream n is row n * max_people + k. The first line is one CUDA graph for all rows, whether somebody is followed there or
not; the second is one graph for 1, 2, 4, ... streams. Which streams need the detector is known from flags that were
copied to the host asynchronously, a frame or two ago: to run it for a stream that has found somebody meanwhile does no
harm (whoever is followed already is not taken in again), and one who enters or was lost is found a frame or two later.
So the host never waits for the device. It may run ahead by `posemask.gpu.feed.DEPTH` frames.

Results are tensors that the next step overwrites: copy what must last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
import torch

from ..bodies import BLAZEPOSE
from ..errors import InputError, TimestampError
from ..models.blazepose import OUTPUTS_WITH_MASK, OUTPUTS_WITHOUT_MASK
from ..networks.graph import Graph
from ..numbers.geometry import apply_affine, image_from_crop, image_from_resized, letterbox_roi, roi_from_points
from ..pixels.torch import YuvColors
from .compiler import Kernels
from .crowd import Crowd, take_in
from .detector import DETECTOR_SIZE, Detector
from .feed import Arrivals, Captured, Feed, Table
from .memory import enough_memory
from .network import CudaNetwork
from .people import CROP_SIZE, KEYPOINTS, People
from .pictures import Composer, Cropper, Effect, Format, MaskFilter, Part, bits, check_form, plane_shape

__all__ = ["PosePool", "PoseResults", "SelfiePool", "SelfieResults", "Skeleton"]

Tensor: TypeAlias = torch.Tensor
MOST_PEOPLE = 32  # of a stream
DOUBTFUL_STEPS = 3  # a stream that was reset is offered to the detector so often, whatever older flags say


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PoseResults:
    """What the last step found, on the device. Overwritten by the next step.

    N are the streams' places for people: row n * max_people + k is the k-th place of stream n, in no order; who is
    followed keeps the place.

    Attributes:
        ids: (N,) int32, one for each person from 1 in every stream; 0 where nobody is. Who was lost and comes back has
            a new one.
        found: (N,) int32, 1 where a person is seen; the other rows mean nothing where it is 0.
        score: (N,) float32, probability of a person in the region.
        xyz: (N, 33, 3) float32, pixels of the frame.
        world: (N, 33, 3) float32, metres.
        visibility, presence: (N, 33) float32.
        roi: (N, 4) float64, the region that was looked at: centre x, y, size, rotation.
        masks: (N, 256, 256) float16 probabilities in the crop, or None.
        image_from_crop: (N, 2, 3) float64.
        pictures: the finished frames, one uint8 tensor a stream; empty without an effect.
    """

    ids: Tensor
    found: Tensor
    score: Tensor
    xyz: Tensor
    world: Tensor
    visibility: Tensor
    presence: Tensor
    roi: Tensor
    masks: Tensor | None
    image_from_crop: Tensor
    pictures: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SelfieResults:
    """What the last step found, on the device; overwritten by the next step.

    Attributes:
        masks: (N, h, w) float16 probabilities, the frame stretched to the network's input.
        image_from_crop: (N, 2, 3) float64, half-pixel centres.
        pictures: the finished frames, one uint8 tensor a stream; empty without an effect.
    """

    masks: Tensor
    image_from_crop: Tensor
    pictures: tuple[Tensor, ...]


class _Streams:
    """What both pools share: where frames lie, when they are, and where finished frames go."""

    def __init__(
        self,
        place: Kernels,
        sizes: Sequence[tuple[int, int]],
        form: Format,
        colors: Sequence[YuvColors] | None,
        effect: Effect | None,
    ) -> None:
        if not sizes or any(min(size) < 2 for size in sizes):
            raise InputError(
                f"a pool needs at least one stream, and frames of at least 2 x 2 pixels, got {list(sizes)}"
            )
        check_form(form)
        if form == "nv12" and any(height % 2 or width % 2 for height, width in sizes):
            raise InputError("NV12 frames need an even height and width")
        if colors is not None and (form != "nv12" or len(colors) != len(sizes)):
            raise InputError(f"colors are for form='nv12', one a stream, got {len(colors)} and form={form!r}")
        self.device, self.count, self.sizes = place.device, len(sizes), tuple(sizes)
        self.table = Table(sizes, form, self.device, colors)
        self.outputs = Table(sizes, form, self.device, colors)
        self.backgrounds = Table(sizes, form, self.device, colors)
        self.dt = Feed(torch.full((self.count,), 1 / 30, dtype=torch.float64), self.device)
        self._times = np.full(self.count, -np.inf)
        self._takes_backgrounds = effect is not None and effect.background == "picture"
        self.table.set(self._black(form))  # until there are frames
        self.pictures: tuple[Tensor, ...] = ()
        if effect is not None:
            self.pictures = self._black(form)
            self.outputs.set(self.pictures)
            if self._takes_backgrounds:
                self.backgrounds.set(self.pictures)  # until there are any

    def _black(self, form: Format) -> tuple[Tensor, ...]:
        shapes = [plane_shape(size, form) for size in self.sizes]
        return tuple(torch.zeros(shape, dtype=torch.uint8, device=self.device) for shape in shapes)

    def feed(self, frames: Sequence[Tensor], times: Sequence[float], backgrounds: Sequence[Tensor] | None) -> None:
        now = np.asarray(times, dtype=np.float64)
        if now.shape != (self.count,) or not np.isfinite(now).all():
            raise InputError(f"expected {self.count} times in seconds, one a stream, got {times!r}")
        late = np.flatnonzero(now <= self._times)
        if late.size:
            raise TimestampError(float(now[late[0]]), float(self._times[late[0]]))
        if backgrounds is not None and not self._takes_backgrounds:
            raise InputError("backgrounds are for Effect(background='picture')")
        self.table.set(frames)
        if backgrounds is not None:
            self.backgrounds.set(backgrounds)
        dt = np.where(np.isfinite(self._times), now - self._times, 1 / 30)
        self.dt.set(dt)
        self._times = now

    def forget(self, stream: int) -> None:
        self._times[stream] = -np.inf


class PosePool:
    """BlazePose on `len(sizes)` streams; see the head of the file.

    Args:
        place: where the kernels run.
        detector, landmarks: the published graphs, all outputs.
        sizes: (height, width) of each stream's frames, equal or different.
        form: "rgb": frames are (H, W, 3) uint8 tensors on the device; "nv12": (H * 3 / 2, W). Finished frames and
            backgrounds have the same form.
        colors: of each stream's NV12 frames; BT.709 in the limited range if not given.
        max_people: how many are followed in each stream. A place costs the same whether somebody is there or not, and a
            stream that has one left is searched.
        search_every: a stream that follows somebody and has places left is searched in every so many steps; one that
            follows nobody in each.
        segmentation: compute masks; implied by an effect. They may overlap; effects take whoever covers a pixel most.
        effect: what finished frames show, None for none.
        skeleton: draw the keypoints into the finished frames.
        smooth_keypoints, smooth_masks, min_detection_score, min_presence_score: as in `posemask.models.blazepose`.
        precise: run the networks with the errors of float32. In half precision they take a third less time in
            large batches, but a keypoint whose heat map lies near a decision of its refinement may jump by pixels.

    Everything is compiled, allocated and captured here: no frame pays for it.

    Raises:
        InputError: an option is wrong.
        InferenceError: the device's memory does not suffice.
    """

    @enough_memory("a pool of streams")
    def __init__(
        self,
        place: Kernels,
        detector: Graph,
        landmarks: Graph,
        sizes: Sequence[tuple[int, int]],
        *,
        form: Format = "rgb",
        colors: Sequence[YuvColors] | None = None,
        max_people: int = 1,
        search_every: int = 1,
        segmentation: bool = False,
        effect: Effect | None = None,
        skeleton: bool = False,
        smooth_keypoints: bool = True,
        smooth_masks: bool = True,
        min_detection_score: float = 0.5,
        min_presence_score: float = 0.5,
        precise: bool = True,
    ) -> None:
        segmentation = segmentation or effect is not None
        if skeleton and effect is None:
            raise InputError("a skeleton is drawn into finished frames: give an effect")
        if not 1 <= max_people <= MOST_PEOPLE:
            raise InputError(f"max_people must be from 1 to {MOST_PEOPLE}, got {max_people!r}")
        if search_every < 1:
            raise InputError(f"search_every must be at least 1, got {search_every!r}")
        self._streams = _Streams(place, sizes, form, colors, effect)
        device, rows = place.device, len(sizes) * max_people
        self.device, self.count, self.max_people = device, len(sizes), max_people
        self._search_every, self._steps = search_every, 0
        self._detector = Detector(place, detector, self.count, exact=precise)
        outputs = OUTPUTS_WITH_MASK if segmentation else OUTPUTS_WITHOUT_MASK
        self._landmarks = CudaNetwork(landmarks.keep_outputs(outputs), place, batch=rows, precise=precise)
        self._crops = Cropper(
            place,
            (CROP_SIZE, CROP_SIZE),
            rows,
            border="replicate",
            scale=1 / 255,
            offset=0.0,
            from_rois=True,
            exact=precise,
        )
        self._people = People(
            place, rows, smooth=smooth_keypoints, min_presence=min_presence_score, a_stream=max_people
        )
        self._crowd = Crowd(place, self.count, max_people)
        mask_hw = (CROP_SIZE, CROP_SIZE)
        self._masks = (
            MaskFilter(place, mask_hw, rows, logits=True, smooth=smooth_masks, moving=True) if segmentation else None
        )
        self._composer = Composer(place, sizes, mask_hw, effect, border="zero", people=max_people) if effect else None
        self._skeleton = Skeleton(place, sizes, people=max_people) if skeleton else None
        self._min_detection = torch.tensor(min_detection_score, device=device)

        whole = torch.tensor([letterbox_roi(size) for size in sizes], dtype=torch.float64)
        self._letterbox = image_from_crop(whole, DETECTOR_SIZE).to(device)
        self._fraction = image_from_crop(whole, 1).float().to(device)
        self._start_roi = whole.repeat_interleave(max_people, dim=0).to(device)
        self._all_rows = torch.arange(rows, dtype=torch.int32, device=device) // max_people  # of the table of pictures
        self._alive_before = torch.zeros(rows, dtype=torch.int32, device=device)
        people = self._people
        people.roi.copy_(self._start_roi)
        self._results = PoseResults(
            ids=self._crowd.ids,
            found=people.found,
            score=people.score,
            xyz=people.xyz,
            world=people.world,
            visibility=people.visibility,
            presence=people.presence,
            roi=people.used_roi,
            masks=self._masks.masks if self._masks else None,
            image_from_crop=self._crops.maps,
            pictures=self._streams.pictures,
        )
        self._detect_rows = Feed(torch.zeros(self.count, dtype=torch.int32), device)
        self._arrivals = Arrivals(people.flags)
        self._followed = np.zeros(self.count, dtype=int)  # how many people of each stream
        self._doubtful = np.zeros(self.count, dtype=int)
        self._warm_up()

    def _warm_up(self) -> None:
        memory = torch.cuda.graph_pool_handle() if self.device.type == "cuda" else None
        self._observe = Captured(self._observe_all, self.device, memory)
        sizes = sorted({min(1 << i, self.count) for i in range(self.count.bit_length() + 1)})
        self._detect = {size: Captured(partial(self._detect_some, size), self.device, memory) for size in sizes}
        for stream in range(self.count):
            self.reset(stream)

    def step(
        self, frames: Sequence[Tensor], times: Sequence[float], *, backgrounds: Sequence[Tensor] | None = None
    ) -> PoseResults:
        """Queue one frame of every stream; returns at once.

        Args:
            frames: one tensor a stream on the device, of the stream's size and the pool's format. They are read where
                they lie and must not change until the step is done.
            times: seconds, later than each stream's frame before.
            backgrounds: for the effect "picture", one of the frame's size and format a stream; kept until others come.

        Raises:
            ImageError: a frame does not fit its stream.
            TimestampError: a time did not increase.
        """
        with torch.inference_mode():
            self._streams.feed(frames, times, backgrounds)
            arrived = self._arrivals.newest()
            if arrived is not None:
                self._followed = (arrived != 0).reshape(self.count, self.max_people).sum(axis=1)
            looking = self._followed < (self.max_people if self._steps % self._search_every == 0 else 1)
            needed = np.flatnonzero(looking | (self._doubtful > 0))
            self._steps += 1
            self._doubtful = np.maximum(self._doubtful - 1, 0)
            if needed.size:
                size = min(1 << int(needed.size - 1).bit_length(), self.count)
                padded = np.full(size, needed[0], dtype=np.int32)
                padded[: needed.size] = needed
                self._detect_rows.set(padded)
                self._detect[size].run()
            self._observe.run()
            self._arrivals.request()
        return self._results

    def reset(self, stream: int) -> None:
        """Forget a stream's people and time: its next frame is a new stream's first."""
        rows = slice(stream * self.max_people, (stream + 1) * self.max_people)
        with torch.inference_mode():
            self._people.has_roi[rows].zero_()
            self._people.alive[rows].zero_()
            self._people.roi[rows].copy_(self._start_roi[rows])
            self._crowd.reset(stream)
        self._followed[stream] = 0
        self._doubtful[stream] = DOUBTFUL_STEPS
        self._streams.forget(stream)

    def _detect_some(self, count: int) -> None:
        rows32 = self._detect_rows.tensor[:count]
        rows = rows32.long()
        maps, table = self._letterbox[rows], self._streams.table.tensor
        most, people = self.max_people, self._people
        detected, scores = self._detector.run(table, rows32, maps, most, self._min_detection)
        points = apply_affine(self._fraction[rows], detected[..., 4:8].reshape(count, 2 * most, 2))
        alignment = points.reshape(count, most, 2, 2)
        found = roi_from_points(alignment[..., 0, :], alignment[..., 1, :]).double()
        rois, taken = people.roi.view(-1, most, 4), people.has_roi.view(-1, most)
        new_rois, new_taken = take_in(found, scores, rois[rows], taken[rows])
        rois.index_put_((rows,), new_rois)
        taken.index_put_((rows,), new_taken)

    def _observe_all(self) -> None:
        r, streams, people = self._results, self._streams, self._people
        self._alive_before.copy_(people.alive)
        crops = self._crops.run(streams.table.tensor, self._all_rows, self.count * self.max_people, people.roi)
        raw, score, heatmap, metres, *mask = self._landmarks(crops)
        people.run(raw, score, heatmap, metres, streams.dt.tensor)
        self._crowd.run(people, self._alive_before)
        if self._masks:
            masks = self._masks.run(mask[0], self._crops.maps, r.found, self._alive_before)
            if self._composer:
                tables = (streams.table.tensor, streams.outputs.tensor, streams.backgrounds.tensor)
                self._composer.run(*tables, masks, self._crops.maps, r.found)
            if self._skeleton:
                self._skeleton.run(streams.outputs.tensor, r)


class Skeleton:
    """Keypoints and the lines between them, drawn into finished frames."""

    def __init__(
        self, place: Kernels, sizes: Sequence[tuple[int, int]], *, people: int = 1, least: float = 0.5
    ) -> None:
        edges = [(first, second) for first, second in BLAZEPOSE.edges]
        colors = [0x00FF7F if a % 2 and b % 2 else 0x3C8CFF if not (a % 2 or b % 2) else 0xFFFFFF for a, b in edges]
        colors += [0xFFFFFF] * KEYPOINTS
        constants = {"EDGES": len(edges), "POINTS": KEYPOINTS, "PEOPLE": people}
        self._part = Part(place, "skeleton", constants, 128, 24 * (len(edges) + KEYPOINTS) + 8)
        self._blocks = (max(-(-height // 16) * -(-width // 32) for height, width in sizes), len(sizes))
        self._edges = torch.tensor(edges, dtype=torch.int32, device=place.device)
        self._colors = torch.tensor(colors, dtype=torch.int32, device=place.device)
        self._options = (bits(least), bits(max(1.0, min(sizes[0]) / 360)))

    def run(self, outputs: Tensor, r: PoseResults) -> None:
        self._part.run(self._blocks, outputs, r.xyz, r.visibility, r.found, self._edges, self._colors, *self._options)


class SelfiePool:
    """Selfie Segmentation on `len(sizes)` streams; arguments and rules as of `PosePool`."""

    @enough_memory("a pool of streams")
    def __init__(
        self,
        place: Kernels,
        network: Graph,
        sizes: Sequence[tuple[int, int]],
        *,
        form: Format = "rgb",
        colors: Sequence[YuvColors] | None = None,
        effect: Effect | None = None,
        smooth_masks: bool = False,
    ) -> None:
        self._streams = _Streams(place, sizes, form, colors, effect)
        device, n = place.device, len(sizes)
        self.device, self.count = device, n
        self._network = CudaNetwork(network, place, batch=n)
        side = self._network.input_shape[:2]
        self._crops = Cropper(place, side, n, border="replicate", scale=1 / 255, offset=0.0, from_rois=False)
        maps = torch.tensor([image_from_resized(size, side, half_pixel=False) for size in sizes], dtype=torch.float64)
        self._crops.maps.copy_(maps)
        maps = torch.tensor([image_from_resized(size, side, half_pixel=True) for size in sizes], dtype=torch.float64)
        self._maps = maps.to(device)
        self._masks = MaskFilter(place, side, n, logits=False, smooth=smooth_masks, moving=False)
        self._composer = Composer(place, sizes, side, effect, border="replicate") if effect else None
        self._rows = torch.arange(n, dtype=torch.int32, device=device)
        self._alive = torch.zeros(n, dtype=torch.int32, device=device)
        pictures = self._streams.pictures
        self._results = SelfieResults(masks=self._masks.masks, image_from_crop=self._maps, pictures=pictures)
        self._work = Captured(self._run_all, device)
        self._alive.zero_()

    def step(
        self, frames: Sequence[Tensor], times: Sequence[float], *, backgrounds: Sequence[Tensor] | None = None
    ) -> SelfieResults:
        """Queue one frame of every stream; as `PosePool.step`."""
        with torch.inference_mode():
            self._streams.feed(frames, times, backgrounds)
            self._work.run()
        return self._results

    def reset(self, stream: int) -> None:
        """Forget a stream's mask and time."""
        with torch.inference_mode():
            self._alive[stream].zero_()
        self._streams.forget(stream)

    def _run_all(self) -> None:
        streams = self._streams
        crops = self._crops.run(streams.table.tensor, self._rows, self.count)
        (probabilities,) = self._network(crops)
        masks = self._masks.run(probabilities, self._maps, None, self._alive)
        self._alive.fill_(1)
        if self._composer:
            tables = (streams.table.tensor, streams.outputs.tensor, streams.backgrounds.tensor)
            self._composer.run(*tables, masks, self._maps, None)
