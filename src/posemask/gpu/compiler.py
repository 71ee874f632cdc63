"""Kernels at run time: CUDA C++ through NVRTC, machine code cached on disk, launches on torch's stream.

NVRTC comes with torch's CUDA wheels and the driver with the card, so nothing has to be installed for this. Both are
called through ctypes: six functions of the one and seven of the other. A kernel compiled once for a set of constants
and a compute capability lies in the user's cache folder and is loaded in milliseconds from then on.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import torch

from ..errors import InputError, RuntimeUnavailableError

__all__ = [
    "CudaKernels",
    "Kernel",
    "Kernels",
    "Launchable",
    "cache_folder",
    "compile_kernel",
    "load_kernels",
    "require_cuda",
]

SOURCES = Path(__file__).parent / "kernels"
EXACT = ("sampling", "crop", "people")
"""Kernels whose every rounding is the CPU's: no fused multiply-add, no fast division."""

OLDEST_CAPABILITY = (8, 0)  # asynchronous copies to shared memory, and the half-precision product of 16 x 8 x 16


def require_cuda(device: str | torch.device = "cuda") -> torch.device:
    """The device, if it can run the kernels.

    Raises `RuntimeUnavailableError` if there is no CUDA, the device is not there, or it is older than the kernels need,
    and `InputError` if this is no device's name.
    """
    try:
        place = torch.device(device)
    except RuntimeError:
        raise InputError(f"device must be a CUDA device such as 'cuda:0', got {str(device)!r}") from None
    if place.type != "cuda":
        raise RuntimeUnavailableError(f"the GPU engine needs a CUDA device such as 'cuda:0', got {str(device)!r}")
    if not torch.cuda.is_available():
        reason = "this PyTorch is built without CUDA" if torch.version.cuda is None else "no CUDA device is usable"
        raise RuntimeUnavailableError(
            f"device {str(device)!r} is not available: {reason} (PyTorch {torch.__version__}); "
            "install a CUDA build of PyTorch and NVIDIA's driver, or use device='cpu'"
        )
    index = torch.cuda.current_device() if place.index is None else place.index
    if index >= torch.cuda.device_count():
        raise RuntimeUnavailableError(
            f"device {str(device)!r} is not available: {torch.cuda.device_count()} are visible"
        )
    capability = torch.cuda.get_device_capability(index)
    if capability < OLDEST_CAPABILITY:
        raise RuntimeUnavailableError(
            f"{torch.cuda.get_device_name(index)} has compute capability {capability[0]}.{capability[1]}; the GPU "
            f"engine needs {OLDEST_CAPABILITY[0]}.{OLDEST_CAPABILITY[1]} or newer (Ampere, 2020); use device='cpu'"
        )
    return torch.device("cuda", index)


def cache_folder() -> Path:
    """Where compiled kernels lie: `POSEMASK_KERNEL_CACHE`, else a folder in the user's cache."""
    named = os.environ.get("POSEMASK_KERNEL_CACHE")
    if named:
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_cache_dir("posemask")) / "kernels"


# --- compiling -------------------------------------------------------------------------------------------------------


@functools.cache
def _nvrtc() -> ctypes.CDLL:
    """NVRTC: from torch's own packages, else wherever the system has it."""
    major = (torch.version.cuda or "").partition(".")[0]
    candidates = []
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations or () if spec else ():
        candidates += [str(path) for path in sorted(Path(folder).glob(f"*/lib/libnvrtc.so.{major or '*'}*"))]
    candidates = [path for path in candidates if ".alt." not in path]
    candidates += [
        str(path)
        for path in sorted((Path(torch.__file__).parent / "lib").glob("libnvrtc*.so*"))
        if "builtins" not in path.name
    ]
    candidates += [f"libnvrtc.so.{major}" if major else "libnvrtc.so", "libnvrtc.so"]
    problems = []
    for candidate in candidates:
        try:
            for companion in sorted(Path(candidate).parent.glob("libnvrtc-builtins.so.*")):
                ctypes.CDLL(str(companion))  # NVRTC asks for it by name; once loaded it is found wherever it lies
            return ctypes.CDLL(candidate)
        except OSError as error:  # noqa: PERF203 - a handful of places
            problems.append(str(error))
    raise RuntimeUnavailableError(
        "NVRTC, which compiles the GPU kernels and comes with PyTorch's CUDA builds, cannot be loaded: "
        + "; ".join(problems)
    )


@functools.cache
def _sources() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(SOURCES.iterdir()) if path.suffix in (".cu", ".cuh")}


def compile_kernel(name: str, constants: Mapping[str, int | str], architecture: str) -> bytes:
    """Machine code of kernels/<name>.cu for an architecture such as "sm_90", from the cache or newly compiled.

    Raises `RuntimeUnavailableError` if NVRTC is missing or refuses; the message holds its log.
    """
    sources = _sources()
    options = [
        f"--gpu-architecture={architecture}",
        "--std=c++17",
        "--use_fast_math",
        *(f"-D{k}={v}" for k, v in constants.items()),
    ]
    headers = [code for header, code in sources.items() if header.endswith(".cuh")]
    described = b"".join([repr((name, options)).encode(), sources[f"{name}.cu"], *headers])
    path = cache_folder() / f"{name}-{hashlib.sha256(described).hexdigest()[:32]}.cubin"
    try:
        return path.read_bytes()
    except OSError:
        pass
    code = _run_nvrtc(name, sources, options)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(code)
        os.replace(file.name, path)
    except OSError:
        pass  # a cache that cannot be written costs time only
    return code


