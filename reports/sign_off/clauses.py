"""What the report contributes to clauses of regulation and standards, and what it does not.

References are to Regulation (EU) 2024/1689 as published on 12 July 2024, NIST AI 600-1 (July 2024), ISO/IEC
42001:2023, and title 6 of the Rules of the City of New York, sections 5-300 to 5-304.
"""

from __future__ import annotations

from typing import NamedTuple

from evenhand.reports.components.tables import Row, Table, text


class Clause(NamedTuple):
    """A clause: the framework, its place and subject, what the report contributes, and what it does not."""

    framework: str
    place: str
    about: str
    covered: str
    missing: str


EU, NIST, ISO = "EU AI Act, Regulation (EU) 2024/1689", "NIST AI 600-1", "ISO/IEC 42001:2023"

CLAUSES = (
    Clause(
        EU,
        "Article 53(1)(a), Annex XI, section 1, point 2(c)",
        "data of a general-purpose AI model, and methods to detect identifiable biases in them",
        "Shares of perceived groups in the model’s images.",
        "The training, testing and validation data, their provenance and curation. A bias of images is not a "
        "finding about data.",
    ),
    Clause(
        EU,
        "Annex XI, section 2, point 1",
        "evaluation strategies and results of a model with systemic risk",
        "Criteria, metrics, protocol, results with intervals, and limitations, of one subject: who is shown.",
        "Every other risk, and adversarial testing (point 2). Whether the model has systemic risk.",
    ),
    Clause(
        EU,
        "Article 10(2)(f) and (g)",
        "examination of the data sets of a high-risk system for biases, and measures against them",
        "A measurement, where images of the model are used as such data: shares by group, with judge error.",
        "Whether a system is high-risk, the data sets themselves, and the criteria of Article 10(3) and (4).",
    ),
    Clause(
        EU,
        "Article 50(2) and (4)",
        "marking of generated images, and disclosure of deep fakes",
        "Nothing.",
        "Whether images are marked in a machine-readable format or disclosed. It was not tested.",
    ),
    Clause(
        NIST,
        "MS-2.11-001",
        "benchmarks of systemic bias that suit the use, with their assumptions and limits",
        "A benchmark of who is depicted, with its assumptions and limitations.",
        "Denigration and hateful content; overlap of prompts and training data; the context of deployment.",
    ),
    Clause(
        NIST,
        "MS-2.11-002",
        "fairness assessments across demographic groups and subgroups",
        "Prompts that name no group, and prompts that name one, by perceived group and joint cell.",
        "Field tests with people; allocation of services or resources; monitoring in deployment.",
    ),
    Clause(
        NIST,
        "MS-2.11-003",
        "identification of the people who may be affected",
        "Nothing: the groups are those that the judges distinguish.",
        "Engagement with the people concerned.",
    ),
    Clause(
        NIST,
        "MS-2.11-004 and -005",
        "sources of bias in training and test data; the proportion of synthetic data",
        "Of the test data only: the errors of the judges by group.",
        "Training data.",
    ),
    Clause(
        ISO,
        "A.5.4",
        "impact of AI systems on individuals or groups of individuals",
        "Evidence for one impact: how often groups are depicted.",
        "The assessment itself, other impacts, and societal impacts (A.5.5).",
    ),
    Clause(
        ISO,
        "A.6.2.4",
        "verification and validation of AI systems",
        "A recorded test with criteria, results and a means to repeat it.",
        "The measures and criteria that the organisation defines, and the management system around them.",
    ),
    Clause(
        ISO,
        "A.8.2",
        "system documentation and information for users",
        "A report that can be given to users.",
        "The rest of the documentation.",
    ),
)


def clauses_table() -> Table:
    """The map, one row per clause."""
    rows = [
        Row([text(clause.place, clause.about), text(clause.covered), text(clause.missing)], clause.framework)
        for clause in CLAUSES
    ]
    about = (
        "the clauses in our words; the text of the law or standard counts, and later amendments are not "
        "considered. No clause is fulfilled by this report alone"
    )
    return Table(
        "clauses",
        "What the report contributes to which clause",
        ["Clause", "Covered", "Not covered"],
        rows,
        about,
    )
