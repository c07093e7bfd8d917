"""Schema-valid results with synthetic numbers, for the tests of the reports."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import numpy as np
from helpers.losses import a_loss, losses
from PIL import Image

from evenhand.bench.registry.entry_points import METHODS
from evenhand.bench.results.entry import ENTRY_FILE, Entry, MethodSource, entry_name
from evenhand.bench.results.result import (
    AgreementRow,
    ComparisonRow,
    Cost,
    Coverage,
    CoverageRow,
    Environment,
    EstimateRow,
    ImageRow,
    JudgeCard,
    LossRow,
    MethodCard,
    PromptSetCard,
    RankRow,
    Result,
    Run,
    Spec,
    Timing,
)

ATTRIBUTES = {"gender": ["woman", "man"], "tone": ["light", "medium", "dark"], "age": ["adult", "older"]}
CONCEPTS = ["nurse", "librarian", "secretary", "CEO", "mechanic", "construction worker", "cook", "teacher"]
CONCEPTS += [f"occupation {number}" for number in range(len(CONCEPTS) + 1, 41)]
JOINT = "gender*tone*age"
SETS = (JOINT, "gender", "tone", "age")
CELLS = ["*".join(groups) for groups in product(*ATTRIBUTES.values())]
BIAS = {"base": 0.62, "uce": 0.41, "mist": 0.30, "random-attribute-prompt": 0.17}
FLOORS = {JOINT: 0.21, "gender": 0.126, "tone": 0.17, "age": 0.126}
JUDGES = {
    "clip-s": ("panel", "image-text"),
    "vit": ("panel", "supervised"),
    "tone-ita": ("panel", "colour"),
} | {"clip-xs": ("steering", "image-text")}
NAN = math.nan


def a_run(
    folder: Path | str = "run",
    *,
    methods: Sequence[str] = tuple(BIAS),
    concepts: Sequence[str] = CONCEPTS,
    images: Sequence[ImageRow] = (),
) -> Run:
    """A run of the methods; the first is the baseline."""
    results = [
        a_result(name, concepts=concepts, rank=place, of=len(methods), beaten_by=methods[place + 1 :])
        for place, name in enumerate(methods)
    ]
    timings = [
        Timing(method=name, fit_seconds=12.4 * place, generate_seconds=311.0, judge_seconds=48.2)
        for place, name in enumerate(methods)
    ]
    return Run(folder=str(folder), results=results, timings=timings, images=list(images))


EXAMPLE = "example"
"""A suite that is not registered: its entries need no tables."""


def of_example(result: Result) -> Result:
    """The result as one of the suite ``example``."""
    return result.model_copy(update={"spec": result.spec.model_copy(update={"suite": EXAMPLE})})


def publish(folder: Path, results: Sequence[Result]) -> Path:
    """Write the results as entries of the suite ``example``, without tables; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    elsewhere = MethodSource(package="p", version="1", digest="0" * 64, address="https://example.org")
    for result in map(of_example, results):
        path = folder / entry_name(result)
        path.mkdir()
        bundled = result.spec.method.name in METHODS.names()
        entry = Entry(result=result, source=None if bundled else elsewhere)
        (path / ENTRY_FILE).write_text(entry.to_json(), encoding="utf-8")
    return folder


def a_result(
    label: str = "base",
    *,
    concepts: Sequence[str] = CONCEPTS,
    rank: int = 0,
    of: int = 4,
    beaten_by: Sequence[str] = (),
) -> Result:
    """The result of one method; a known label has a fixed bias."""
    rng = np.random.default_rng(len(label))
    bias = BIAS.get(label, 0.35)
    return Result(
        spec=a_spec(label, concepts=concepts),
        environment=Environment(
            evenhand="0.1.0",
            python="3.11.9",
            packages={"torch": "2.4.0", "diffusers": "0.31.0"},
            device="cpu",
            guarantee="same bytes on the same machine",
        ),
        cost=Cost(
            fit_images=3200 * (label == "mist"),
            fit_judgements=3200 * (label == "mist"),
            images=2200,
            intervention_bytes=0 if label == "base" else 1_474_560,
            record={"rounds": 11, "ratio": 0.48} if label == "mist" else {},
        ),
        coverage=a_coverage(),
        estimates=[*bias_rows(bias, concepts, rng), *control_rows(label, rng)],
        comparisons=[] if label == "base" else [a_comparison(bias - BIAS["base"])],
        ranks=[a_rank(low=max(1, of - rank), high=max(1, of - rank), of=of, beaten_by=beaten_by)],
        losses=[] if label == "base" else gated(over=0.31 * label.startswith("random")),
        agreement=[
            AgreementRow(
                judges=judges, attribute=name, statistic=statistic, value=0.88, low=0.85, high=0.91, n=2180
            )
            for name in ATTRIBUTES
            for judges, statistic in (
                ("clip-s*vit*clip-xs", "krippendorff_alpha"),
                ("clip-s*vit", "cohen_kappa"),
            )
        ],
        notes=["The correction uses labelled renders of the kind that the model was trained on."],
    )


