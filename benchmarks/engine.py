"""The native engine against LiteRT, network by network, in one process and by turns; or where its time goes.

    python benchmarks/engine.py lite full --threads 1 2
    python benchmarks/engine.py detector --profile

Networks are looked up as the library does (POSEMASK_WEIGHTS, cache). Where other work shares the machine, trust the
minimum.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from posemask import weights
from posemask.networks.graph import Graph
from posemask.networks.read_tflite import read_tflite
from posemask.runtimes import litert, native

NETWORKS = {
    "lite": "pose_landmark_lite",
    "full": "pose_landmark_full",
    "heavy": "pose_landmark_heavy",
    "detector": "pose_detection",
    "selfie": "selfie_segmentation",
    "landscape": "selfie_segmentation_landscape",
}
LANDMARKS = (0, 1, 3, 4)  # without the mask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"{', '.join(NETWORKS)}; default: all")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=3, help="for each line")
    parser.add_argument("--without-mask", action="store_true", help="cut the mask's branch off (landmark networks)")
    parser.add_argument("--profile", action="store_true", help="the best time of each step instead")
    arguments = parser.parse_args()
    for name in arguments.networks or NETWORKS:
        graph = read_tflite(weights.path(NETWORKS[name]))
        if arguments.without_mask and len(graph.outputs) > max(LANDMARKS):
            graph = graph.keep_outputs(LANDMARKS)
        for threads in arguments.threads:
            if arguments.profile:
                show_profile(name, graph, threads)
            else:
                compare(name, graph, threads, arguments.seconds)


def show_profile(name: str, graph: Graph, threads: int) -> None:
    steps = native.load(graph, threads=threads).profile(picture(graph), rounds=60)
    total = 1e3 * sum(seconds for _, seconds in steps)
    print(f"{name}, {threads} threads: {total:.2f} ms, the sum of the best time of each step")
    for step, seconds in steps:
        print(f"{1e6 * seconds:9.1f} us  {step}")


def compare(name: str, graph: Graph, threads: int, seconds: float) -> None:
    x = picture(graph)
    runtimes = {"native": native, "litert": litert}
    networks = {name: runtime.load(graph, threads=threads) for name, runtime in runtimes.items()}
    times: dict[str, list[float]] = {runtime: [] for runtime in networks}
    for network in networks.values():
        network(x)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for runtime, network in networks.items():
            for _ in range(6):
                start = time.perf_counter()
                network(x)
                times[runtime].append(time.perf_counter() - start)
    for runtime, values in times.items():
        least, tenth, median = 1e3 * np.quantile(values, [0, 0.1, 0.5])
        times_text = f"min {least:6.2f}  p10 {tenth:6.2f}  median {median:6.2f} ms"
        print(f"{name:10} {threads}T {runtime:7} {times_text}", flush=True)


def picture(graph: Graph) -> np.ndarray:
    return np.random.default_rng(0).random(graph.input_shapes[0], dtype=np.float32)


if __name__ == "__main__":
    main()
