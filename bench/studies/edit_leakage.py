"""How much one edit of many occupations changes prompts that name a group: MIST's first edit, and the least.

    python -m evenhand.bench.studies.edit_leakage --page docs/methods/mist.md

An edit adds ``D`` to a projection, so the output of a text state ``x`` moves by ``D x``. The state ``c_i`` of
every edited text has to move by a given shift ``d_i``, so ``D x = sum_i d_i (q_i . x)`` with ``Q C^T = I``.
The ``q_i`` that move the explicit states ``p`` least, in the mean square, are the rows of

    Q = (C M^-1 C^T)^-1 C M^-1,        M = sum_p p p^T

No edit of the projections can do better on these texts. No images are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
import pandas as pd
import torch
import typer
from torch import Tensor

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import load_model
from evenhand.bench.parsing.marked_page import fill as fill_page
from evenhand.bench.prompts.prompt_set import load_prompt_set
from evenhand.bench.studies.coverage import as_markdown
from evenhand.bench.suites.suite import Suite, load_suite
from evenhand.methods.base import EditableModel, Task
from evenhand.methods.shared.cells import single_groups
from evenhand.methods.shared.closed_form import leakage
from evenhand.methods.shared.prompt_text import fill
from evenhand.methods.shared.ratio_loop import encode, explicit_texts
from evenhand.methods.weights.mist import Mist

EDITED = "{a} {concept}"
EXPLICIT = "{a} {adjective} {concept}"
PHOTO = "a photo of "

KEPT = {"none": (), "both": ("explicit", "unrelated")}
"""Settings of MIST's ``keep``."""


def states(model: EditableModel, texts: Sequence[str]) -> Tensor:
    """States at the first end-of-text token, ``(n, d)``, float64."""
    encoded = encode(model, texts)
    return encoded.at(encoded.first_eos)


def text_lists(suite: Suite, concepts: Sequence[str]) -> dict[str, list[str]]:
    """Name to explicit texts: of cells and of one group, as they are kept and in another template."""
    stated = {"cells": suite.cells(), "one group": single_groups(suite.cells())}
    return {
        f"{label}{name}": [before + text for text in explicit_texts(concepts, cells)]
        for label, before in (("", ""), ('"a photo of", ', PHOTO))
        for name, cells in stated.items()
    }


def first_edit(suite: Suite, model: EditableModel, concepts: Sequence[str]) -> pd.DataFrame:
    """Mean leakage of MIST's first edit of ``concepts``, one row for every setting of :data:`KEPT`."""
    lists = {
        "edited": [fill(EDITED, concept=concept) for concept in concepts],
        **text_lists(suite, concepts),
        "kept unrelated": list(Mist().unrelated),
        "60 other unrelated": _unrelated(),
    }
    encoded = {name: states(model, texts) for name, texts in lists.items()}
    task = _task(suite, model, concepts)
    rows = []
    for name, keep in KEPT.items():
        mist = Mist(source=EDITED, measure=EDITED, guidance=EXPLICIT, keep=cast(Any, keep))
        form = mist.editor(task, mist.sources(task), {}).form
        leaks = {of: float(leakage(form.directions, x).amax(dim=1).mean()) for of, x in encoded.items()}
        rows.append({"edited occupations": len(concepts), "`keep`": name, **leaks})
    return pd.DataFrame(rows)


def _task(suite: Suite, model: EditableModel, concepts: Sequence[str]) -> Task:
    """A task in which an edit is set up, without drawing images."""
    cells = suite.cells()
    return Task(
        model=model,
        concepts=tuple(concepts),
        cells=cells,
        target=np.full((len(concepts), len(cells)), 1 / len(cells)),
        rng=np.random.default_rng(0),
        sample=_no_images,
        judge=cast(Any, _no_images),
    )


def _no_images(*_: Any, **__: Any) -> Any:
    raise EvenhandError("the study draws no images")


def _unrelated() -> list[str]:
    """The things and animals of the bundled model's controls."""
    return [prompt.text for prompt in load_prompt_set("controls-mini").prompts if prompt.kind == "unrelated"]


def least_directions(edited: Tensor, explicit: Tensor) -> Tensor:
    """``Q`` of the module, ``(n, d)``.

    Args:
        edited: States ``c_i``, ``(n, d)``, linearly independent.
        explicit: States ``p``, ``(m, d)``.
    """
    gram = explicit.T @ explicit
    # Fewer explicit states than dimensions leave M singular; the limit of a vanishing ridge is the solution.
    ridge = 1e-9 * gram.trace() / len(gram)
    solved = torch.linalg.solve(gram + ridge * torch.eye(len(gram), dtype=gram.dtype), edited.T)
    found: Tensor = torch.linalg.solve(edited @ solved, solved.T)
    return found


def least(suite: Suite, model: EditableModel, concepts: Sequence[str]) -> pd.DataFrame:
    """Root mean square of the least movement of explicit texts, relative to the shifts of the edited ones.

    Returns:
        Two rows: with the same shift for all concepts, and with shifts that are independent of each other.
    """
    lists = text_lists(suite, concepts)
    encoded = {name: states(model, texts) for name, texts in lists.items()}
    edited = states(model, [fill(EDITED, concept=concept) for concept in concepts])
    photo = states(model, [PHOTO + fill(EDITED, concept=concept) for concept in concepts])
    directions = least_directions(edited, torch.cat([encoded["cells"], encoded["one group"]]))
    rows = []
    for shifts, q in (("the same", directions.sum(dim=0, keepdim=True)), ("independent", directions)):
        moved = {name: _moved(x, q) for name, x in encoded.items()}
        rows.append({"shifts": shifts, **moved, '"a photo of", no group': _moved(photo, q)})
    return pd.DataFrame(rows)


def _moved(texts: Tensor, directions: Tensor) -> float:
    """Root mean square of how far the texts move, for independent shifts of length 1."""
    return float((texts @ directions.T).square().sum(dim=1).mean().sqrt())


def parts() -> dict[str, str]:
    """Name of a part of the page to its Markdown."""
    suite, model = load_suite("mini-2"), cast(EditableModel, load_model("mini"))
    development = load_prompt_set("development-mini").prompts
    few = tuple(dict.fromkeys(prompt.concept for prompt in development if prompt.kind == "neutral"))
    many = suite.prompts[0].concepts
    edits: list[pd.DataFrame] = [first_edit(suite, model, concepts) for concepts in (few[:1], few, many)]
    first = pd.concat(edits)
    tables = {"first-edit": first, "least": least(suite, model, many)}
    return {name: as_markdown(table.map(_text)) for name, table in tables.items()}


def _text(value: float | str) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def main(page: Annotated[Path | None, typer.Option(help="Page whose tables are filled.")] = None) -> None:
    """Print both tables, or fill the page with them."""
    found = parts()
    if page is None:
        typer.echo("\n\n".join(found.values()))
    else:
        page.write_text(fill_page(page.read_text(encoding="utf-8"), **found), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
