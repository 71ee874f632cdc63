"""``posemask doctor`` finds what is here and names what is missing."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest

from posemask import __version__
from posemask.weights import DEFAULT_NAMES

from .conftest import Run


def test_doctor_reports_versions_runtimes_and_weights(run: Run, empty_cache: Path) -> None:
    findings = json.loads(run("doctor", "--json").out)
    assert findings["versions"]["posemask"] == __version__
    assert findings["versions"]["numpy"] == metadata.version("numpy")
    assert findings["processor"]["cores"] >= 1
    assert findings["processor"]["name"]
    assert findings["runtimes"]["litert"] == metadata.version("ai-edge-litert")
    assert findings["devices"]["cpu"] == "works"
    assert findings["devices"].keys() - {"cpu"}
    assert findings["weights"]["cache"] == str(empty_cache)
    for name in DEFAULT_NAMES:
        assert findings["weights"][name] == f"missing: posemask models fetch {name}"


def test_doctor_reads_as_text(run: Run, empty_cache: Path) -> None:
    outcome = run("doctor")
    assert outcome.status == 0
    for title in ("versions", "processor", "runtimes", "devices", "weights"):
        assert title in outcome.out.splitlines()
    assert str(empty_cache) in outcome.out


def test_doctor_names_the_command_that_brings_a_runtime(
    run: Run, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        if name == "openvino":
            raise metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(metadata, "version", version)
    runtimes = json.loads(run("doctor", "--json").out)["runtimes"]
    assert "pip install" in runtimes["openvino"]
    assert "posemask[openvino]" in runtimes["openvino"]


def test_doctor_shows_weights_that_are_refused(run: Run, empty_cache: Path) -> None:
    empty_cache.mkdir(parents=True)
    (empty_cache / "pose_detection.tflite").write_bytes(b"altered")
    assert "altered or cut" in json.loads(run("doctor", "--json").out)["weights"]["pose_detection"]
