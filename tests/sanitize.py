"""Run a native module's tests with the address and undefined-behaviour sanitizers of GCC or Clang.

    python tests/sanitize.py _pixels tests/pixels

Builds the module on its own with the sanitizers on, puts it in the place of the installed one and runs pytest on the
rest of the arguments. Any report ends the run with an error. Needs cmake, ninja, nanobind and a compiler.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FLAGS = "-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all"


def build(module: str) -> Path:
    """The shared library of the module, with sanitizers."""
    folder = ROOT / "build" / "sanitize"
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
        f"-DCMAKE_CXX_FLAGS={FLAGS}",
    ]
    subprocess.run([*configure, f"-Dnanobind_DIR={nanobind}", f"-DPython_EXECUTABLE={sys.executable}"], check=True)
    subprocess.run(["cmake", "--build", folder, "--target", module], check=True)
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


def main(module: str, *arguments: str) -> int:
    library = build(module)
    environment = {
        **os.environ,
        "LD_PRELOAD": f"{runtime('libasan.so')} {runtime('libubsan.so')}",
        # Python itself frees nothing at its end.
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
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
