"""The document of poses is what its page says, in both forms, and is written as it grows."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

from posemask.bodies import BLAZEPOSE
from posemask.cli.results_json import ResultsJson
from posemask.results import Pose

PAGE = Path(__file__).resolve().parents[2] / "docs/results-json.md"


def a_pose(seed, **changes):
    rng = np.random.default_rng(seed)
    values = {
        "xy": rng.uniform(-50, 700, (33, 2)).astype(np.float32),
        "z": rng.normal(0, 100, 33).astype(np.float32),
        "visibility": rng.uniform(0, 1, 33).astype(np.float32),
        "presence": rng.uniform(0, 1, 33).astype(np.float32),
        "world": rng.normal(0, 0.5, (33, 3)).astype(np.float32),
        "score": 0.98765,
        "box": np.array([1.234, 2, 3, 4], np.float32),
        "id": 7,
    }
    return Pose(**{**values, **changes})


def write(frames, *, lines):
    stream = io.StringIO()
    document = ResultsJson(stream, lines=lines, source="dance.mp4", model="blazepose full", size_hw=(48, 64))
    for index, (time, poses) in enumerate(frames):
        document.write(index, time, poses)
    document.close()
    return stream.getvalue()


FRAMES = [(0.0, [a_pose(0), a_pose(1, id=2)]), (1 / 30, []), (2 / 30, [a_pose(2, world=None)])]


def test_holds_the_poses():
    document = json.loads(write(FRAMES, lines=False))
    assert [frame["time"] for frame in document["frames"]] == [0.0, 0.033333, 0.066667]
    assert [frame["index"] for frame in document["frames"]] == [0, 1, 2]
    assert [[person["id"] for person in frame["people"]] for frame in document["frames"]] == [[7, 2], [], [7]]
    person, pose = document["frames"][0]["people"][0], FRAMES[0][1][0]
    keypoints = np.array(person["keypoints"])
    np.testing.assert_allclose(keypoints[:, :2], pose.xy, atol=0.00501)
    np.testing.assert_allclose(keypoints[:, 2], pose.z, atol=0.00501)
    np.testing.assert_allclose(keypoints[:, 3:], np.column_stack([pose.visibility, pose.presence]), atol=5.1e-5)
    np.testing.assert_allclose(person["world"], pose.world, atol=5.1e-5)
    assert (person["score"], person["box"]) == (0.9877, [1.23, 2.0, 3.0, 4.0])
    assert document["frames"][2]["people"][0]["world"] is None
    assert (document["height"], document["width"], document["source"]) == (48, 64, "dance.mp4")
    assert document["keypoint_names"] == list(BLAZEPOSE.names)
    assert len(document["edges"]) == len(BLAZEPOSE.edges)


@pytest.mark.parametrize("frames", [FRAMES, FRAMES[:1], []])
def test_lines_hold_the_same(frames):
    document = json.loads(write(frames, lines=False))
    head, *rest = (json.loads(line) for line in write(frames, lines=True).splitlines())
    assert {**head, "frames": rest} == document


def test_what_is_not_known_is_null():
    pose = a_pose(0, z=np.full(33, np.nan, np.float32), id=None)
    document = json.loads(write([(None, [pose])], lines=False), parse_constant=pytest.fail)
    assert document["frames"][0]["time"] is None
    assert document["frames"][0]["people"][0]["id"] is None
    assert document["frames"][0]["people"][0]["keypoints"][0][2] is None


def test_frames_are_written_as_they_come():
    stream = io.StringIO()
    document = ResultsJson(stream, lines=True, source="a", model="b", size_hw=(1, 1))
    for index in range(3):
        document.write(index, None, [])
        assert len(stream.getvalue().splitlines()) == index + 2


def test_the_page_names_every_key():
    document = json.loads(write(FRAMES, lines=False))
    frame = document["frames"][0]
    keys = {*document, *frame, *frame["people"][0], *document["keypoint_fields"]}
    text = PAGE.read_text(encoding="utf-8")
    tables = set(re.findall(r"`(\w+)`", "\n".join(line for line in text.splitlines() if line.startswith("|"))))
    assert keys - tables == set()

    example = json.loads(re.search(r"```json\n(.*?)```", text, re.DOTALL)[1])
    assert set(example) == set(document)
    assert set(example["frames"][0]) == set(frame)
    assert set(example["frames"][0]["people"][0]) == set(frame["people"][0])
