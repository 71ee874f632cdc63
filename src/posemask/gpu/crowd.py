"""Several people a stream: where the newly found are put, who is seen twice, and who has which id."""

from __future__ import annotations

from typing import TypeAlias

import torch

from ..bodies import COCO_FROM_BLAZEPOSE
from ..models.blazepose import SAME_NEXT_REGION, SAME_PERSON
from ..models.blazepose_stream import SAME_TORSO
from ..models.newcomers import SAME_REGION
from ..numbers import people as rules
from ..numbers.boxes import box_iou, squares
from .compiler import Kernels
from .people import POINTS_STRIDE, People
from .pictures import Part

__all__ = ["Crowd", "take_in"]

Tensor: TypeAlias = torch.Tensor


class Crowd:
    """`most` people of each of `streams` streams, one row each, stream by stream.

    Attributes:
        ids: (N,) int32, one for each person from 1 in every stream; 0 where nobody is. Who was lost and comes back has
            a new one.
    """

    def __init__(self, place: Kernels, streams: int, most: int) -> None:
        joints = torch.tensor(COCO_FROM_BLAZEPOSE, dtype=torch.int32)
        shared_bytes = 8 * 5 * most + 4 * most * most
        self._part = Part(
            place, "crowd", {"PEOPLE": most, "ROW": POINTS_STRIDE, "JOINTS": len(joints)}, 128, shared_bytes
        )
        self._streams, self._most, device = streams, most, place.device
        self._joints = joints.to(device)
        self._torso = torch.tensor(rules.TORSO, dtype=torch.int32, device=device)
        limits = (rules.MIN_SCORE, rules.MIN_KEYPOINTS, SAME_PERSON, SAME_NEXT_REGION, SAME_TORSO)
        self._rules = torch.tensor(limits, dtype=torch.float64, device=device)
        self._falloff = torch.tensor(1 / (2 * (2 * rules.SIGMAS) ** 2), dtype=torch.float64, device=device)
        self._middles = torch.zeros((streams * most, 2), dtype=torch.float64, device=device)
        self._next_id = torch.ones(streams, dtype=torch.int32, device=device)
        self.ids = torch.zeros(streams * most, dtype=torch.int32, device=device)

    def run(self, people: People, alive_before: Tensor) -> None:
        """After `people.run`: drop who is seen twice, and give ids. `alive_before` (N,) int32: who was followed."""
        read = (people.values, people.visibility, people.roi, alive_before)
        written = (people.found, people.has_roi, people.alive, people.flags, self._middles, self.ids, self._next_id)
        self._part.run((self._streams, 1), *read, *written, self._rules, self._falloff, self._joints, self._torso)

    def reset(self, stream: int) -> None:
        """The next person of a stream is its first."""
        self._next_id[stream].fill_(1)
        self.ids[stream * self._most : (stream + 1) * self._most].zero_()


def take_in(found: Tensor, scores: Tensor, rois: Tensor, taken: Tensor) -> tuple[Tensor, Tensor]:
    """Put whoever the detector found and nobody follows into free places, best first; fixed shapes, nothing waits.

    Args:
        found: (V, C, 4) regions, and scores (V, C), 0 where there is nobody.
        rois: (V, P, 4) regions of those who are followed, taken (V, P) int32 whether a place is.

    Returns:
        The new regions and (V, P) int32.
    """
    overlap = box_iou(squares(found)[:, :, None], squares(rois)[:, None])
    known = ((overlap > SAME_REGION) & (taken[:, None] != 0)).any(dim=2)
    new, free = (scores > 0) & ~known, taken == 0
    ranks_of_new, ranks_of_free = new.cumsum(dim=1), free.cumsum(dim=1)
    match = free[:, :, None] & new[:, None] & (ranks_of_free[:, :, None] == ranks_of_new[:, None])
    moved_in = match.any(dim=2)
    regions = (match[..., None] * found[:, None]).sum(dim=2)
    return torch.where(moved_in[..., None], regions, rois), taken | moved_in.int()
