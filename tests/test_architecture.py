"""Who may know whom, what an import costs, and which names are public: the rules of the house as tests."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import posemask

PACKAGE = Path(posemask.__file__).parent
PUBLIC = {
    "Frame", "Keypoint", "Mask", "Pose", "PoseDetector", "PosemaskError", "Segmentation", "Segmenter", "VideoWriter",
    "bodies", "create_detector", "create_segmenter", "effects", "errors", "open_camera", "read_image", "read_video",
    "skeleton_of", "weights", "write_image",
}  # fmt: skip

EVERYONE = {"results", "bodies", "errors"}
USERS = {"cli", "web", "batch", "bench"}
# What each room may import besides itself and what everyone may.
MAY_KNOW = {
    "errors": set(),
    "bodies": set(),
    "results": set(),
    "numbers": set(),
    "pixels": set(),
    "networks": set(),
    "weights": set(),
    "runtimes": {"networks", "weights", "numbers", "pixels"},
    "models": {"numbers", "pixels", "runtimes", "networks", "weights"},
    "media": set(),
    "effects": {"numbers", "pixels"},
    "api": {"models", "runtimes", "networks", "weights", "media", "gpu"},
    "gpu": {"models", "numbers", "pixels", "runtimes", "networks", "weights", "effects", "media"},  # also the decoder
}
HEAVY = {
    "PIL", "av", "cv2", "torch", "triton", "ai_edge_litert", "openvino", "onnxruntime", "onnx", "mediapipe", "httpx",
    "rich", "typer", "skimage",
}  # fmt: skip
PURE = {"errors", "bodies", "results", "numbers"}
IMPURE_MODULES = HEAVY | {"time", "threading", "asyncio", "multiprocessing", "concurrent"}


def room_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports_of(path: Path) -> set[tuple[str, bool]]:
    """(module, whether it is of this package) for every import in a file, also those inside functions."""
    package = ("posemask", *path.relative_to(PACKAGE).parts[:-1])
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {(alias.name, False) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            target = [*base, *(node.module.split(".") if node.module else [])]
            names = [target[1]] if len(target) > 1 else [alias.name for alias in node.names]
            found |= {(name, True) for name in names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "", False))
    return found


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem in MAY_KNOW)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_know_only_whom_they_may(path):
    room = room_of(path)
    allowed = None if room in USERS else MAY_KNOW[room] | EVERYONE | {room}
    for name, ours in imports_of(path):
        if ours and allowed is not None and not name.startswith("_"):
            assert name in allowed, f"{room} must not import {name}"
        if room in PURE and not ours:
            assert name.partition(".")[0] not in IMPURE_MODULES, f"{room} must not import {name}"


def test_the_public_names_are_these():
    assert set(posemask.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(posemask, name) is not None
    assert set(dir(posemask)) >= PUBLIC
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = posemask.nothing


def test_importing_loads_nothing_heavy():
    code = "import sys, posemask; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & (HEAVY | {"numpy"})
