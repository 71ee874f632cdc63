"""Published model files by name: found on this machine or fetched, always checked.

``store.py`` says from where and in which order, ``catalogue.py`` what exists.
"""

from __future__ import annotations

import os
from pathlib import Path

from .catalogue import CATALOGUE, PackagedFile, PublishedModel
from .download import Progress
from .store import Status, Store

__all__ = [
    "CATALOGUE",
    "DEFAULT_NAMES",
    "PackagedFile",
    "Progress",
    "PublishedModel",
    "Status",
    "Store",
    "cache_folder",
    "default_store",
    "path",
    "resolve",
]

DEFAULT_NAMES = tuple(name for name, model in CATALOGUE.items() if model.format == "tflite")
"""The models that BlazePose, its thorough search and Selfie Segmentation use unless told otherwise."""


def cache_folder() -> Path:
    """The folder for everything this library keeps between runs: POSEMASK_CACHE, or the user's cache folder."""
    from platformdirs import user_cache_path

    named = os.environ.get("POSEMASK_CACHE")
    return Path(named).expanduser() if named else user_cache_path("posemask", appauthor=False)


def default_store() -> Store:
    """The store that the environment names: the folders POSEMASK_WEIGHTS (as in PATH), the cache POSEMASK_CACHE."""
    folders = os.environ.get("POSEMASK_WEIGHTS", "").split(os.pathsep)
    return Store(
        folders=tuple(Path(folder).expanduser() for folder in folders if folder),
        cache=cache_folder() / "weights",
    )


def path(name: str, progress: Progress | None = None) -> Path:
    """The checked file of a model of the catalogue, fetched first if need be; see ``Store.path``."""
    return default_store().path(name, progress)


def resolve(source: str | os.PathLike[str], progress: Progress | None = None) -> Path:
    """The local file of a user's own model: file, folder or http(s) address; see ``Store.resolve``."""
    return default_store().resolve(source, progress)
