"""What every command has in common: help, exit status, and errors that are one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image

from posemask import __version__, cli
from posemask.errors import InputError

from .conftest import Run


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Add a command ``fail`` that raises this error."""

    def fail() -> None:
        raise error

    def register(app: typer.Typer) -> None:
        app.command("fail")(fail)

    monkeypatch.setattr(cli, "COMMANDS", (types.SimpleNamespace(register=register), *cli.COMMANDS))


def test_version_and_help(run: Run) -> None:
    assert run("--version").out == f"posemask {__version__}\n"
    for arguments in ((), ("--help",), ("-h",)):
        outcome = run(*arguments)
        assert outcome.status == 0
        assert "doctor" in outcome.out


@pytest.mark.parametrize(
    "arguments", [["no-such-command"], ["--no-such-option"], ["models"], ["models", "nothing"], ["export"]]
)
def test_wrong_usage_is_one_line_and_status_2(arguments: list[str], run: Run) -> None:
    outcome = run(*arguments)
    assert outcome.status == 2
    assert "--help" in outcome.error_line
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (InputError("expected 3,\n  got 4"), 1, "posemask: error: expected 3, got 4"),
        (FileNotFoundError(2, "No such file", "a.jpg"), 1, "posemask: error: a.jpg: No such file"),
        (MemoryError(), 1, "posemask: error: out of memory"),
        (KeyboardInterrupt(), 130, "posemask: error: interrupted"),
        (typer.Abort(), 130, "posemask: error: interrupted"),
        (RuntimeError("odd"), 1, "posemask: error: unexpected RuntimeError: odd. This is a fault of posemask"),
    ],
)
def test_every_error_is_one_line(
    error: BaseException, status: int, line: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POSEMASK_TRACEBACK", raising=False)
    fail_with(monkeypatch, error)
    outcome = run("fail")
    assert outcome.status == status
    assert outcome.error_line.startswith(line)


def test_a_traceback_is_there_for_who_asks(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSEMASK_TRACEBACK", "1")
    fail_with(monkeypatch, InputError("seen"))
    with pytest.raises(InputError, match="seen"):
        run("fail")


def test_a_status_that_a_command_chose_is_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, typer.Exit(7))
    assert run("fail").status == 7


def test_the_command_line_imports_no_runtime() -> None:
    code = "import sys, json, posemask.cli as c; c.make_app(); print(json.dumps(list(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    heavy = {"ai_edge_litert", "openvino", "onnxruntime", "onnx", "torch", "mediapipe", "av", "numpy", "PIL", "httpx"}
    assert not heavy & set(loaded)


def program(*arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    code = "import sys; from posemask.cli import main; sys.exit(main())"
    return subprocess.run([sys.executable, "-c", code, *arguments], timeout=60, check=False, **options)


@pytest.mark.skipif(os.name == "nt", reason="Windows' programs without a console are started another way")
@pytest.mark.parametrize("closed", [(1,), (0, 1, 2)])
def test_without_standard_streams(closed: tuple[int, ...], tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")

    def close() -> None:
        for number in closed:
            os.close(number)

    def status(*arguments: str) -> int:
        return program(*arguments, cwd=tmp_path, preexec_fn=close).returncode

    assert status("models", "list") == 0
    assert status("replace", "a.png", "-b", "nothing", "-o", "b.png") == 1
    finished = program("blur", "-", cwd=tmp_path, preexec_fn=close, stderr=subprocess.PIPE)
    assert finished.returncode == 1
    assert b"fault of posemask" not in finished.stderr


@pytest.mark.parametrize("name", ["ünï 名.png", os.fsdecode(b"\xffa.png")])
def test_names_that_the_console_cannot_show(name: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii:strict"}
    finished = program("pose", name, cwd=tmp_path, capture_output=True, env=environment)
    assert finished.returncode == 1
    (line,) = finished.stderr.decode("ascii").splitlines()
    assert line.endswith("No such file or directory")
    listed = program("models", "list", "--json", cwd=tmp_path, capture_output=True, env=environment)
    assert any("224×224" in model["description"] for model in json.loads(listed.stdout))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGPIPE semantics")
def test_a_reader_that_leaves_is_no_error() -> None:
    code = "import sys; from posemask.cli import main; sys.exit(main())"
    with subprocess.Popen(
        [sys.executable, "-c", code, "models", "list", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 1
