"""Imports of packages that would report their use over the network, without that.

Importing OpenVINO sends an event to Google Analytics through its helper openvino_telemetry; it does without where that
is not installed. MediaPipe's reports are built into its library and cannot be stopped from here.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

__all__ = ["no_telemetry"]

REPORTERS = ("openvino_telemetry",)


@contextlib.contextmanager
def no_telemetry() -> Iterator[None]:
    """While this lasts, what reports cannot be imported, as if it were not installed.

    A package that was imported before, by the program around us, keeps what it has.
    """
    blocked = [name for name in REPORTERS if name not in sys.modules]
    modules: dict[str, object] = sys.modules  # type: ignore[assignment]
    modules |= dict.fromkeys(blocked)  # None is what makes an import fail
    try:
        yield
    finally:
        for name in blocked:
            modules.pop(name, None)
