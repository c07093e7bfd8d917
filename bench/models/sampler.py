"""Samplers draw in batches; the one of the U-Net families is one explicit denoising loop on diffusers' parts.

Noise is drawn per image on the CPU from the image's own seed, so an image does not depend on its
batch, its shard or its method: methods are compared on the same noise.
"""

from __future__ import annotations

import copy
import os
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.compilation import Networks, compiled, plain
from evenhand.bench.models.unet import Model, UNetModel, opened
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.base import Images, Intervention, TextStates
from evenhand.methods.hooks import Batch, Site, Steering, Step
from evenhand.methods.shared.randomness import image_stream

Drawn = tuple[Images, NDArray[np.bool_]]
"""Images of a batch, and which of them are finite."""

AHEAD = 2
"""Batches per core that may be begun before the first of them is handed over."""

SOLVERS = {
    "dpmsolver++": "DPMSolverMultistepScheduler",
    "ddim": "DDIMScheduler",
    "euler": "EulerDiscreteScheduler",
    "lms": "LMSDiscreteScheduler",
    "pndm": "PNDMScheduler",
    "unipc": "UniPCMultistepScheduler",
}


def _turned(branches: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Texts of every branch, from the branches of every image."""
    return list(zip(*branches, strict=True))


class BatchSampler(ABC):
    """Draws images of a model under a protocol, batch by batch; how a batch is drawn is the subclass's.

    Args:
        model: The model.
        protocol: The protocol.
        cores: Batches that are drawn at a time on the CPU; all of the machine's cores if ``None``.
    """

    model: Model

    def __init__(self, model: Model, protocol: Protocol, *, cores: int | None = None) -> None:
        self.model = model
        self.protocol = protocol
        self._cores = cores or os.cpu_count() or 1
        self._stopped = threading.Event()

    @abstractmethod
    def _in_force(self, intervention: Intervention) -> AbstractContextManager[None]:
        """The model as the intervention has it."""

    @abstractmethod
    def _batch(self, pairs: list[tuple[str, int]], intervention: Intervention, negative: str) -> Drawn:
        """Images of pairs of prompt and seed."""

    def __call__(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        intervention: Intervention | None = None,
        negative_prompt: str = "",
    ) -> Images:
        """Images ``(n, height, width, 3)`` of ``prompts``, one per seed; see :meth:`draw`."""
        made = [np.empty((0, self.protocol.height, self.protocol.width, 3), dtype=np.uint8)]
        self.draw(
            prompts,
            seeds,
            intervention=intervention,
            negative_prompt=negative_prompt,
            on_batch=lambda start, images, finite: made.append(images),
        )
        return np.concatenate(made)

    def draw(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        on_batch: Callable[[int, Images, NDArray[np.bool_]], None],
        intervention: Intervention | None = None,
        negative_prompt: str = "",
    ) -> None:
        """Draw the images of ``prompts``, one per seed, and hand them over; few are held at a time.

        Every batch has the protocol's size: the last one is filled up with copies that are dropped, since
        another batch shape may select other kernels and change an image's last bits.

        Args:
            prompts: ``n`` prompts, mixed freely.
            seeds: ``n`` seeds of the initial noise.
            on_batch: Called after every batch, in order, with its first index, its images, and which of
                them are finite; an image that a broken edit turned into NaN is black and marked ``False``.
            intervention: What a fitted method changes; its ``weights`` are in force during the call.
            negative_prompt: Text of the unconditional branch.
        """
        intervention = intervention or Intervention()
        size = self.protocol.batch
        pairs = list(zip(prompts, seeds, strict=True))
        batches = [pairs[start : start + size] for start in range(0, len(pairs), size)]
        filled = [batch + [batch[-1]] * (size - len(batch)) for batch in batches]
        tasks = [partial(self._batch, batch, intervention, negative_prompt) for batch in filled]
        with self._in_force(intervention), closing(self._all(tasks)) as drawn:
            for number, (images, finite) in enumerate(drawn):
                kept = len(batches[number])
                on_batch(number * size, images[:kept], finite[:kept])

    def _all(self, tasks: Sequence[Callable[[], Drawn]]) -> Generator[Drawn, None, None]:
        """Results in order. On the CPU every core draws batches of its own with one thread.

        One thread per batch makes an image independent of the number of cores, and on small models it is
        faster than splitting every operation over the cores. An accelerator draws one batch at a time, while
        the images of the last one are written. After a fault or Ctrl-C, batches that are being drawn end
        at their next step.
        """
        alone = self.model.device.type != "cpu"
        cores = 1 if alone else self._cores
        threads = torch.get_num_threads()
        self._stopped.clear()
        try:
            with ThreadPoolExecutor(
                cores, initializer=torch.set_num_threads, initargs=(threads if alone else 1,)
            ) as pool:
                # Not all at once: results that wait for their turn fill the memory.
                waiting: deque[Future[Drawn]] = deque()
                try:
                    for task in tasks:
                        waiting.append(pool.submit(task))
                        if len(waiting) > AHEAD * cores:
                            yield waiting.popleft().result()
                    while waiting:
                        yield waiting.popleft().result()
                finally:
                    self._stopped.set()
                    for future in waiting:
                        future.cancel()
        finally:
            torch.set_num_threads(threads)


class Sampler(BatchSampler):
    """Draws images of a model of the U-Net families.

    Args:
        model: The model.
        protocol: The protocol.
        cores: As for every sampler.
        networks: What the denoising loop calls; what the protocol asks for if ``None``.

    Raises:
        EvenhandError: The model draws clips or is not opened up, or the solver is not one of :data:`SOLVERS`.
    """

    model: UNetModel

    def __init__(
        self,
        model: Model,
        protocol: Protocol,
        *,
        cores: int | None = None,
        networks: Networks | None = None,
    ) -> None:
        import diffusers

        unet_model = opened(model)
        if model.family == "video":
            raise EvenhandError(
                f"model {model.name!r} draws clips, which the benchmark does not measure; draw them in "
                "Python with evenhand.bench.models.video"
            )
        if protocol.solver not in SOLVERS:
            raise EvenhandError(
                f"solver {protocol.solver!r} is for models that their own pipeline draws, and "
                f"{model.name!r} is of family {model.family}; choose one of {', '.join(SOLVERS)}"
            )
        super().__init__(model, protocol, cores=cores)
        chosen = {"none": plain, "whole": compiled}[protocol.compilation]
        self.networks = networks or chosen(unet_model)
        self._scheduler = getattr(diffusers, SOLVERS[protocol.solver]).from_config(
            unet_model.scheduler.config
        )
        scale = 2 ** (len(unet_model.vae.config.block_out_channels) - 1)
        channels = unet_model.unet.config.in_channels
        self._now = threading.local()
        self._latent_shape = (channels, protocol.height // scale, protocol.width // scale)

    def scheduler(self) -> Any:
        """A solver of the protocol's kind for one batch; solvers keep a history."""
        return copy.deepcopy(self._scheduler)

    @contextmanager
    def _in_force(self, intervention: Intervention) -> Iterator[None]:
        hooked = self.model.features(intervention.sites(), self._feature)
        with self.model.edited(intervention.weights), hooked:
            yield

    @torch.inference_mode()
    def _batch(self, pairs: list[tuple[str, int]], intervention: Intervention, negative: str) -> Drawn:
        digest = intervention.digest() if type(intervention) is not Intervention else ""
        draws = tuple(image_stream(digest, prompt, seed) for prompt, seed in pairs)
        texts = tuple(intervention.prompt(text, draw) for (text, _), draw in zip(pairs, draws, strict=True))
        conditional = intervention.embedding(self.model.encode(texts), draws)
        seeds = tuple(seed for _, seed in pairs)
        batch = Batch(texts=texts, seeds=seeds, draws=draws, encode=self.model.encode_uncached)
        steering = intervention.steer(batch)
        others = [
            self.model.encode([negative] * len(batch)),
            *map(self.model.encode, _turned(steering.branches)),
        ]
        noise = torch.stack([self._noise(seed) for seed in batch.seeds])
        # A compiled graph knows nothing of hooks.
        networks = plain(self.model) if intervention.sites() else self.networks
        latents = self._denoise(networks, noise, [others[0], conditional, *others[1:]], steering)
        return self._decode(networks, latents)

    def _noise(self, seed: int) -> Tensor:
        return torch.randn(self._latent_shape, generator=torch.Generator("cpu").manual_seed(seed))

    def _denoise(
        self, networks: Networks, noise: Tensor, texts: list[TextStates], steering: Steering
    ) -> Tensor:
        """Latents without noise; ``texts``: unconditional, conditional, further branches."""
        scheduler, dtype = self.scheduler(), self.model.unet.dtype
        scheduler.set_timesteps(self.protocol.steps, device=self.model.device)
        latents = noise.to(self.model.device, dtype) * scheduler.init_noise_sigma
        uncond, conditional, *branches = (text.states.to(dtype) for text in texts)
        extra = self._conditioning(texts)
        for index, t in enumerate(scheduler.timesteps):
            if self._stopped.is_set():
                raise CancelledError("drawing was stopped")
            step = Step(index, self.protocol.steps, t, self.protocol.guidance)
            states = torch.cat([uncond, steering.text(step, conditional, latents), *branches])
            stacked = scheduler.scale_model_input(torch.cat([latents] * len(texts)), t)
            self._now.asked = partial(steering.feature, step)
            predicted = networks.denoise(stacked, t, encoder_hidden_states=states, added_cond_kwargs=extra)
            e_uncond, e_text, *e_branches = predicted.sample.chunk(len(texts))
            guided = steering.noise(step, e_uncond, e_text, e_branches)
            latents = scheduler.step(guided, t, latents).prev_sample
        result: Tensor = latents
        return result

    def _feature(self, site: Site, output: Tensor) -> Tensor:
        """Hands a module's output to the steering of the batch that this thread denoises."""
        changed: Tensor = self._now.asked(site, output)
        return changed

    def _conditioning(self, texts: list[TextStates]) -> dict[str, Tensor]:
        each = [
            self.model.conditioning(text, height=self.protocol.height, width=self.protocol.width)
            for text in texts
        ]
        return {name: torch.cat([extra[name] for extra in each]) for name in each[0]}

    def _decode(self, networks: Networks, latents: Tensor) -> Drawn:
        images = networks.decode(latents / self.model.vae.config.scaling_factor).sample.float()
        finite = images.isfinite().all(dim=3).all(dim=2).all(dim=1)
        images = torch.where(finite[:, None, None, None], images, -1.0)
        pixels = images.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
        return pixels.permute(0, 2, 3, 1).cpu().numpy(), finite.cpu().numpy()
