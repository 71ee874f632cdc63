"""PyTorch: the graph as a module, on a CPU or a CUDA device."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from ..errors import InferenceError, InputError, RuntimeUnavailableError
from ..networks.graph import Graph
from .network import Network, check_input, check_threads, input_shape

__all__ = ["load"]

FEW_PICTURES = 4
"""Batches up to this do without cuDNN, which takes 1.5 s and more to choose its kernels for each new size of picture:
BodyPix takes 4 ms for the first picture of a size without it, and 2.6 ms instead of 1.9 for every other (H200)."""


def load(graph: Graph, *, device: str = "cpu", threads: int = 1) -> Network:
    """A network on PyTorch, in float32, for any batch.

    It takes a numpy array and gives numpy arrays, or takes a tensor on `device` and gives tensors there. The number of
    threads is PyTorch's own setting for the whole process, and each call on a CPU sets it.

    Raises `RuntimeUnavailableError` if PyTorch cannot be imported or does not have the device, `InferenceError` if the
    network does not fit there.
    """
    shape, threads = input_shape(graph), check_threads(threads)
    try:
        import torch

        from ..networks.to_torch import to_torch
    except ImportError as error:
        raise RuntimeUnavailableError(f"PyTorch cannot be imported ({error}): pip install posemask[torch]") from error
    place = _device(torch, device)
    try:
        module = to_torch(graph).to(place)
    except RuntimeError as error:  # the device's memory, say
        raise InferenceError(f"PyTorch cannot put the network on {place}: {error}") from error

    def network(x: Any) -> tuple[Any, ...]:
        given_tensor = isinstance(x, torch.Tensor)
        if given_tensor:
            if x.ndim != len(shape) or x.shape[1:] != shape[1:] or x.dtype != torch.float32 or x.device != place:
                got = f"{x.dtype} {tuple(x.shape)} on {x.device}"
                raise InputError(f"the network expects float32 (N, *{shape[1:]}) on {place}, got {got}")
            tensor = x
        else:
            check_input(x, shape, any_batch=True)
            tensor = torch.from_numpy(np.require(x, requirements=["C", "W"])).to(place)
        if place.type == "cpu" and torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        try:
            with torch.inference_mode(), _convolutions(torch, tensor):
                made = module(tensor)
        except RuntimeError as error:
            raise InferenceError(f"PyTorch failed: {error}") from error
        return tuple(made) if given_tensor else tuple(output.cpu().numpy() for output in made)

    return network


def _convolutions(torch: Any, tensor: Any) -> AbstractContextManager[None]:
    """In float32 on a GPU, too, where PyTorch would round factors to 11 bits."""
    if tensor.device.type == "cpu":
        return nullcontext()
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=len(tensor) > FEW_PICTURES, benchmark=False, deterministic=False, allow_tf32=False
    )
    return flags


def _device(torch: Any, name: str) -> Any:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device must be 'cpu' or a CUDA device such as 'cuda:0', got {name!r}") from error
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"device must be 'cpu' or a CUDA device such as 'cuda:0', got {name!r}")
    if device.type == "cuda":
        if not torch.cuda.is_available():
            reason = "this PyTorch is built without CUDA" if torch.version.cuda is None else "no CUDA device is usable"
            raise RuntimeUnavailableError(f"device {name!r} is not available: {reason} (PyTorch {torch.__version__})")
        device = torch.device("cuda", torch.cuda.current_device() if device.index is None else device.index)
        if device.index >= torch.cuda.device_count():
            raise RuntimeUnavailableError(f"device {name!r} is not available: {torch.cuda.device_count()} are visible")
    return device
