"""A judge that looks at the face alone, whatever judge it is."""

from __future__ import annotations

import numpy as np

from evenhand.metrics.faces import Cut, FaceFinder
from evenhand.metrics.judges.base import Answer, Images, Judge


class OnFaces(Judge):
    """Shows a judge the largest face of each picture, and answers "cannot tell" where there is none.

    Statuses ``no_face``, ``small_face`` and ``multi_person`` are undetermined whatever the judge says, but
    the judge's probabilities for the largest face of several are kept, for comparison with works that label
    it (measurement.md 3.10).

    Args:
        judge: Who labels the faces.
        finder: Who finds them; shared, so that every judge sees the same faces.
        cut: How a face is cut out.
    """

    def __init__(self, judge: Judge, *, finder: FaceFinder, cut: Cut) -> None:
        self._judge = judge
        self._finder = finder
        self._cut = cut
        self.info = judge.info.model_copy(
            update={
                "version": f"{judge.info.version}/{cut}:{finder.version}",
                "summary": f"{judge.info.summary}; sees the largest face ({cut})",
            }
        )

    def label(self, images: Images) -> dict[str, Answer]:
        """Answers for every attribute of ``info.taxonomies``."""
        seen = [self._finder.look(image) for image in images]
        shown = [index for index, one in enumerate(seen) if one.faces]
        crops = [self._finder.cut(images[index], seen[index].faces[0], self._cut) for index in shown]
        answers = self._judge.label(np.stack(crops)) if crops else {}
        return {
            attribute: self._spread(answers.get(attribute), shown, [one.status for one in seen], len(groups))
            for attribute, groups in self.info.taxonomies.items()
        }

    @staticmethod
    def _spread(answer: Answer | None, shown: list[int], status: list[str], groups: int) -> Answer:
        """The answers for the pictures with a face, set among those without."""
        probabilities = np.tile(np.eye(groups + 1)[-1], (len(status), 1))
        said = list(status)
        if answer is not None:
            probabilities[shown] = answer.probabilities
            for index, state in zip(shown, answer.status, strict=True):
                said[index] = state if said[index] == "ok" else said[index]
        return Answer(probabilities, tuple(said))
