"""A TensorFlow.js model on the disk: a JSON file, and beside it the weight files that it names.

Names come from a file that somebody else wrote: only names that stay below the JSON file's folder are taken.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import TypeGuard

from ..errors import ModelFileError

__all__ = ["model_json_in", "weight_files", "weight_names"]

_MAX_JSON_BYTES = 64 << 20
_FORBIDDEN = frozenset('\\:%?#*"<>|')


def weight_names(model_json: Path) -> tuple[str, ...]:
    """The weight files that a TensorFlow.js model names, as relative paths with forward slashes, in order.

    Raises ModelFileError if the file is not such a model or names a file outside its folder.
    """
    try:
        size = model_json.stat().st_size
        if size > _MAX_JSON_BYTES:
            raise ModelFileError(f"{model_json}: expected a model.json of at most {_MAX_JSON_BYTES} bytes, got {size}")
        groups = json.loads(model_json.read_bytes())["weightsManifest"]
        names = [name for group in groups for name in _list(group["paths"])]
    except OSError as error:
        raise ModelFileError(f"{model_json} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelFileError(
            f"{model_json} is not a TensorFlow.js model: expected JSON with weightsManifest[…].paths"
        ) from error
    inside = []
    for name in names:
        if not _stays_inside(name):
            raise ModelFileError(
                f"{model_json} names the weight file {str(name)[:100]!r}: "
                "expected a relative path that stays in the model's folder"
            )
        inside.append(name)
    return tuple(dict.fromkeys(inside))


def weight_files(model_json: Path) -> tuple[Path, ...]:
    """The weight files of a model on the disk; each exists and lies below the model's folder.

    Raises ModelFileError otherwise.
    """
    folder = model_json.parent.resolve()
    files = []
    for name in weight_names(model_json):
        file = (folder / name).resolve()
        if not file.is_relative_to(folder):
            raise ModelFileError(f"{model_json} names {name!r}, which leads out of the model's folder through a link")
        if not file.is_file():
            raise ModelFileError(f"{model_json} names the weight file {name!r}, which is missing in {folder}")
        files.append(file)
    return tuple(files)


def model_json_in(folder: Path, expected: str = "model.json") -> Path | None:
    """The model file of a folder: the expected name, ``model.json``, or the only JSON file there; else None."""
    for name in (expected, "model.json"):
        if (folder / name).is_file():
            return folder / name
    candidates = sorted(folder.glob("*.json")) if folder.is_dir() else []
    return candidates[0] if len(candidates) == 1 else None


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError
    return value


def _stays_inside(name: object) -> TypeGuard[str]:
    if not isinstance(name, str) or not name.isprintable() or _FORBIDDEN & set(name):
        return False
    path = PurePosixPath(name)
    return name == path.as_posix() and not path.is_absolute() and ".." not in path.parts and name != "."
