"""What a GPU says when its memory is used up, in this library's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import InferenceError

__all__ = ["enough_memory"]


@contextmanager
def enough_memory(what: str) -> Iterator[None]:
    """Raises `InferenceError` where torch or CUDA report that memory is used up; also a decorator.

    Whether it suffices is known only when it is asked for: graphs, kernels and networks take some, too.
    """
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one, and CUDA's own report another
        if "out of memory" not in str(error):
            raise
        raise InferenceError(
            f"{what} needs more memory than is free on the GPU; take fewer streams or smaller pictures, "
            f"or close what else runs on it ({str(error).splitlines()[0]})"
        ) from error
