"""Taking a fitted method out of a run: its intervention, and its edited U-Net for diffusers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from evenhand.bench.errors import EvenhandError, unknown
from evenhand.bench.fitting import folder_name
from evenhand.bench.method_spec import method_class
from evenhand.bench.models import load_model
from evenhand.bench.result import Result, Run
from evenhand.bench.suite import read_suite
from evenhand.bench.workspace import load_run
from evenhand.methods.base import Intervention, load, save


def export_method(label: str, *, run: Path, out: Path) -> list[Path]:
    """Write what a method of a run does to its model into the folder ``out``.

    ``out`` receives ``intervention.safetensors`` and ``intervention.json``; of a method that edits
    weights also ``unet`` (or ``unet-CONCEPT`` for each concept that has its own edit), a folder that
    ``diffusers.UNet2DConditionModel.from_pretrained`` loads.

    Args:
        label: Label of the method in the run, or its name if the run has one method of that name.
        run: Folder of the run.
        out: Folder to write; new or empty.

    Returns:
        The paths written.

    Raises:
        EvenhandError: No such method in the run, ``out`` is not empty, or the model differs from the run's.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise EvenhandError(f"output folder {out} is not empty; choose an empty or new --out")
    result = _result(load_run(run), label)
    card = result.spec.method
    intervention = load(run / "interventions" / folder_name(card.label), method_class(card.name))
    save(intervention, out)
    return [*sorted(out.iterdir()), *_save_edited(intervention, result=result, run=run, out=out)]


def _result(run: Run, label: str) -> Result:
    by_label = {result.spec.method.label: result for result in run.results}
    if label in by_label:
        return by_label[label]
    named = [result for result in run.results if result.spec.method.name == label]
    if len(named) > 1:
        labels = ", ".join(result.spec.method.label for result in named)
        raise EvenhandError(f"run {run.folder} has several methods called {label!r}; give one of {labels}")
    if not named:
        raise unknown(f"method of run {run.folder}:", label, by_label)
    return named[0]


def _save_edited(intervention: Intervention, *, result: Result, run: Path, out: Path) -> Iterator[Path]:
    edits: dict[str, Mapping[str, Tensor]] = {"unet": intervention.weights} if intervention.weights else {}
    edits |= {f"unet-{folder_name(name)}": weights for name, weights in intervention.concept_weights.items()}
    if not edits:
        return
    suite = read_suite(run / "suite.toml")
    model = load_model(suite.model, precision=suite.protocol.precision)
    if model.revision != result.spec.model_revision:
        raise EvenhandError(
            f"model {suite.model!r} is revision {model.revision[:12]}, the run used "
            f"{result.spec.model_revision[:12]}; export where the run's model is installed"
        )
    for name, weights in edits.items():
        with model.edited(weights):
            model.unet.save_pretrained(out / name)
        yield out / name
