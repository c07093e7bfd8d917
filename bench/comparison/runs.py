"""The runs of a comparison: read, named apart, held against each other, and paired."""

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
from evenhand.bench.storage.run_folder import RunFolder, load_run
from evenhand.bench.suites.audit_config import Audit
from evenhand.bench.suites.evaluation_config import EvaluationConfig
from evenhand.bench.suites.suite import Suite
from evenhand.metrics.estimation.comparison import Pair
from evenhand.metrics.estimation.panel import PANEL

MAX_PAIRS = 12
"""Pairs that one page can hold."""


@dataclass(frozen=True)
class Compared:
    """A finished run as it takes part in a comparison.

    Attributes:
        name: What it is called there.
        tag: What tells its methods from those of the other runs; empty where all are of one run.
        work: Its folder.
        evaluation_config: How its images were judged and measured.
        anchored: Whether its judges are corrected by anchors among its own images.
        results: The methods that take part, the baseline first, and their results.
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
        """Versions of the scorers that embedded its images."""
        vectors = self.work.vectors.read()
        return tuple(sorted(set(vectors["scorer"]))) if len(vectors) else ()

    def confusion(self) -> pd.DataFrame:
        """The table that its judges are corrected by; empty for none."""
        return load_confusion(self.evaluation_config.calibration)

    def image_table(self) -> pd.DataFrame:
        """The image table of the methods that take part, by their names in the comparison.

        Raises:
            EvenhandError: The run has no image table, or it lacks one of the methods.
        """
        table = self.work.image_table.read()
        found = set(table["method"]) if len(table) else set()
        if lost := [method for method in self.results if method not in found]:
            raise EvenhandError(
                f"run {self.work.root} has no image table of {lost[0]!r}; run the same command again"
            )
        table = table[table["method"].isin(list(self.results))]
        return table.assign(method=table["method"].map(self.label), folder=str(self.work.root))

    def label_table(self) -> pd.DataFrame:
        """The labels of the panel's judges and of the panel."""
        table = self.work.labels.read()
        if not len(table):
            raise EvenhandError(f"run {self.work.root} has no label table; run the same command again")
        current = table["judge_version"] == table["judge"].map(self.judges)
        return table[current | (table["judge"] == PANEL)]


def load_compared(text: str) -> Compared:
    """The run that ``RUN`` or ``RUN@METHOD`` names.

    Raises:
        EvenhandError: There is no such run, it has no result, or none of that method.
    """
    folder, _, method = (text, "", "") if Path(text).is_dir() else text.rpartition("@")
    root = Path(folder or text)
    if not root.is_dir():
        raise EvenhandError(f"run {str(root)!r} does not exist; give the folder of a finished run")
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


def told_apart(runs: Sequence[Compared]) -> list[Compared]:
    """The runs under the shortest names that differ, and with tags where one run is given twice."""
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
    """The end of the path that no other folder has."""
    ends = ["/".join(root.parts[-depth:]) for depth in range(1, len(root.parts) + 1)]
    others = [f"/{other.as_posix()}" for other in roots if other != root]
    return next(end for end in ends if not any(other.endswith(f"/{end}") for other in others))


def pairs_of(runs: Sequence[Compared]) -> list[Pair]:
    """What is compared: the methods of every later run with those of every earlier one.

    Methods of the same name are a pair. Each that only one of the two runs has is paired with each that only
    the other has, or, if there is none, with the other's baseline.

    Raises:
        EvenhandError: There are more pairs than a page can hold.
    """
    pairs: list[Pair] = []
    for first, second in combinations(runs, 2):
        common = [method for method in second.results if method in first.results]
        pairs += [(second.label(method), first.label(method)) for method in common]
        ours, theirs = ([method for method in run.results if method not in common] for run in (second, first))
        if ours or theirs:
            sides = product(ours or _stand_in(second), theirs or _stand_in(first))
            pairs += [(second.label(one), first.label(other)) for one, other in sides]
    if len(pairs) > MAX_PAIRS:
        raise EvenhandError(
            f"{len(pairs)} pairs are too many for one page, which holds {MAX_PAIRS}; "
            "choose the methods, as RUN@METHOD"
        )
    return pairs


def _stand_in(run: Compared) -> list[str]:
    return [BASE] if BASE in run.results else list(run.results)


def check_comparable(runs: Sequence[Compared]) -> None:
    """Refuse runs whose numbers mean different things.

    Raises:
        EvenhandError: Attributes, panels or versions of judges differ.
    """
    first = runs[0]
    for run in runs[1:]:
        both = f"runs {first.name} and {run.name}"
        ours, theirs = first.evaluation_config.attributes, run.evaluation_config.attributes
        if ours != theirs:
            raise EvenhandError(
                f"{both} tell people apart differently ({_groups(ours)}; {_groups(theirs)}); "
                "judge both with the same attributes"
            )
        if first.judges != run.judges:
            raise EvenhandError(
                f"{both} have different judges ({_versions(first)}; {_versions(run)}); "
                "judge the images of both with the same panel"
            )


def check_targets(runs: Sequence[Compared], concepts: Sequence[str]) -> None:
    """Refuse runs that aim at different shares.

    Raises:
        EvenhandError: The targets of a concept differ.
    """
    first = runs[0]
    for run in runs[1:]:
        alike = run.evaluation_config.model_copy(update={"report": first.evaluation_config.report})
        if alike.targets(concepts) != first.evaluation_config.targets(concepts):
            raise EvenhandError(
                f"runs {first.name} and {run.name} measure the distance from different targets; "
                "give both suites the same target"
            )


def shared_confusion(runs: Sequence[Compared]) -> tuple[pd.DataFrame, list[str]]:
    """The table that the judges of all runs are corrected by; empty, with the reason, where there is none."""
    tables = [run.confusion() for run in runs]
    if not any(run.anchored for run in runs) and all(table.equals(tables[0]) for table in tables):
        return tables[0], []
    ways = _by_run(runs, _correction)
    return tables[0].iloc[:0], [
        f"the runs correct the judges' error by different tables ({ways}), so all numbers are compared as "
        "the judges see them"
    ]


def shared_evaluation_config(runs: Sequence[Compared]) -> tuple[EvaluationConfig, list[str]]:
    """The evaluation_config of the comparison: the first run's, as far as the others have it too."""
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
        "primary": "the headline is about the attributes of the first run's headline",
        "bootstrap": "intervals are drawn as the first run draws them",
    }.items():
        if any(getattr(other, field) != getattr(first, field) for other in others):
            remarks.append(f"{words}; the runs differ in this")
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
