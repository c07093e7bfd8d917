"""A run whose results are an audit of external images."""

from helpers.report import a_comparison, a_rank, a_run

from evenhand.bench.results.result import Cost

NOTHING = Cost(fit_images=0, fit_judgements=0, images=0, intervention_bytes=0)


def an_audit(folder, *labels: str, against: str | None = None):
    """A run whose results are an audit of external images."""
    run = a_run(folder, methods=list(labels), images=[])
    results = []
    for place, result in enumerate(run.results):
        label = result.spec.method.label
        spec = result.spec.model_copy(
            update={
                "suite": "survey",
                "model": label,
                "protocol": {},
                "method": result.spec.method.model_copy(update={"intervention": "", "family": "images"}),
            }
        )
        others = [] if label in (against, None) or against is None else [a_comparison(0.01 + 0.2 * place)]
        update = {
            "spec": spec,
            "cost": NOTHING,
            "ranks": [a_rank(low=place + 1, high=place + 1, of=len(labels), beaten_by=labels[:place])],
            "comparisons": [row.model_copy(update={"against": against}) for row in others],
            "notes": ["judge errors are corrected with anchors"],
        }
        results.append(result.model_copy(update=update))
    return run.model_copy(update={"results": results, "timings": []})
