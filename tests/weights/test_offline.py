"""Once the weights are there, nothing touches the network."""

from __future__ import annotations

import subprocess
import sys

import pytest

from posemask.weights import default_store

RUN = """
import sys

def refuse(event, arguments):
    if event.startswith("socket.") or event == "subprocess.Popen":
        raise SystemExit(f"touched the network or another program: {event} {arguments}")

sys.addaudithook(refuse)

import numpy as np
import posemask

image = np.full((120, 160, 3), 127, np.uint8)
posemask.create_detector("blazepose", model_type="lite", enable_segmentation=True).estimate_poses(image)
people = posemask.create_segmenter("selfie_segmentation").segment_people(image)
assert np.asarray(people[0].mask).shape == (120, 160)
"""


def test_nothing_touches_the_network_after_the_fetch() -> None:
    missing = [
        name
        for name in ("pose_detection", "pose_landmark_lite", "selfie_segmentation")
        if default_store().status(name).path is None
    ]
    if missing:
        pytest.skip(f"the weights {', '.join(missing)} are absent: run `posemask models fetch`")
    finished = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, timeout=120)
    assert finished.returncode == 0, finished.stderr
