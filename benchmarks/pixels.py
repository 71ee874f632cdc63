"""The pixel kernels on a 1280 x 720 picture, one core; beside OpenCV, by turns, where it is installed.

    python benchmarks/pixels.py
    POSEMASK_ISA=avx2 python benchmarks/pixels.py        # or portable

Milliseconds: minimum and median. OpenCV below 5 is what MediaPipe was made with; it is no dependency of posemask.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Callable

import numpy as np

from posemask import _pixels
from posemask.pixels import native

try:
    import cv2
except ImportError:
    cv2 = None

Call = Callable[[], object]
HEIGHT, WIDTH = 720, 1280


def image_from_crop(size: float, angle: float, crop: int) -> np.ndarray:
    """A turned square in the middle of the picture."""
    a, b = size / crop * math.cos(angle), size / crop * math.sin(angle)
    return np.array([[a, -b, WIDTH / 2 - (a - b) * crop / 2], [b, a, HEIGHT / 2 - (a + b) * crop / 2]])


def milliseconds(calls: list[Call | None], seconds: float) -> list[tuple[float, float] | None]:
    """(minimum, median) of each call, taken by turns."""
    times: list[list[float]] = [[] for _ in calls]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 5:
        for call, series in zip(calls, times, strict=True):
            for _ in range(3 if call else 0):
                start = time.perf_counter()
                call()
                series.append((time.perf_counter() - start) * 1e3)
    return [(min(series), float(np.median(series))) if series else None for series in times]


def cases() -> list[tuple[str, Call, Call | None]]:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    shades = 120 + 60 * np.sin(x / 31 + y / 57)[..., None] + rng.normal(0, 12, (HEIGHT, WIDTH, 3))
    image = np.clip(shades, 0, 255).astype(np.uint8)
    other = np.ascontiguousarray(image[::-1])
    mask = native.resize(rng.random((24, 24), np.float32), (256, 256))
    v, u = np.mgrid[:144, :256]
    person = np.clip((70 - np.hypot((u - 128) * 1.8, v - 90)) / 4, 0, 1).astype(np.float32)
    enlarge = np.array([[5.0, 0, 2], [0, 5, 2]])
    roi, large_roi, whole = (
        image_from_crop(600, 0.3, 256),
        image_from_crop(1000, 0.1, 256),
        image_from_crop(1280, 0, 224),
    )
    cold = itertools.cycle([np.roll(image, i, axis=0) for i in range(40)])  # 110 MB: more than a cache holds

    crop, small = np.empty((256, 256, 3), np.float32), np.empty((224, 224, 3), np.float32)
    floats, alpha = np.empty((HEIGHT, WIDTH), np.float32), np.empty((HEIGHT, WIDTH), np.uint8)
    result, rgba = np.empty_like(image), np.empty((HEIGHT, WIDTH, 4), np.uint8)
    native.paste(person, enlarge, (HEIGHT, WIDTH), border="replicate", out=alpha)

    def paste(what: np.ndarray, where: np.ndarray, out: np.ndarray, border: str = "zero") -> Call:
        return lambda: native.paste(what, where, (HEIGHT, WIDTH), border=border, out=out)

    def blur(sigma: float) -> Call:
        return lambda: native.blur(image, sigma, out=result)

    def composite(sigma: float, masked: bool) -> Call:
        def run() -> None:
            native.paste(person, enlarge, (HEIGHT, WIDTH), border="replicate", out=alpha)
            native.blend_blurred(image, alpha, sigma, masked=masked, out=result)

        return run

    def cv2_crop(frame: np.ndarray) -> object:
        border = cv2.BORDER_REPLICATE
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        warped = cv2.warpPerspective(frame, np.vstack([roi, [0, 0, 1]]), (256, 256), flags=flags, borderMode=border)
        return cv2.multiply(warped, (1 / 255,) * 4, dtype=cv2.CV_32F)

    def cv2_composite() -> object:
        opaque = cv2.resize(person, (WIDTH, HEIGHT))[..., None]
        return (image * opaque + cv2.GaussianBlur(image, (55, 55), 8.6) * (1 - opaque)).astype(np.uint8)

    def cv2_tuned_composite() -> object:
        opaque = cv2.resize(person, (WIDTH, HEIGHT))
        cells = cv2.resize(image, (WIDTH // 4, HEIGHT // 4), interpolation=cv2.INTER_AREA)
        blurred = cv2.resize(cv2.GaussianBlur(cells, (0, 0), 8.6 / 4), (WIDTH, HEIGHT))
        return cv2.blendLinear(image, blurred, opaque, 1 - opaque)

    def cv2_blur(sigma: float) -> Call:
        return lambda: cv2.GaussianBlur(image, (0, 0), sigma, dst=result)

    def cv2_paste(where: np.ndarray) -> Call:
        return lambda: cv2.warpAffine(mask, where, (WIDTH, HEIGHT), dst=floats)

    return [
        ("crop 256 of 600 px, turned", lambda: native.crop(image, roi, (256, 256), border="replicate", out=crop),
         lambda: cv2_crop(image)),
        ("  of a frame in no cache", lambda: native.crop(next(cold), roi, (256, 256), border="replicate", out=crop),
         lambda: cv2_crop(next(cold))),
        ("crop 224 of the whole frame", lambda: native.crop(image, whole, (224, 224), out=small), None),
        ("paste 256 to 600 px, turned", paste(mask, roi, floats), cv2_paste(roi)),
        ("  to uint8", paste(mask, roi, alpha.copy()), None),
        ("paste 256 to 1000 px, turned", paste(mask, large_roi, floats), cv2_paste(large_roi)),
        ("enlarge 144x256", paste(person, enlarge, floats, "replicate"),
         lambda: cv2.resize(person, (WIDTH, HEIGHT), dst=floats)),
        ("  to uint8", paste(person, enlarge, alpha, "replicate"), None),
        *((f"blur, sigma {s}", blur(s), cv2_blur(s)) for s in (1, 2.9, 3, 8.6, 20)),
        ("blend two pictures", lambda: native.blend(image, other, alpha, out=result), None),
        ("RGB and alpha to RGBA", lambda: native.join_alpha(image, alpha, out=rgba), lambda: np.dstack([image, alpha])),
        ("mask 144x256 to blurred background", composite(8.6, False), cv2_tuned_composite),
        ("  against the usual recipe", composite(8.6, False), cv2_composite),
        ("  sigma 3", composite(3, False), None),
        ("  person not in the blur", composite(8.6, True), None),
        ("  sigma 12, person not in the blur", composite(12, True), None),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each line")
    arguments = parser.parse_args()
    if cv2 is not None:
        cv2.setNumThreads(1)
    peer = f"OpenCV {cv2.__version__}" if cv2 is not None else "(no OpenCV)"
    print(f"{'':36}{_pixels.level():>16}{peer:>18}")
    for name, ours, theirs in cases():
        times = milliseconds([ours, theirs if cv2 is not None or name.startswith("RGB") else None], arguments.seconds)
        print(f"{name:36}" + "".join(f"{low:9.3f} {median:7.3f}" for low, median in filter(None, times)))


if __name__ == "__main__":
    main()
