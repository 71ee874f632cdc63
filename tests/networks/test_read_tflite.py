"""Reading TFLite files: what the published ones hold, how constants are stored, and what damaged files end in."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posemask.errors import ModelFileError
from posemask.networks.flatbuffer import serialise
from posemask.networks.graph import Graph
from posemask.networks.read_tflite import MAX_DENSE_ELEMENTS, read_tflite
from posemask.networks.write_tflite import write_tflite
from posemask.weights import DEFAULT_NAMES

from .examples import everything

LANDMARKS = [(1, 195), (1, 1), (1, 256, 256, 1), (1, 64, 64, 39), (1, 117)]

# input, outputs, convolutions (plain + depthwise + transposed) and parameters, as counted by others
PUBLISHED: dict[str, tuple[tuple[int, ...], list[tuple[int, ...]], int, float]] = {
    "pose_detection": ((1, 224, 224, 3), [(1, 2254, 12), (1, 2254, 1)], 45 + 28, 2.96e6),
    "pose_landmark_lite": ((1, 256, 256, 3), LANDMARKS, 54 + 34, 1.36e6),
    "pose_landmark_full": ((1, 256, 256, 3), LANDMARKS, 58 + 38, 3.17e6),
    "pose_landmark_heavy": ((1, 256, 256, 3), LANDMARKS, 116 + 82, 13.75e6),
    "face_detection_short_range": ((1, 128, 128, 3), [(1, 896, 16), (1, 896, 1)], 21 + 16, 101e3),
    "face_detection_full_range_sparse": ((1, 192, 192, 3), [(1, 2304, 16), (1, 2304, 1)], 49 + 42, 508e3),
    "selfie_segmentation": ((1, 256, 256, 3), [(1, 256, 256, 1)], 43 + 11 + 1, 106e3),
    "selfie_segmentation_landscape": ((1, 144, 256, 3), [(1, 144, 256, 1)], 43 + 11 + 1, 106e3),
}


@pytest.mark.parametrize("name", DEFAULT_NAMES)
def test_published_networks(name: str, published: Callable[[str], Path]) -> None:
    graph = read_tflite(published(name))
    shape, outputs, convolutions, parameters = PUBLISHED[name]
    assert graph.input_shapes == (shape,)
    assert list(graph.output_shapes) == outputs
    assert sum("conv" in node.op for node in graph.nodes) == convolutions
    assert sum(value.size for value in graph.constants.values()) == pytest.approx(parameters, rel=0.01)
    assert {value.dtype for value in graph.constants.values()} == {np.dtype(np.float16)}
    assert all(np.isfinite(value).all() for value in graph.constants.values())


def test_the_detectors_sparse_weights_are_a_quarter_full(published: Callable[[str], Path]) -> None:
    graph = read_tflite(published("pose_detection"))
    sparse = [v for v in graph.constants.values() if v.ndim == 4 and (v == 0).mean() > 0.5]
    assert len(sparse) == 38
    assert sum(np.count_nonzero(v) for v in sparse) / sum(v.size for v in sparse) == pytest.approx(0.25, abs=0.001)


def test_bytes_and_files_are_read_alike(tmp_path: Path) -> None:
    data = write_tflite(everything())
    (tmp_path / "network.tflite").write_bytes(data)
    for source in (data, tmp_path / "network.tflite", str(tmp_path / "network.tflite")):
        assert repr(read_tflite(source)) == repr(everything())


# --- how constants are stored ----------------------------------------------------------------------------------------


def model(
    tensor: dict[int, Any],
    buffer: dict[int, Any] | None = None,
    *,
    shape: tuple[int, ...] = (2, 3),
    builtin: int = 0,
    custom: str | None = None,
    **changes: Any,
) -> bytes:
    """A file that adds the constant `tensor` of `shape` to its input; `changes` replace parts of the subgraph."""
    tensors = [
        {0: np.array([1, *shape], "<i4"), 2: ("<I", 0), 3: "x"},
        {0: np.array(shape, "<i4"), 2: ("<I", 1), 3: "c", **tensor},
        {0: np.array([1, *shape], "<i4"), 2: ("<I", 0), 3: "y"},
    ]
    operator = {0: ("<I", 0), 1: np.array([0, 1], "<i4"), 2: np.array([2], "<i4")}
    subgraph = {0: tensors, 1: np.array([0], "<i4"), 2: np.array([2], "<i4"), 3: [operator]}
    subgraph |= {int(key[1:]): value for key, value in changes.items()}
    codes = [{0: ("<b", builtin), 1: custom}]
    return serialise({0: ("<I", 3), 1: codes, 2: [subgraph], 4: [{}, buffer or {}]}, b"TFL3")


def stored(array: np.ndarray[Any, Any]) -> dict[int, Any]:
    return {0: np.ascontiguousarray(array).reshape(-1).view(np.uint8)}


def sparse(dimensions: list[dict[int, Any]], order: list[int] | None = None, **more: Any) -> dict[int, Any]:
    parameters = {0: None if order is None else np.array(order, "<i4"), 2: dimensions}
    return {6: parameters | {int(key[1:]): value for key, value in more.items()}}


def compressed(segments: list[int], indices: list[int], kind: int = 3) -> dict[int, Any]:
    """A sparse dimension; kinds of index vectors: 1 int32, 2 uint16, 3 uint8."""
    dtype = {1: "<i4", 2: "<u2", 3: "u1"}[kind]
    return {0: ("<b", 1), 2: ("<B", kind), 3: {0: np.array(segments, dtype)},
            4: ("<B", kind), 5: {0: np.array(indices, dtype)}}  # fmt: skip


DENSE = {0: ("<b", 0)}


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_sparse_rows(kind: int) -> None:
    data = model(sparse([DENSE, compressed([0, 2, 3], [0, 2, 1], kind)]), stored(np.array([5, 6, 7], "<f4")))
    assert read_tflite(data).constants["c"].tolist() == [[5, 0, 6], [0, 7, 0]]


def test_sparse_in_column_order() -> None:
    data = model(sparse([DENSE, compressed([0, 1, 1, 3], [0, 0, 1])], [1, 0]), stored(np.array([5, 6, 7], "<f4")))
    assert read_tflite(data).constants["c"].tolist() == [[5, 0, 6], [0, 0, 7]]


def test_sparse_in_both_dimensions() -> None:
    rows, columns = compressed([0, 1], [1]), compressed([0, 2], [0, 2])
    data = model(sparse([rows, columns]), stored(np.array([5, 6], "<f4")))
    assert read_tflite(data).constants["c"].tolist() == [[0, 0, 0], [5, 0, 6]]


def test_dense_constants() -> None:
    values = np.arange(6, dtype="<f4").reshape(2, 3)
    assert np.array_equal(read_tflite(model({}, stored(values))).constants["c"], values)


# --- files that are not right ----------------------------------------------------------------------------------------

ROWS = compressed([0, 2, 3], [0, 2, 1])
THREE = stored(np.array([5, 6, 7], "<f4"))
SIX = stored(np.arange(6, dtype="<f4"))

WRONG: dict[str, bytes] = {
    "empty": b"",
    "text": b"this is no network at all",
    "only the head": serialise({}, b"TFL3")[:8],
    "another flatbuffer": serialise({}, b"ONNX"),
    "no version": serialise({}, b"TFL3"),
    "no subgraph": serialise({0: ("<I", 3)}, b"TFL3"),
    "quantised": model({1: ("<b", 9)}, SIX),
    "too few bytes": model({}, stored(np.arange(5, dtype="<f4"))),
    "too many bytes": model({}, stored(np.arange(7, dtype="<f4"))),
    "negative size": model({0: np.array([-2, 3], "<i4")}, SIX),
    "many dimensions": model({0: np.ones(70, "<i4")}, SIX),
    "buffer that is not there": model({2: ("<I", 7)}, SIX),
    "no constant where one is needed": model({}, {}),
    "unknown operator": model({}, SIX, builtin=92),
    "unknown custom operator": model({}, SIX, builtin=32, custom="Rotate"),
    "custom operator without options": model({}, SIX, builtin=32, custom="Convolution2DTransposeBias"),
    "operator that is not there": model({}, SIX, _3=[{0: ("<I", 4), 1: np.array([0], "<i4"), 2: np.array([2], "<i4")}]),
    "tensor that is not there": model({}, SIX, _3=[{1: np.array([0, 9], "<i4"), 2: np.array([2], "<i4")}]),
    "operator without output": model({}, SIX, _3=[{1: np.array([0, 1], "<i4")}]),
    "loop": model({}, SIX, _3=[{1: np.array([2, 1], "<i4"), 2: np.array([2], "<i4")}]),
    "output that nobody makes": model({}, SIX, _3=[]),
    "input that is not there": model({}, SIX, _1=np.array([5], "<i4")),
    "absurd input": model({}, SIX, _0=[{0: np.array([1, 2**20, 2**20, 3], "<i4"), 3: "x"}] * 3),
    "sparse with too few segments": model(sparse([DENSE, compressed([0, 3], [0, 2, 1])]), THREE),
    "sparse with segments that fall": model(sparse([DENSE, compressed([0, 5, 3], [0, 2, 1])]), THREE),
    "sparse with an index outside": model(sparse([DENSE, compressed([0, 2, 3], [0, 3, 1])]), THREE),
    "sparse with a negative index": model(sparse([DENSE, compressed([0, 2, 3], [0, -1, 1], 1)]), THREE),
    "sparse with too few values": model(sparse([DENSE, ROWS]), stored(np.array([5, 6], "<f4"))),
    "sparse with half a value": model(sparse([DENSE, ROWS]), stored(np.zeros(7, np.uint8))),
    "sparse with one dimension": model(sparse([ROWS]), THREE),
    "sparse with a wrong order": model(sparse([DENSE, ROWS], [0, 0]), THREE),
    "sparse in blocks": model(sparse([DENSE, ROWS], [0, 1], _1=np.array([1], "<i4")), THREE),
    "sparse and absurd": model(sparse([DENSE, ROWS]), THREE, shape=(2**15, 2**15)),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_files_are_refused(name: str) -> None:
    with pytest.raises(ModelFileError):
        read_tflite(WRONG[name])


def test_many_sparse_tensors_cannot_fill_the_memory() -> None:
    """Small on disk, huge in memory: the sum counts, not the single tensor."""
    side = 2**10
    nothing = {0: ("<b", 1), 2: ("<B", 1), 3: {0: np.zeros(side + 1, "<i4")}, 4: ("<B", 1), 5: {0: np.zeros(0, "<i4")}}
    wide = {0: np.array([side, side], "<i4"), 2: ("<I", 1), 6: {2: [DENSE, nothing]}}
    count = MAX_DENSE_ELEMENTS // side**2 + 1
    tensors = [{0: np.array([1, side, side], "<i4"), 3: "x"}, *[wide] * count]
    operators = []
    for i in range(count):
        tensors.append({0: np.array([1, side, side], "<i4")})
        source = 0 if i == 0 else len(tensors) - 2
        operators.append({1: np.array([source, 1 + i], "<i4"), 2: np.array([len(tensors) - 1], "<i4")})
    subgraph = {0: tensors, 1: np.array([0], "<i4"), 2: np.array([len(tensors) - 1], "<i4"), 3: operators}
    data = serialise({0: ("<I", 3), 1: [{0: ("<b", 0)}], 2: [subgraph], 4: [{}, {0: np.zeros(0, np.uint8)}]}, b"TFL3")
    with pytest.raises(ModelFileError):
        read_tflite(data)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"nothing\.tflite"):
        read_tflite(tmp_path / "nothing.tflite")
    (tmp_path / "notes.tflite").write_text("hello, this is not a network")
    with pytest.raises(ModelFileError, match=r"notes\.tflite"):
        read_tflite(tmp_path / "notes.tflite")


SMALL = write_tflite(everything())


def read_or_refuse(data: bytes) -> None:
    """Whatever the bytes are, the outcome is a graph or a ModelFileError."""
    with contextlib.suppress(ModelFileError):
        assert isinstance(read_tflite(data), Graph)


@given(st.integers(0, len(SMALL) - 1))
def test_cut_files_do_no_harm(end: int) -> None:
    read_or_refuse(SMALL[:end])


@settings(max_examples=500)
@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_altered_bytes_do_no_harm(changes: list[tuple[int, int]]) -> None:
    data = bytearray(SMALL)
    for at, byte in changes:
        data[at] = byte
    read_or_refuse(bytes(data))


@settings(max_examples=500)
@given(
    st.integers(0, len(SMALL) // 4 - 1),
    st.sampled_from([0, 1, 4, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFC, 2**20, len(SMALL)]),
)
def test_wild_offsets_do_no_harm(word: int, value: int) -> None:
    data = bytearray(SMALL)
    data[4 * word : 4 * word + 4] = value.to_bytes(4, "little")
    read_or_refuse(bytes(data))


@pytest.mark.parametrize("name", ["pose_detection", "selfie_segmentation"])
def test_altered_published_files_do_no_harm(name: str, published: Callable[[str], Path]) -> None:
    """The structure of these files lies at their end; the detector's has sparse tensors."""
    data, random = published(name).read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        altered = bytearray(data)
        for at in random.integers(max(len(data) - 100_000, 0), len(data), 40):
            altered[at] = random.integers(256)
        read_or_refuse(bytes(altered))
        read_or_refuse(data[: random.integers(len(data))])
