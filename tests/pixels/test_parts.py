"""Parts of the body in pixels: the kernel gives the bits of the plain statement, which labels pixel by pixel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posemask.bodies import BLAZEPOSE
from posemask.errors import InputError
from posemask.numbers.parts import BONES, capsules, label_points
from posemask.pixels import native

NOBODY = 24


def someone(seed: int, centre: tuple[float, float], size: float) -> npt.NDArray[np.float32]:
    """The bones of a body with its keypoints scattered about a standing one, from head to foot `size` pixels."""
    rng = np.random.default_rng(seed)
    height = np.linspace(-0.8, 0.9, len(BLAZEPOSE))
    side = [0.2 if name.startswith("left") else -0.2 if name.startswith("right") else 0.0 for name in BLAZEPOSE.names]
    world = np.stack([side, height, np.zeros_like(height)], axis=1) + rng.normal(0, 0.15, (len(BLAZEPOSE), 3))
    xy = world[:, :2] * size / 1.7 + centre
    return capsules(xy.astype(np.float32), world.astype(np.float32))


def statement(person: npt.NDArray[np.bool_], bones: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    labels = np.full(person.shape, NOBODY, np.uint8)
    rows, columns = np.nonzero(person)
    labels[rows, columns] = label_points(np.stack([columns, rows], axis=1).astype(np.float32), bones)
    return labels


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_equals_the_statement(data: st.DataObject) -> None:
    draw = data.draw
    height, width = draw(st.tuples(st.integers(1, 90), st.integers(1, 90)), label="picture")
    seed = draw(st.integers(0, 999))
    centre = draw(st.tuples(st.floats(-60, 150), st.floats(-60, 150)), label="centre")
    bones = someone(seed, centre, draw(st.floats(1, 2000), label="size"))
    person = np.random.default_rng(seed).random((height, width)) < draw(st.sampled_from([0.02, 0.5, 1.0]))
    np.testing.assert_array_equal(native.label_parts(person, bones, NOBODY), statement(person, bones))


@pytest.mark.parametrize("size", [50, 400, 3000])
def test_every_level_gives_the_same_bits(on_every_level, size) -> None:
    person = np.random.default_rng(0).random((131, 1203)) < 0.9  # wider than what is looked at in one go
    bones = someone(1, (500, 60), size)
    result = on_every_level(lambda: native.label_parts(person, bones, NOBODY))
    np.testing.assert_array_equal(result, statement(person, bones))
    assert np.unique(result).size > 3


def test_any_strides_and_read_only(level) -> None:
    rng = np.random.default_rng(0)
    person, bones = rng.random((40, 70)) < 0.7, someone(2, (30, 20), 60)
    expected = statement(person, bones)
    person.flags.writeable = bones.flags.writeable = False
    for view, turn in ((person[::-1], np.s_[::-1]), (person[:, ::-1], np.s_[:, ::-1]), (person[::2], np.s_[::2])):
        made = native.label_parts(np.ascontiguousarray(view), bones, NOBODY)
        np.testing.assert_array_equal(native.label_parts(view, bones, NOBODY), made)
        assert ((made == NOBODY) == (expected[turn] == NOBODY)).all()
    wide = np.full((40, 99), 77, np.uint8)
    native.label_parts(person, bones, NOBODY, out=wide[:, 5:75])
    np.testing.assert_array_equal(wide[:, 5:75], expected)
    assert (wide[:, :5] == 77).all()
    assert (wide[:, 75:] == 77).all()


def test_odd_bodies(level) -> None:
    """A body in one place, one that is seen end on, one bone: whatever there is has a label."""
    person = np.ones((20, 33), np.bool_)
    still = np.zeros((33, 3), np.float32)
    line = np.linspace(0, 1, 33, dtype=np.float32)[:, None] * np.array([0, 0, 1], np.float32)
    for world in (still, line):
        bones = capsules(np.full((33, 2), 10, np.float32) + world[:, :2], world)
        np.testing.assert_array_equal(native.label_parts(person, bones, NOBODY), statement(person, bones))
    one = someone(3, (10, 10), 30)[:1]
    assert set(np.unique(native.label_parts(person, one, NOBODY))) <= {0, 1}


def test_wrong_arguments_are_refused() -> None:
    person, bones = np.ones((4, 5), np.bool_), someone(4, (2, 2), 5)
    assert len(bones) == len(BONES)
    for wrong in (person.astype(np.uint8), person[0], person[:0]):
        with pytest.raises(InputError, match="person must be"):
            native.label_parts(wrong, bones, NOBODY)
    for wrong in (bones[:0], bones[0], bones[:, :5], np.concatenate([bones, bones])):
        with pytest.raises(InputError, match="bones must be"):
            native.label_parts(person, wrong, NOBODY)
    with pytest.raises(InputError, match="nobody must be"):
        native.label_parts(person, bones, 256)
    with pytest.raises(InputError, match="out must be"):
        native.label_parts(person, bones, NOBODY, out=np.empty((5, 4), np.uint8))
