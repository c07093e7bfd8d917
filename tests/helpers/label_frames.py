"""Data frames of labels as a user has them."""

import numpy as np
import pandas as pd

PEOPLE = {"nurse": 0.9, "CEO": 0.2, "cook": 0.5}
"""Concept to the probability that an image shows a woman."""

RACES = ("Asian", "Black", "White")


def wide(*, images=20, seed=0, shares=None, extra=None):
    """One row per image: prompt, template, image, and two attributes."""
    rng = np.random.default_rng(seed)
    rows = [
        {
            "prompt": prompt,
            "template": template,
            "image": f"{prompt}-{template}-{number}.png",
            "gender": "woman" if rng.random() < share else "man",
            "race": str(rng.choice(RACES)),
        }
        for prompt, share in (shares or PEOPLE).items()
        for template in ("photo", "portrait")
        for number in range(images)
    ]
    return pd.DataFrame(rows).assign(**(extra or {}))


def to_long(frame, attributes=("gender", "race")):
    """The same labels, one row per image and attribute."""
    kept = [name for name in frame if name not in attributes]
    return frame.melt(id_vars=kept, value_vars=list(attributes), var_name="attribute", value_name="label")