def _run_nvrtc(name: str, sources: Mapping[str, bytes], options: Sequence[str]) -> bytes:
    nvrtc = _nvrtc()
    program = ctypes.c_void_p()
    headers = [header for header in sources if header.endswith(".cuh")]
    contents = (ctypes.c_char_p * len(headers))(*(sources[header] for header in headers))
    names = (ctypes.c_char_p * len(headers))(*(header.encode() for header in headers))
    source = sources[f"{name}.cu"]
    status = nvrtc.nvrtcCreateProgram(
        ctypes.byref(program), source, f"{name}.cu".encode(), len(headers), contents, names
    )
    encoded = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    status = status or nvrtc.nvrtcCompileProgram(program, len(options), encoded)
    try:
        if status:
            raise RuntimeUnavailableError(
                f"NVRTC cannot compile {name}.cu with {' '.join(options)}:\n{_text(program, 'ProgramLog').decode()}"
            )
        return _text(program, "CUBIN")
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _text(program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    if getattr(_nvrtc(), f"nvrtcGet{what}Size")(program, ctypes.byref(size)):
        return b""
    buffer = ctypes.create_string_buffer(size.value)
    getattr(_nvrtc(), f"nvrtcGet{what}")(program, buffer)
    return buffer.raw


# --- running ---------------------------------------------------------------------------------------------------------


@functools.cache
def _driver() -> ctypes.CDLL:
    try:
        return ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError as error:
        raise RuntimeUnavailableError(f"NVIDIA's driver cannot be loaded: {error}") from error


def _check(status: int, what: str) -> None:
    if status:
        text = ctypes.c_char_p()
        _driver().cuGetErrorString(status, ctypes.byref(text))
        raise RuntimeUnavailableError(
            f"{what} failed: {(text.value or b'unknown error').decode()} (CUDA driver error {status})"
        )


class Kernel:
    """A loaded kernel of one device; call `launch` with that device current."""

    def __init__(self, name: str, code: bytes, shared_bytes: int) -> None:
        driver = _driver()
        module, self._function = ctypes.c_void_p(), ctypes.c_void_p()
        _check(driver.cuModuleLoadData(ctypes.byref(module), code), f"loading the kernel {name}")
        _check(
            driver.cuModuleGetFunction(ctypes.byref(self._function), module, name.encode()),
            f"finding the kernel {name}",
        )
        self._name, self._shared_bytes = name, shared_bytes
        if shared_bytes > 48 << 10:
            largest_dynamic_shared = 8
            status = driver.cuFuncSetAttribute(self._function, largest_dynamic_shared, shared_bytes)
            _check(status, f"giving the kernel {name} {shared_bytes} bytes of shared memory")

    def attribute(self, number: int) -> int:
        """An attribute of the function by the driver's number: 3 local bytes a thread, 4 registers."""
        value = ctypes.c_int()
        _check(
            _driver().cuFuncGetAttribute(ctypes.byref(value), number, self._function), "asking for a kernel's attribute"
        )
        return value.value

    def launch(self, blocks: tuple[int, ...], threads: int, arguments: Sequence[int]) -> None:
        """Queue the kernel on torch's current stream; arguments are addresses and integers."""
        values = (ctypes.c_uint64 * len(arguments))(*arguments)
        pointers = (ctypes.c_void_p * len(arguments))(
            *(ctypes.addressof(values) + 8 * i for i in range(len(arguments)))
        )
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        status = _driver().cuLaunchKernel(
            self._function, *(*blocks, 1)[:3], threads, 1, 1, self._shared_bytes, stream, pointers, None
        )
        _check(status, f"launching the kernel {self._name}")


class Kernels(Protocol):
    """Where the engine's kernels run: `CudaKernels`, or in tests the emulator."""

    @property
    def device(self) -> torch.device:
        """Where the tensors lie."""

    @property
    def clusters(self) -> bool:
        """Whether thread blocks can read each other's shared memory."""

    def load(self, wanted: Sequence[tuple[str, Mapping[str, int | str], int]]) -> list[Launchable]:
        """Kernels by name, constants and bytes of shared memory; what is not cached is compiled now."""


class Launchable(Protocol):
    """A kernel of given constants."""

    def launch(self, blocks: tuple[int, ...], threads: int, arguments: Sequence[int]) -> None:
        """Queue it; arguments are addresses and integers."""


class CudaKernels:
    """Kernels on a CUDA device. Raises `RuntimeUnavailableError` if the device is missing or too old."""

    def __init__(self, device: str | torch.device = "cuda") -> None:
        self.device = require_cuda(device)
        self.clusters = torch.cuda.get_device_capability(self.device) >= (9, 0)

    def load(self, wanted: Sequence[tuple[str, Mapping[str, int | str], int]]) -> list[Launchable]:
        """See `Kernels`; compiles in parallel."""
        return list(load_kernels(wanted, self.device))


_loaded: dict[tuple[Any, ...], Kernel] = {}


def load_kernels(wanted: Sequence[tuple[str, Mapping[str, int | str], int]], device: torch.device) -> list[Kernel]:
    """A device's kernels, each loaded once in a process; what is not cached is compiled in parallel."""
    keys = [(name, tuple(sorted(constants.items())), shared, device.index) for name, constants, shared in wanted]
    missing = {key: one for key, one in zip(keys, wanted, strict=True) if key not in _loaded}
    major, minor = torch.cuda.get_device_capability(device)
    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        codes = list(pool.map(lambda w: compile_kernel(w[0], w[1], f"sm_{major}{minor}"), missing.values()))
    with torch.cuda.device(device):
        torch.cuda.current_stream().synchronize()  # makes the device's context current
        for (key, (name, _, shared_bytes)), code in zip(missing.items(), codes, strict=True):
            _loaded[key] = Kernel(name, code, shared_bytes)
    return [_loaded[key] for key in keys]
