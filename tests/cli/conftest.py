"""The program as a function: arguments in, exit status and the two streams out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from posemask.cli import main


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str

    @property
    def error_line(self) -> str:
        """The one line that an error must be."""
        (line,) = self.err.splitlines()
        assert line.startswith("posemask: error: ")
        return line


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str | Path) -> Outcome:
        status = main([str(argument) for argument in arguments])
        return Outcome(status, *capsys.readouterr())

    return run


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No weights anywhere on this machine; the folder into which they would be fetched."""
    monkeypatch.delenv("POSEMASK_WEIGHTS", raising=False)
    monkeypatch.setenv("POSEMASK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"
