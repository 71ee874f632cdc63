"""``posemask doctor``: what this installation has, what is missing, and the command that brings it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import typer

from .. import __version__
from ..errors import PosemaskError
from .console import AsJson, print_json

_PACKAGES = ("numpy", "pillow", "av", "httpx")
_FEATURES = {
    "sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni",
    "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8",
    "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2",
}  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the command ``doctor``."""
    app.command("doctor")(examine)


def examine(as_json: AsJson = False) -> None:
    """Show versions, processor, runtimes, devices and weights, and what is missing."""
    findings = _findings()
    if as_json:
        print_json(findings)
        return
    for title, entries in findings.items():
        print(title)
        for name, value in entries.items():
            print(f"  {name:<30}  {_line(value)}")


def _findings() -> dict[str, dict[str, Any]]:
    return {
        "versions": _versions(),
        "processor": _processor(),
        "runtimes": _runtimes(),
        "devices": _devices(),
        "weights": _weights(),
    }


def _line(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value)


def _versions() -> dict[str, str]:
    versions = {"posemask": __version__, "python": f"{platform.python_version()} ({sys.executable})"}
    versions["system"] = f"{platform.system()} {platform.release()} {platform.machine()}"
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # noqa: PERF203 - a handful
            versions[package] = f"missing: pip install {package}"
    return versions


def _processor() -> dict[str, Any]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"name": _processor_name(), "cores": usable, "features": _processor_features(), "our kernels": _kernels()}


def _processor_name() -> str:
    if sys.platform == "darwin":
        return _output_of("sysctl", "-n", "machdep.cpu.brand_string")
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _processor_features() -> list[str]:
    names = _cpuinfo("flags") or _cpuinfo("Features")
    return sorted(_FEATURES & set(names.split()))


def _cpuinfo(key: str) -> str:
    """The first value under a key of Linux' description of the processors; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key), "")


def _output_of(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _kernels() -> str:
    try:
        from .. import _pixels
    except ImportError as error:
        return f"missing: {error}; pip install --force-reinstall posemask"
    return f"{_pixels.level()} (of {', '.join(_pixels.levels())})"


def _runtimes() -> dict[str, str]:
    from ..runtimes import describe

    return {info.name: ", ".join(filter(None, (info.version, info.problem))) for info in describe()}


def _devices() -> dict[str, str]:
    devices = {"cpu": "works"}
    try:
        import torch
    except ImportError:
        devices["cuda"] = 'needs PyTorch: pip install "posemask[torch]"'
        return devices
    if not torch.cuda.is_available():
        devices["cuda"] = f"PyTorch {torch.__version__} finds no NVIDIA GPU that it can use"
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        devices[f"cuda:{index}"] = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    if torch.cuda.is_available():
        devices["decoding on cuda"] = _video_decoder()
    return devices


def _video_decoder() -> str:
    try:
        return f"PyNvVideoCodec {importlib.metadata.version('pynvvideocodec')}"
    except importlib.metadata.PackageNotFoundError:
        return 'needs PyNvVideoCodec: pip install "posemask[nvdec]"'


def _weights() -> dict[str, Any]:
    from .. import weights

    store = weights.default_store()
    found: dict[str, Any] = {
        "POSEMASK_WEIGHTS": [str(folder) for folder in store.folders] or "not set",
        "cache": str(store.cache),
    }
    for name, model in weights.CATALOGUE.items():
        try:
            status = store.status(name)
        except PosemaskError as error:
            found[name] = str(error)
            continue
        if status.path or status.refused:
            found[name] = "; ".join([*([str(status.path)] if status.path else []), *status.refused])
        elif model.format == "tflite":
            found[name] = f"missing: posemask models fetch {name}"
    return found
