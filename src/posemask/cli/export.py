"""``posemask export``: a network as ONNX, for other programs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError, ModelFileError
from .console import fetch_bar

if TYPE_CHECKING:
    from ..networks.graph import Graph


def register(app: typer.Typer) -> None:
    """Add the command ``export``."""
    app.command("export")(export_network)


def export_network(
    model: Annotated[str, typer.Argument(help="A name of `posemask models list`, a model file or folder, or its URL.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .onnx file to write.")],
    outputs: Annotated[
        str | None, typer.Option(help="Keep only these outputs, names or numbers with commas between, in this order.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="HEIGHTxWIDTH", help="Size of the input, for networks that leave it open.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Write a network as ONNX (opset 17): float32, batch × height × width × channels in and out."""
    from ..media.outputs import output_errors, pending_file
    from ..networks.write_onnx import write_onnx

    if output.suffix != ".onnx":
        raise InputError(f"the output must end in .onnx, got {output}")
    with pending_file(output, overwrite=overwrite) as file:
        graph = _read(model)
        if size is not None:
            graph = graph.with_input_shape((1, *_height_width(size), 3))
        if outputs is not None:
            graph = graph.keep_outputs([int(name) if name.isdecimal() else name for name in outputs.split(",")])
        data = write_onnx(graph)
        with output_errors(output):
            file.write_bytes(data)
    for kind, names, shapes in (
        ("input", graph.inputs, graph.input_shapes),
        ("output", graph.outputs, graph.output_shapes),
    ):
        for name, shape in zip(names, shapes, strict=True):
            print(f"{kind:<6}  {' × '.join(map(str, shape))}  {name}")
    print(f"{output}: {len(data) / 1e6:.1f} MB")


def _read(model: str) -> Graph:
    from .. import weights
    from ..networks.read_tfjs import read_tfjs
    from ..networks.read_tflite import read_tflite

    store = weights.default_store()
    with fetch_bar() as progress:
        path = store.path(model, progress) if _is_name(model) else store.resolve(model, progress)
    if path.suffix == ".json":
        return read_tfjs(path)
    if path.suffix == ".tflite":
        return read_tflite(path)
    raise ModelFileError(f"{path}: expected a .tflite file or the .json file of a TensorFlow.js model")


def _is_name(model: str) -> bool:
    # What has no dot and no slash and lies nowhere is a name, perhaps a misspelt one.
    return re.fullmatch(r"\w+", model) is not None and not Path(model).exists()


def _height_width(size: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})[x×](\d{1,5})", size)
    if match is None:
        raise InputError(f"--size must be HEIGHTxWIDTH such as 257x353, got {size!r}")
    return int(match[1]), int(match[2])
