"""Weights that lie in a mapped file: dropped from memory, they are still there."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from posemask.errors import ModelFileError
from posemask.networks.graph import Node, make_graph
from posemask.networks.mapped import drop_pages, map_file
from posemask.networks.read_tflite import read_tflite
from posemask.networks.write_tflite import write_tflite

from .examples import everything, weights

SIDE = 1024  # 4 MiB of float32


@pytest.fixture
def large(tmp_path: Path) -> Path:
    kernel = weights(SIDE, 1, 1, SIDE)
    node = Node("conv2d", ("x", "w"), "y", {"padding": "same"})
    graph = make_graph([node], {"w": kernel}, {"x": (1, 1, 1, SIDE)}, ["y"])
    file = tmp_path / "large.tflite"
    file.write_bytes(write_tflite(graph))
    return file


def resident_mib() -> float:
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["RssFile"].split()[0]) / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_dropped_weights_leave_the_memory_and_come_back(large: Path) -> None:
    constant = next(v for v in read_tflite(large).constants.values() if v.ndim == 4)
    expected = constant.copy()
    touched = resident_mib()
    drop_pages(constant)
    assert touched - resident_mib() > 3
    assert np.array_equal(constant, expected)
    assert np.array_equal(constant, weights(SIDE, 1, 1, SIDE))


def test_weights_outlive_their_graph_and_their_file(large: Path) -> None:
    constant = next(v for v in read_tflite(large).constants.values() if v.ndim == 4)
    if sys.platform != "win32":  # where a mapped file cannot be deleted
        large.unlink()
    assert np.array_equal(constant, weights(SIDE, 1, 1, SIDE))


def test_other_arrays_are_left_alone() -> None:
    array = weights(4, 4)
    expected = array.copy()
    for part in (array, array[1:], array.T, everything().constants["w"]):
        drop_pages(part)
    assert np.array_equal(array, expected)


def test_an_empty_file_is_no_network(tmp_path: Path) -> None:
    (tmp_path / "empty.tflite").touch()
    assert map_file(tmp_path / "empty.tflite") == b""
    with pytest.raises(ModelFileError, match="not a TFLite network"):
        read_tflite(tmp_path / "empty.tflite")


def test_a_folder_is_no_network(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot read"):
        read_tflite(tmp_path)
