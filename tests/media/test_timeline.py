"""Times that strictly increase, whatever the file's clock does."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from posemask.media.timeline import Timeline


def times(stamps, interval=0.04):
    timeline = Timeline(interval)
    return [timeline.time_of(stamp) for stamp in stamps]


@given(st.lists(st.none() | st.floats(-1e6, 1e6), max_size=40), st.floats(1e-3, 1.0))
def test_times_strictly_increase(stamps, interval):
    result = times(stamps, interval)
    assert all(a < b for a, b in itertools.pairwise(result))


@given(st.lists(st.floats(0, 1e6), unique=True, max_size=40))
def test_true_times_stay_as_they_are(stamps):
    assert times(sorted(stamps)) == sorted(stamps)


def test_missing_times_follow_at_the_usual_interval():
    assert times([None, None, 0.2, None], 0.04) == [0.0, 0.04, 0.2, 0.24000000000000002]


def test_a_time_given_twice_does_not_move_the_rest():
    result = times([0.0, 0.04, 0.04, 0.04, 0.08, 0.12])
    assert result[:2] == [0.0, 0.04]
    assert 0.04 < result[2] < result[3] < 0.08
    assert result[4:] == [0.08, 0.12]


def test_a_clock_that_starts_again_goes_on():
    result = times([10.0, 10.04, 0.0, 0.04, 0.08])
    assert [round(time, 6) for time in result] == [10.0, 10.04, 10.08, 10.12, 10.16]
