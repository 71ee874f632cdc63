"""The command line. Each file beside this one is a command, or a group of them, and says so with ``register(app)``.

To add a command, write ``NAME.py`` with a ``register`` function and put the module into `COMMANDS`, in the order of
``posemask --help``. Modules are imported to show the help: import runtimes, video libraries and models inside the
command's function. Raise errors of `posemask.errors`; `main` turns them into one line and an exit status.

Exit status: 0 done, 1 an error, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from .. import __version__
from ..errors import PosemaskError
from . import bench, blur, cutout, doctor, export, mask, models, parts, pose, replace

__all__ = ["COMMANDS", "main", "make_app"]

COMMANDS = (pose, mask, parts, blur, replace, cutout, models, export, bench, doctor)

# The parent of what Typer raises for wrong options and arguments; it has no public name that every Typer shares.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


def make_app() -> typer.Typer:
    """The program with all its commands."""
    app = typer.Typer(
        name="posemask",
        help="Find people in pictures and video: keypoints, masks, body parts, and the effects people want from them.",
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def program(
        version: Annotated[
            bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
        ] = False,
    ) -> None:
        pass

    for command in COMMANDS:
        command.register(app)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program with these arguments (by default the process's own) and return its exit status.

    Every error is one line on the standard error stream. POSEMASK_TRACEBACK=1 shows where it was raised.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    _ready_standard_streams()
    try:
        status = make_app()(arguments or ["--help"], prog_name="posemask", standalone_mode=False)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:
        # Whoever read our output has left, as `head` does. Nothing may be written when Python closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get("POSEMASK_TRACEBACK"):
            raise
        return _fail(*_explain(error))
    if status == 130:  # newer Typers turn Ctrl-C into this status without a word
        return _fail("interrupted", 130)
    return status if isinstance(status, int) else 0


def _ready_standard_streams() -> None:
    """Services start programs without these streams, and a stream's encoding may lack the letters of a file's name."""
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # The lowest free number, which is the closed stream's own: no file of ours may be taken for it.
            number = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w", encoding="utf-8"))
        elif name != "stdin" and getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _explain(error: Exception) -> tuple[str, int]:
    if isinstance(error, PosemaskError):
        return str(error), 1
    if isinstance(error, _UsageError):
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "posemask"
        problem = error.format_message().rstrip(".")  # type: ignore[attr-defined]
        return f"{problem}; see `{command} --help`", 2
    if isinstance(error, typer.Abort):
        return "interrupted", 130
    if isinstance(error, MemoryError):
        return "out of memory", 1
    if isinstance(error, OSError):
        return f"{error.filename or 'input or output'}: {error.strerror or error}", 1
    name = type(error).__name__
    return f"unexpected {name}: {error}. This is a fault of posemask; POSEMASK_TRACEBACK=1 shows where", 1


def _fail(message: str, status: int) -> int:
    print("posemask: error:", " ".join(message.split()), file=sys.stderr)
    return status


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"posemask {__version__}")
        raise typer.Exit
