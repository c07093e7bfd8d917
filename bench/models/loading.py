"""Loading text-to-image models: the bundled ``mini``, a local folder or file, or a hub id."""

from __future__ import annotations

import contextlib
import copy
import json
import warnings
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.large_models import check_choices, quantized
from evenhand.bench.models.memory import memory_needed
from evenhand.bench.models.pipelines import check_class
from evenhand.bench.models.sampler import BatchSampler, Sampler
from evenhand.bench.models.single_file import checkpoint_source, is_checkpoint, load_checkpoint
from evenhand.bench.models.solvers import check_scheduler
from evenhand.bench.models.sources import Source, folder_source, hub_source, read_index
from evenhand.bench.models.unet import Model, UNetModel, as_unet_model
from evenhand.bench.models.whole_pipeline import PipelineSampler, WholePipeline
from evenhand.bench.parsing.regular_file import read_regular
from evenhand.bench.suites.protocol import Offload, Quantization
from evenhand.bench.suites.suite import Protocol, Suite
from evenhand.metrics.vision.hub import hub_name
from evenhand.metrics.vision.loaded_weights import require_loaded

MINI = Path(str(files("evenhand.bench.mini"))) / "pipeline"

LIBRARIES = ("diffusers", "transformers", "stable_diffusion", None)
"""Allowed sources of the classes of a pipeline, as named in its index; ``stable_diffusion`` is the module of
the safety checker in diffusers."""

_SMALLER = 'set precision = "bfloat16" in the protocol of the suite, or use a device with more memory'

MAX_LAYERS = 1000
"""Largest number of layers of a network, or of one of its blocks; the largest in use have 100."""

_MAX_CONFIG_BYTES = 2**24

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def list_models() -> list[str]:
    """Names of the models that ship with Evenhand."""
    return ["mini"]


def load_model_of(suite: Suite, *, device: str | None = None) -> Model:
    """Load the model of a suite as its protocol says; see :func:`load_model`."""
    protocol = suite.protocol
    return load_model(
        suite.model,
        precision=protocol.precision,
        quantization=protocol.quantization,
        offload=protocol.offload,
        device=device,
    )


