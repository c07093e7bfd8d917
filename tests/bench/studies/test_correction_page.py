"""The page of the study: figures and numbers from the published tables."""

import pandas as pd
from helpers.paths import ROOT

from evenhand.bench.studies.correction_page import fill
from evenhand.metrics.estimation.panel import PANEL

SHIPPED = ROOT / "docs" / "studies" / "judge-correction"


def test_the_page_matches_the_published_tables():
    tables = {name: pd.read_csv(SHIPPED / f"{name}.csv") for name in ("estimates", "transport", "recalls")}
    page = (ROOT / "docs" / "judge-correction.md").read_text(encoding="utf-8")
    assert fill(page, tables) == page
    panel = tables["estimates"].query(
        "pool == 'renders' and correction == 'pooled' and metric == 'rms_delta'"
    )
    corrected = panel[panel["judge"] == PANEL]
    assert len(corrected)
    assert (corrected["bias"].abs() < 0.02).all() and (corrected["repetitions"] >= 200).all()
