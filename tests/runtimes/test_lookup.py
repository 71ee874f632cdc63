"""Finding a runtime by name: what is there, what is missing and why."""

from __future__ import annotations

import builtins
import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posemask import runtimes
from posemask.errors import InputError, RuntimeUnavailableError
from posemask.networks.graph import Graph, Node, make_graph


@pytest.fixture
def graph() -> Graph:
    return make_graph([Node("relu", ("x",), "y", {})], {}, {"x": (1, 2, 2, 1)}, ["y"])


@pytest.fixture
def hide(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make packages impossible to import, as if they were not installed."""

    def hide(*packages: str) -> None:
        real = builtins.__import__

        def refuse(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
            if level == 0 and name.partition(".")[0] in packages:
                raise ModuleNotFoundError(f"No module named {name!r}")
            return real(name, globals, locals, fromlist, level)

        monkeypatch.setattr(builtins, "__import__", refuse)
        for name in list(sys.modules):
            if name.startswith("posemask.networks.to_torch"):
                monkeypatch.delitem(sys.modules, name)

    return hide


def test_unknown_names_are_refused(graph: Graph) -> None:
    with pytest.raises(InputError, match=f"auto or one of {', '.join(runtimes.RUNTIMES)}"):
        runtimes.load(graph, runtime="tensorrt")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("runtime", "package", "remedy"),
    [
        ("litert", "ai_edge_litert", "pip install ai-edge-litert"),
        ("openvino", "openvino", "pip install posemask[openvino]"),
        ("onnxruntime", "onnxruntime", "pip install posemask[onnxruntime]"),
        ("torch", "torch", "pip install posemask[torch]"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    runtime: runtimes.RuntimeName, package: str, remedy: str, graph: Graph, hide: Any
) -> None:
    hide(package)
    with pytest.raises(RuntimeUnavailableError) as caught:
        runtimes.load(graph, runtime=runtime)
    assert remedy in str(caught.value)


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only runtimes of other packages, which can be missing."""
    names = tuple(name for name in runtimes.RUNTIMES if runtimes.PACKAGES[name][0] != "posemask")
    monkeypatch.setattr(runtimes, "RUNTIMES", names)


@pytest.mark.usefixtures("foreign")
def test_auto_takes_the_first_that_works(graph: Graph, hide: Any) -> None:
    hide("ai_edge_litert", "openvino")
    if "onnxruntime" not in runtimes.available():
        pytest.skip("onnxruntime is not installed")
    assert np.array_equal(runtimes.load(graph)(np.ones((1, 2, 2, 1), np.float32))[0], np.ones((1, 2, 2, 1)))


@pytest.mark.usefixtures("foreign")
def test_auto_says_why_each_failed(graph: Graph, hide: Any) -> None:
    hide("ai_edge_litert", "openvino", "onnxruntime", "torch")
    with pytest.raises(RuntimeUnavailableError) as caught:
        runtimes.load(graph)
    assert all(f"{name}: " in str(caught.value) for name in runtimes.RUNTIMES)


@pytest.mark.parametrize("runtime", ["litert", "openvino", "onnxruntime"])
def test_only_torch_knows_gpus(runtime: runtimes.RuntimeName, graph: Graph) -> None:
    with pytest.raises(RuntimeUnavailableError, match="runtime='torch'"):
        runtimes.load(graph, runtime=runtime, device="cuda")


@pytest.mark.parametrize("runtime", ["torch", "auto"])
def test_a_missing_gpu_is_said(runtime: Any, graph: Graph) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(RuntimeUnavailableError, match="device 'cuda' is not available"):
        runtimes.load(graph, runtime=runtime, device="cuda")


@pytest.mark.parametrize("device", ["tpu", "mps", "", "cuda:x"])
def test_unknown_devices_are_refused(device: str, graph: Graph) -> None:
    pytest.importorskip("torch")
    with pytest.raises(InputError, match="device"):
        runtimes.load(graph, runtime="torch", device=device)


def test_what_is_here_is_described() -> None:
    described = {info.name: info for info in runtimes.describe()}
    assert set(described) == {*runtimes.RUNTIMES, "mediapipe"}
    for name in runtimes.available():
        info = described[name]
        assert info.problem is None
        if runtimes.PACKAGES[name][0] != "posemask":
            assert info.version == importlib.metadata.version(runtimes.PACKAGES[name][0])


def test_what_is_missing_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name in ("openvino", "ai-edge-litert"):
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    described = {info.name: info for info in runtimes.describe()}
    assert described["openvino"].version is None
    assert "posemask[openvino]" in described["openvino"].problem
    assert "pip install ai-edge-litert" in described["litert"].problem


def test_a_broken_installation_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    if "onnxruntime" not in runtimes.available():
        pytest.skip("onnxruntime is not installed")

    def fail(name: str) -> None:
        raise ImportError("DLL load failed")

    monkeypatch.setattr(importlib, "import_module", fail)
    described = {info.name: info for info in runtimes.describe()}
    assert described["onnxruntime"].problem == "cannot be imported: DLL load failed"
    assert described["onnxruntime"].version


def test_default_threads_are_few() -> None:
    assert 1 <= runtimes.default_threads() <= 4


@pytest.mark.parametrize("use", ["runtimes.load(graph, runtime='openvino')", "runtimes.describe()"])
def test_openvino_reports_nothing(use: str, tmp_path: Path) -> None:
    """Its import would send an event to a server; see `posemask.runtimes.telemetry`."""
    pytest.importorskip("openvino_telemetry")
    script = tmp_path / "use.py"
    script.write_text(
        "import sys\n"
        "from posemask import runtimes\n"
        "from posemask.networks.graph import Node, make_graph\n"
        "graph = make_graph([Node('relu', ('x',), 'y', {})], {}, {'x': (1, 2, 2, 1)}, ['y'])\n"
        f"{use}\n"
        "assert 'openvino' in sys.modules\n"
        "assert not any(name.startswith('openvino_telemetry') for name in sys.modules)\n"
        "import openvino.tools.ovc.telemetry_stub as stub, openvino.tools.ovc as ovc\n"
        "assert type(ovc.telemetry).__module__ == stub.__name__\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
