"""The runs of a comparison: loading, naming, checks that they are comparable, and pairing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, product
from pathlib import Path

import pandas as pd

from evenhand.bench.errors import EvenhandError, unknown
from evenhand.bench.results.result import BASE, Result
from evenhand.bench.stages.resources import load_confusion
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.storage.stored_run import load_run
from evenhand.bench.suites.audit_config import Audit
from evenhand.bench.suites.evaluation_config import EvaluationConfig
from evenhand.bench.suites.suite import Suite
from evenhand.metrics.estimation.comparison import Pair
from evenhand.metrics.estimation.panel import PANEL

MAX_PAIRS = 12
"""Maximum number of pairs on one page."""


@dataclass(frozen=True)
class Compared:
    """A finished run as it takes part in a comparison.

    Attributes:
        name: Its name in the comparison.
        tag: Distinguishes its methods from those of other runs; empty if there is only one run.
        work: Its folder.
        evaluation_config: How its images were judged and measured.
        anchored: Whether its judges are corrected by anchors among its own images.
        results: The results of the compared methods by label, the baseline first.
    """

    name: str
    tag: str
    work: RunFolder
    evaluation_config: EvaluationConfig
    anchored: bool
    results: dict[str, Result]

    def label(self, method: str) -> str:
        """The name of a method in the comparison."""
        return method if self.tag in ("", method) else f"{method} ({self.tag})"

    @property
    def judges(self) -> dict[str, str]:
        """The panel's judges and their versions."""
        cards = [card for result in self.results.values() for card in result.spec.judges]
        return {card.name: card.version for card in cards if card.role == "panel"}

    @cached_property
    def scorers(self) -> tuple[str, ...]:
        """Versions of the scorers that embedded its images.

        Raises:
            EvenhandError: The table of the embeddings is damaged.
        """
        vectors = self.work.vectors.read(whole=True)
        return tuple(sorted(set(vectors["scorer"]))) if len(vectors) else ()

    def confusion(self) -> pd.DataFrame:
        """The confusion counts that correct its judges; empty for no correction."""
        return load_confusion(self.evaluation_config.calibration)

    def image_table(self) -> pd.DataFrame:
        """The image table of the compared methods, under their names in the comparison.

        Raises:
            EvenhandError: The run has no image table, or it lacks one of the methods.
        """
        table = self.work.image_table.read(whole=True)
        found = set(table["method"]) if len(table) else set()
        if lost := [method for method in self.results if method not in found]:
            raise EvenhandError(
                f"{self.work.root}: image table lacks method {lost[0]!r}; run the same command again"
            )
        table = table[table["method"].isin(list(self.results))]
        return table.assign(method=table["method"].map(self.label), folder=str(self.work.root))

    def label_table(self) -> pd.DataFrame:
        """The labels of the panel and of its judges.

        Raises:
            EvenhandError: The run has no label table.
        """
        table = self.work.labels.read(whole=True)
        if not len(table):
            raise EvenhandError(f"{self.work.root}: run has no label table; run the same command again")
        current = table["judge_version"] == table["judge"].map(self.judges)
        return table[current | (table["judge"] == PANEL)]


def load_compared(text: str) -> Compared:
    """The run given as ``RUN`` or ``RUN@METHOD``.

    Raises:
        EvenhandError: The run does not exist or has no results, or the method is unknown.
    """
    folder, _, method = (text, "", "") if Path(text).is_dir() else text.rpartition("@")
    root = Path(folder or text)
    if not root.is_dir():
        raise EvenhandError(f"{root}: run does not exist; give the folder of a finished run")
    work = RunFolder(root)
    owner = work.spec()
    results = {result.spec.method.label: result for result in load_run(root).results}
    if method and method not in results:
        raise unknown(f"method of run {root}:", method, results)
    return Compared(
        name=root.resolve().name,
        tag="",
        work=work,
        evaluation_config=EvaluationConfig.of(owner) if isinstance(owner, Suite) else owner,
        anchored=isinstance(owner, Audit) and bool(owner.anchors),
        results={method: results[method]} if method else results,
    )


def with_distinct_names(runs: Sequence[Compared]) -> list[Compared]:
    """The runs under the shortest distinct names, with tags if a run is given twice."""
    roots = {run.work.root.resolve() for run in runs}
    labels: set[str] = set()
    found = []
    for run in runs:
        name = _short(run.work.root.resolve(), roots)
        tag = name if len(roots) > 1 else ""
        number, named = 1, replace(run, name=name, tag=tag)
        while labels & {named.label(method) for method in named.results}:
            number += 1
            named = replace(named, tag=f"{tag} #{number}".strip())
        labels |= {named.label(method) for method in named.results}
        found.append(named)
    return found


