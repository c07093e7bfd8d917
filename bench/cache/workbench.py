"""A suite with its model, judges and plan, as installed here: what a push or pull checks a cache with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from evenhand.bench.cache.layout import BASELINE
from evenhand.bench.cache.processor import processor_of
from evenhand.bench.models.loading import load_model_of, open_sampler
from evenhand.bench.models.sampler import BatchSampler
from evenhand.bench.models.unet import Model
from evenhand.bench.prompts.plan import Item, concepts, make_plan
from evenhand.bench.registry.method_spec import MethodUse
from evenhand.bench.results.result import BASE
from evenhand.bench.stages.generate import Drawing, Job
from evenhand.bench.stages.measure import Evaluation
from evenhand.bench.stages.progress import Progress
from evenhand.bench.storage.fits import FitIdentity, Fitted, fit_folder, fit_identity
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.suites.evaluation_config import EvaluationConfig
from evenhand.bench.suites.suite import Suite
from evenhand.methods.base import Intervention
from evenhand.methods.source_code import is_bundled
from evenhand.metrics.judges.base import Judge
from evenhand.metrics.table import PERSON_KINDS

_CODE_DIGITS = 16


@dataclass(frozen=True, eq=False)
class MethodImages:
    """The planned images of one method.

    Attributes:
        use: The method.
        identity: The identity of its fit.
        drawing: How its images are drawn.
        jobs: The images by key; those that the plan has twice are here once.
        fitted: Its fit; ``None`` for the baseline.
    """

    use: MethodUse
    identity: FitIdentity
    drawing: Drawing
    jobs: dict[str, Job]
    fitted: Fitted | None

    def code(self, key: str) -> str:
        """The code that an image depends on besides its key, as in the names of a cache."""
        if not self.drawing.digest(self.jobs[key]):
            return BASELINE
        return self.identity.code[:_CODE_DIGITS]

    def people(self, keys: Sequence[str]) -> list[str]:
        """Those of the images that judges label."""
        return [key for key in keys if self.jobs[key].item.prompt.kind in PERSON_KINDS]


@dataclass
class Workbench:
    """A suite as it can be repeated here.

    Attributes:
        suite: The suite.
        every_use: The methods; those that are not part of Evenhand take no part in a cache.
        run_folder: The folder of the run.
        progress: Reports progress.
        look: The look whose images are planned.
    """

    suite: Suite
    every_use: Sequence[MethodUse]
    run_folder: RunFolder
    progress: Progress
    look: int = 1

    def load(self) -> None:
        """Load model, judges and plan, so that errors in them are reported first."""
        self.progress.start("load", 0)
        _ = self.items, self.sampler
        self.evaluation.load()
        for use in self.uses:
            self.model.check_method(use.method, cells=self.suite.cells())
        self.progress.finish()

    @cached_property
    def uses(self) -> list[MethodUse]:
        """The methods that are part of Evenhand."""
        return [use for use in self.every_use if is_bundled(type(use.method))]

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """The planned images."""
        return make_plan(self.suite, look=self.look)[0]

    @cached_property
    def model(self) -> Model:
        """The model of the suite."""
        return load_model_of(self.suite)

    @cached_property
    def sampler(self) -> BatchSampler:
        """The sampler of the protocol."""
        return open_sampler(self.model, self.suite.protocol)

    @cached_property
    def processor(self) -> str:
        """The kind of processor here."""
        return processor_of(self.model.device)

    @cached_property
    def evaluation(self) -> Evaluation:
        """The judges, and the label table of the run."""
        return Evaluation(
            EvaluationConfig.of(self.suite),
            self.run_folder,
            self.progress,
            steering={use.label: use.method.steering_judge for use in self.uses},
        )

    @property
    def judges(self) -> Mapping[str, Judge]:
        """The judges of the suite and of the loops of the methods, by name."""
        return self.evaluation.judges

    def identity(self, use: MethodUse) -> FitIdentity:
        """The identity of the fit of a method."""
        return fit_identity(
            use,
            suite=self.suite,
            concepts=concepts(self.items),
            model=self.model.revision,
            protocol=self.suite.protocol.model_dump_json(),
        )

    def fit_folder(self, use: MethodUse) -> Path:
        """The folder of the fit of a method in the run."""
        return fit_folder(self.run_folder.root, use.label)

    def images_of(self, use: MethodUse, fitted: Fitted | None) -> MethodImages:
        """The planned images of a method.

        Args:
            use: The method.
            fitted: Its fit; ``None`` for the baseline, which needs none.
        """
        intervention = Intervention() if fitted is None else fitted.intervention
        drawing = Drawing(intervention, sampler=self.sampler, protocol=self.suite.protocol.model_dump_json())
        jobs = {job.key: job for job in drawing.jobs(self.items)}
        return MethodImages(use, self.identity(use), drawing, jobs, fitted)


def is_baseline(use: MethodUse) -> bool:
    """Whether a method is the baseline, whose fit is nothing."""
    return use.name == BASE
