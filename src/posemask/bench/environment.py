"""The machine and the versions that a measurement was made with."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from pathlib import Path

from .. import __version__

__all__ = ["environment"]

_PACKAGES = ("ai-edge-litert", "openvino", "onnxruntime", "torch", "mediapipe", "numpy")


def environment() -> dict[str, str]:
    """What to write beside every figure."""
    facts = {
        "posemask": __version__,
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
    }
    versions = {package: _version(package) for package in _PACKAGES}
    return facts | {package: version for package, version in versions.items() if version}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _processor() -> str:
    """The processor's own name where the system tells it."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model"):
                return value.strip()
    return platform.processor() or platform.machine()
