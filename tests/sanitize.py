"""Run tests of a native module that was built with sanitizers of GCC or Clang.

    python tests/sanitize.py address _pixels tests/pixels
    python tests/sanitize.py thread _engine tests/runtimes/test_native.py -k threads

Builds the module on its own with the sanitizers on, puts it in the place of the installed one and runs pytest on the
rest of the arguments. Any report ends the run with an error. Needs cmake, ninja, nanobind and a compiler.

The checks of undefined behaviour that are left out (null, alignment, pointer-overflow, object-size) sit at every access
to memory, which makes the kernels' unrolled loops several times slower to compile; what they would find in kernels, the
address sanitizer mostly finds, too. For the same reason its checks are calls.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FLAGS = {
    "address": "-fsanitize=address,undefined -fno-sanitize=vptr,null,alignment,pointer-overflow,object-size "
    "-fno-sanitize-recover=all --param asan-instrumentation-with-call-threshold=0 "
    "-DENGINE_SEPARATE_MAPS",
    "thread": "-fsanitize=thread",
}
LIBRARIES = {"address": ("libasan.so", "libubsan.so"), "thread": ("libtsan.so",)}
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0",  # Python itself frees nothing at its end
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1",
}


def build(sanitizer: str, module: str) -> Path:
    """The shared library of the module, with sanitizers."""
    folder = ROOT / "build" / f"sanitize-{sanitizer}"
    nanobind = subprocess.check_output([sys.executable, "-m", "nanobind", "--cmake_dir"], text=True).strip()
    configure = [
        "cmake",
        "-S",
        ROOT,
        "-B",
        folder,
        "-G",
        "Ninja",
        "-DCMAKE_BUILD_TYPE=None",
        f"-DCMAKE_CXX_FLAGS=-O1 -g1 -fno-omit-frame-pointer {FLAGS[sanitizer]}",
        f"-Dnanobind_DIR={nanobind}",
        f"-DPython_EXECUTABLE={sys.executable}",
    ]
    subprocess.run(configure, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", folder, "--target", module, "--", "--quiet"], check=True)
    return next(path for path in folder.rglob(f"{module}*") if path.suffix in {".so", ".dylib"})


def runtime(name: str) -> str:
    compiler = os.environ.get("CXX", "c++")
    return subprocess.check_output([compiler, f"-print-file-name={name}"], text=True).strip()


def load(module: str, library: str) -> None:
    """Make `posemask.<module>` the given library, whatever is installed."""
    spec = importlib.util.spec_from_file_location(f"posemask.{module}", library)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    sys.modules[spec.name] = loaded


def main(sanitizer: str, module: str, *arguments: str) -> int:
    library = build(sanitizer, module)
    environment = {**os.environ, **OPTIONS, "LD_PRELOAD": " ".join(map(runtime, LIBRARIES[sanitizer]))}
    # With the file descriptors captured, the report would die with the process.
    pytest_options = ["--capture=sys", "-p", "no:cacheprovider", *arguments]
    command = [sys.executable, __file__, "--tests", module, str(library), *pytest_options]
    return subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    if sys.argv[1] == "--tests":
        import pytest

        load(sys.argv[2], sys.argv[3])
        sys.exit(pytest.main(sys.argv[4:]))
    sys.exit(main(*sys.argv[1:]))
