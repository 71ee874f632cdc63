"""What is measured: one `Work` is one row of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from ..errors import InputError

__all__ = ["COMPARISON", "MODELS", "NETWORKS", "POSE_MODELS", "Work", "comparison", "survey", "work_from"]

Task = Literal["network", "pose", "mask", "blur"]

NETWORKS = {
    "lite": "pose_landmark_lite",
    "full": "pose_landmark_full",
    "heavy": "pose_landmark_heavy",
    "general": "selfie_segmentation",
    "landscape": "selfie_segmentation_landscape",
}
"""The landmark networks of BlazePose's three model types and the networks of Selfie Segmentation's two."""

MODELS = tuple(NETWORKS)
POSE_MODELS = MODELS[:3]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One thing to measure.

    Attributes:
        name: what the row is called.
        task: "network" runs a network alone, "pose" finds a pose, "mask" a selfie mask, "blur" a frame with its
            background blurred.
        model: one of `MODELS`.
        mask: with the pose, the mask at the frame's full size.
        stream: frames are a stream and people are followed; else each stands alone.
        decode: decoding the input video counts.
        runtime: what runs the networks.
        threads: of each process.
        cores: processor cores that each process may use, where the machine has them and the system can say so.
        processes: how many do this at the same time, each on cores of its own.
    """

    name: str
    task: Task
    model: str
    mask: bool = False
    stream: bool = True
    decode: bool = False
    runtime: str = "auto"
    threads: int = 1
    cores: int = 1
    processes: int = 1

    def networks(self) -> tuple[str, ...]:
        """Names of the weights that it takes."""
        network = NETWORKS[self.model]
        return ("pose_detection", network) if self.task == "pose" else (network,)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


# What MediaPipe is measured on, each of its cases with one thread on one core or two on two.
COMPARISON = (
    Work(name="full + mask, 1 thread", task="pose", model="full", mask=True, threads=1, cores=1),
    Work(name="full + mask, 2 threads", task="pose", model="full", mask=True, threads=2, cores=2),
    Work(name="lite + mask, 1 thread", task="pose", model="lite", mask=True, threads=1, cores=1),
    Work(name="lite + mask, 2 threads", task="pose", model="lite", mask=True, threads=2, cores=2),
    Work(name="lite without mask, 1 thread", task="pose", model="lite", threads=1, cores=1),
    Work(name="lite without mask, 2 threads", task="pose", model="lite", threads=2, cores=2),
    Work(name="heavy + mask, 2 threads", task="pose", model="heavy", mask=True, threads=2, cores=2),
    Work(
        name="full + mask, single pictures, 2 threads",
        task="pose", model="full", mask=True, stream=False, threads=2, cores=2,
    ),
    Work(name="selfie landscape + blur, 1 thread", task="blur", model="landscape", threads=1, cores=1),
    Work(
        name="two streams on two cores, full + mask",
        task="pose", model="full", mask=True, threads=1, cores=1, processes=2,
    ),
)  # fmt: skip


def comparison(
    models: Sequence[str] = (), runtimes: Sequence[str] = (), threads: Sequence[int] = ()
) -> tuple[Work, ...]:
    """The rows of `COMPARISON`, or only those of some models and numbers of threads, on each of the runtimes."""
    _check_models(models)
    return tuple(
        replace(work, runtime=runtime)
        for runtime in runtimes or ("auto",)
        for work in COMPARISON
        if work.model in (models or MODELS) and (not threads or work.threads in threads)
    )


def survey(
    models: Sequence[str] = (), runtimes: Sequence[str] = (), threads: Sequence[int] = (), *, decode: bool = False
) -> tuple[Work, ...]:
    """Each model on each runtime with each number of threads: the network alone, and from a frame to its result.

    By default all models, on the fastest runtime, with one and two threads. With `decode`, also from the video's file
    to the result.
    """
    _check_models(models)
    rows = []
    for model in models or MODELS:
        task: Task = "pose" if model in POSE_MODELS else "mask"
        for runtime in runtimes or ("auto",):
            for count in threads or (1, 2):
                place: dict[str, Any] = {"model": model, "runtime": runtime, "threads": count, "cores": count}
                rows.append(Work(name=f"{model}: network alone", task="network", **place))
                if task == "pose":
                    rows.append(Work(name=f"{model}: pose", task=task, **place))
                    rows.append(Work(name=f"{model}: pose + mask", task=task, mask=True, **place))
                else:
                    rows.append(Work(name=f"{model}: mask", task=task, mask=True, **place))
                if decode:
                    name = f"{rows[-1].name}, with decoding"
                    rows.append(Work(name=name, task=task, mask=True, decode=True, **place))
    return tuple(rows)


def _check_models(models: Sequence[str]) -> None:
    for model in models:
        if model not in MODELS:
            raise InputError(f"a model to measure is one of {', '.join(MODELS)}, got {model!r}")


def work_from(values: dict[str, Any]) -> Work:
    """The inverse of `Work.to_dict`."""
    return Work(**values)
