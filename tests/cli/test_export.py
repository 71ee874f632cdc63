"""``posemask export`` writes ONNX files that compute what the network computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posemask import runtimes
from posemask.networks.read_tfjs import read_tfjs

from .conftest import Run


@pytest.fixture
def bodypix(shared_data: Path) -> Path:
    return shared_data / "weights" / "bodypix_mobilenet_v1_075_quant2_stride16_tfjs"


def test_exports_a_network_that_computes_the_same(run: Run, bodypix: Path, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs posemask[onnxruntime]")
    file = tmp_path / "bodypix.onnx"
    outcome = run("export", bodypix, "-o", file, "--outputs", "1,2", "--size", "97x129")
    assert outcome.status == 0, outcome.err
    assert "1 × 97 × 129 × 3" in outcome.out
    graph = read_tfjs(bodypix / "model-stride16.json").with_input_shape((1, 97, 129, 3)).keep_outputs([1, 2])
    image = np.random.default_rng(0).uniform(-1, 1, (1, 97, 129, 3)).astype(np.float32)
    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    got = session.run(None, {graph.inputs[0]: image})
    assert [output.name for output in session.get_outputs()] == list(graph.outputs)
    for ours, theirs in zip(runtimes.load(graph, runtime="litert", threads=1)(image), got, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_an_existing_file_is_kept_unless_overwrite_is_said(run: Run, bodypix: Path, tmp_path: Path) -> None:
    file = tmp_path / "bodypix.onnx"
    file.write_bytes(b"mine")
    assert run("export", bodypix, "-o", file).status == 1
    assert file.read_bytes() == b"mine"
    assert run("export", bodypix, "-o", file, "--overwrite").status == 0
    assert file.stat().st_size > 1_000_000


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--outputs", "99"), "99"),
        (("--outputs", "nothing"), "nothing"),
        (("--outputs", ""), "output"),
        (("--size", "big"), "HEIGHTxWIDTH"),
        (("--size", "0x0"), "0"),
    ],
)
def test_wrong_options_are_one_line_and_leave_nothing(
    options: tuple[str, ...], reason: str, run: Run, bodypix: Path, tmp_path: Path
) -> None:
    outcome = run("export", bodypix, "-o", tmp_path / "x.onnx", *options)
    assert outcome.status == 1
    assert reason in outcome.error_line
    assert list(tmp_path.iterdir()) == []


def test_wrong_models_and_outputs_are_one_line(run: Run, empty_cache: Path, tmp_path: Path) -> None:
    assert "unknown model" in run("export", "pose_landmark_huge", "-o", tmp_path / "x.onnx").error_line
    assert "there is none" in run("export", tmp_path / "absent.tflite", "-o", tmp_path / "x.onnx").error_line
    assert ".onnx" in run("export", "pose_landmark_lite", "-o", tmp_path / "x.tflite").error_line
    other = tmp_path / "model.txt"
    other.write_text("hello")
    assert ".tflite" in run("export", other, "-o", tmp_path / "x.onnx").error_line
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(b"hello" * 100)
    assert "damaged.tflite" in run("export", damaged, "-o", tmp_path / "x.onnx").error_line
    assert not (tmp_path / "x.onnx").exists()
