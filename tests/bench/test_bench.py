"""The benchmark: frames, workers, statistics and reports. How fast anything is, is not tested."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posemask.bench import frames, report, rounds
from posemask.bench.environment import environment
from posemask.bench.work import COMPARISON, MODELS, Work, comparison, survey, work_from
from posemask.cli import main
from posemask.errors import InputError, PosemaskError, WeightsError

TINY = Work(name="tiny", task="network", model="landscape")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "clip.npy"
    picture = np.random.default_rng(0).integers(0, 255, (5, 72, 128, 3)).astype(np.uint8)
    np.save(path, picture)
    return path


@pytest.fixture(scope="module")
def _weights() -> None:
    from posemask import weights

    try:
        weights.path("selfie_segmentation_landscape")
    except WeightsError as error:
        pytest.skip(f"the weights are absent: {error}")


def test_frames_run_there_and_back() -> None:
    clip = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1)
    seen = [
        (int(frame.item()), round(time * frames.FRAME_RATE))
        for frame, time in itertools.islice(frames.endless(clip), 9)
    ]
    assert [frame for frame, _ in seen] == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert [time for _, time in seen] == list(range(9))
    alone = [frame.item() for frame, _ in itertools.islice(frames.endless(clip[:1]), 3)]
    assert alone == [0, 0, 0]


def test_a_picture_becomes_a_pan(tmp_path: Path) -> None:
    from PIL import Image

    picture = np.zeros((40, 20, 3), np.uint8)
    picture[:, :, 0] = 200
    Image.fromarray(picture).save(tmp_path / "tall.png")
    clip = frames.clip(tmp_path / "tall.png", 7, (80, 160))
    assert clip.shape == (7, 80, 160, 3)
    red = clip[..., 0] == 200
    assert red[0].sum() == 80 * 40, "it fits into the height"
    columns = [np.flatnonzero(frame.any(axis=0)).mean() for frame in red]
    assert columns[0] != columns[-1]
    assert np.abs(np.diff(columns)).max() < 6, "slowly"


def test_a_video_is_scaled_and_padded(shared_data: Path) -> None:
    clip = frames.clip(shared_data / "groundtruth/tfjs_pose/pose_1.mp4", 3, (72, 128))
    assert clip.shape == (3, 72, 128, 3)
    assert not clip[:, :, :27].any(), "a square video lies in the middle"
    assert clip[:, :, 40:80].mean() > 20


def test_the_rows_of_the_comparison() -> None:
    names = [work.name for work in COMPARISON]
    assert len(set(names)) == len(names) == 10
    for work in COMPARISON:
        assert work_from(json.loads(json.dumps(work.to_dict()))) == work
        assert ("2 threads" in work.name) == (work.threads == 2)
        assert ("without mask" in work.name or work.task == "blur") != work.mask
    assert [work.processes for work in COMPARISON if "two streams" in work.name] == [2]


def test_rows_of_the_comparison_can_be_chosen() -> None:
    assert comparison() == COMPARISON
    rows = comparison(["lite"], ["litert", "openvino"], [2])
    assert [(row.runtime, row.mask) for row in rows] == [
        (runtime, mask) for runtime in ("litert", "openvino") for mask in (True, False)
    ]
    with pytest.raises(InputError, match="'huge'"):
        comparison(["huge"])


def test_the_survey_has_every_model_runtime_and_number_of_threads() -> None:
    rows = survey(MODELS, ("litert", "openvino"), (1, 2), decode=True)
    places = {(row.model, row.runtime, row.threads) for row in rows}
    assert len(places) == len(MODELS) * 4
    assert {row.task for row in rows if row.model == "full"} == {"network", "pose"}
    assert {row.task for row in rows if row.model == "general"} == {"network", "mask"}
    assert any(row.decode for row in rows)
    assert not any(row.decode for row in survey(("lite",), ("auto",), (1,), decode=False))
    with pytest.raises(InputError, match="'huge'"):
        survey(("huge",), ("auto",), (1,), decode=False)


@pytest.mark.usefixtures("_weights")
def test_workers_report_what_they_did(clip: Path) -> None:
    (figures,) = rounds.measure(TINY, ["posemask"], clip, rounds=2, seconds=0.02)
    assert figures.subject == "posemask"
    assert (figures.rounds, len(figures.round_ms), figures.found) == (2, 2, 1.0)
    assert figures.frames >= 4
    assert 0 < figures.best_ms <= figures.median_ms <= figures.p95_ms
    assert figures.cpu_ms > 0
    assert 10 < figures.peak_mb < 1000 or not Path("/proc/self/status").is_file()


@pytest.mark.usefixtures("_weights")
def test_two_processes_run_at_the_same_time(clip: Path) -> None:
    work = Work(name="both", task="blur", model="landscape", processes=2)
    (figures,) = rounds.measure(work, ["posemask"], clip, rounds=1, seconds=0.02)
    assert figures.fps > 0
    assert figures.found == 1.0


@pytest.mark.usefixtures("_weights")
def test_decoding_can_count(clip: Path, shared_data: Path) -> None:
    work = Work(name="decoded", task="mask", model="landscape", decode=True)
    video = shared_data / "groundtruth/tfjs_pose/pose_1.mp4"
    (figures,) = rounds.measure(work, ["posemask"], clip, video=video, rounds=1, seconds=0.02)
    assert figures.found == 1.0


def test_a_worker_that_fails_says_why(clip: Path) -> None:
    with pytest.raises(PosemaskError, match="measurement of nobody failed: InputError: a subject is one of"):
        rounds.measure(TINY, ["nobody"], clip)
    with pytest.raises(PosemaskError, match=r"measurement of posemask failed: .*huge"):
        rounds.measure(Work(name="wrong", task="pose", model="huge"), ["posemask"], clip)


def test_mediapipe_is_never_measured_at_another_work(clip: Path) -> None:
    pytest.importorskip("mediapipe", reason="MediaPipe is not installed")
    with pytest.raises(PosemaskError, match=r"measurement of mediapipe failed: .*by itself"):
        rounds.measure(TINY, ["mediapipe"], clip)


def test_the_cores_of_processes_do_not_overlap() -> None:
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system cannot pin processes")
    usable = len(os.sched_getaffinity(0))
    work = Work(name="pinned", task="pose", model="full", cores=1, processes=usable)
    given = [rounds._cpus_of(work, process) for process in range(usable)]
    assert sorted(cpu for cpus in given for cpu in cpus) == sorted(os.sched_getaffinity(0))
    too_many = Work(name="too many", task="pose", model="full", cores=usable, processes=2)
    assert rounds._cpus_of(too_many, 0) == []


def figures_of(
    subject: str, milliseconds: list[list[float]], peak_mb: float = 100.0, processes: int = 1
) -> rounds.Figures:
    """What `measure` makes of workers that took so long."""
    turns: list[list[dict[str, Any]]] = [
        [
            {"milliseconds": turn, "wall_s": sum(turn) / 1e3, "cpu_s": sum(turn) / 500, "found": 1, "peak_mb": peak_mb}
            for _ in range(processes)
        ]
        for turn in milliseconds
    ]
    return rounds._figures(subject, TINY, turns, len(milliseconds[0]))


def test_figures_are_medians_of_the_rounds() -> None:
    figures = figures_of("posemask", [[10.0] * 4, [20.0] * 4, [90.0] * 4])
    assert figures.round_ms == (10.0, 20.0, 90.0)
    assert (figures.median_ms, figures.best_ms, figures.p95_ms) == (20.0, 10.0, 90.0)
    assert figures.fps == pytest.approx(50)
    assert figures.cpu_ms == pytest.approx(40)
    assert figures.found == pytest.approx(0.25)
    both = figures_of("posemask", [[10.0] * 4, [20.0] * 4, [90.0] * 4], processes=2)
    assert both.fps == pytest.approx(100), "of all processes"
    assert both.cpu_ms == pytest.approx(40), "of a frame"


def test_reports_give_ratios_of_ours_to_the_peers() -> None:
    ours, peer = figures_of("posemask", [[10.0] * 4]), figures_of("mediapipe", [[25.0] * 4], peak_mb=200)
    first, second = report.compared_rows(ours, peer)
    assert len(first) == len(second) == len(report.COMPARED)
    assert first[-3:] == ("2.50 x", "0.40", "0.50")
    (row,) = report.surveyed_rows([ours])
    assert len(row) == len(report.SURVEYED)
    value = json.loads(json.dumps(report.to_json(environment(), "clip", (72, 128), [[ours, peer]])))
    (line,) = value["rows"]
    assert line["ratios"]["mediapipe"]["frames_per_second"] == pytest.approx(2.5)
    assert line["ratios"]["mediapipe"]["cpu_time"] == pytest.approx(0.4)
    assert line["figures"][0]["subject"] == "posemask"
    assert value["environment"]["posemask"]


@pytest.mark.usefixtures("_weights")
def test_the_command_prints_tables_and_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(tmp_path / "grey.png")
    options = ["--input", str(tmp_path / "grey.png"), "--model", "landscape", "--threads", "1", "--row", "alone"]
    tiny = [*options, "--rounds", "1", "--seconds", "0.02"]
    assert main(["bench", *tiny]) == 0
    assert "landscape: network alone" in capsys.readouterr().out
    assert main(["bench", *tiny, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert [row["work"]["name"] for row in value["rows"]] == ["landscape: network alone"]
    assert (value["frames"]["height"], value["frames"]["width"]) == (720, 1280)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--decode"], "--decode needs a video"),
        (["--decode", "--input", "x.mp4", "--against", "mediapipe"], "compares with nothing"),
        (["--against", "opencv"], "--against must be mediapipe"),
        (["--row", "nothing like it"], "no row"),
        (["--model", "huge"], "'huge'"),
    ],
)
def test_wrong_arguments_are_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    assert main(["bench", *arguments]) == 1
    assert words in capsys.readouterr().err
