"""The native engine against the plain interpreter by operator, and against LiteRT on the published networks."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import numpy as np
import pytest

from posemask.errors import InferenceError, InputError, ModelFileError
from posemask.networks.graph import Graph, Node, make_graph
from posemask.runtimes import litert, native


def _from_networks(name: str):
    """A module of the tests beside these, which are no package that could be imported from here."""
    spec = importlib.util.spec_from_file_location(
        f"networks_{name}", Path(__file__).parents[1] / "networks" / f"{name}.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


examples, reference = _from_networks("examples"), _from_networks("reference")
pytest.importorskip("posemask._engine", reason="the extension module is not built")

INSTRUCTION_SETS = ("portable", "avx2", "avx512")
# What the published networks do not use. `load` says so, and another runtime takes the graph.
UNSUPPORTED = (
    "depthwise_conv2d same stride", "depthwise_conv2d valid stride",  # several channels of each
    "transposed_conv2d same kernel 3", "transposed_conv2d same kernel 4", "transposed_conv2d same kernel 2 stride 3",
    "transposed_conv2d valid kernel 3", "transposed_conv2d valid kernel 4", "transposed_conv2d valid kernel 2 stride 3",
    "transposed_conv2d without bias", "softmax", "flat then softmax", "flat then mean", "flat then pad",
    "mean (1,) ", "mean (2,) ", "mean (3,) ", "mean (1, 2, 3) ", "pad channels",
)  # fmt: skip
MODELS = (
    "pose_detection",
    "pose_landmark_lite",
    "pose_landmark_full",
    "pose_landmark_heavy",
    "selfie_segmentation",
    "selfie_segmentation_landscape",
)


@pytest.fixture(params=INSTRUCTION_SETS)
def instruction_set(request, monkeypatch):
    from posemask import _engine

    monkeypatch.setenv("POSEMASK_ISA", request.param)
    if _engine.instruction_set() != request.param:
        pytest.skip(f"this machine has no {request.param}")
    return request.param


def picture(graph: Graph, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=graph.input_shapes[0]).astype(np.float32) * 2


def assert_same(made, expected, tolerance=1e-5):
    assert len(made) == len(expected)
    for ours, theirs in zip(made, expected, strict=True):
        assert ours.shape == theirs.shape
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * max(1.0, np.abs(theirs).max()))


@pytest.mark.parametrize("name", [n for n in examples.OPERATORS if not n.startswith(UNSUPPORTED)])
def test_operators_mean_what_the_interpreter_says(name):
    graph = examples.OPERATORS[name]
    x = picture(graph)
    for threads in (1, 2):
        assert_same(native.load(graph, threads=threads)(x), reference.run(graph, x))


@pytest.mark.parametrize("name", [n for n in examples.OPERATORS if n.startswith(UNSUPPORTED)])
def test_what_is_not_supported_is_said(name):
    with pytest.raises(ModelFileError, match="native engine"):
        native.load(examples.OPERATORS[name])


@pytest.mark.parametrize(
    "graph",
    [
        examples.single("concat", examples.weights(2, 7, 8, 4), axis=3),
        examples.single("depthwise_conv2d", examples.weights(1, 65, 1, 4), padding="same"),
    ],
)
def test_odd_graphs_are_refused(graph):
    with pytest.raises(ModelFileError, match="native engine"):
        native.load(graph)


def inverted_residual(
    rng: np.random.Generator, size: tuple[int, int], thin: int, wide: int, kernel: int, stride: int, activation: str
) -> Graph:
    """1x1 -> depthwise -> 1x1, with the sum where the shapes allow, its input also used by a second branch."""

    def layer(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    pad = kernel // 2
    around = {"paddings": ((0, 0), (pad, pad), (pad, pad), (0, 0))}
    nodes = [
        Node("conv2d", ("x", "w1", "b1"), "wide", {"padding": "same", "activation": activation}),
        Node("pad", ("wide",), "padded", around),
        Node(
            "depthwise_conv2d",
            ("padded", "w2", "b2"),
            "deep",
            {"padding": "valid", "strides": (stride, stride), "activation": activation},
        ),
        Node("conv2d", ("deep", "w3", "b3"), "thin", {"padding": "same"}),
    ]
    last = "thin"
    if stride == 1:
        nodes.append(Node("add", ("thin", "x"), "sum", {}))
        last = "sum"
    nodes.append(Node("depthwise_conv2d", ("x", "w4"), "side", {"padding": "same"}))
    nodes.append(Node("max_pool", (last,), "pooled", {"window": (2, 2), "strides": (2, 2), "padding": "same"}))
    constants = {
        "w1": layer(wide, 1, 1, thin), "b1": layer(wide), "w2": layer(1, kernel, kernel, wide), "b2": layer(wide),
        "w3": layer(thin, 1, 1, wide), "b3": layer(thin), "w4": layer(1, 3, 3, thin),
    }  # fmt: skip
    return make_graph(nodes, constants, {"x": (1, *size, thin)}, [last, "side", "pooled"])


@pytest.mark.parametrize(
    ("size", "thin", "wide", "kernel", "stride"),
    [
        ((17, 33), 24, 88, 3, 1),
        ((40, 21), 8, 40, 3, 2),
        ((34, 30), 16, 72, 5, 1),
        ((33, 64), 3, 7, 5, 2),
        ((14, 14), 40, 100, 5, 1),
        ((7, 7), 56, 130, 5, 1),
        ((8, 8), 88, 264, 5, 2),
        ((4, 4), 9, 20, 3, 1),
        ((1, 3), 5, 12, 3, 1),
    ],
)
def test_fused_blocks(instruction_set, size, thin, wide, kernel, stride):
    graph = inverted_residual(np.random.default_rng(wide), size, thin, wide, kernel, stride, "relu6")
    x = picture(graph)
    for threads in (1, 2, 3):
        assert_same(native.load(graph, threads=threads)(x), reference.run(graph, x), 1e-4)


def mask_decoder(rng: np.random.Generator, h: int, w: int, channels: int) -> Graph:
    """Resize (+ skip), two blocks with their sums, resize, block, 3x3 to one channel."""

    def layer(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) / 3).astype(np.float32)

    nodes = [
        Node("resize_bilinear", ("x",), "up", {"size": (2 * h, 2 * w), "half_pixel": True}),
        Node("resize_bilinear", ("skip",), "skip up", {"size": (2 * h, 2 * w)}),
        Node("add", ("up", "skip up"), "sum", {}),
    ]
    constants = {}
    last = "sum"
    for i in range(3):
        constants |= {
            f"d{i}": layer(1, 3, 3, channels),
            f"p{i}": layer(channels, 1, 1, channels),
            f"b{i}": layer(channels),
        }
        nodes += [
            Node("depthwise_conv2d", (last, f"d{i}"), f"deep{i}", {"padding": "same", "activation": "relu6"}),
            Node("conv2d", (f"deep{i}", f"p{i}", f"b{i}"), f"thin{i}", {"padding": "same"}),
            Node("add", (last, f"thin{i}"), f"sum{i}", {}),
        ]
        last = f"sum{i}"
        if i == 1:
            nodes.append(Node("resize_bilinear", (last,), "large", {"size": (4 * h, 3 * w), "half_pixel": True}))
            last = "large"
    constants |= {"last": layer(1, 3, 3, channels), "bias": layer(1)}
    nodes.append(Node("conv2d", (last, "last", "bias"), "mask", {"padding": "same"}))
    inputs = {"x": (2, h, w, channels), "skip": (2, h, w, channels)}
    return make_graph(nodes, constants, inputs, ["mask"])


@pytest.mark.parametrize(("size", "channels"), [((6, 5), 8), ((9, 16), 5)])
def test_thin_chains(instruction_set, size, channels):
    rng = np.random.default_rng(channels)
    graph = mask_decoder(rng, *size, channels)
    pictures = [rng.normal(size=shape).astype(np.float32) for shape in graph.input_shapes]
    expected = reference.run(graph, *pictures)
    for threads in (1, 2, 3):
        network = native.load(graph, threads=threads)
        assert_same(network(*pictures), expected, 1e-4)


@pytest.mark.parametrize("width", [16, 15, 3])
@pytest.mark.parametrize("rows", [(0, 36), (5, 17), (35, 36), (-3, 2), (20, 99), (7, 7)])
@pytest.mark.parametrize("columns", [(0, 99), (13, 41), (-3, 1), (59, 99), (30, 30)])
def test_only_a_window_of_a_mask(instruction_set, width, rows, columns):
    rng = np.random.default_rng(8)
    graph = mask_decoder(rng, 9, width, 8)
    pictures = [rng.normal(size=shape).astype(np.float32) for shape in graph.input_shapes]
    wanted = slice(max(rows[0], 0), rows[1]), slice(max(columns[0], 0), columns[1])
    for threads in (1, 2):
        network = native.load(graph, threads=threads)
        whole = network(*pictures)[0].copy()
        some = np.full_like(whole, np.nan)
        network(*pictures, out=[some], window=(*rows, *columns))
        np.testing.assert_array_equal(some[(0, *wanted)], whole[(0, *wanted)])
        assert np.isnan(some[:, : max(rows[0], 0)]).all()
        assert np.isnan(some[:, :, : max(columns[0] - 8, 0)]).all()
        assert np.isnan(some[:, :, columns[1] + 8 :]).all()


@pytest.mark.parametrize("name", MODELS)
def test_published_networks_equal_litert(graph_of, name):
    graph = graph_of(name)
    x = np.random.default_rng(1).random(graph.input_shapes[0], dtype=np.float32)
    expected = [value.copy() for value in litert.load(graph)(x)]
    for threads in (1, 2):
        assert_same(native.load(graph, threads=threads)(x), expected, 5e-4)


def small() -> Graph:
    return examples.OPERATORS["conv2d relu"]


def test_any_batch_and_given_outputs():
    graph = small()
    network = native.load(graph)
    one = picture(graph)
    many = np.concatenate([one, -one, one[::-1]])
    out = [np.empty((len(many), *graph.output_shapes[0][1:]), np.float32)]
    assert network(many, out=out)[0] is out[0]
    for i in range(len(many)):
        np.testing.assert_array_equal(network(many[i : i + 1])[0][0], out[0][i])


def test_outputs_are_reused():
    network = native.load(small())
    assert network(picture(small()))[0] is network(picture(small()))[0]


def test_input_may_be_read_only_and_strided():
    graph = small()
    x = picture(graph)
    expected = native.load(graph)(x)[0].copy()
    wide = np.zeros((*x.shape[:2], 2 * x.shape[2], x.shape[3]), np.float32)
    wide[:, :, ::2] = x
    strided = wide[:, :, ::2]
    strided.flags.writeable = False
    np.testing.assert_array_equal(native.load(graph)(strided)[0], expected)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((1, 7, 8, 3), np.float32),
        np.zeros((7, 8, 4), np.float32),
        np.zeros((1, 7, 8, 4)),
        np.zeros((0, 7, 8, 4)),
        3,
    ],
)
def test_other_inputs_are_refused(wrong):
    with pytest.raises(InputError, match="expects float32"):
        native.load(small())(wrong)


def test_other_outputs_are_refused():
    graph = small()
    right = np.empty(graph.output_shapes[0], np.float32)
    for wrong in ([], [right[:1]], [right.astype(np.float64)], [np.asfortranarray(right)]):
        with pytest.raises(InputError, match="out must hold"):
            native.load(graph)(picture(graph), out=wrong)


@pytest.mark.parametrize("threads", [0, -1, 1.5, True])
def test_threads_are_a_number(threads):
    with pytest.raises(InputError, match="threads"):
        native.load(small(), threads=threads)


def test_idle_threads_sleep():
    network = native.load(small(), threads=3)
    network(picture(small()))
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.4)
    assert time.process_time() - before < 0.1
    network(picture(small()))


def test_networks_run_beside_each_other():
    from concurrent.futures import ThreadPoolExecutor

    graph = small()
    x = picture(graph)
    expected = native.load(graph)(x)[0].copy()
    networks = [native.load(graph, threads=2) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        for made in pool.map(lambda network: [network(x)[0].copy() for _ in range(200)], networks):
            for value in made:
                np.testing.assert_array_equal(value, expected)


def test_a_network_is_not_run_by_two_threads_at_once():
    network = native.load(small())
    meanwhile: list[Exception] = []

    class Plan:
        """Runs the network once more while it is running."""

        def run(self, *arguments):
            try:
                network(picture(small()))
            except InferenceError as error:
                meanwhile.append(error)
            plan.run(*arguments)

    plan, network._plan = network._plan, Plan()
    made = network(picture(small()))
    assert "another thread" in str(meanwhile[0])
    network._plan = plan
    np.testing.assert_array_equal(made[0], native.load(small())(picture(small()))[0])


def test_a_call_that_fails_leaves_the_network_free():
    class Plan:
        def run(self, *arguments):
            raise KeyboardInterrupt

    network = native.load(small())
    expected = network(picture(small()))[0].copy()
    plan, network._plan = network._plan, Plan()
    with pytest.raises(KeyboardInterrupt):
        network(picture(small()))
    network._plan = plan
    np.testing.assert_array_equal(network(picture(small()))[0], expected)


def test_profile_names_every_step():
    profile = native.load(small()).profile(picture(small()), rounds=2)
    assert any(name.startswith("conv 3x3") for name, _ in profile)
    assert all(0 <= seconds < 1 for _, seconds in profile)
