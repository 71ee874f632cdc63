"""Reading TensorFlow.js graph models: what the files mean, and what happens when they are damaged or hostile."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posemask.errors import ModelFileError
from posemask.networks.read_tfjs import OPEN_SIZE, read_tfjs


def text(value: str) -> dict[str, str]:
    return {"s": base64.b64encode(value.encode()).decode()}


def ints(*values: int) -> dict[str, Any]:
    return {"list": {"i": [str(v) for v in values]}}


def placeholder(name: str = "x", sizes: tuple[int, ...] = (-1, 8, 8, 2)) -> dict[str, Any]:
    return {"name": name, "op": "Placeholder", "attr": {"shape": {"shape": {"dim": [{"size": str(s)} for s in sizes]}}}}


def const(name: str) -> dict[str, Any]:
    return {"name": name, "op": "Const", "attr": {}}


def conv(name: str, *inputs: str, op: str = "Conv2D", **attributes: Any) -> dict[str, Any]:
    attr = {"strides": ints(1, 1, 1, 1), "padding": text("SAME"), **attributes}
    return {"name": name, "op": op, "input": list(inputs), "attr": attr}


def write_model(
    folder: Path,
    nodes: list[dict[str, Any]],
    weights: dict[str, np.ndarray],
    *,
    shards: int = 1,
    signature: dict[str, str] | None = None,
    **changes: Any,
) -> Path:
    """A model with float32 and int32 weights; ``changes`` replace parts of the document."""
    data = b"".join(array.tobytes() for array in weights.values())
    step = -(-len(data) // shards)
    names = [f"part{i}.bin" for i in range(shards)]
    for i, name in enumerate(names):
        (folder / name).write_bytes(data[i * step : (i + 1) * step])
    specs = [{"name": name, "shape": list(array.shape), "dtype": array.dtype.name} for name, array in weights.items()]
    document: dict[str, Any] = {
        "format": "graph-model",
        "modelTopology": {"node": nodes},
        "weightsManifest": [{"paths": names, "weights": specs}],
    }
    if signature:
        document["signature"] = {"outputs": {key: {"name": name} for key, name in signature.items()}}
    path = folder / "model.json"
    path.write_text(json.dumps({**document, **changes}))
    return path


@pytest.fixture
def simple(tmp_path: Path) -> Path:
    """x -> conv -> + bias -> relu6, its nodes out of order, its weights cut into two shards."""
    rng = np.random.default_rng(0)
    nodes = [
        {"name": "y", "op": "Relu6", "input": ["sum"], "attr": {}},
        {"name": "sum", "op": "BiasAdd", "input": ["c", "b:0"], "attr": {}},
        conv("c", "x", "w"),
        const("w"),
        const("b"),
        placeholder(),
    ]
    weights = {"w": rng.normal(size=(3, 3, 2, 4)).astype(np.float32), "b": rng.normal(size=4).astype(np.float32)}
    return write_model(tmp_path, nodes, weights, shards=2)


def damaged(path: Path, change: Any) -> Path:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    return path


# --- what the files mean -------------------------------------------------------------------------------------------


def test_nodes_are_sorted_and_bias_and_activation_fused(simple: Path) -> None:
    graph = read_tfjs(simple)
    (node,) = graph.nodes
    assert (node.op, node.output, node.attributes["activation"]) == ("conv2d", "y", "relu6")
    assert graph.input_shapes == ((1, 8, 8, 2),)
    assert graph.output_shapes == ((1, 8, 8, 4),)
    weights, bias = (graph.constants[name] for name in node.inputs[1:])
    data = np.frombuffer(b"".join((simple.parent / f"part{i}.bin").read_bytes() for i in range(2)), "<f4")
    np.testing.assert_array_equal(weights, data[:72].reshape(3, 3, 2, 4).transpose(3, 0, 1, 2))
    np.testing.assert_array_equal(bias, data[72:])


def test_a_value_with_two_readers_is_not_fused_away(tmp_path: Path) -> None:
    nodes = [
        placeholder(),
        const("w"),
        conv("c", "x", "w"),
        {"name": "r", "op": "Relu", "input": ["c"], "attr": {}},
        {"name": "y", "op": "AddV2", "input": ["r", "c"], "attr": {}},
    ]
    graph = read_tfjs(write_model(tmp_path, nodes, {"w": np.ones((1, 1, 2, 2), np.float32)}))
    assert [(n.op, n.attributes.get("activation")) for n in graph.nodes] == [
        ("conv2d", "none"),
        ("relu", None),
        ("add", "none"),
    ]


def test_open_sizes_become_definite_and_can_be_changed(tmp_path: Path) -> None:
    nodes = [placeholder(sizes=(-1, -1, -1, 2)), {"name": "y", "op": "Sigmoid", "input": ["x"], "attr": {}}]
    graph = read_tfjs(write_model(tmp_path, nodes, {}))
    assert graph.input_shapes == ((1, OPEN_SIZE, OPEN_SIZE, 2),)
    assert graph.with_input_shape((1, 33, 17, 2)).output_shapes == ((1, 33, 17, 2),)


def test_signature_gives_names_and_order(tmp_path: Path) -> None:
    nodes = [
        placeholder(),
        {"name": "a", "op": "Relu", "input": ["x"], "attr": {}},
        {"name": "b", "op": "Sigmoid", "input": ["x"], "attr": {}},
        {"name": "Identity", "op": "Identity", "input": ["a"], "attr": {}},
    ]
    graph = read_tfjs(write_model(tmp_path, nodes, {}, signature={"second:0": "b:0", "first": "Identity:0"}))
    assert graph.outputs == ("second", "first")
    unsigned = read_tfjs(write_model(tmp_path, nodes, {}))
    assert unsigned.outputs == ("b", "Identity")


@pytest.mark.parametrize(("stored", "dtype"), [("uint8", "<u1"), ("uint16", "<u2")])
def test_quantised_weights(tmp_path: Path, stored: str, dtype: str) -> None:
    numbers = np.array([0, 1, 255], dtype)
    (tmp_path / "w.bin").write_bytes(numbers.tobytes())
    quantization = {"dtype": stored, "scale": 0.25, "min": -3.0}
    spec = {"name": "w", "shape": [3], "dtype": "float32", "quantization": quantization}
    path = write_model(
        tmp_path,
        [placeholder(sizes=(1, 4, 4, 3)), const("w"), {"name": "y", "op": "Mul", "input": ["w", "x"], "attr": {}}],
        {},
        weightsManifest=[{"paths": ["w.bin"], "weights": [spec]}],
    )
    np.testing.assert_array_equal(read_tfjs(path).constants["w"], [-3.0, -2.75, 60.75])


def test_half_precision_weights_stay_half_precision(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(np.array([0.5, 2.0], "<f2").tobytes())
    spec = {"name": "w", "shape": [2], "dtype": "float32", "quantization": {"dtype": "float16"}}
    path = write_model(
        tmp_path,
        [placeholder(), const("w"), {"name": "y", "op": "Mul", "input": ["w", "x"], "attr": {}}],
        {},
        weightsManifest=[{"paths": ["w.bin"], "weights": [spec]}],
    )
    constant = read_tfjs(path).constants["w"]
    assert constant.dtype == np.float16
    np.testing.assert_array_equal(constant, [0.5, 2.0])


def test_fused_operators_and_depthwise_weights(tmp_path: Path) -> None:
    fused = {"fused_ops": {"list": {"s": [text("BiasAdd")["s"], text("Relu")["s"]]}}}
    nodes = [
        placeholder(),
        *map(const, ("w", "b", "d")),
        conv("c", "x", "w", "b", op="_FusedConv2D", **fused, strides=ints(1, 2, 2, 1)),
        conv("y", "c", "d", op="DepthwiseConv2dNative", padding=text("VALID")),
    ]
    depthwise = np.arange(3 * 3 * 4 * 2, dtype=np.float32).reshape(3, 3, 4, 2)
    weights = {"w": np.ones((3, 3, 2, 4), np.float32), "b": np.zeros(4, np.float32), "d": depthwise}
    graph = read_tfjs(write_model(tmp_path, nodes, weights))
    first, second = graph.nodes
    assert first.attributes["activation"] == "relu"
    assert first.attributes["strides"] == (2, 2)
    assert graph.shapes[second.output] == (1, 2, 2, 8)
    # Output channel c M + m comes from input channel c.
    np.testing.assert_array_equal(graph.constants[second.inputs[1]][0, :, :, 5], depthwise[:, :, 2, 1])


@pytest.mark.parametrize(
    ("name", "file", "outputs"),
    [
        ("bodypix_mobilenet_v1_075_quant2_stride16_tfjs", "model-stride16.json", (34, 1, 24, 34, 17, 32, 32, 48)),
        ("blazepose_lite_tfjs", "blazepose-lite.json", (117, 39, 1, 1, 195)),
        ("selfie_segmentation", "selfie.json", (1,)),
    ],
)
def test_published_models(shared_data: Path, name: str, file: str, outputs: tuple[int, ...]) -> None:
    graph = read_tfjs(shared_data / "weights" / name / file)
    assert tuple(shape[-1] for shape in graph.output_shapes) == outputs
    convolutions = [node for node in graph.nodes if node.op in ("conv2d", "depthwise_conv2d")]
    assert all(len(node.inputs) == 3 for node in convolutions)


# --- damaged and hostile files -------------------------------------------------------------------------------------


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"nothing\.json"):
        read_tfjs(tmp_path / "nothing.json")


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe\x00", b"[]", b"[" * 100_000, b'{"modelTopology": {}}'])
def test_not_a_model(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(data)
    with pytest.raises(ModelFileError):
        read_tfjs(path)


def test_missing_shard(simple: Path) -> None:
    (simple.parent / "part1.bin").unlink()
    with pytest.raises(ModelFileError, match=r"part1\.bin"):
        read_tfjs(simple)


@pytest.mark.parametrize("change", [-4, -1, 1, 4])
def test_shard_of_the_wrong_size(simple: Path, change: int) -> None:
    shard = simple.parent / "part0.bin"
    data = shard.read_bytes()
    shard.write_bytes(data[:change] if change < 0 else data + b"\0" * change)
    with pytest.raises(ModelFileError, match="304 bytes"):
        read_tfjs(simple)


@pytest.mark.parametrize(
    "name", ["../secret.bin", "/etc/passwd", "a/../../secret.bin", "..\\secret.bin", "C:\\secret.bin", "", "a\0b", 7,
             "http://example.org/w.bin", "\\\\host\\share\\w.bin"],
)  # fmt: skip
def test_shards_outside_the_folder_are_not_read(simple: Path, name: Any) -> None:
    (simple.parent.parent / "secret.bin").write_bytes(b"\0" * 152)
    with pytest.raises(ModelFileError, match=r"outside|relative path"):
        read_tfjs(damaged(simple, lambda d: d["weightsManifest"][0]["paths"].__setitem__(0, name)))


def test_links_out_of_the_folder_are_not_followed(simple: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "w.bin"
    shard = simple.parent / "part0.bin"
    outside.write_bytes(shard.read_bytes())
    shard.unlink()
    shard.symlink_to(outside)
    with pytest.raises(ModelFileError, match="outside the model's folder"):
        read_tfjs(simple)


@pytest.mark.parametrize("shape", [[-1], [2**40], [3, 3, 2, 2.0], "3", [True], [2**20, 2**20], [1] * 9, None])
def test_absurd_shapes(simple: Path, shape: Any) -> None:
    with pytest.raises(ModelFileError):
        read_tfjs(damaged(simple, lambda d: d["weightsManifest"][0]["weights"][0].__setitem__("shape", shape)))


@pytest.mark.parametrize(
    "quantization",
    [{}, 3, {"dtype": "uint4"}, {"dtype": "uint8"}, {"dtype": "uint8", "scale": "1", "min": 0},
     {"dtype": "uint8", "scale": 1e300, "min": 0}, {"dtype": "uint16", "scale": 1, "min": None}],
)  # fmt: skip
def test_absurd_quantisation(simple: Path, quantization: Any) -> None:
    def change(document: dict[str, Any]) -> None:
        document["weightsManifest"][0]["weights"][0]["quantization"] = quantization

    with pytest.raises(ModelFileError):
        read_tfjs(damaged(simple, change))


NODE_CHANGES: list[tuple[str, Any]] = [
    ("not supported", lambda nodes: nodes[0].update(op="CustomOp")),
    ("does not exist", lambda nodes: nodes[0].update(input=["nobody"])),
    ("circle", lambda nodes: nodes[2].update(input=["y", "w"])),
    ("circle", lambda nodes: nodes[0].update(input=["y"])),
    ("are called", lambda nodes: nodes.append(dict(nodes[0]))),
    ("only output", lambda nodes: nodes[0].update(input=["sum:1"])),
    ("strides", lambda nodes: nodes[2]["attr"].update(strides=ints(2, 1, 1, 1))),
    ("strides", lambda nodes: nodes[2]["attr"].update(strides=ints(1, 0, 1, 1))),
    ("strides", lambda nodes: nodes[2]["attr"].update(strides={"list": {"i": ["x"]}})),
    ("strides", lambda nodes: nodes[2]["attr"].update(strides=7)),
    ("padding", lambda nodes: nodes[2]["attr"].update(padding=text("EXPLICIT"))),
    ("padding", lambda nodes: nodes[2]["attr"].update(padding={"s": "???"})),
    ("NHWC", lambda nodes: nodes[2]["attr"].update(data_format=text("NCHW"))),
    ("has 1 inputs", lambda nodes: nodes[2].update(input=["x"])),
    ("float constant", lambda nodes: nodes[2].update(input=["x", "x"])),
    ("do not fit", lambda nodes: nodes[5].update(placeholder(sizes=(1, 8, 8, 3)))),
    ("no shape", lambda nodes: nodes[5]["attr"].clear()),
    ("positive sizes", lambda nodes: nodes[5].update(placeholder(sizes=(1, 0, 8, 2)))),
    ("elements", lambda nodes: nodes[5].update(placeholder(sizes=(1, 2**19, 2**19, 2)))),
    ("has no weights", lambda nodes: nodes.append(const("nothing"))),
    ("must be an object", lambda nodes: nodes.append(3)),
    ("needs a name", lambda nodes: nodes.append({"op": "Relu"})),
    ("must be names", lambda nodes: nodes[0].update(input=[3])),
]


@pytest.mark.parametrize(("message", "change"), NODE_CHANGES, ids=range(len(NODE_CHANGES)))
def test_damaged_nodes(simple: Path, message: str, change: Any) -> None:
    with pytest.raises(ModelFileError, match=message):
        read_tfjs(damaged(simple, lambda document: change(document["modelTopology"]["node"])))


@pytest.mark.parametrize(
    "signature", [[], {"outputs": {}}, {"outputs": {"y": 3}}, {"outputs": {"y": {"name": "nobody:0"}}}, {"outputs": 1}]
)
def test_damaged_signature(simple: Path, signature: Any) -> None:
    with pytest.raises(ModelFileError):
        read_tfjs(damaged(simple, lambda document: document.update(signature=signature)))


@pytest.mark.parametrize(
    "manifest", [None, {}, [3], [{}], [{"paths": [], "weights": [3]}], [{"paths": 1, "weights": []}]]
)
def test_damaged_manifest(simple: Path, manifest: Any) -> None:
    with pytest.raises(ModelFileError):
        read_tfjs(damaged(simple, lambda document: document.update(weightsManifest=manifest)))


def test_random_damage_raises_nothing_else(simple: Path) -> None:
    """Any byte of the document may be wrong: the reader gives a graph or a ModelFileError."""
    original = simple.read_bytes()
    rng = np.random.default_rng(1)
    outcomes = set()
    for _ in range(300):
        data = bytearray(original)
        for _ in range(rng.integers(1, 4)):
            data[rng.integers(len(data))] = rng.integers(32, 127)
        simple.write_bytes(bytes(data))
        try:
            read_tfjs(simple)
            outcomes.add("graph")
        except ModelFileError:
            outcomes.add("error")
    assert outcomes == {"graph", "error"}


def test_not_finite_weights_are_the_networks_business(tmp_path: Path) -> None:
    """Weights are data: the reader does not judge them, so that a diverged network can still be looked at."""
    (tmp_path / "b.bin").write_bytes(struct.pack("<f", float("nan")))
    spec = {"name": "b", "shape": [1], "dtype": "float32"}
    nodes = [placeholder(), const("b"), {"name": "y", "op": "AddV2", "input": ["x", "b"], "attr": {}}]
    path = write_model(tmp_path, nodes, {}, weightsManifest=[{"paths": ["b.bin"], "weights": [spec]}])
    assert np.isnan(read_tfjs(path).constants["b"]).all()
