"""Exports a fitted method: as a model for diffusers, or as data with the code that uses it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from evenhand.bench.errors import EvenhandError, unknown
from evenhand.bench.models.loading import list_models, load_model_of, open_sampler
from evenhand.bench.models.solvers import SOLVERS
from evenhand.bench.models.unet import Model, as_unet_model
from evenhand.bench.prompts.plan import concepts, make_plan
from evenhand.bench.prompts.selection import method_use
from evenhand.bench.registry.judge_spec import load_judge
from evenhand.bench.results.result import Result, Run
from evenhand.bench.stages.fit import CountedJudge, CountedSample, fit
from evenhand.bench.stages.progress import Progress
from evenhand.bench.stages.resources import load_scorer
from evenhand.bench.storage.files import folder_name
from evenhand.bench.storage.fits import COST_FILE, stored_intervention
from evenhand.bench.storage.images import ImageStore
from evenhand.bench.storage.stored_run import load_run
from evenhand.bench.suites.suite import Suite, read_suite
from evenhand.bench.suites.variant import variant
from evenhand.methods.base import Intervention
from evenhand.methods.saving import save
from evenhand.methods.shared.prompt_text import fill


@dataclass(frozen=True)
class Origin:
    """How an exported intervention was fitted.

    Attributes:
        method: Registered name of the method.
        parameters: All its parameters.
        suite: The suite; its model is the one that the method was fitted to.
        concepts: The balanced concepts.
    """

    method: str
    parameters: Mapping[str, object]
    suite: Suite
    concepts: tuple[str, ...]


class Write(Protocol):
    """Writes a fitted method to a folder, as :func:`write_export` does."""

    def __call__(
        self, intervention: Intervention, *, origin: Origin, model: Callable[[], Model], out: Path
    ) -> list[Path]:
        """The paths written."""


def export_from_run(label: str, *, run: Path, out: Path, write: Write | None = None) -> list[Path]:
    """Export a fitted method of a run; see :func:`write_export`.

    Args:
        label: Label of the method in the run, or its name if the run has only one method of this name.
        run: Folder of the run.
        out: Folder to write; must be new or empty.
        write: What writes it; :func:`write_export` if ``None``.

    Returns:
        The paths written.

    Raises:
        EvenhandError: The run has no such method, its intervention is damaged, ``out`` is not empty, or the
            installed model differs.
    """
    _require_new(out)
    spec = _result(load_run(run), label).spec
    card, suite = spec.method, read_suite(run / "suite.toml")
    intervention = stored_intervention(run, card)

    def model() -> Model:
        loaded = load_model_of(suite)
        if loaded.revision != spec.model_revision:
            raise EvenhandError(
                f"model {suite.model!r} has revision {loaded.revision[:12]}, but the run used "
                f"{spec.model_revision[:12]}; export where this revision is installed"
            )
        return loaded

    origin = Origin(card.name, card.parameters, suite, tuple(spec.concepts))
    return (write or write_export)(intervention, origin=origin, model=model, out=out)


def export_fitted(
    text: str,
    *,
    suite: str,
    model: str | None = None,
    out: Path,
    progress: Progress | None = None,
    write: Write | None = None,
) -> list[Path]:
    """Fit a method and export it; see :func:`write_export`.

    Args:
        text: The method as on the command line: ``"mist:step_size=0.3"``.
        suite: Name or file of the suite; provides concepts, cells, target, protocol and parameters.
        model: The model to edit; the suite's model if ``None``. Parameters that tuning found for the
            suite's model are not used for another one.
        out: Folder to write; must be new or empty. ``cost.json`` in it has the cost of the fit.
        progress: Reports progress.
        write: What writes it; :func:`write_export` if ``None``.

    Returns:
        The paths written.

    Raises:
        EvenhandError: ``out`` is not empty, the method does not support the model, or its fit fails.
    """
    _require_new(out)
    chosen = variant(suite, model=model or "")
    use = method_use(chosen, text)
    judge = use.method.steering_judge
    balanced = concepts(make_plan(chosen)[0])
    loaded = load_model_of(chosen)
    scorer = load_scorer(chosen.scorer)
    with tempfile.TemporaryDirectory() as work, progress or Progress(quiet=True) as shown:
        shown.start(f"{use.label}: fit", 0)
        store = ImageStore(Path(work) / "images")
        protocol = chosen.protocol.model_dump_json()
        fitted = fit(
            use,
            suite=chosen,
            concepts=balanced,
            sample=CountedSample(open_sampler(loaded, chosen.protocol), store, protocol, shown),
            judge=CountedJudge(judge, load_judge(judge) if judge else None),
            image_features=scorer.embed,
            clip=scorer,
            folder=Path(work) / "fit",
        )
        shown.finish()
        origin = Origin(use.method.info.name, use.method.model_dump(mode="json"), chosen, balanced)
        (write or write_export)(fitted.intervention, origin=origin, model=lambda: loaded, out=out)
        shutil.copy(Path(work) / "fit" / COST_FILE, out)
    return sorted(out.iterdir())


def write_export(
    intervention: Intervention, *, origin: Origin, model: Callable[[], Model], out: Path
) -> list[Path]:
    """Write an intervention, a README with code that uses it and, for weight edits, the edited model.

    For a pure weight edit, ``out`` is a complete pipeline folder that diffusers loads without Evenhand. If
    each concept has a separate edit, ``out`` has one such folder per concept. Any other intervention acts
    during generation and needs the sampler of Evenhand.

    Args:
        intervention: The intervention to export.
        origin: How it was fitted.
        model: Returns the model that it was fitted to; only called for weight edits.
        out: Folder to write.

    Returns:
        The paths written.
    """
    out.mkdir(parents=True, exist_ok=True)
    edits = edits_of(intervention)
    if edits:
        _save_pipelines(edits, model(), out)
    save(intervention, out)
    shown = example_of(intervention, origin)
    lines = _lines_for_diffusers(origin, shown) if edits else _lines_for_evenhand(origin, shown, out)
    readme = _readme(origin, folders=list(edits), shown=shown, lines=lines)
    (out / "README.md").write_text(readme, encoding="utf-8")
    return sorted(out.iterdir())


def acts_by_weights(intervention: Intervention) -> bool:
    """Whether the intervention only edits weights, so that the edited model is sufficient."""
    acts = ("prompt", "embedding", "steer", "sites")
    plain = all(getattr(type(intervention), name) is getattr(Intervention, name) for name in acts)
    return plain and bool(intervention.weights or intervention.concept_weights)


def edits_of(intervention: Intervention) -> dict[str, Mapping[str, Tensor]]:
    """Folder names (``.`` for the export folder) to the edited weights of the model to write there."""
    if not acts_by_weights(intervention):
        return {}
    shared = {".": intervention.weights} if intervention.weights else {}
    return shared | {folder_name(name): weights for name, weights in intervention.concept_weights.items()}


def _save_pipelines(edits: Mapping[str, Mapping[str, Tensor]], model: Model, out: Path) -> None:
    for name, weights in edits.items():
        with as_unet_model(model).edited(weights):
            model.pipeline.save_pretrained(out / name)


@dataclass(frozen=True)
class Example:
    """The example image of an export.

    Attributes:
        concept: The concept of its prompt.
        folder: Folder of the edited model that draws it; ``.`` for the export folder.
    """

    concept: str
    folder: str = "."

    @property
    def prompt(self) -> str:
        """The prompt."""
        return fill("a photo of {a} {concept}", concept=self.concept)


def example_of(intervention: Intervention, origin: Origin) -> Example:
    """The example of an export: the first concept, of those with a separate edit if there are any."""
    edited = intervention.concept_weights
    if not edited:
        return Example(origin.concepts[0])
    concept = next((name for name in origin.concepts if name in edited), next(iter(edited)))
    return Example(concept, folder_name(concept))


def named_from(out: Path, model: str) -> str:
    """How code that runs in ``out`` names a model that is named ``model`` here."""
    path = Path(model).expanduser()
    if model in list_models() or not path.exists():
        return model
    return str(path) if path.is_absolute() else Path(os.path.relpath(path, out)).as_posix()


def _readme(origin: Origin, *, folders: list[str], shown: Example, lines: Iterator[str]) -> str:
    content = "The complete model with edited weights" if folders else "The fitted intervention"
    several = [f"- `{name}`" for name in folders if name != "."]
    parts = [
        f"# {origin.method} on {origin.suite.model}",
        f"{content}, as fitted by Evenhand on the suite `{origin.suite.name}`, version "
        f"{origin.suite.version}, "
        f"for {len(origin.concepts)} concepts: {', '.join(origin.concepts)}. Run this code in this folder:",
        "\n".join(["```python", *lines, "```"]),
        "\n".join(
            [f"Each concept has a separate model; the code loads that of {shown.concept}:", "", *several]
        )
        if several
        else "",
        "An export measures nothing; run Evenhand to measure the effect and the cost of the method. "
        "Groups are perceived attributes of depicted people who do not exist.",
        f"Parameters: `{json.dumps(dict(origin.parameters), sort_keys=True, default=str)}`",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _lines_for_diffusers(origin: Origin, shown: Example) -> Iterator[str]:
    loading = f"pipeline = DiffusionPipeline.from_pretrained({shown.folder!r})"
    yield from diffusers_lines(origin, shown, [loading])


def diffusers_lines(origin: Origin, shown: Example, loading: Sequence[str]) -> Iterator[str]:
    """Code that generates an image with diffusers alone, with the protocol of the suite.

    Args:
        origin: What was exported.
        shown: The image.
        loading: The lines that load ``pipeline``.
    """
    protocol, solver = origin.suite.protocol, SOLVERS[origin.suite.protocol.solver]
    settings = "".join(f", {name}={value!r}" for name, value in solver.settings.items())
    yield "import torch"
    yield f"from diffusers import DiffusionPipeline, {solver.scheduler}"
    yield ""
    yield from loading
    yield f"pipeline.scheduler = {solver.scheduler}.from_config(pipeline.scheduler.config{settings})"
    yield "image = pipeline("
    yield f"    {shown.prompt!r},"
    yield f"    num_inference_steps={protocol.steps},"
    yield f"    guidance_scale={protocol.guidance},"
    yield f"    height={protocol.height},"
    yield f"    width={protocol.width},"
    yield "    generator=torch.Generator().manual_seed(0),"
    yield ").images[0]"
    yield 'image.save("image.png")'


def _lines_for_evenhand(origin: Origin, shown: Example, out: Path) -> Iterator[str]:
    """Code that generates the same image with the sampler of Evenhand, which applies the intervention."""
    settings = ", ".join(f"{name}={value!r}" for name, value in origin.suite.protocol.model_dump().items())
    yield "from pathlib import Path"
    yield ""
    yield "from PIL import Image"
    yield ""
    yield "from evenhand.bench.models.loading import load_model, open_sampler"
    yield "from evenhand.bench.registry.method_spec import method_class"
    yield "from evenhand.bench.suites.suite import Protocol"
    yield "from evenhand.methods.saving import load"
    yield ""
    yield f'intervention = load(Path("."), method_class({origin.method!r}))'
    yield f"protocol = Protocol({settings})"
    yield f"model = load_model({named_from(out, origin.suite.model)!r}, precision=protocol.precision)"
    yield "sampler = open_sampler(model, protocol)"
    yield f"images = sampler([{shown.prompt!r}], seeds=[0], intervention=intervention)"
    yield 'Image.fromarray(images[0]).save("image.png")'


def _require_new(out: Path) -> None:
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise EvenhandError(f"{out}: output folder is not empty; choose an empty or new --out")


def _result(run: Run, label: str) -> Result:
    by_label = {result.spec.method.label: result for result in run.results}
    if label in by_label:
        return by_label[label]
    named = [result for result in run.results if result.spec.method.name == label]
    if len(named) > 1:
        labels = ", ".join(result.spec.method.label for result in named)
        raise EvenhandError(f"{run.folder}: run has several methods called {label!r}; use one of {labels}")
    if not named:
        raise unknown(f"method of run {run.folder}:", label, by_label)
    return named[0]
