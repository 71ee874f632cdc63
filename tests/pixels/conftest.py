from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest

from posemask import _pixels


@pytest.fixture(params=_pixels.levels())
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set that this machine has."""
    before = _pixels.level()
    assert _pixels.select_level(request.param)
    yield request.param
    _pixels.select_level(before)


@pytest.fixture
def on_every_level() -> Iterator[Callable[[Callable[[], npt.NDArray[np.generic]]], npt.NDArray[np.generic]]]:
    """Runs a call on each instruction set, checks that all give the same bits, and returns them."""
    before = _pixels.level()

    def run(call: Callable[[], npt.NDArray[np.generic]]) -> npt.NDArray[np.generic]:
        results = []
        for name in _pixels.levels():
            _pixels.select_level(name)
            results.append(call())
        for name, result in zip(_pixels.levels(), results, strict=True):
            np.testing.assert_array_equal(result, results[0], err_msg=f"{name} differs from portable")
        return results[0]

    yield run
    _pixels.select_level(before)
