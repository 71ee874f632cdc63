"""Tables for people and JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .rounds import Figures

__all__ = ["compared_rows", "environment_line", "surveyed_rows", "to_json"]

SURVEYED = ("work", "runtime", "threads", "median ms", "p95 ms", "best ms", "frames/s", "CPU ms", "peak MB")
COMPARED = (
    "work",
    "who",
    "median ms",
    "p95 ms",
    "best ms",
    "frames/s",
    "CPU ms",
    "peak MB",
    "times as fast",
    "CPU",
    "peak",
)


def surveyed_rows(figures: Sequence[Figures]) -> list[tuple[str, ...]]:
    """One row of text for each, under `SURVEYED`."""
    return [(one.work.name, one.work.runtime, str(one.work.threads), *_numbers(one)) for one in figures]


def compared_rows(ours: Figures, peer: Figures) -> list[tuple[str, ...]]:
    """Two rows of text under `COMPARED`: ours with what it is of the peer's, and the peer's."""
    ratios = (
        f"{ours.fps / peer.fps:.2f} x",
        f"{ours.cpu_ms / peer.cpu_ms:.2f}",
        f"{ours.peak_mb / peer.peak_mb:.2f}" if peer.peak_mb else "",
    )
    who = ours.subject if ours.work.runtime == "auto" else f"{ours.subject}, {ours.work.runtime}"
    return [(ours.work.name, who, *_numbers(ours), *ratios), ("", peer.subject, *_numbers(peer), "", "", "")]


def environment_line(environment: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in environment.items())


def to_json(
    environment: dict[str, str], source: str, size_hw: tuple[int, int], rows: Sequence[Sequence[Figures]]
) -> Any:
    """Everything that was measured, as JSON values; the first of each row is ours, ratios are ours to the others."""
    return {
        "environment": environment,
        "frames": {"source": source, "height": size_hw[0], "width": size_hw[1]},
        "rows": [
            {
                "work": row[0].work.to_dict(),
                "figures": [{name: value for name, value in one.to_dict().items() if name != "work"} for one in row],
                "ratios": {
                    one.subject: {
                        "frames_per_second": row[0].fps / one.fps,
                        "cpu_time": row[0].cpu_ms / one.cpu_ms,
                        "peak_memory": row[0].peak_mb / one.peak_mb if one.peak_mb else None,
                    }
                    for one in row[1:]
                },
            }
            for row in rows
        ],
    }


def _numbers(one: Figures) -> tuple[str, ...]:
    return (
        f"{one.median_ms:.2f}",
        f"{one.p95_ms:.2f}",
        f"{one.best_ms:.2f}",
        f"{one.fps:.1f}",
        f"{one.cpu_ms:.2f}",
        f"{one.peak_mb:.0f}" if one.peak_mb else "",
    )