def _short(root: Path, roots: Collection[Path]) -> str:
    """The shortest end of the path that no other folder has."""
    ends = ["/".join(root.parts[-depth:]) for depth in range(1, len(root.parts) + 1)]
    others = [f"/{other.as_posix()}" for other in roots if other != root]
    return next(end for end in ends if not any(other.endswith(f"/{end}") for other in others))


def pairs_of(runs: Sequence[Compared]) -> list[Pair]:
    """The pairs to compare: the methods of each later run with those of each earlier one.

    Methods of the same name are a pair. A method that only one of two runs has is paired with each method
    that only the other has or, if there is none, with the baseline of the other.

    Raises:
        EvenhandError: There are more than :data:`MAX_PAIRS` pairs.
    """
    pairs: list[Pair] = []
    for first, second in combinations(runs, 2):
        common = [method for method in second.results if method in first.results]
        pairs += [(second.label(method), first.label(method)) for method in common]
        ours, theirs = ([method for method in run.results if method not in common] for run in (second, first))
        if ours or theirs:
            sides = product(ours or _baseline_or_all(second), theirs or _baseline_or_all(first))
            pairs += [(second.label(one), first.label(other)) for one, other in sides]
    if len(pairs) > MAX_PAIRS:
        raise EvenhandError(
            f"a comparison must have at most {MAX_PAIRS} pairs, got {len(pairs)}; "
            "select methods with RUN@METHOD"
        )
    return pairs


def _baseline_or_all(run: Compared) -> list[str]:
    return [BASE] if BASE in run.results else list(run.results)


def check_comparable(runs: Sequence[Compared]) -> None:
    """Check that the numbers of the runs have the same meaning.

    Raises:
        EvenhandError: Attributes, panels or versions of judges differ.
    """
    first = runs[0]
    for run in runs[1:]:
        both = f"runs {first.name} and {run.name}"
        ours, theirs = first.evaluation_config.attributes, run.evaluation_config.attributes
        if ours != theirs:
            raise EvenhandError(
                f"{both} have different attributes or groups ({_groups(ours)}; {_groups(theirs)}); "
                "judge both with the same attributes"
            )
        if first.judges != run.judges:
            raise EvenhandError(
                f"{both} have different judges ({_versions(first)}; {_versions(run)}); "
                "judge the images of both with the same panel"
            )


def check_targets(runs: Sequence[Compared], concepts: Sequence[str]) -> None:
    """Check that the runs have the same target.

    Raises:
        EvenhandError: The targets of a concept differ.
    """
    first = runs[0]
    for run in runs[1:]:
        alike = run.evaluation_config.model_copy(update={"report": first.evaluation_config.report})
        if alike.targets(concepts) != first.evaluation_config.targets(concepts):
            raise EvenhandError(
                f"runs {first.name} and {run.name} have different targets; give both suites the same target"
            )


def shared_confusion(runs: Sequence[Compared]) -> tuple[pd.DataFrame, list[str]]:
    """The confusion counts that all runs share; if they differ, an empty table and the reason."""
    tables = [run.confusion() for run in runs]
    if not any(run.anchored for run in runs) and all(table.equals(tables[0]) for table in tables):
        return tables[0], []
    ways = _by_run(runs, _correction)
    return tables[0].iloc[:0], [
        f"the runs correct judge error with different confusion counts ({ways}), so all numbers are compared "
        "without correction"
    ]


def shared_evaluation_config(runs: Sequence[Compared]) -> tuple[EvaluationConfig, list[str]]:
    """The evaluation settings of the first run, as far as all runs share them, and remarks."""
    first, *others = (run.evaluation_config for run in runs)
    remarks = []
    metrics = tuple(name for name in first.metrics if all(name in other.metrics for other in others))
    scorer = first.scorer
    versions = {version for run in runs for version in run.scorers}
    if any(other.scorer != first.scorer for other in others) or len(versions) > 1:
        scorer = ""
        found = _by_run(runs, lambda run: ", ".join([run.evaluation_config.scorer, *run.scorers]) or "none")
        remarks.append(f"alignment is not compared: the runs have different scorers ({found})")
    for field, words in {
        "primary": "the primary metric is that of the first run",
        "bootstrap": "the bootstrap has the settings of the first run",
    }.items():
        if any(getattr(other, field) != getattr(first, field) for other in others):
            remarks.append(f"{words}; the runs differ in it")
    changed = {"non_voting_judges": (), "metrics": metrics, "scorer": scorer}
    return first.model_copy(update=changed), remarks


def _by_run(runs: Sequence[Compared], of: Callable[[Compared], str]) -> str:
    return ", ".join(f"{of(run)} in {run.name}" for run in runs)


def _correction(run: Compared) -> str:
    return "anchors among its images" if run.anchored else repr(run.evaluation_config.calibration or "none")


def _groups(attributes: dict[str, tuple[str, ...]]) -> str:
    return ", ".join(f"{name}: {'/'.join(groups)}" for name, groups in attributes.items())


def _versions(run: Compared) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(run.judges.items()))
