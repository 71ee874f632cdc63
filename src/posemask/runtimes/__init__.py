"""Runtimes: what runs a network. Each is a module with one `load(graph, ...) -> Network`; this is the look-up.

    native        our own engine, the default on a CPU
    litert        LiteRT with XNNPACK, MediaPipe's own arithmetic
    openvino      Intel's, the fastest on some CPUs, a second to start
    onnxruntime   the widest reach
    torch         on a CPU for reference, on a GPU for everything

A runtime's package is imported when a network is loaded on it and never before.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
from dataclasses import dataclass
from typing import Literal

from .. import __version__
from ..errors import InputError, ModelFileError, RuntimeUnavailableError
from ..networks.graph import Graph
from .network import Network
from .telemetry import no_telemetry

__all__ = ["RUNTIMES", "Network", "RuntimeInfo", "RuntimeName", "available", "default_threads", "describe", "load"]

RuntimeName = Literal["native", "litert", "openvino", "onnxruntime", "torch"]

RUNTIMES: tuple[RuntimeName, ...] = ("native", "litert", "openvino", "onnxruntime", "torch")
"""Names of the runtimes, in the order in which "auto" tries them on a CPU."""

PACKAGES = {
    "native": ("posemask", "posemask._engine"),
    "litert": ("ai-edge-litert", "ai_edge_litert.interpreter"),
    "openvino": ("openvino", "openvino"),
    "onnxruntime": ("onnxruntime", "onnxruntime"),
    "torch": ("torch", "torch"),
    "mediapipe": ("mediapipe", "mediapipe"),
}
"""Distribution and module of each runtime, and of MediaPipe, which replaces whole chains and not only networks."""

MOST_THREADS = 4  # by default; the networks are small, and more threads wait for each other longer than they work


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeInfo:
    """Whether a runtime can be used here.

    Attributes:
        name: as in `RUNTIMES`, or "mediapipe".
        version: of its package; None if it is not installed.
        problem: why it cannot be used, and what to do; None if it can.
    """

    name: str
    version: str | None
    problem: str | None


def load(
    graph: Graph,
    *,
    runtime: RuntimeName | Literal["auto"] = "auto",
    device: str = "cpu",
    threads: int | None = None,
) -> Network:
    """A network that runs `graph`.

    Args:
        graph: the network; it runs at the graph's batch and input size.
        runtime: a name of `RUNTIMES`. "auto" takes the first of them that works, on a GPU torch.
        device: "cpu", or a CUDA device such as "cuda" or "cuda:1", which only torch can use.
        threads: how many CPU threads to use; by default one for each usable CPU, four at most.

    Raises `InputError` for an unknown name, `RuntimeUnavailableError` if the runtime or the device is not there.
    """
    threads = default_threads() if threads is None else threads
    if runtime == "auto":
        return _load_first(graph, device, threads)
    if runtime not in RUNTIMES:
        raise InputError(f"runtime must be auto or one of {', '.join(RUNTIMES)}, got {runtime!r}")
    if runtime != "torch" and device != "cpu":
        raise RuntimeUnavailableError(f"{runtime} runs on device 'cpu', not on {device!r}; use runtime='torch'")
    module = importlib.import_module(f".{runtime}", __name__)
    options = {"device": device} if runtime == "torch" else {}
    network: Network = module.load(graph, threads=threads, **options)
    return network


def _load_first(graph: Graph, device: str, threads: int) -> Network:
    problems = []
    for runtime in RUNTIMES if device == "cpu" else ("torch",):
        try:
            return load(graph, runtime=runtime, device=device, threads=threads)
        # A runtime may also lack an operator of this network, as our own does for some that no published network has.
        except (RuntimeUnavailableError, ModelFileError) as error:  # noqa: PERF203 - at most once for each runtime
            problems.append(f"{runtime}: {error}")
    raise RuntimeUnavailableError(f"no runtime works on device {device!r}\n" + "\n".join(problems))


def default_threads() -> int:
    """One thread for each CPU that this process may use, four at most."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, MOST_THREADS)


def available() -> tuple[RuntimeName, ...]:
    """The runtimes whose packages are installed, best first. Imports none of them; `describe` does."""
    return tuple(name for name in RUNTIMES if _is_there(PACKAGES[name][1]))


def _is_there(module: str) -> bool:
    package, _, inner = module.partition(".")
    # Looking for a module inside a foreign package would import that package.
    return importlib.util.find_spec(module if package == "posemask" and inner else package) is not None


def describe() -> tuple[RuntimeInfo, ...]:
    """What is known of every runtime and of MediaPipe here. Imports each of them, so it can take seconds."""
    return tuple(_describe(name, *package) for name, package in PACKAGES.items())


def _describe(name: str, distribution: str, module: str) -> RuntimeInfo:
    try:
        version = __version__ if distribution == "posemask" else importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        todo = f"pip install {distribution}" if name == "litert" else f'pip install "posemask[{name}]"'
        return RuntimeInfo(name=name, version=None, problem=f"not installed: {todo}")
    try:
        with no_telemetry():
            importlib.import_module(module)
    except Exception as error:  # a broken installation may raise anything while it is imported
        return RuntimeInfo(name=name, version=version, problem=f"cannot be imported: {error}")
    return RuntimeInfo(name=name, version=version, problem=None)
