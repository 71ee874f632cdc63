"""Runs a launch of `posemask.gpu.launches` on the CPU: its kernel compiled by g++ against emulator.h."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from posemask.gpu.compiler import Launchable
from posemask.gpu.launches import Count, Launch, Value

HERE = Path(__file__).parent
FLAGS = [
    "-O2",
    "-w",
    "-std=c++17",
    "-fPIC",
    "-shared",
    "-mf16c",
    "-fpermissive",
    "-fno-strict-aliasing",
    "-DPOSEMASK_EMULATE",
]
KERNELS = Path(__file__).parents[2] / "src" / "posemask" / "gpu" / "kernels"


def need_emulator() -> None:
    """Skip the calling test where the emulator cannot be built."""
    if platform.machine() not in ("x86_64", "AMD64") or shutil.which("g++") is None:
        pytest.skip("the kernels' emulator needs g++ on x86-64")


def build(name: str, constants: dict[str, int | str], folder: Path) -> ctypes.CDLL:
    """The kernel as a shared library, compiled once per set of constants."""
    sources = [KERNELS / f"{name}.cu", *sorted(KERNELS.glob("*.cuh")), HERE / "emulator.h", HERE / "emulator.cpp"]
    given = [FLAGS, sorted(constants.items()), *(source.read_bytes() for source in sources)]
    digest = hashlib.sha256(repr(given).encode()).hexdigest()[:24]
    library = folder / f"{name}-{digest}.so"
    if not library.exists():
        macros = [f"-D{key}={value}" for key, value in constants.items()]
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".so", delete=False) as made:
            pass
        subprocess.run(
            [
                "g++",
                *FLAGS,
                f"-I{HERE}",
                f"-I{KERNELS}",
                f'-DSOURCE="{sources[0]}"',
                f"-DNAME={name}",
                *macros,
                str(HERE / "emulator.cpp"),
                "-o",
                made.name,
            ],
            check=True,
        )
        os.replace(made.name, library)
    return ctypes.CDLL(str(library))


def emulate(launch: Launch, values: dict[str, torch.Tensor], frames: int, folder: Path) -> torch.Tensor:
    """What the launch makes of half-precision CPU tensors; the output starts as NaNs."""
    library = build(launch.name, dict(launch.constants), folder)
    dtype = torch.float32 if launch.float_output else torch.float16
    output = torch.full((frames, *launch.output_shape), float("nan"), dtype=dtype)
    kept, addresses = [], []
    for argument in launch.arguments:
        if argument is None:
            addresses.append(0)
        elif isinstance(argument, Count):
            addresses.append(frames * argument.factor)
        elif isinstance(argument, Value):
            tensor = output if argument.name == launch.output else values[argument.name]
            kept.append(tensor)
            addresses.append(tensor.data_ptr())
        else:
            aligned = np.require(argument, requirements=["C", "A"])
            kept.append(aligned)
            addresses.append(aligned.ctypes.data)
    grid = (ctypes.c_uint * 3)(*launch.blocks(frames))
    packed = (ctypes.c_uint64 * len(addresses))(*addresses)
    library.launch(grid, launch.threads, launch.shared_bytes, packed, len(addresses))
    return output


class EmulatedKernels:
    """`posemask.gpu.compiler.Kernels` on the CPU, for the engine's own code to run on."""

    device = torch.device("cpu")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.clusters = True

    def load(self, wanted: Sequence[tuple[str, Mapping[str, int | str], int]]) -> list[Launchable]:
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # each waits for a compiler of its own
            libraries = list(pool.map(lambda one: build(one[0], dict(one[1]), self._folder), wanted))
        return [_Emulated(library, shared) for library, (_, _, shared) in zip(libraries, wanted, strict=True)]


class _Emulated:
    def __init__(self, library: ctypes.CDLL, shared_bytes: int) -> None:
        self._library, self._shared_bytes = library, shared_bytes

    def launch(self, blocks: tuple[int, ...], threads: int, arguments: Sequence[int]) -> None:
        grid = (ctypes.c_uint * 3)(*(*blocks, 1)[:3])
        self._library.launch(
            grid, threads, self._shared_bytes, (ctypes.c_uint64 * len(arguments))(*arguments), len(arguments)
        )
