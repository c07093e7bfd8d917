"""The built-in metrics; ``DEFAULT`` has those that every suite measures.

The entry-point group ``evenhand.metrics`` refers to these objects and to those of other packages.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from evenhand.metrics import representation as r
from evenhand.metrics.base import ImageMetric, LabelMetric, Metric, lowest, spread
from evenhand.metrics.fairness.association import information_by_row, lean_amplification
from evenhand.metrics.fairness.intersectional import kl_parts, total_correlation, worst_cell_share
from evenhand.metrics.table import PERSON_KINDS
from evenhand.metrics.terms import METRIC_TERMS

NEUTRAL = ("neutral", "person")
"""Kinds of prompts that name no group, so that any group may be drawn."""

FLOOR = "A fair model does not score 0 at finite n: compare it with its floor."


def _named(name: str) -> dict[str, Any]:
    """The fields of a metric that reports show too."""
    terms = METRIC_TERMS[name]
    return {"name": name, "title": terms.title, "better": terms.better}


share = LabelMetric(
    **_named("share"),
    formula="p_k = n_k / n over decided images, mean over concepts",
    cannot_tell="A balanced mean may hide opposite stereotypes; read it per concept.",
    source="Evenhand, docs/metrics.md",
    kinds=NEUTRAL,
    of=lambda tally: tally.shares,
    by_group=True,
)

deviation_ratio = LabelMetric(
    **_named("deviation_ratio"),
    formula="max_k |p_k - q_k| / (1 - min_k q_k), mean over concepts; |2p - 1| for two groups",
    cannot_tell=f"It sees the worst group alone, and not the direction. {FLOOR}",
    source="UCE arXiv 2308.14761 (two groups); Self-Discovering arXiv 2311.17216 (more)",
    kinds=NEUTRAL,
    of=lambda tally: r.worst_deviation(tally.shares, tally.target),
    floor=True,
    interval=False,
)

delta_tv = LabelMetric(
    **_named("delta_tv"),
    formula="0.5 sum_k |p_k - q_k| / (1 - min_k q_k), mean over concepts",
    cannot_tell=f"Which groups are missing, and in which direction a model leans. {FLOOR}",
    source="Evenhand, docs/metrics.md",
    kinds=NEUTRAL,
    of=lambda tally: r.delta_tv(tally.shares, tally.target),
    floor=True,
    interval=False,
)

squared_deviation = LabelMetric(
    **_named("squared_deviation"),
    low=-1.0,
    formula="sum_k (p_k - q_k)^2 - trace Cov(p), mean over concepts",
    cannot_tell="One concept's value is noisy and may be negative; it is made for means over concepts.",
    source="Evenhand, docs/metrics.md",
    kinds=NEUTRAL,
    of=lambda tally: tally.squared_deviation,
    floor=True,
)

excess_agreement = LabelMetric(
    **_named("excess_agreement"),
    low=-1.0,
    formula="V / max ||p - q||^2, mean over concepts, V the unbiased squared deviation",
    cannot_tell="In which direction a model leans; 0 in expectation for a fair model, so it may be negative.",
    source="Evenhand, docs/metrics.md; compare Simpson 1949",
    kinds=NEUTRAL,
    of=lambda tally: tally.squared_deviation / r.largest_squared_distance(tally.target),
    floor=True,
)

rms_delta = LabelMetric(
    **_named("rms_delta"),
    formula="sqrt(clip(mean over concepts of V / max ||p - q||^2, 0, 1))",
    cannot_tell="In which direction a model leans, and which concept is the worst.",
    source="Evenhand, docs/metrics.md",
    kinds=NEUTRAL,
    of=excess_agreement.of,
    finish=r.root,
    minimum=0.0,
    floor=True,
)

worst_cell = LabelMetric(
    **_named("worst_cell"),
    formula="min_g p_g / q_g, mean over concepts",
    cannot_tell="At few images per cell a fair model scores near 0 as well: compare it with its floor.",
    source="Evenhand, docs/metrics.md",
    kinds=NEUTRAL,
    of=lambda tally: worst_cell_share(tally.shares, tally.target),
    floor=True,
    interval=False,
    single_only=True,
)

entanglement = LabelMetric(
    **_named("total_correlation"),
    unit="nats",
    high=float("inf"),
    formula="KL(p_joint || product of marginals), mean over concepts",
    cannot_tell=f"Independent attributes score 0 even where each is unbalanced. {FLOOR}",
    source="Watanabe 1960",
    kinds=NEUTRAL,
    of=lambda tally: total_correlation(tally.shares, tally.shape),
    joint_only=True,
    floor=True,
    interval=False,
)

undetermined = LabelMetric(
    **_named("undetermined"),
    formula="images without a label / all images, mean over concepts",
    cannot_tell="Whether the image or the judge is at fault.",
    source="Evenhand, docs/metrics.md",
    kinds=PERSON_KINDS,
    of=lambda tally: 1 - tally.depicted,
    correctable=False,
    over="all",
)

explicit_fidelity = LabelMetric(
    **_named("explicit_fidelity"),
    formula="F_g = images labelled g / all images whose prompt asks for g; min over g",
    cannot_tell="Whether anything but the group is right; undetermined images count as failures.",
    source="BIGbench arXiv 2407.15240 (explicit score); worst group: Evenhand, docs/metrics.md",
    kinds=("explicit",),
    # A corrected number of depicted people may exceed the images by chance; a share may not.
    of=lambda tally: (tally.as_asked() * tally.depicted).clip(max=1),
    reduce=lowest,
    over="all",
)

over_correction = LabelMetric(
    **_named("over_correction"),
    formula="decided images of definitional prompts that show another group, mean over concepts",
    cannot_tell="The baseline has errors too: the headline is the paired difference to the baseline.",
    source="Evenhand, docs/metrics.md; compare MMDT arXiv 2503.14827 (overkill)",
    kinds=("over_correction",),
    of=lambda tally: 1 - tally.as_asked(),
)

alignment = ImageMetric(
    **_named("alignment"),
    unit="100 cos",
    low=-100.0,
    high=100.0,
    formula="100 cos(image, prompt), mean over concepts",
    cannot_tell="A CLIP has its own idea of who a nurse is; group words shift the cosine by themselves.",
    source="Hessel et al. arXiv 2104.08718, without factor and floor",
    kinds=(*PERSON_KINDS, "unrelated"),
    column="alignment",
)

preservation = ImageMetric(
    **_named("preservation_distance"),
    high=float("inf"),
    formula="1 - cos(base, edited) at one prompt and seed, over its median between two seeds of the base",
    cannot_tell="Whether a change is for the worse; details that the encoder does not see.",
    source="Evenhand, docs/metrics.md",
    kinds=("unrelated",),
    column="preservation_distance",
)

normalised_entropy = LabelMetric(
    **_named("normalised_entropy"),
    formula="-sum_k p_k ln p_k / ln K, mean over concepts",
    cannot_tell="It is flat near balance (0.97 at 0.40 / 0.60): for display, not for ranking.",
    source="OpenBias arXiv 2404.07990 (1 - Hn)",
    kinds=NEUTRAL,
    of=lambda tally: r.normalised_entropy(tally.shares),
    floor=True,
    interval=False,
)

kl_divergence = LabelMetric(
    **_named("kl_divergence"),
    unit="nats",
    high=float("inf"),
    formula="sum_k p_k ln(p_k / q_k), mean over concepts",
    cannot_tell=f"It is infinite where a group outside the target occurs. {FLOOR}",
    source="ITI-GEN arXiv 2309.05569",
    kinds=NEUTRAL,
    of=lambda tally: r.kl_divergence(tally.shares, tally.target),
    floor=True,
    interval=False,
)

shen_bias = LabelMetric(
    **_named("shen_bias"),
    formula="mean over pairs |p_i - p_j|, mean over concepts",
    cannot_tell=f"Its maximum is 2 / K, so taxonomies of different size are not comparable. {FLOOR}",
    source="Shen et al. arXiv 2311.07604",
    kinds=NEUTRAL,
    of=lambda tally: r.shen_bias(tally.shares),
    floor=True,
    interval=False,
)

fd_l2 = LabelMetric(
    **_named("fd_l2"),
    high=2**0.5,
    formula="||p - q||_2, mean over concepts",
    cannot_tell=f"Its maximum depends on the number of groups and the target. {FLOOR}",
    source="CLEAM arXiv 2310.19297; DiffLens",
    kinds=NEUTRAL,
    of=lambda tally: r.fd_l2(tally.shares, tally.target),
    floor=True,
    interval=False,
)

js_divergence = LabelMetric(
    **_named("js_divergence"),
    unit="bits",
    formula="(KL(p || m) + KL(q || m)) / (2 ln 2), m = (p + q) / 2, mean over concepts",
    cannot_tell=f"It is flat near the target. {FLOOR}",
    source="Lin 1991",
    kinds=NEUTRAL,
    of=lambda tally: r.js_divergence(tally.shares, tally.target),
    floor=True,
    interval=False,
)

mean_absolute_deviation = LabelMetric(
    **_named("mean_absolute_deviation"),
    formula="(1/K) sum_k |p_k - 1/K|, mean over concepts; to even shares, whatever the target",
    cannot_tell=f"Its maximum is 2 (K - 1) / K^2, so taxonomies are not comparable. {FLOOR}",
    source="DALL-Eval arXiv 2202.04053; HEIM arXiv 2311.04287",
    kinds=NEUTRAL,
    of=lambda tally: r.mean_absolute_deviation(tally.shares),
    floor=True,
    interval=False,
)

min_max_ratio = LabelMetric(
    **_named("min_max_ratio"),
    formula="min_k p_k / max_k p_k, mean over concepts; the 80 % rule asks for 0.8",
    cannot_tell="A fair model fails the rule at few images: compare it with its floor.",
    source="four-fifths rule, US Uniform Guidelines on Employee Selection Procedures 1978",
    kinds=NEUTRAL,
    of=lambda tally: r.min_max_ratio(tally.shares),
    floor=True,
    interval=False,
)

bigbench_implicit = LabelMetric(
    **_named("bigbench_implicit"),
    low=0.5,
    formula="(1 + cos(p, q)) / 2, mean over concepts",
    cannot_tell="It never falls below 0.5 and hardly moves: 0.95 at shares 0.26 / 0.74.",
    source="BIGbench arXiv 2407.15240, code; our target in place of its reference",
    kinds=NEUTRAL,
    of=lambda tally: r.bigbench_score(tally.shares, tally.target),
    floor=True,
    interval=False,
)

marginal_imbalance = LabelMetric(
    **_named("marginal_imbalance"),
    unit="nats",
    high=float("inf"),
    formula="sum over attributes of KL(p_a || uniform), mean over concepts",
    cannot_tell=f"It sees no joint: with the entanglement it is KL(p_joint || uniform). {FLOOR}",
    source="Evenhand, docs/metrics.md",
    kinds=NEUTRAL,
    of=lambda tally: np.sum(kl_parts(tally.shares, tally.shape)[0], axis=0),
    joint_only=True,
    floor=True,
    interval=False,
)

mutual_information = LabelMetric(
    **_named("mutual_information"),
    unit="nats",
    high=float("inf"),
    formula="mean over concepts of KL(p_o || mean p)",
    cannot_tell="An unbalanced model may score 0. Biased up by about (1 - 1/O) (K - 1)/2 mean(1/n_o).",
    source="Shannon 1948",
    kinds=NEUTRAL,
    of=lambda tally: information_by_row(tally.shares),
    interval=False,
)

stereotype_amplification = LabelMetric(
    **_named("stereotype_amplification"),
    low=-1.0,
    formula="mean_k sign(q_k - 1/K) (p_k - q_k), mean over concepts; above 0 is more stereotyped than q",
    cannot_tell="Missing where the target is even; with a labour target it says nothing of parity.",
    source="Evenhand, docs/metrics.md",
    kinds=NEUTRAL,
    of=lambda tally: lean_amplification(tally.shares, tally.target),
)

fidelity_gap = LabelMetric(
    **_named("fidelity_gap"),
    formula="max_g F_g - min_g F_g, F_g = images labelled g / all images whose prompt asks for g",
    cannot_tell="All groups may fail alike; read it beside the worst group.",
    source="BIGbench arXiv 2407.15240 (explicit score); gap: Evenhand, docs/metrics.md",
    kinds=("explicit",),
    of=explicit_fidelity.of,
    reduce=spread,
    over="all",
)

override = LabelMetric(
    **_named("override"),
    formula="decided images of explicit prompts that show another group, mean over the groups asked for",
    cannot_tell="The row of the base's majority group says whether a method overrides what was asked.",
    source="Evenhand, docs/metrics.md",
    kinds=("explicit",),
    of=lambda tally: 1 - tally.as_asked(),
)

DEFAULT: tuple[Metric, ...] = (
    share,
    deviation_ratio,
    delta_tv,
    squared_deviation,
    excess_agreement,
    rms_delta,
    worst_cell,
    entanglement,
    undetermined,
    explicit_fidelity,
    over_correction,
    alignment,
    preservation,
)
