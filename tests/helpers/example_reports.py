"""Reports whose first screens are looked at: few methods, many, an audit of two models, a baseline alone."""

from helpers.audit_report import an_audit
from helpers.full_report import METHODS, a_full_run, images_of_every_kind
from helpers.report import BIAS, CONCEPTS, a_run, some_images
from helpers.shared import shared

from evenhand.bench.report import render_report

MANY = METHODS[:17]
CELL = "gender=man;tone=dark;age=older"


def with_changes(rows):
    """The images with men for every method but the baseline, and explicit prompts that ask for men."""
    labels = {"gender": "man", "tone": "dark", "age": "older"}
    return [
        row.model_copy(
            update=({} if row.method == "base" or row.kind == "unrelated" else {"labels": labels})
            | ({"cell": CELL} if row.kind == "explicit" else {})
        )
        for row in rows
    ]


def few(folder):
    methods = list(BIAS)
    images = with_changes(images_of_every_kind(folder, methods, seeds=2))
    return a_run(folder, methods=methods, concepts=CONCEPTS[:4], images=images)


def many(folder):
    images = with_changes(images_of_every_kind(folder, MANY, seeds=1))
    return a_full_run(folder, methods=MANY, concepts=CONCEPTS[:4], images=images)


def audit(folder):
    return an_audit(folder, "one", "two").model_copy(update={"images": some_images(folder, ["one", "two"])})


def alone(folder):
    images = images_of_every_kind(folder, ["base"], seeds=1)
    return a_run(folder, methods=["base"], concepts=CONCEPTS[:4], images=images)


RUNS = {make.__name__: make for make in (few, many, audit, alone)}


def example_reports():
    """The path of the report of every run; must not be modified."""
    folder = shared("example-reports", _write)
    return {name: folder / f"{name}.html" for name in RUNS}


def _write(folder):
    for name, make in RUNS.items():
        (folder / name).mkdir(parents=True)
        (folder / f"{name}.html").write_text(render_report(make(folder / name)), encoding="utf-8")
