"""Exports a weight edit as LoRA: a small file that diffusers, ComfyUI and A1111 apply, with a model card."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from evenhand.bench.errors import EvenhandError
from evenhand.bench.export.export import Example, Origin, diffusers_lines, edits_of, example_of, named_from
from evenhand.bench.export.lora import DIFFUSERS_FILE, KOHYA_FILE, LowRankEdit, low_rank_edit, save_lora
from evenhand.bench.models.loading import list_models, open_sampler
from evenhand.bench.models.single_file import is_checkpoint
from evenhand.bench.models.unet import Model, UNetModel, as_unet_model
from evenhand.bench.report import closing_lines
from evenhand.bench.storage.stored_run import load_run
from evenhand.methods.base import Intervention
from evenhand.metrics.vision.hub import hub_name

TIGHTER = (1.0, 0.1, 0.01)
"""Factors of the largest error that are tried in turn until images agree."""

GREY_LEVELS = 1
"""Largest difference between an image of the edit and one of its LoRA, of 255."""


@dataclass(frozen=True)
class LoraExport:
    """How an edit is written as LoRA.

    Attributes:
        error: Largest relative error of the update of a layer; lowered until images agree.
        measured: Lines about the method from the run that it is exported from; empty without a run.
    """

    error: float = 1e-3
    measured: Sequence[str] = ()

    def __call__(
        self, intervention: Intervention, *, origin: Origin, model: Callable[[], Model], out: Path
    ) -> list[Path]:
        """Write the LoRA in both layouts and a model card; one folder per concept if each has its own edit.

        The image of the card's example is drawn with the edited weights and with the LoRA. If they differ by
        more than one grey level, the error is lowered.

        Args:
            intervention: The weight edit.
            origin: How it was fitted.
            model: Returns the model that it was fitted to.
            out: Folder to write.

        Returns:
            The paths written.

        Raises:
            EvenhandError: It is not a pure edit of linear layers, or no update gives the same images.
        """
        edits = edits_of(intervention)
        if not edits:
            raise EvenhandError(
                f"method {origin.method!r} acts during sampling and not by weights alone, so it has no LoRA; "
                "export with --format diffusers"
            )
        loaded, shown = as_unet_model(model()), example_of(intervention, origin)
        found, difference = _agreeing(edits, loaded, origin, shown, error=self.error)
        for name, edit in found.items():
            save_lora(edit, out / name)
        code = list(_lines(origin, shown, out))
        card = _card(origin, found, shown, code, difference, measured=self.measured, revision=loaded.revision)
        (out / "README.md").write_text(card, encoding="utf-8")
        return sorted(out.iterdir())


def lines_of_run(run: Path) -> tuple[str, ...]:
    """The verdict and the table of a run's methods, for the model card.

    Raises:
        EvenhandError: The run has no result.
    """
    return tuple(closing_lines(load_run(run)))


def _agreeing(
    edits: Mapping[str, Mapping[str, Tensor]],
    model: UNetModel,
    origin: Origin,
    shown: Example,
    *,
    error: float,
) -> tuple[dict[str, LowRankEdit], int]:
    """The low-rank edits whose images agree, and by how many grey levels an image differs."""
    original = {name: value.detach() for name, value in model.parameters().items()}
    expected = _image(model, origin, shown, edits[shown.folder])
    for factor in TIGHTER:
        found = {
            name: low_rank_edit(edit, {key: original[key] for key in edit}, error=error * factor)
            for name, edit in edits.items()
        }
        image = _image(model, origin, shown, found[shown.folder].weights(original))
        difference = int(np.abs(image.astype(int) - expected.astype(int)).max())
        if difference <= GREY_LEVELS:
            return found, difference
    raise EvenhandError(
        f"an image of the LoRA of rank {found[shown.folder].rank} differs by {difference} grey levels from "
        f"one of the edit; lower --error below {error:g}, or export with --format diffusers"
    )


def _image(model: UNetModel, origin: Origin, shown: Example, weights: Mapping[str, Tensor]) -> np.ndarray:
    sampler = open_sampler(model, origin.suite.protocol)
    return np.asarray(sampler([shown.prompt], [0], intervention=Intervention(weights=dict(weights)))[0])


def _card(
    origin: Origin,
    edits: Mapping[str, LowRankEdit],
    shown: Example,
    code: Sequence[str],
    difference: int,
    *,
    measured: Sequence[str],
    revision: str,
) -> str:
    """The model card: what it is, how to use it, what was measured, and what is not known."""
    suite = origin.suite
    folders = [name for name in edits if name != "."]
    ranks = sorted({edit.rank for edit in edits.values()})
    error = max(edit.error for edit in edits.values())
    rank = " to ".join(str(each) for each in dict.fromkeys((ranks[0], ranks[-1])))
    # The hub would link the name of the bundled model to somebody else's.
    base = [] if suite.model in list_models() else [f"base_model: {suite.model}"]
    parts = [
        "\n".join(["---", *base, "library_name: diffusers", "tags: [lora]", "---"]),
        f"# {origin.method} on {suite.model}, as LoRA",
        f"A weight edit that Evenhand fitted on the suite `{suite.name}`, version {suite.version}, for "
        f"{len(origin.concepts)} concepts: {', '.join(origin.concepts)}. It changes which perceived groups "
        f"the model shows in images of these concepts. Run this code in this folder:",
        "\n".join(["```python", *code, "```"]),
        _folders(folders, shown),
        f"`{KOHYA_FILE}` is the same update for ComfyUI and A1111, at strength 1.",
        "## Accuracy",
        f"Rank {rank}, with a relative error of at most {error:.2g} in the change of every layer. An image "
        f"of the LoRA and one of the exact edit differ by at most {difference} of 255 grey levels.",
        "## Measured effect",
        "\n".join(["```text", *measured, "```"])
        if measured
        else "Not measured: this export was fitted without a run. Run Evenhand before you rely on it.",
        "## Limits",
        "- Other concepts, other models and other strengths than 1 were not fitted.\n"
        "- A method without a tick or a rank in the table may draw prompts that name a group less "
        "faithfully, or change images of other prompts.\n"
        "- Groups are perceived attributes of depicted people who do not exist.\n"
        "- The licence of the base model applies.",
        f"Base model revision: `{revision}`",
        f"Parameters: `{json.dumps(dict(origin.parameters), sort_keys=True, default=str)}`",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _folders(folders: Sequence[str], shown: Example) -> str:
    if not folders:
        return ""
    head = f"Each concept has a separate LoRA; the code loads that of {shown.concept}:"
    return "\n".join([head, "", *(f"- `{name}`" for name in folders)])


def _lines(origin: Origin, shown: Example, out: Path) -> Iterator[str]:
    loading = [
        *_loading(named_from(out, origin.suite.model)),
        f"pipeline.load_lora_weights({shown.folder!r}, weight_name={DIFFUSERS_FILE!r})",
    ]
    return diffusers_lines(origin, shown, loading)


def _loading(model: str) -> list[str]:
    """Lines that load the pipeline of the base model."""
    if model in list_models() or is_checkpoint(Path(model)):
        what = "The bundled model is" if model in list_models() else "A single file is"
        return [
            f"# {what} loaded by Evenhand, whose pipeline is one of diffusers.",
            "from evenhand.bench.models.loading import load_model",
            "",
            f"pipeline = load_model({model!r}).pipeline",
        ]
    name = hub_name(model)
    if name and name.revision:
        return [
            f"pipeline = DiffusionPipeline.from_pretrained({name.repository!r}, revision={name.revision!r})"
        ]
    return [f"pipeline = DiffusionPipeline.from_pretrained({model!r})"]
