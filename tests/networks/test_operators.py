"""Every operator means the same on every runtime: what the plain numpy interpreter says in float64."""

from __future__ import annotations

import numpy as np
import pytest

from posemask import runtimes
from posemask.errors import ModelFileError
from posemask.networks.operators import OPERATORS as KNOWN

from . import reference
from .examples import INPUT, OPERATORS, everything

# Operands are of order 1 and at most 100 products are summed, so float32 rounding is below 1e-5.
TOLERANCE = {"rtol": 1e-5, "atol": 2e-5}


def picture() -> np.ndarray:
    return np.random.default_rng(7).normal(scale=2, size=INPUT).astype(np.float32)


def test_the_examples_hold_every_operator() -> None:
    assert {node.op for node in everything().nodes} == set(KNOWN)
    assert {name.split()[0] for name in OPERATORS} >= set(KNOWN)


@pytest.mark.parametrize("runtime", runtimes.RUNTIMES)
def test_operators_mean_the_same_everywhere(runtime: runtimes.RuntimeName) -> None:
    if runtime not in runtimes.available():
        pytest.skip(f"{runtime} is not installed")
    x, wrong = picture(), []
    for name, graph in {**OPERATORS, "everything": everything()}.items():
        expected = reference.run(graph, x)
        try:
            made = runtimes.load(graph, runtime=runtime, threads=1)(x)
        except ModelFileError:
            if runtime != "native":  # our own engine may refuse what no published network holds
                raise
            continue
        for one, other in zip(made, expected, strict=True):
            if one.shape != other.shape or not np.allclose(one, other, **TOLERANCE):
                wrong.append(name)
    assert not wrong