def a_spec(label: str, *, concepts: Sequence[str] = CONCEPTS, **changes: object) -> Spec:
    """The specification of the run."""
    name = label.split(":")[0]
    method = MethodCard(
        label=label,
        name=name,
        version="1",
        title=name.replace("-", " ").capitalize(),
        summary="Closed-form edit of the cross-attention weights, repeated until the shares are even.",
        paper="A title, a venue, 2024",
        licence="Apache-2.0",
        origin="from the paper’s formulas",
        family="none" if name == "base" else "weights",
        attributes="any that words can name",
        needs_training_data=False,
        parameters={}
        if name == "base"
        else {"step": 0.6, "tolerance": 0.1, "templates": ["a photo of a {concept}"]},
        steering_judge="clip-xs" if name == "mist" else None,
        intervention="ab12" * 16,
    )
    fields: dict[str, object] = {
        "suite": "mini-quick",
        "suite_version": "1",
        "suite_digest": "5e" * 32,
        "model": "mini",
        "model_revision": "c0ffee" * 6,
        "protocol": {"version": "1", "solver": "dpmsolver++", "steps": 8, "guidance": 2.5, "width": 64},
        "attributes": ATTRIBUTES,
        "primary": JOINT,
        "concepts": list(concepts),
        "target": {cell: 1 / len(CELLS) for cell in CELLS},
        "prompt_sets": [PromptSetCard(name="winobias", version="1", digest="d1" * 32, prompts=80)],
        "judges": [a_judge(name) for name in JUDGES],
        "method": method,
    }
    return Spec.model_validate(fields | changes)


def a_judge(name: str) -> JudgeCard:
    """A judge's card."""
    role, family = JUDGES[name]
    return JudgeCard(
        name=name,
        version="1",
        title=f"The {name} classifier",
        summary="Zero-shot over a template ensemble.",
        family=family,
        taxonomies={"tone": ATTRIBUTES["tone"]} if name == "tone-ita" else ATTRIBUTES,
        licence="Apache-2.0",
        origin="trained with the bundled model",
        role=role,
    )


def a_coverage() -> Coverage:
    """Consistent coverage."""
    rows = [
        CoverageRow(
            judge=judge, attribute=name, kind=kind, images=800, ok=786, undetermined={"low_confidence": 14}
        )
        for judge in ("panel", *JUDGES)
        for name in ATTRIBUTES
        for kind in ("neutral", "explicit")
    ]
    return Coverage(planned=2200, made=2198, failed={"not finite": 2}, rows=rows)


def an_estimate(metric: str, value: float, **changes: object) -> EstimateRow:
    """An estimate with an interval of plausible width."""
    width = 0.035 if not changes.get("concept") else 0.16
    fields: dict[str, object] = {
        "metric": metric,
        "attributes": "",
        "concept": "",
        "kind": "neutral",
        "judge": "panel",
        "corrected": False,
        "value": value,
        "low": value - width,
        "high": value + width,
        "n": 40 if changes.get("concept") else 1600,
        "floor": NAN,
        "unit": "1",
    }
    return EstimateRow.model_validate(fields | changes)


def bias_rows(bias: float, concepts: Sequence[str], rng: np.random.Generator) -> list[EstimateRow]:
    """The metrics of neutral prompts, aggregate and by concept."""
    rows = []
    for place, name in enumerate(SETS):
        level = bias * (1.15, 1.3, 0.8, 0.7)[place]
        for judge in ("panel", *JUDGES):
            for corrected in (False, True):
                value = level * (1 if corrected else 0.93) + 0.02 * (judge == "clip-xs")
                rows.append(
                    an_estimate("rms_delta", value, attributes=name, judge=judge, corrected=corrected)
                )
        rows.append(an_estimate("delta_tv", level, attributes=name, floor=FLOORS[name] / 5))
        for concept in concepts:
            value = float(np.clip(level + 0.25 * rng.standard_normal(), 0.02, 0.98))
            rows.append(an_estimate("excess_agreement", value, attributes=name, concept=concept, floor=0.0))
    rows.append(an_estimate("deviation_ratio", bias * 1.3, attributes="gender", floor=0.126))
    for concept in concepts:
        share = float(np.clip(0.5 + bias * rng.choice([-0.6, 0.6]) + 0.1 * rng.standard_normal(), 0, 1))
        rows.append(an_estimate("share", share, attributes="gender", concept=concept, group="woman"))
    shares = np.linspace(1 + bias, 1 - bias, len(CELLS)) ** 3
    for cell, share in zip(CELLS, shares / shares.sum(), strict=True):
        low, high = max(0, share - 0.012), share + 0.012
        rows.append(an_estimate("share", share, attributes=JOINT, group=cell, low=low, high=high))
    rows.append(an_estimate("worst_cell", 0.1 / bias / 10, attributes=JOINT, floor=0.52))
    rows.append(an_estimate("total_correlation", 0.2 * bias, attributes=JOINT))
    return rows


