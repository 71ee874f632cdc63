"""Reads a model's network: the published one by its name, or the user's own file."""

from __future__ import annotations

import os

from .. import weights
from ..networks.graph import Graph
from ..networks.read_tfjs import read_tfjs
from ..networks.read_tflite import read_tflite

__all__ = ["read_network"]


def read_network(name: str, url: str | os.PathLike[str] | None = None) -> Graph:
    """The network called ``name`` in the catalogue of weights, or the one at ``url``.

    Args:
        name: of published weights.
        url: path or http(s) address of a TFLite file or of a TensorFlow.js ``model.json``, to take instead.

    Raises:
        WeightsError: the file cannot be had.
        ModelFileError: the file is malformed.
    """
    path = weights.path(name) if url is None else weights.resolve(url)
    return read_tfjs(path) if path.suffix == ".json" else read_tflite(path)
