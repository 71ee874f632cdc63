"""Poses as JSON, written frame by frame, in constant memory; ``docs/results-json.md`` is the contract."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import IO, Any

import numpy as np

from ..bodies import BLAZEPOSE, PARTS, Skeleton
from ..numbers.parts import part_areas, part_visibility
from ..results import Pose

__all__ = ["ResultsJson"]

FORMAT, VERSION = "posemask-poses", 1


class ResultsJson:
    """Writes one document: a head, then the frames; as JSON, or as JSON Lines (a line for the head and for each frame).

    The stream belongs to the caller, who closes it after `close`.
    """

    def __init__(self, stream: IO[str], *, lines: bool, source: str, model: str, size_hw: tuple[int, int]) -> None:
        self._stream = stream
        self._lines = lines
        self._empty = True
        # Letters outside ASCII are escaped: a file's name may hold what no encoding knows, and a console's is poor.
        head = json.dumps(_head(source, model, size_hw, BLAZEPOSE), allow_nan=False)
        stream.write(f"{head}\n" if lines else f'{head[:-1]}, "frames": [')

    def write(self, index: int, time: float | None, poses: Sequence[Pose]) -> None:
        """Add a frame: its number from 0, its time in seconds (None for a picture), and who is in it."""
        frame = {"index": index, "time": None if time is None else round(time, 6), "people": [*map(_person, poses)]}
        text = json.dumps(frame, allow_nan=False, separators=(",", ":"))
        if self._lines:
            self._stream.write(f"{text}\n")
        else:
            self._stream.write(f"{'' if self._empty else ','}\n{text}")
        self._empty = False

    def close(self) -> None:
        """End the document."""
        if not self._lines:
            self._stream.write("\n]}\n")


def _head(source: str, model: str, size_hw: tuple[int, int], skeleton: Skeleton) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "source": source,
        "model": model,
        "height": size_hw[0],
        "width": size_hw[1],
        "keypoint_names": list(skeleton.names),
        "keypoint_fields": ["x", "y", "z", "visibility", "presence"],
        "edges": [list(edge) for edge in skeleton.edges],
    }


def _person(pose: Pose) -> dict[str, Any]:
    person = _keypoints(pose)
    labels = None if pose.segmentation is None else pose.segmentation.part_labels
    if labels is not None:
        areas = part_areas(np.asarray(labels)).tolist()
        visible = part_visibility(np.asarray(pose.visibility)).tolist()
        person["parts"] = {
            part: {"area": area, "visibility": _number(seen, 4)}
            for part, area, seen in zip(PARTS, areas, visible, strict=True)
            if area
        }
    return person


def _keypoints(pose: Pose) -> dict[str, Any]:
    keypoints = np.column_stack([_host(pose.xy), _host(pose.z), _host(pose.visibility), _host(pose.presence)])
    return {
        "id": pose.id,
        "score": _number(float(pose.score), 4),
        "box": [_number(value, 2) for value in _host(pose.box).tolist()],
        "keypoints": [
            [*(_number(value, 2) for value in row[:3]), *(_number(value, 4) for value in row[3:])]
            for row in keypoints.tolist()
        ],
        "world": None
        if pose.world is None
        else [[_number(value, 4) for value in row] for row in _host(pose.world).tolist()],
    }


def _number(value: float, digits: int) -> float | None:
    """A hundredth of a pixel, a tenth of a millimetre: what is finer is noise. JSON has no nan: null."""
    return round(value, digits) if math.isfinite(value) else None


def _host(values: Any) -> Any:
    to_host = getattr(values, "cpu", None)
    return np.asarray(to_host() if to_host else values, dtype=np.float64)