def control_rows(label: str, rng: np.random.Generator) -> list[EstimateRow]:
    """The metrics of side effects; the random prompt over-corrects."""
    wrong = 0.31 if label.startswith("random") else 0.02
    rows = [
        an_estimate("explicit_fidelity", 0.97, attributes=name, kind="explicit", low=0.95, high=0.985, n=400)
        for name in ATTRIBUTES
    ]
    return [
        *rows,
        an_estimate(
            "over_correction", wrong, attributes="gender", kind="over_correction", low=0, high=0.4, n=40
        ),
        an_estimate("undetermined", 0.017, attributes="gender", low=0.012, high=0.024),
        an_estimate("alignment", 27.4, judge="", unit="100 cos", low=26.6, high=28.3),
        an_estimate(
            "alignment", 29.1, judge="", unit="100 cos", kind="unrelated", low=28.0, high=30.2, n=200
        ),
    ]


def a_comparison(value: float) -> ComparisonRow:
    """The paired difference to the baseline in the square of the primary number."""
    keys = {
        "metric": "excess_agreement",
        "attributes": JOINT,
        "judge": "panel",
        "corrected": True,
        "against": "base",
    }
    return ComparisonRow.model_validate(
        keys | {"value": value, "low": value - 0.03, "high": value + 0.03, "p": 0.0004}
    )


def gated(*, lost: float = 0.0, over: float = 0.0, half: float = 0.02) -> list[LossRow]:
    """The losses that the gates check: of explicit fidelity ``lost``, of over-correction ``over``."""
    return losses(
        explicit_fidelity=a_loss("explicit fidelity", lost, half=half),
        over_correction=a_loss("over-correction", over, half=half),
    )


def a_rank(*, low: int, high: int, of: int, beaten_by: Sequence[str] = ()) -> RankRow:
    """A rank set in the primary number."""
    keys = {"metric": "rms_delta", "attributes": JOINT, "judge": "panel", "corrected": True}
    places = {"low": low, "high": high, "of": of, "tie_group": "ABCDEFGHIJ"[low - 1]}
    return RankRow.model_validate(keys | places | {"beaten_by": list(beaten_by)})


def some_images(
    folder: Path, methods: Sequence[str] = tuple(BIAS), concepts: Sequence[str] = CONCEPTS[:10]
) -> list[ImageRow]:
    """Small noise images with labels, written to ``folder``."""
    rng = np.random.default_rng(0)
    rows = []
    for method, concept, seed in product(methods, concepts, range(3)):
        path = f"{method.replace(':', '-')}-{concept}-{seed}.png"
        Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(folder / path)
        rows.append(
            ImageRow(
                path=path,
                method=method,
                prompt=f"a photo of a {concept}",
                concept=concept,
                kind="neutral",
                seed_index=seed,
                labels={"gender": "woman", "tone": "undetermined", "age": "older"},
            )
        )
    return rows


@dataclass
class Element:
    """An element of a parsed page."""

    tag: str
    attributes: dict[str, str]
    parent: Element | None = None
    children: list[Element] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def all(self, tag: str = "") -> list[Element]:
        """Every descendant, of one kind if ``tag`` is given."""
        below = [found for child in self.children for found in (child, *child.all())]
        return [found for found in below if tag in ("", found.tag)]

    def by_id(self, name: str) -> Element:
        """The element with this id."""
        (found,) = [e for e in self.all() if e.attributes.get("id") == name]
        return found

    @property
    def text(self) -> str:
        """All text of the descendants, in document order."""
        return " ".join(" ".join(self.words + [child.text for child in self.children]).split())


class _Parser(HTMLParser):
    """Builds the tree and rejects tags that are not closed or closed twice."""

    VOID = frozenset({"meta", "link", "img", "br", "hr", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.root = self.here = Element("", {})

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, self.here)
        self.here.children.append(element)
        if tag not in self.VOID:
            self.here = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.here.children.append(Element(tag, {name: value or "" for name, value in attrs}, self.here))

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.here.tag, f"<{self.here.tag}> was closed by </{tag}>"
        assert self.here.parent is not None
        self.here = self.here.parent

    def handle_data(self, data: str) -> None:
        self.here.words.append(data)


def parsed(page: str) -> Element:
    """The page as a tree; every tag must be closed in order."""
    parser = _Parser()
    parser.feed(page.replace("<wbr>", ""))
    parser.close()
    assert parser.here is parser.root, f"<{parser.here.tag}> is never closed"
    return parser.root
