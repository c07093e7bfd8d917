"""What a run takes: images, those of the fits included, time and space on this machine, and downloads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evenhand.bench.errors import EvenhandError, one_line
from evenhand.bench.fetching.assets import assets_of_suite
from evenhand.bench.prompts.plan import Item, concepts, make_plan
from evenhand.bench.prompts.selection import method_uses, resolve
from evenhand.bench.registry.method_spec import MethodUse
from evenhand.bench.results.text import count, listing, seconds, size
from evenhand.bench.stages.trial_batch import TrialBatch, draw_a_batch
from evenhand.bench.suites.suite import Suite
from evenhand.methods.base import Budget
from evenhand.metrics.statistics.paired_loss import LOOKS

PASSES = 2
"""U-Net passes per image and step of classifier-free guidance."""

TRAINING = 3
"""Passes whose time one pass of training takes: forward, and backward at about twice its cost."""


@dataclass(frozen=True)
class RunSize:
    """What a run takes at most.

    Attributes:
        images: Method to the images that it draws after its fit.
        fits: Method to the budget of its fit; methods whose fit costs nothing are left out.
        steps: Denoising steps of an image.
        fit_steps: Method to those of the images of its fit, where they differ.
    """

    images: Mapping[str, int]
    fits: Mapping[str, Budget]
    steps: int
    fit_steps: Mapping[str, int] = field(default_factory=dict)

    @property
    def fit_images(self) -> int:
        """Images that all fits draw."""
        return sum(budget.images for budget in self.fits.values())

    @property
    def draw_units(self) -> float:
        """The images, each weighted by its time relative to one of the baseline."""
        branches = {label: budget.branches for label, budget in self.fits.items()}
        return sum(n * (1 + branches.get(label, 0) / PASSES) for label, n in self.images.items())

    @property
    def fit_units(self) -> float:
        """The work of all fits, in images of the baseline."""
        drawn = sum(
            budget.images * self.fit_steps.get(label, self.steps) / self.steps
            for label, budget in self.fits.items()
        )
        evaluations = sum(budget.evaluations for budget in self.fits.values())
        return drawn + evaluations * TRAINING / (PASSES * self.steps)


def size_of_run(
    suite: str | Suite,
    *,
    methods: Sequence[str] | None = None,
    limit: int = 0,
    fits: int = 0,
    until_decided: bool = False,
) -> list[str]:
    """Images, time and disk of a run, timed by drawing a batch; arguments as of ``evaluate``."""
    resolved = resolve(suite, limit=limit, fits=fits)
    items, _ = make_plan(resolved, look=LOOKS if until_decided else 1)
    run = run_size(resolved, method_uses(resolved, methods), items)
    try:
        return size_lines(run, draw_a_batch(resolved))
    except EvenhandError as fault:
        return size_lines(run, None, reason=one_line(str(fault)))


def downloads(
    suite: str | Suite, *, methods: Sequence[str] | None = None, names: Sequence[str] = ()
) -> list[str]:
    """What a run needs that is not on this machine, one line each, or one line that nothing is missing.

    A model that the suite names by a path of this machine is left out: no command fetches it.

    Args:
        suite: The suite.
        methods: Its methods; the suite's defaults if ``None``.
        names: Arguments of ``evenhand fetch`` that get all of it; the suite if empty.
    """
    resolved = resolve(suite, limit=0)
    assets = assets_of_suite(resolved, methods)
    local = {one.name for one in assets if one.kind == "model" and any(s.place for s in one.sources)}
    missing = [asset for asset in assets if asset.name not in local and asset.fault()]
    if not missing:
        return ["downloads: none"]
    named = listing([f"{asset.kind} {asset.name}" for asset in missing])
    of = [name for name in names if name not in local]
    of = of or [suite if isinstance(suite, str) else resolved.name]
    commands = " and ".join(f"evenhand fetch {name}" for name in of)
    return [f"downloads: {named}; {commands} {'gets' if len(of) == 1 else 'get'} them"]


def run_size(suite: Suite, uses: Sequence[MethodUse], items: tuple[Item, ...]) -> RunSize:
    """What a run of these methods takes at most, known without a model.

    Args:
        suite: The suite.
        uses: The methods.
        items: The planned images of each method.
    """
    number = len(concepts(items))
    budgets = {use.label: use.method.budget(concepts=number, cells=suite.cells()) for use in uses}
    costly = {label: budget for label, budget in budgets.items() if budget != Budget()}
    other = {use.label: use.method.fit_steps for use in uses}
    return RunSize(
        images={use.label: len(items) for use in uses},
        fits=costly,
        steps=suite.protocol.steps,
        fit_steps={label: steps for label, steps in other.items() if steps is not None},
    )


def size_lines(run: RunSize, trial: TrialBatch | None, *, reason: str = "") -> list[str]:
    """The lines that a dry run and the start of a run show.

    Args:
        run: What the run takes.
        trial: What one image takes on this machine; ``None`` if that is unknown.
        reason: Why it is unknown.
    """
    lines = [f"images: {_images(run)}"]
    if trial is None:
        return [*lines, f"time and disk: not estimated ({reason})"]
    fit = (
        f", and at most {seconds(trial.seconds * run.fit_units)} to fit the methods" if run.fit_units else ""
    )
    lines.append(f"time: about {seconds(trial.seconds * run.draw_units)} to generate them here{fit}")
    kept = round(trial.bytes * sum(run.images.values()))
    largest = max((budget.images for budget in run.fits.values()), default=0)
    more = f", and at most {size(round(trial.bytes * largest))} more during a fit" if largest else ""
    return [*lines, f"disk: about {size(kept)}{more}"]


def _images(run: RunSize) -> str:
    total = count(sum(run.images.values()))
    drawing = {label: budget.images for label, budget in run.fits.items() if budget.images}
    if not drawing:
        return total
    most = sorted(drawing, key=lambda label: -drawing[label])
    named = listing([f"{label} {count(drawing[label])}" for label in most])
    return f"{total}, and at most {count(run.fit_images)} more while fitting ({named})"
