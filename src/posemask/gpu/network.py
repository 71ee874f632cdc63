"""A network on an NVIDIA GPU: its plan's steps as kernel launches on torch tensors.

    network = load(graph)                      # plans, compiles what is not cached, uploads the weights
    landmarks, presence, ... = network(image)  # image (N, H, W, 4) half; queued on the current stream, nothing waits
    replay = network.capture(512)              # the same as one CUDA graph with fixed tensors

In half precision, values between steps and inside them are halves; only products add up in float32. A precise network
gives what float32 gives: see kernels/block.cu.

Steps without a kernel (a few small ones) run with torch's operators; the same queue, the same graph.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ..errors import InputError
from ..networks.graph import Graph
from . import reference
from .compiler import CudaKernels, Kernels, Launchable
from .feed import Captured
from .launches import Count, Launch, Value, launch_of
from .plan import Block, Plain, Plan, Pointwise, Stem, Step, Tower, inputs_of, plan

__all__ = ["CudaNetwork", "Replay", "load"]

LARGEST_EXACT_OUTPUT = 1 << 16
"""Outputs of at most so many elements a picture (coordinates, scores) leave in float32: half has 11 bits, and a
coordinate in 256 pixels needs more. Maps (mask, heat map) leave in half."""


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """A captured network: fill `input`, call `replay()`, read `outputs`; the tensors stay the same."""

    input: torch.Tensor
    outputs: tuple[torch.Tensor, ...]
    replay: Callable[[], None]


def load(graph: Graph, *, device: str | torch.device = "cuda", batch: int = 512, precise: bool = False) -> CudaNetwork:
    """The network of a graph on a CUDA device, compiled and uploaded: nothing is left for the first frame.

    It runs any batch, and is tuned for `batch`; `precise` as of `CudaNetwork`.

    Raises `RuntimeUnavailableError` if the device is missing or too old, or the kernels cannot be compiled.
    """
    return CudaNetwork(graph, CudaKernels(device), batch=batch, precise=precise)


class CudaNetwork:
    """See `load`. Calls queue work on the current stream of `device` and return at once.

    Args:
        precise: compute with the errors of float32 instead of half precision.

    Attributes:
        plan: the steps.
        input_shape: (H, W, C) of a picture. In half precision C is 4 (R, G, B, 0) where the network begins with a
            convolution that reads pictures, which is what crops are made as.
        input_dtype: float32 if precise, else float16.
        output_shapes: without the batch.
    """

    def __init__(self, graph: Graph, place: Kernels, *, batch: int = 512, precise: bool = False) -> None:
        self.device = device = place.device
        self.input_dtype = torch.float32 if precise else torch.float16
        self.plan: Plan = plan(graph)
        height, width, channels = self.plan.shapes[self.plan.input]
        readers = [step for step in self.plan.steps if self.plan.input in inputs_of(step)]
        stems = all(isinstance(step, Stem) or (isinstance(step, Block) and step.stem is not None) for step in readers)
        self.input_shape = (height, width, 4 if stems and not precise else channels)
        self.output_shapes = tuple(self.plan.shapes[name] for name in self.plan.outputs)
        exact = _exact_values(self.plan)
        if precise:
            exact |= {name for step in self.plan.steps for name in inputs_of(step)}
        launches, floats = [], set()
        for step in self.plan.steps:
            float_input = isinstance(step, Pointwise) and step.input in floats
            launch = launch_of(
                step,
                self.plan.shapes,
                batch=batch,
                clusters=place.clusters,
                float_output=step.output in exact,
                float_input=float_input,
                precise=precise,
            )
            launches.append(launch)
            if launch and launch.float_output:
                floats.add(step.output)
        kernels = iter(place.load([(x.name, x.constants, x.shared_bytes) for x in launches if x]))
        last_reader = {name: i for i, step in enumerate(self.plan.steps) for name in inputs_of(step)}
        self._runs = []
        for i, (step, launch) in enumerate(zip(self.plan.steps, launches, strict=True)):
            ended = [name for name in inputs_of(step) if last_reader[name] == i and name not in self.plan.outputs]
            run = (
                _launcher(launch, next(kernels), self.plan.shapes[step.output], device)
                if launch
                else _fallback(step, self.plan, device, self.input_dtype)
            )
            self._runs.append((step.output, run, tuple(ended)))
        self._maps = set(self.plan.outputs) - _exact_values(self.plan)

    def __call__(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The outputs, in the graph's order, for image (N, H, W, C) of `input_dtype`, contiguous, on the device.

        Coordinates and scores are float32, maps half. Raises `InputError` for another tensor.
        """
        if image.shape[1:] != self.input_shape or image.dtype != self.input_dtype or image.device != self.device:
            got = f"{image.dtype} {tuple(image.shape)} on {image.device}"
            wanted = f"{self.input_dtype} (N, *{self.input_shape}) on {self.device}"
            raise InputError(f"the network expects {wanted}, got {got}")
        values = {self.plan.input: image.contiguous()}
        with torch.cuda.device_of(image):  # kernels go to the current device's stream
            for output, run, ended in self._runs:
                values[output] = run(values)
                for name in ended:
                    del values[name]
        return tuple(values[name].half() if name in self._maps else values[name] for name in self.plan.outputs)

    def capture(self, batch: int) -> Replay:
        """The network for a batch as one CUDA graph, already run once. Outputs are overwritten by each replay."""
        image = torch.zeros((batch, *self.input_shape), dtype=self.input_dtype, device=self.device)
        captured = Captured(lambda: self(image), self.device)
        return Replay(image, captured.result, captured.run)


def _exact_values(plan: Plan) -> set[str]:
    """Values that leave in float32: small outputs, and what they are only a rearrangement of."""
    exact = {name for name in plan.outputs if np.prod(plan.shapes[name]) <= LARGEST_EXACT_OUTPUT}
    for step in reversed(plan.steps):
        if step.output in exact:
            if isinstance(step, Plain) and step.op in ("reshape", "concat"):
                exact.update(inputs_of(step))
            elif not isinstance(step, (Block, Pointwise, Tower)):
                exact.discard(step.output)
    return exact


Run = Callable[[dict[str, torch.Tensor]], torch.Tensor]


def _launcher(launch: Launch, kernel: Launchable, shape: tuple[int, ...], device: torch.device) -> Run:
    weights = [torch.from_numpy(a).to(device) if isinstance(a, np.ndarray) else None for a in launch.arguments]
    dtype = torch.float32 if launch.float_output else torch.float16

    def run(values: dict[str, torch.Tensor]) -> torch.Tensor:
        frames = next(
            values[a.name] for a in launch.arguments if isinstance(a, Value) and a.name != launch.output
        ).shape[0]
        output = torch.empty((frames, *launch.output_shape), dtype=dtype, device=device)
        arguments = []
        for argument, weight in zip(launch.arguments, weights, strict=True):
            if isinstance(argument, Value):
                arguments.append((output if argument.name == launch.output else values[argument.name]).data_ptr())
            elif isinstance(argument, Count):
                arguments.append(frames * argument.factor)
            else:
                arguments.append(0 if weight is None else weight.data_ptr())
        kernel.launch(launch.blocks(frames), launch.threads, arguments)
        return output if output.shape[1:] == shape else output[..., : shape[-1]].reshape(frames, *shape)

    return run


def _fallback(step: Step, plan: Plan, device: torch.device, dtype: torch.dtype) -> Run:
    placed = reference.placed(step, device, dtype)

    def run(values: dict[str, torch.Tensor]) -> torch.Tensor:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=False):
            return reference.run_step(placed, values, plan.shapes).contiguous()

    return run
