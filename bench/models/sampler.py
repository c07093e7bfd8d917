"""Samplers generate images in batches; for U-Net models, an explicit denoising loop with diffusers parts.

The noise of each image is drawn on the CPU from its seed, so it does not depend on the batch, the worker or
the
method: methods are compared on the same noise.
"""

from __future__ import annotations

import copy
import logging
import os
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models import memory
from evenhand.bench.models.compilation import Networks, compiled, uncompiled
from evenhand.bench.models.large_models import check_u_net_protocol
from evenhand.bench.models.solvers import SOLVERS, solver_of
from evenhand.bench.models.unet import Model, UNetModel, as_unet_model
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.base import Images, Intervention, TextStates
from evenhand.methods.hooks import Batch, Site, Steering, Step
from evenhand.methods.shared.randomness import image_stream

_log = logging.getLogger(__name__)

Drawn = tuple[Images, NDArray[np.bool_]]
"""Images of a batch, and whether each has only finite pixels."""

MAX_QUEUED = 2
"""Maximum number of batches per core that are started before the first one is returned."""


def _transposed(branches: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """The texts of every branch, from the branches of every image."""
    return list(zip(*branches, strict=True))


class BatchSampler(ABC):
    """Generates images of a model in batches; subclasses define how to generate a batch.

    Args:
        model: The model.
        protocol: The protocol.
        cores: Number of batches generated in parallel on a CPU; all cores if ``None``.

    Attributes:
        micro_batch: Number of images that the networks generate at once: the batch size of the protocol, or
            less on an accelerator that has run out of memory. Images do not depend on it, except for the last
            bits of an accelerator's kernels, so it is not part of their keys.
    """

    model: Model

    def __init__(self, model: Model, protocol: Protocol, *, cores: int | None = None) -> None:
        self.model = model
        self.protocol = protocol
        self.micro_batch = protocol.batch
        self._cores = cores or os.cpu_count() or 1
        self._stopped = threading.Event()

    def with_steps(self, steps: int) -> Self:
        """The same sampler with another number of denoising steps."""
        other = copy.copy(self)
        other.protocol = self.protocol.model_copy(update={"steps": steps})
        return other

    @abstractmethod
    def _applied(self, intervention: Intervention) -> AbstractContextManager[None]:
        """A context in which the intervention is applied to the model."""

    @abstractmethod
    def _batch(self, pairs: list[tuple[str, int]], intervention: Intervention, negative: str) -> Drawn:
        """Generate images for pairs of prompt and seed."""

    def __call__(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        intervention: Intervention | None = None,
        negative_prompt: str = "",
    ) -> Images:
        """Generate images ``(n, height, width, 3)`` of ``prompts``, one per seed; see :meth:`draw`."""
        made = np.empty((len(prompts), self.protocol.height, self.protocol.width, 3), dtype=np.uint8)

        def keep(start: int, images: Images, finite: NDArray[np.bool_]) -> None:
            made[start : start + len(images)] = images

        self.draw(prompts, seeds, intervention=intervention, negative_prompt=negative_prompt, on_batch=keep)
        return made

    def draw(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        on_batch: Callable[[int, Images, NDArray[np.bool_]], None],
        intervention: Intervention | None = None,
        negative_prompt: str = "",
    ) -> None:
        """Generate images of ``prompts``, one per seed, and pass them to ``on_batch``; memory use is bounded.

        All batches have the batch size of the protocol: the last one is padded with copies, because another
        batch shape may select other kernels and change the last bits of images.

        Args:
            prompts: ``n`` prompts.
            seeds: ``n`` seeds of the initial noise.
            on_batch: Called after every batch, in order, with the index of its first image, the images, and
                whether each has only finite pixels. Images with NaN are black and marked ``False``.
            intervention: The fitted intervention; its ``weights`` are applied during the call.
            negative_prompt: Text of the unconditional branch.
        """
        intervention = intervention or Intervention()
        size = self.protocol.batch
        pairs = list(zip(prompts, seeds, strict=True))
        batches = [pairs[start : start + size] for start in range(0, len(pairs), size)]
        padded = [batch + [batch[-1]] * (size - len(batch)) for batch in batches]
        tasks = [partial(self._drawn, batch, intervention, negative_prompt) for batch in padded]
        with self._applied(intervention), closing(self._all(tasks)) as drawn:
            for number, (images, finite) in enumerate(drawn):
                kept = len(batches[number])
                on_batch(number * size, images[:kept], finite[:kept])

    def _drawn(self, pairs: list[tuple[str, int]], intervention: Intervention, negative: str) -> Drawn:
        """Images of a batch, in parts that fit into the memory of an accelerator.

        Raises:
            EvenhandError: Not even one image fits, or, on a CPU, not the whole batch.
        """
        while True:
            size = self.micro_batch
            try:
                return self._in_parts(pairs, size, intervention, negative)
            except (RuntimeError, MemoryError) as fault:
                if not memory.is_out_of_memory(fault):
                    raise
                if size == 1 or self.model.device.type == "cpu":
                    raise self._too_large(size, fault) from fault
            # After the handler, because its traceback holds the tensors of the failed attempt.
            memory.release()
            self.micro_batch = size // 2
            _log.warning(
                "the device cannot generate %d images at once; generating %d at once", size, self.micro_batch
            )

    def _in_parts(
        self, pairs: list[tuple[str, int]], size: int, intervention: Intervention, negative: str
    ) -> Drawn:
        starts = range(0, len(pairs), size)
        drawn = [self._batch(pairs[start : start + size], intervention, negative) for start in starts]
        return np.concatenate([images for images, _ in drawn]), np.concatenate([ok for _, ok in drawn])

    def _too_large(self, size: int, fault: BaseException) -> EvenhandError:
        width, height, precision = self.protocol.width, self.protocol.height, self.protocol.precision
        return EvenhandError(
            f"not enough memory to generate {size} images at once ({width} x {height}, {precision}) with "
            f"model {self.model.name!r} ({memory.reason(fault)}); in the protocol of the suite, lower batch, "
            'width and height or set precision = "bfloat16", or use a device with more memory'
        )

    def _all(self, tasks: Sequence[Callable[[], Drawn]]) -> Generator[Drawn, None, None]:
        """Yield results in order. On a CPU, every core generates separate batches with one thread each.

        With one thread per batch, images do not depend on the number of cores, and small models are faster
        than with all cores per operation. An accelerator generates one batch while the previous one is
        written. After an exception or Ctrl-C, running batches stop at their next denoising step.
        """
        alone = self.model.device.type != "cpu"
        cores = 1 if alone else self._cores
        threads = torch.get_num_threads()
        self._stopped.clear()
        try:
            with ThreadPoolExecutor(
                cores, initializer=torch.set_num_threads, initargs=(threads if alone else 1,)
            ) as pool:
                # Bounded, because waiting results take memory.
                waiting: deque[Future[Drawn]] = deque()
                try:
                    for task in tasks:
                        waiting.append(pool.submit(task))
                        if len(waiting) > MAX_QUEUED * cores:
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
    """Generates images of a U-Net model.

    Args:
        model: The model.
        protocol: The protocol.
        cores: See :class:`BatchSampler`.
        networks: The networks for the denoising loop; those of the protocol if ``None``.

    Raises:
        EvenhandError: The model generates videos or is not a U-Net model, or the solver is not one of
            :data:`~evenhand.bench.models.solvers.SOLVERS` or does not support the model's noise schedule.
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
        unet_model = as_unet_model(model)
        if model.family == "video":
            raise EvenhandError(
                f"model {model.name!r} generates videos, which the benchmark does not measure; use "
                "evenhand.bench.models.video in Python"
            )
        if protocol.solver not in SOLVERS:
            raise EvenhandError(
                f"solver {protocol.solver!r} is only for models that are run as whole pipelines, and "
                f"{model.name!r} has family {model.family}; use one of {', '.join(SOLVERS)}"
            )
        check_u_net_protocol(protocol, model.name)
        super().__init__(model, protocol, cores=cores)
        chosen = compiled if protocol.compilation == "whole" else uncompiled
        self.networks = networks or chosen(unet_model)
        self._scheduler = solver_of(unet_model.scheduler, protocol.solver, model=model.name)
        scale = 2 ** (len(unet_model.vae.config.block_out_channels) - 1)
        channels = unet_model.unet.config.in_channels
        self._now = threading.local()
        self._latent_shape = (channels, protocol.height // scale, protocol.width // scale)

    def scheduler(self) -> Any:
        """A new solver for one batch; solvers have state."""
        return copy.deepcopy(self._scheduler)

    @contextmanager
    def _applied(self, intervention: Intervention) -> Iterator[None]:
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
            self.model.encode([negative] * len(batch)) if negative else self.model.unconditional(len(batch)),
            *map(self.model.encode, _transposed(steering.branches)),
        ]
        noise = torch.stack([self._noise(seed) for seed in batch.seeds])
        # Compiled graphs ignore hooks.
        networks = uncompiled(self.model) if intervention.sites() else self.networks
        latents = self._denoise(networks, noise, [others[0], conditional, *others[1:]], steering)
        return self._decode(networks, latents)

    def _noise(self, seed: int) -> Tensor:
        return torch.randn(self._latent_shape, generator=torch.Generator("cpu").manual_seed(seed))

    def _denoise(
        self, networks: Networks, noise: Tensor, texts: list[TextStates], steering: Steering
    ) -> Tensor:
        """Denoise the latents; ``texts`` are the unconditional, conditional and further branches."""
        scheduler, dtype = self.scheduler(), self.model.unet.dtype
        # On the CPU: solvers and methods read timesteps, and would wait for an accelerator at every step.
        scheduler.set_timesteps(self.protocol.steps)
        latents = noise.to(self.model.device, dtype) * scheduler.init_noise_sigma
        uncond, conditional, *branches = (text.states.to(dtype) for text in texts)
        extra = self._conditioning(texts)
        for index, t in enumerate(scheduler.timesteps):
            if self._stopped.is_set():
                raise CancelledError("generation was stopped")
            # Not the steps of the protocol: PNDM evaluates the network once more.
            step = Step(index, len(scheduler.timesteps), t, self.protocol.guidance)
            states = torch.cat([uncond, steering.text(step, conditional, latents), *branches])
            stacked = scheduler.scale_model_input(torch.cat([latents] * len(texts)), t)
            self._now.asked = partial(steering.feature, step)
            timestep = t.to(self.model.device)
            predicted = networks.denoise(
                stacked, timestep, encoder_hidden_states=states, added_cond_kwargs=extra
            )
            e_uncond, e_text, *e_branches = predicted.sample.chunk(len(texts))
            guided = steering.noise(step, e_uncond, e_text, e_branches)
            latents = scheduler.step(guided, t, latents).prev_sample
        result: Tensor = latents
        return result

    def _feature(self, site: Site, output: Tensor) -> Tensor:
        """Pass the output of a module to the steering of the current batch of this thread."""
        changed: Tensor = self._now.asked(site, output)
        return changed

    def _conditioning(self, texts: list[TextStates]) -> dict[str, Tensor]:
        each = [
            self.model.conditioning(text, height=self.protocol.height, width=self.protocol.width)
            for text in texts
        ]
        return {name: torch.cat([extra[name] for extra in each]) for name in each[0]}

    def _decode(self, networks: Networks, latents: Tensor) -> Drawn:
        count = memory.parts(len(latents), height=self.protocol.height, width=self.protocol.width)
        drawn = [self._pixels(networks, part) for part in latents.tensor_split(count)]
        return np.concatenate([images for images, _ in drawn]), np.concatenate([ok for _, ok in drawn])

    def _pixels(self, networks: Networks, latents: Tensor) -> Drawn:
        images = networks.decode(self.model.autoencoder.unscaled(latents)).sample.float()
        finite = images.isfinite().all(dim=3).all(dim=2).all(dim=1)
        images = torch.where(finite[:, None, None, None], images, -1.0)
        pixels = images.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
        return pixels.permute(0, 2, 3, 1).cpu().numpy(), finite.cpu().numpy()