def load_model(
    name: str,
    *,
    precision: str = "float32",
    quantization: Quantization = "none",
    offload: Offload = "none",
    device: str | None = None,
) -> Model:
    """Load a model by name, local folder or file, or hub id; only safetensors weights.

    Args:
        name: ``"mini"``; the path of a diffusers folder or of a single-file checkpoint; or a hub id such as
            ``"org/model"``, with a branch, tag or commit as ``"org/model@revision"``.
        precision: ``float32``, ``bfloat16`` or ``float16``.
        quantization: How the weights of a large model's networks are stored.
        offload: Which weights of a large model wait in the main memory.
        device: Torch device; by default CUDA if available, else the CPU.

    Raises:
        EvenhandError: The folder is not a pipeline, contains code, or its files are inconsistent; or the hub
            id is neither cached nor reachable; or a quantization or offload is not possible.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        with quiet_loaders():
            source = find_model(name)
            kind = str(read_index(source.root).get("_class_name"))
            check_choices(kind, name, quantization=quantization, offload=offload, device=torch.device(device))
            pipe = _from_pretrained(source, name=name, dtype=DTYPES[precision], quantization=quantization)
        with memory_needed(f"load model {name!r} in {precision}", remedy=_SMALLER):
            named = {"name": name, "revision": source.digest(), "device": device}
            whole = getattr(pipe, "unet", None) is None
            model = WholePipeline(pipe, **named, offload=offload) if whole else UNetModel(pipe, **named)
            _check_parts(model)
        return model
    except EvenhandError:
        raise
    # The libraries hardly validate files, so damaged ones may raise any exception.
    except Exception as fault:
        reason = str(fault).strip().splitlines()[0] if str(fault).strip() else type(fault).__name__
        raise EvenhandError(
            f"model {name!r} cannot be loaded ({reason[:200]}); use a complete diffusers folder with "
            "safetensors weights, or a hub id with --online"
        ) from fault


def find_model(name: str) -> Source:
    """The files of a model, downloaded if they are on the hub and that is allowed; arguments as for loading.

    Raises:
        EvenhandError: There is no such model on this machine, and none can be downloaded.
    """
    path = MINI if name == "mini" else Path(name).expanduser()
    if path.is_dir():
        return folder_source(path)
    if is_checkpoint(path):
        return checkpoint_source(path)
    if repository := hub_name(name):
        return hub_source(repository)
    raise EvenhandError(
        f"model must be {list_models()[0]!r}, a folder, a .safetensors file or a hub id 'org/name' or "
        f"'org/name@revision', got {name!r}"
    )


def open_sampler(model: Model, protocol: Protocol, *, cores: int | None = None) -> BatchSampler:
    """A sampler for ``model`` with ``protocol``.

    Args:
        model: The model.
        protocol: The protocol.
        cores: Maximum number of batches generated in parallel on a CPU; all cores if ``None``.

    Raises:
        EvenhandError: The model does not support the protocol, or generates videos.
    """
    if isinstance(model, WholePipeline):
        return PipelineSampler(model, protocol)
    return Sampler(model, protocol, cores=cores)


@torch.no_grad()
def _check_parts(model: Model) -> None:
    """Run all parts once on a minimal input, so that inconsistent parts raise here."""
    if isinstance(model, WholePipeline):
        model.check_parts()
        return
    model = as_unet_model(model)
    copy.deepcopy(model.scheduler).set_timesteps(2)
    text = model.encode(["a"])
    if model.family == "video":
        return
    check_scheduler(model.scheduler, model=model.name)
    side = 2 ** len(model.unet.config.block_out_channels)
    shape = 1, model.unet.config.in_channels, side, side
    blank = torch.zeros(shape, device=model.device, dtype=model.unet.dtype)
    model.predict(blank, torch.ones(1, device=model.device, dtype=torch.long), text)
    model.evaluations = 0
    model.vae.decode(model.autoencoder.unscaled(blank))


def _from_pretrained(source: Source, *, name: str, dtype: torch.dtype, quantization: Quantization) -> Any:
    from diffusers import DiffusionPipeline

    index = read_index(source.root)
    _check_index(index, name)
    _check_layers(source.root)
    check_class(str(index.get("_class_name")), name)
    options: dict[str, Any] = {"torch_dtype": dtype, **quantized(source.root, quantization, dtype)}
    if "safety_checker" in index:
        # The safety checker blacks out images, which would bias all counts.
        options |= {"safety_checker": None, "requires_safety_checker": False}
    _check_tokenizers(source.root, name)
    if source.checkpoint is not None:
        return load_checkpoint(source, **options)
    pipe = DiffusionPipeline.from_pretrained(
        str(source.root), variant=source.variant, use_safetensors=True, trust_remote_code=False, **options
    )
    for part, network in pipe.components.items():
        if isinstance(network, torch.nn.Module):
            require_loaded(network, source.root / part)
    return pipe


def _check_index(index: Mapping[str, Any], name: str) -> None:
    """Reject classes of other libraries, since loading would import the module that the index names."""
    parts = {part: entry for part, entry in index.items() if isinstance(entry, list | tuple)}
    for part, entry in parts.items():
        if part == "_class_name" or not entry or entry[0] not in LIBRARIES:
            raise EvenhandError(
                f"model {name!r} needs {part} from {str(entry)[:60]}, but only classes of diffusers and "
                "transformers are loaded; use a model without custom code"
            )


def _check_layers(folder: Path) -> None:
    """Reject a damaged number of layers, of which the libraries would build billions before they compare."""
    for path in folder.glob("*/config.json"):
        try:
            config = json.loads(read_regular(path, max_bytes=_MAX_CONFIG_BYTES))
        except ValueError as fault:
            raise EvenhandError(
                f"{path}: configuration cannot be read ({fault}); use that of the release"
            ) from fault
        for key, value in config.items() if isinstance(config, dict) else ():
            for number in value if isinstance(value, list) else [value]:
                if "layers" in key and isinstance(number, int) and number > MAX_LAYERS:
                    raise EvenhandError(
                        f"{path}: {key} must be at most {MAX_LAYERS:,}, got {number:.3g}; "
                        "use the configuration of the release"
                    )


def _check_tokenizers(folder: Path, name: str) -> None:
    """Name the package that some T5 tokenizers need; the message of the library is misleading."""
    for path in folder.glob("tokenizer*/spiece.model"):
        if not path.with_name("tokenizer.json").is_file() and find_spec("sentencepiece") is None:
            raise EvenhandError(
                f"model {name!r} has a {path.parent.name} in the format {path.name}, which needs the package "
                "sentencepiece; run pip install sentencepiece"
            )


@contextlib.contextmanager
def quiet_loaders() -> Iterator[None]:
    """Silence progress bars and notices of the model libraries; :class:`Progress` replaces them."""
    import diffusers
    import transformers

    libraries = diffusers.utils.logging, transformers.utils.logging
    before = [(library.get_verbosity(), library.is_progress_bar_enabled()) for library in libraries]
    try:
        for library in libraries:
            library.disable_progress_bar()
            library.set_verbosity_error()
        with warnings.catch_warnings():
            # diffusers deprecates the only argument name that all supported versions accept.
            warnings.filterwarnings("ignore", message=".*torch_dtype.*", category=FutureWarning)
            # The compiler reports a cached function of diffusers that has no side effects.
            warnings.filterwarnings("ignore", message="Dynamo detected a call to a `functools.lru_cache`")
            yield
    finally:
        for library, (level, bars) in zip(libraries, before, strict=True):
            library.set_verbosity(level)
            if bars:
                library.enable_progress_bar()
