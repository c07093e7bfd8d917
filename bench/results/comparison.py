"""The result of ``evenhand compare``: pydantic models whose JSON is the record of a comparison.

The same runs give the same bytes. This module imports no torch; ``reports`` reads comparisons through it.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from pydantic import Field

from evenhand.bench.results.lookup import COMPARED_METRIC
from evenhand.bench.results.result import ImageRow, Record, Result
from evenhand.bench.results.text import PANEL
from evenhand.metrics.rows import DifferenceRow, FlipRow

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SCHEMA_VERSION", "Comparison", "DifferenceRow", "FlipRow", "Pair", "Side"]

SCHEMA_VERSION = 1


class Side(Record):
    """A method of a run as a side of a comparison."""

    run: str
    method: str = Field(description="its label in the run")
    images: int = Field(description="images that its run planned")
    result: Result = Field(description="measured on the shared images; its label is that of the side")

    @property
    def label(self) -> str:
        """Its name in the comparison: the method and, where there are several, the run."""
        return self.result.spec.method.label


class Pair(Record):
    """Two sides; a difference is the first minus the second."""

    label: str
    against: str
    same_images: bool = Field(description="whether both sides have identical images")

    @property
    def title(self) -> str:
        """Title of the difference."""
        return f"{self.label} minus {self.against}"


class Comparison(Record):
    """Runs or models compared in pairs on their shared prompts and seeds."""

    schema_version: int = SCHEMA_VERSION
    evenhand: str
    sides: list[Side]
    pairs: list[Pair]
    prompts: int = Field(description="shared prompts")
    shared: int = Field(description="shared images of each side: a prompt with a seed")
    concepts: list[str] = Field(description="concepts of the shared neutral prompts")
    attributes: dict[str, list[str]]
    primary: str
    same_noise: bool = Field(
        description="whether equal seeds give equal noise on all sides, or image lists claim it"
    )
    differences: list[DifferenceRow]
    flips: list[FlipRow]
    caveats: list[str] = Field(description="differences between the sides other than the compared one")
    notes: list[str]
    images: list[ImageRow] = Field(default_factory=list, exclude=True)

    def side(self, label: str) -> Side:
        """The side of that label."""
        return next(side for side in self.sides if side.label == label)

    @property
    def headline(self) -> list[DifferenceRow]:
        """The difference of each pair in the square of the primary metric; see :meth:`differences_in`."""
        found = self.differences_in(COMPARED_METRIC, self.primary)
        return [row for pair in self.pairs if (row := found.get((pair.label, pair.against)))]

    def differences_in(
        self, metric: str, attributes: str, *, kind: str = "neutral", naive: bool = False
    ) -> dict[tuple[str, str], DifferenceRow]:
        """The panel's differences of an aggregate, by both labels, all corrected or all uncorrected.

        They are corrected for judge error if every pair has a corrected value and ``naive`` is false.
        """
        rows = [
            row
            for row in self.differences
            if (row.metric, row.attributes, row.kind, row.group, row.concept)
            == (metric, attributes, kind, "", "")
            and row.judge in (PANEL, "")
        ]
        seen, corrected = (
            {(row.label, row.against): row for row in rows if row.corrected is wanted}
            for wanted in (False, True)
        )
        finite = [pair for pair, row in corrected.items() if math.isfinite(row.value)]
        return corrected if not naive and set(finite) == set(seen) | set(corrected) else seen

    def to_dataframe(self) -> pd.DataFrame:
        """The difference rows as a data frame."""
        import pandas as pd

        return pd.DataFrame([dict(row) for row in self.differences])

    def to_json(self) -> str:
        """JSON; the same runs give the same bytes."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def __str__(self) -> str:
        lines = [
            f"  {row.label} minus {row.against}: {row.metric} {row.attributes} "
            f"{'corrected ' if row.corrected else ''}{row.value:+.3f} [{row.low:+.3f}, {row.high:+.3f}]"
            for row in self.headline
        ]
        pairs = f"{len(self.pairs)} pair{'s' if len(self.pairs) != 1 else ''}"
        return "\n".join([f"{pairs} on {self.shared} shared images of {self.prompts} prompts", *lines])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The differences of the primary metric as a table, for notebooks."""
        from evenhand.bench.results.notebook import differences_html

        head = f"{self.shared} shared images of {self.prompts} prompts"
        return differences_html(head, self.headline)
